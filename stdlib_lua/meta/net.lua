---@meta net
-- Annotations of the `net` library for the Lua language server; nothing here runs.

---An expected failure; prints as its message.
---@class net.Error
---@field kind string "refused", "reset", "closed", "eof", "limit", "timeout", "not_found", ...: docs/net.md
---@field message string what was tried, with whom, and why it failed
---@field partial string|nil kind "eof": what came before the end

---A connection. One task reads at a time; several may write.
---@class net.Stream
local Conn = {}

---Read what there is; waits while there is nothing. Checkpoint: yes.
---@param most integer|nil at most so many bytes
---@return string|nil data nil alone at the end of the stream
---@return net.Error|nil err
function Conn:read(most) end

---Checkpoint: yes.
---@param n integer bytes
---@return string|nil data nil and an error when the stream ends before
---@return net.Error|nil err
function Conn:read_exactly(n) end

---Read a line, without its end ("\n" or "\r\n"); the last one needs none. Checkpoint: yes.
---@param most integer|nil bytes, 1 MiB by default; a longer line is an error of kind "limit", and stays
---@return string|nil line nil alone at the end of the stream
---@return net.Error|nil err
function Conn:read_line(most) end

---Read up to a separator, which is taken, too, and not returned. Checkpoint: yes.
---@param separator string
---@param most integer|nil bytes before it, 1 MiB by default; more is an error of kind "limit", and stays
---@return string|nil data nil and an error when the stream ends before
---@return net.Error|nil err
function Conn:read_until(separator, most) end

---`for line in conn:lines() do`: until the stream ends; an error is raised. Each step is a checkpoint.
---@param most integer|nil as for `read_line`
---@return fun(): string|nil
function Conn:lines(most) end

---Write; waits while much is unsent. Checkpoint: yes.
---@param data string|number
---@param ... string|number written together with it
---@return boolean|nil done true, or nil and an error
---@return net.Error|nil err
function Conn:write(data, ...) end

---Nothing more will be written; reading goes on. Checkpoint: no.
---@return boolean|nil done true, or nil and an error
---@return net.Error|nil err
function Conn:shutdown() end

---Close, when what was written is sent. Checkpoint: where it waits.
---@return boolean true
function Conn:close() end

---The other side. Checkpoint: no.
---@return string host or the path of a Unix socket, "" for one without a name
---@return integer|nil port
function Conn:peer() end

---A socket that listens.
---@class net.Server
local Server = {}

---Wait for a connection. Checkpoint: yes.
---@return net.Stream|nil conn nil and an error: "closed", or "exhausted" for want of descriptors
---@return net.Error|nil err
function Server:accept() end

---Run `handler(conn)` in a task of its own for each connection, until the server is closed and every handler
---has ended. Checkpoint: yes.
---@param handler fun(conn: net.Stream)
---@param on_error (fun(err: any, conn: net.Stream))|nil hears what a handler raises; by default it is logged
---@return boolean true
function Server:serve(handler, on_error) end

---Stop listening. Checkpoint: no.
---@return boolean first false when it was closed already
function Server:close() end

---Where it listens. Checkpoint: no.
---@return string host or the path of a Unix socket
---@return integer|nil port
function Server:address() end

---@class net.ServerStatistics
---@field serving integer handlers that run
---@field waiting integer connections taken that nobody serves yet

---Checkpoint: no.
---@return net.ServerStatistics
function Server:statistics() end

---TCP and Unix sockets.
---@class netlib
local net = {}

---@class net.ConnectOptions
---@field timeout number|nil seconds for everything together, the look-up of the name too

---Connect by TCP. Checkpoint: yes.
---@param host string a name or an address
---@param port integer 1 to 65535
---@param options net.ConnectOptions|nil
---@return net.Stream|nil conn nil and an error
---@return net.Error|nil err
function net.connect(host, port, options) end

---Connect to a Unix socket. Checkpoint: yes.
---@param path string
---@param options net.ConnectOptions|nil
---@return net.Stream|nil conn nil and an error
---@return net.Error|nil err
function net.connect_unix(path, options) end

---@class net.ListenOptions
---@field host string|nil a name or an address, "127.0.0.1" by default; "0.0.0.0" or "::" for every interface
---@field port integer|nil 0, the default: a free one, see server:address()
---@field unix string|nil a path in place of host and port
---@field backlog integer|nil connections the operating system keeps waiting, 1024 by default
---@field max_connections integer|nil served at once by server:serve; the others wait
---@field reuse_port boolean|nil several processes may listen at the same port

---Listen for connections. Checkpoint: where a name must be looked up.
---@param options net.ListenOptions
---@return net.Server|nil server nil and an error
---@return net.Error|nil err
function net.listen(options) end

return net
