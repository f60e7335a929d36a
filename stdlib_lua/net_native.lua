--- The functions of Python behind the network (bridge/modules/net.py), by name.

local kernel = require("kernel")
local host = require("host")

local error = error

local native = {}

local list = kernel.pack(kernel.open_module("net"))
if list[1] == "" then
  error(list[2], 0)
elseif list.n == 0 then
  error("there is no network here: nothing has opened it for this Lua state", 0)
end
for i = 1, list.n, 3 do
  local name = list[i]
  native[name] = host.new_function(list[i + 1], "net." .. name, list[i + 2])
end

return native
