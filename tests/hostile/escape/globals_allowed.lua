-- what: look for a global that is not on the allow-list
-- expect: exit=0 stdout=contained
local known = {}
local names = [[_G _VERSION arg assert channel collectgarbage coroutine debug error
  event getmetatable io
  ipairs load math next os pairs params pcall print promise rawequal rawget rawlen rawset require select
  setmetatable sleep string sync table task tonumber tostring type utf8 warn xpcall]]
for name in names:gmatch("%S+") do
  known[name] = true
end
for name in pairs(_G) do
  if not known[name] then
    return print("ESCAPED: the global " .. tostring(name))
  end
end
print("contained")
