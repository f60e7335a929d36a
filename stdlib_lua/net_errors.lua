--- Expected failures of the network: `nil, err`, with err.kind and err.message.

local failure = require("failure")

local new, format, tostring = failure.new, string.format, tostring
local find = string.find

local M = {}

--- The kinds: "refused", "reset", "closed", "eof", "limit", "timeout", "not_found", "unreachable", "in_use",
-- "unavailable", "denied", "exhausted", "busy", "io".
---@param kind string
---@param what string what was tried: "connect to 127.0.0.1:80"
---@param why string
---@return table err
function M.new(kind, what, why)
  return new(kind, what .. ": " .. why)
end

--- "host:port" for people; IPv6 in brackets; a path stays what it is.
---@param host string|nil
---@param port integer|nil
---@return string
function M.address(host, port)
  if not host or host == "" then
    return "a Unix socket"
  elseif not port then
    return failure.printable(host)
  elseif find(host, ":", 1, true) then
    return format("[%s]:%s", failure.printable(host), tostring(port))
  end
  return format("%s:%s", failure.printable(host), tostring(port))
end

return M
