--- Servers: a socket that listens, and one task for each connection.
--
-- Belongs here: accepting, and what becomes of a handler. A connection of `serve` belongs to its handler's
-- task and is closed when that ends, however it ends.

local kernel = require("kernel")
local failure = require("failure")
local scope = require("scope")
local waitlist = require("waitlist")
local select_library = require("select")
local wire = require("net_wire")
local errors = require("net_errors")
local streams = require("net_stream")
local lifetime = require("lifetime")
local native = require("net_native")

local park, spawn, pack, post = kernel.park, kernel.spawn, kernel.pack, kernel.post
local enter, pressing, now = kernel.enter, kernel.pressing, kernel.now
local reschedule, wake_first = kernel.reschedule, kernel.wake_first
local Stream = streams.Stream
local ask = wire.ask
local bad_argument, describe = failure.bad_argument, select_library.describe
local CANCEL, handler_of, capture = failure.CANCEL, failure.handler, failure.capture
local setmetatable, getmetatable, rawequal = setmetatable, debug.getmetatable, rawequal
local xpcall, error = xpcall, error

local M = {}

local Server = { __name = "net.server" }
Server.__index = Server
M.Server = Server
wire.collected(Server)

-- Connections taken that nobody serves yet: they cost descriptors, and asking for each would cost a turn.
local AHEAD = 64
-- Seconds to wait when there are no more descriptors: one may be given back meanwhile.
local PAUSE_S = 0.1

--- Make the server of a socket that listens.
function M.new(number, host, port, most)
  local server = setmetatable({
    number = number, -- false when it is closed
    host = host, -- or the path of a Unix socket
    port = port,
    most = most, -- connections at once in `serve`; nil: any number
    accepted = {}, -- number, host, port of connections at first .. last
    first = 1,
    last = 0,
    asked = false, -- the reactor takes connections
    waiters = waitlist.new(),
    serving = 0, -- handlers that run
    full = false, -- the task in `serve`, when it must wait for one of these to end
  }, Server)
  server.waiters.server = server
  wire.attach(number, server)
  wire.watch(server)
  return server
end

local function label(server)
  return errors.address(server.host, server.port)
end

function Server:__tostring()
  return "net.server " .. label(self) .. (self.number and "" or " (closed)")
end

local function check_self(self, name)
  if getmetatable(self) ~= Server then
    local got = self == nil and "no value" or describe(self)
    local text = "server expected, got " .. got .. "; call it with a colon, as in server:"
    bad_argument(1, name, text .. name .. "()", 2)
  end
end

-- ---------------------------------------------------------------------------------------------
-- Accepting

local function closed(server)
  return nil, errors.new("closed", "accept on " .. label(server), "the server was closed")
end

-- Take a connection that was accepted; there is one.
local function take(server)
  local first = server.first
  local each = server.accepted[first]
  server.accepted[first] = nil
  if first == server.last then
    server.first, server.last = 1, 0
  else
    server.first = first + 1
  end
  return streams.new(each.number, each.host, each.port)
end

local function ask_for_more(server)
  if not server.asked and server.number then
    server.asked = true
    local most = server.most
    local n = most and most - server.serving or AHEAD
    ask(server.number, n < AHEAD and (n > 1 and n or 1) or AHEAD)
  end
end

-- What wakes who waits to accept, beside a stream.
local ACCEPT = {
  reason = "io",
  begin = function(task, server)
    server.waiters:add(task)
    ask_for_more(server)
  end,
  abort = function(task)
    task.on.waiters:remove(task)
    return true
  end,
  detail = function(task)
    return "a connection to " .. label(task.on)
  end,
  finish = function(result)
    local class = getmetatable(result)
    if class == Stream then
      return result
    elseif class == Server then
      return closed(result)
    end
    return nil, result -- an error
  end,
}

local function wake_one(server, result)
  wake_first(server.waiters, result)
end

local events = {}

function events.accepted(self, number, host, port)
  self.asked = false
  if self.waiters.last > 0 then
    wake_one(self, streams.new(number, host, port))
    if self.waiters.last > 0 then
      ask_for_more(self)
    end
    return
  end
  local last = self.last + 1
  self.last = last
  self.accepted[last] = { number = number, host = host, port = port }
end

-- Accepting has failed, for one connection or for want of descriptors.
function events.trouble(self, kind, why)
  self.asked = false
  if self.waiters.last > 0 then
    wake_one(self, errors.new(kind, "accept on " .. label(self), why))
  end
end

wire.handle(Server, events, function(server)
  return server.waiters.last > 0
end)

--- Wait for a connection. A checkpoint.
---@return table|nil stream nil and an error when the server is closed (kind "closed") or descriptors are
--   used up ("exhausted"): then try again a little later
---@return table|nil err
function Server:accept()
  check_self(self, "accept")
  if self.last > 0 then
    if pressing.cancels > 0 then
      enter()
    end
    return take(self)
  elseif not self.number then
    if pressing.cancels > 0 then
      enter()
    end
    return closed(self)
  end
  return park(ACCEPT, self)
