-- what: require files outside the script's folder
-- expect: exit=0 stdout=contained
local names = {
  "../errors/error_nil",
  "..errors.error_nil",
  "..//errors/error_nil",
  ".../errors/error_nil",
  "/etc/passwd",
  "./../errors/error_nil",
  "escape/../../errors/error_nil",
  "../errors/error_nil.lua\0",
  "",
  ".",
  "..",
}
for _, name in ipairs(names) do
  local ok, message = pcall(require, name)
  -- error_nil raises nil: then it was found and run.
  if ok or message == nil or tostring(message):find("no error object", 1, true) then
    return print("ESCAPED: require " .. name)
  end
end
print("contained")
