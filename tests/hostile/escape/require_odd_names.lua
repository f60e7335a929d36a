-- what: give require names that are no strings, huge, or full of pattern characters
-- expect: exit=0 stdout=contained
local huge = ("a."):rep(100000)
for _, name in ipairs({ huge, "%s%d%n", "?;?", "\255\254", {}, 0 / 0, print }) do
  local ok, message = pcall(require, name)
  if ok or #tostring(message) > 2 * #huge + 65536 then
    return print("ESCAPED: " .. type(name))
  end
end
print("contained")
