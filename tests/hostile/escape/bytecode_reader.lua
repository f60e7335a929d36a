-- what: hand bytecode to load one byte at a time
-- expect: exit=0 stdout=contained
local code, at = "\27LuaT\0\25\147\r\n\26\n\4\8\8", 0
local fn, message = load(function()
  at = at + 1
  return at <= #code and code:sub(at, at) or nil
end)
local undumped = fn or not message:find("binary chunk", 1, true)
print(undumped and "ESCAPED: bytecode reached the undumper: " .. tostring(message) or "contained")
