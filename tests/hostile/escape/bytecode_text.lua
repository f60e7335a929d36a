-- what: hand a hand-made bytecode header to load and hope that it is undumped
-- expect: exit=0 stdout=contained
local fn, message = load("\27LuaT\0\25\147\r\n\26\n\4\8\8xV\0\0\0\0\0\0\0")
local undumped = fn or not message:find("binary chunk", 1, true)
print(undumped and "ESCAPED: bytecode reached the undumper: " .. tostring(message) or "contained")
