-- what: stop or retune the collector
-- expect: exit=0 stdout=contained
for _, option in ipairs({ "stop", "restart", "incremental", "generational", "isrunning", "param" }) do
  if pcall(collectgarbage, option) then
    return print("ESCAPED: " .. option)
  end
end
for _, option in ipairs({ "setpause", "setstepmul", "collect" }) do
  if pcall(collectgarbage, option, 1000) then
    return print("ESCAPED: " .. option)
  end
end
print(collectgarbage("count") > 0 and "contained")