end
local accept = Server.accept

-- ---------------------------------------------------------------------------------------------
-- Serving

-- Bytes of an error's text in the log.
local MOST_TEXT = 1000

local function warn(server, stream, failed)
  failure.render(failed)
  local text = "a connection of "
    .. failure.printable(streams.label(stream))
    .. " to the server at "
    .. label(server)
    .. " was dropped, its handler failed: "
    .. failure.printable(failed.text, MOST_TEXT)
  post("warn", text .. "\n" .. (failed.traceback or ""))
end

local function handle(server, handler, on_error, stream)
  local ok, raised = xpcall(scope.run, handler_of, {}, handler, stream)
  if ok then
    stream:close()
    return
  elseif rawequal(raised, CANCEL) then
    streams.abort(stream)
    error(CANCEL, 0)
  end
  local failed = capture(raised, kernel.current())
  streams.abort(stream)
  if on_error then
    on_error(failed.value, stream)
  else
    warn(server, stream, failed)
  end
end

-- `serve` may take connections again, or see that the server is closed.
local function let_go_on(server)
  local task = server.full
  server.full = false
  reschedule(task)
end

-- A handler's task has ended, perhaps before it began.
local function handled(tied)
  local server = tied.server
  server.serving = server.serving - 1
  streams.abort(tied.stream)
  if server.full and server.serving < server.most then
    let_go_on(server)
  end
end

-- `max_connections` are served: the others wait in the backlog.
local FULL = {
  reason = "io",
  begin = function(task, server)
    server.full = task
  end,
  abort = function(task)
    task.on.full = false
    return true
  end,
  detail = function(task)
    return "one of the " .. task.on.most .. " connections of " .. label(task.on) .. " to end"
  end,
}

local PAUSE = {
  reason = "sleep",
  abort = function()
    return true
  end,
  expire = function()
    return nil
  end,
  detail = function()
    return "a free descriptor"
  end,
}

local function serve(nursery, server, handler, on_error)
  local options = { name = "connection of " .. label(server) }
  while true do
    while server.most and server.serving >= server.most do
      park(FULL, server)
    end
    local stream, err = accept(server)
    if stream then
      server.serving = server.serving + 1
      local task = spawn(nursery, handle, pack(server, handler, on_error, stream), options)
      lifetime.tie_to_task(task, { server = server, stream = stream }, handled)
    elseif err.kind == "closed" then
      return true
    elseif err.kind == "exhausted" then
      park(PAUSE, server, now() + PAUSE_S)
    end
  end
end

--- Serve until the server is closed and every handler has ended: `handler(stream)` runs in a task of its own
-- for each connection, in a scope of its own, and the stream is closed when it ends. A handler that raises
-- loses its connection, the others go on: the error is logged, or given to `on_error`. A checkpoint.
---@param handler function(stream)
---@param on_error function(err, stream)|nil
---@return boolean true
function Server:serve(handler, on_error)
  check_self(self, "serve")
  failure.check_callable(1, "serve", handler)
  if on_error ~= nil then
    failure.check_callable(2, "serve", on_error)
  end
  return scope.run({ passed = true }, serve, self, handler, on_error)
end

--- Stop listening; what is being served goes on, and `serve` returns after it. Not a checkpoint.
---@return boolean first false when it was closed already
function Server:close()
  check_self(self, "close")
  local number = self.number
  if not number then
    return false
  end
  if kernel.current() then
    native.close(number) -- now: whoever connects next is refused, and the address is free
  else
    ask(number, wire.ABORT)
  end
  wire.detach(number)
  wire.unwatch(self)
  for i = self.first, self.last do
    ask(self.accepted[i].number, wire.ABORT)
  end
  self.accepted, self.first, self.last = {}, 1, 0
  self.waiters:wake_all(self)
  if self.full then
    let_go_on(self)
  end
  return true
end

Server.__close = Server.close

--- Where it listens: host and port, or the path of a Unix socket. Not a checkpoint.
---@return string host
---@return integer|nil port
function Server:address()
  check_self(self, "address")
  return self.host, self.port
end

--- What it does. Not a checkpoint.
---@return table {serving=, waiting=}: handlers that run, connections nobody serves yet
function Server:statistics()
  check_self(self, "statistics")
  return { serving = self.serving, waiting = self.last - self.first + 1 }
end

select_library.offer(Server, "accept", {
  try = function(server)
    if server.last > 0 then
      return true, take(server)
    elseif not server.number then
      return true, server
    end
    return false
  end,
  add = function(case)
    case.object.waiters:add(case)
    ask_for_more(case.object)
  end,
  remove = function(case)
    case.object.waiters:remove(case)
  end,
  finish = ACCEPT.finish,
  detail = function(server)
    return "a connection to " .. label(server)
  end,
})

return M
