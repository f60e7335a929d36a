--- The script's `net` library: TCP and Unix sockets.
--
-- Belongs here: the list. What is in it: net_connect.lua, net_stream.lua, net_reading.lua, net_server.lua.

local connecting = require("net_connect")
require("net_reading")

local M = {}

M.public = {
  connect = connecting.connect,
  connect_unix = connecting.connect_unix,
  listen = connecting.listen,
}

return M
