-- what: syntax errors whose message quotes the source
-- expect: exit=0 stdout=contained
local long = ("x"):rep(1000000)
for _, source in ipairs({ long .. " " .. long, "'" .. long, "[[" .. long, "\255\0\27", "x = = 1" }) do
  local fn, message = load(source, source)
  if fn or #message > 2200000 then
    return print("ESCAPED: " .. tostring(fn))
  end
end
print("contained")
