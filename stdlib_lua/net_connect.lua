--- Connecting and listening: from names to streams and servers.
--
-- Belongs here: options, resolving, and the race between a name's addresses (happy eyeballs, RFC 8305): a new
-- attempt begins 250 ms after the last one, or as soon as one has failed; the first that succeeds wins.

local kernel = require("kernel")
local failure = require("failure")
local scope = require("scope")
local select_library = require("select")
local wire = require("net_wire")
local errors = require("net_errors")
local streams = require("net_stream")
local servers = require("net_server")
local native = require("net_native")

local park, now, reschedule = kernel.park, kernel.now, kernel.reschedule
local ask = wire.ask
local bad_argument, describe = failure.bad_argument, select_library.describe
local type, tostring, pairs, setmetatable = type, tostring, pairs, setmetatable
local pack, next = kernel.pack, next
local check_seconds = failure.check_seconds
local concat, sort, find = table.concat, table.sort, string.find

local M = {}

-- Seconds after which the next address is tried beside the ones before it. Source: RFC 8305, section 5.
local STAGGER_S = 0.25
-- A Unix socket whose queue is full says so, but not when there is room.
local RETRY_S = 0.01

-- ---------------------------------------------------------------------------------------------
-- Arguments

local function check_host(n, name, value)
  if type(value) ~= "string" or value == "" then
    local got = value == nil and "no value" or value == "" and "an empty string" or describe(value)
    bad_argument(n, name, "host (a name or an address) expected, got " .. got, 2)
  elseif find(value, "%z") then
    bad_argument(n, name, "host must not hold a zero byte", 2)
  end
end

local function check_port(n, name, value, least)
  local whole = type(value) == "number" and value % 1 == 0 and value >= least and value <= 65535
  if not whole then
    local got = value == nil and "no value"
      or type(value) == "number" and tostring(value)
      or describe(value)
    bad_argument(n, name, "port (" .. least .. " to 65535) expected, got " .. got, 2)
  end
end

local function known(options)
  local names = {}
  for key in pairs(options) do
    names[#names + 1] = key
  end
  sort(names)
  return concat(names, ", ")
end

-- Options of a call; `expected`: name -> type.
local function check_options(n, name, options, expected)
  if options == nil then
    return {}
  elseif type(options) ~= "table" then
    bad_argument(n, name, "table of options expected, got " .. describe(options), 2)
  end
  for key, value in pairs(options) do
    local kind = expected[key]
    if not kind then
      local text = "unknown option '" .. tostring(key) .. "'; known are " .. known(expected)
      bad_argument(n, name, text, 2)
    elseif type(value) ~= kind then
      local text = "option '" .. key .. "' must be a " .. kind .. ", got " .. describe(value)
      bad_argument(n, name, text, 2)
    end
  end
  return options
end

-- ---------------------------------------------------------------------------------------------
-- One attempt, or several

-- Attempt: {number=, race=, host=}. Race: {task=, label=, open= attempts under way, won=, failed=}
local Attempt = {}
Attempt.__index = Attempt
wire.collected(Attempt)

local function end_attempt(attempt)
  attempt.race.open[attempt] = nil
  wire.detach(attempt.number)
  wire.unwatch(attempt)
end

local function wake_racer(race)
  local task = race.task
  if task then
    race.task = false
    reschedule(task)
  end
end

local events = {}

function events.connected(self)
  local race = self.race
  if race.won then
    ask(self.number, wire.ABORT)
    end_attempt(self)
    return
  end
  race.open[self] = nil
  race.won = streams.new(self.number, self.host, race.port) -- it hears of the socket from now on
  wire.unwatch(self)
  wake_racer(race)
end

function events.failed(self, kind, why)
  local race = self.race
  race.failed = race.failed or errors.new(kind, "connect to " .. race.label, why)
  end_attempt(self)
  wake_racer(race)
end

wire.handle(Attempt, events, function(attempt)
  return attempt.race.task
end)

local function abandon(race)
  for attempt in pairs(race.open) do
    ask(attempt.number, wire.ABORT)
    end_attempt(attempt)
  end
end

local CONNECT = {
  reason = "io",
  begin = function(task, race)
    race.task = task
  end,
  abort = function(task)
    local race = task.on
    race.task = false
    abandon(race)
    return true
  end,
  expire = function(task)
    task.on.task = false
    return nil
  end,
  detail = function(task)
    return "connect to " .. task.on.label
  end,
}

-- Begin to connect to one address; what fails at once counts as failed.
local function begin_attempt(race, address, begin, ...)
  local number, kind, why = begin(...)
  if not number then
    race.failed = race.failed or errors.new(kind, "connect to " .. race.label, why)
    return
  end
  local attempt = setmetatable({ number = number, race = race, host = address }, Attempt)
  wire.attach(number, attempt)
  wire.watch(attempt)
  race.open[attempt] = true
end

local function new_race(label, port)
  return {
    label = label,
    port = port,
    task = false, -- who waits
    open = {}, -- attempts under way
    won = nil, -- the stream
    failed = nil, -- how the first one that failed has
  }
end

-- `addresses` as `resolve` gave them.
local function run_race(race, name, addresses)
  local upcoming = 1
  while not race.won do
    local address = addresses[upcoming]
    if address then
      begin_attempt(race, address, native.connect, address, race.port, name)
      upcoming = upcoming + 1
    end
    if next(race.open) then
      park(CONNECT, race, addresses[upcoming] and now() + STAGGER_S or nil)
    elseif not addresses[upcoming] then
      return nil, race.failed
    end
  end
  abandon(race)
  return race.won
end

-- The addresses of a host, or nil and an error.
local function resolve(name, port, what)
  if find(name, "^%d+%.%d+%.%d+%.%d+$") or find(name, ":", 1, true) then
    return { name }
  end
  local found = pack(native.resolve(name, port))
  if not found[1] then
    return nil, errors.new(found[2], what, found[3])
  end
  return found
end

local function connect(name, port)
  local label = errors.address(name, port)
  local addresses, err = resolve(name, port, "connect to " .. label)
  if not addresses then
    return nil, err
  end
  return run_race(new_race(label, port), name, addresses)
end

local SLOT = {
  reason = "sleep",
  abort = function()
    return true
  end,
  expire = function()
    return nil
  end,
  detail = function(task)
    return "room in the queue of " .. task.on.label
  end,
}

local function connect_unix(path)
  local race = new_race(errors.address(path))
  while true do
    begin_attempt(race, path, native.connect_unix, path)
    if race.failed and race.failed.kind == "busy" then
      race.failed = nil
      park(SLOT, race, now() + RETRY_S)
    else
      while next(race.open) do
        park(CONNECT, race)
      end
      return race.won, race.failed
    end
  end
end

-- With a time limit; the reason of the scope's end is an error of ours.
local function within(seconds, label, fn, ...)
  if not seconds then
    return fn(...)
  end
  local stream, err = scope.run({ deadline = now() + seconds }, fn, ...)
  if not stream and err == "timeout" then
    local why = "no connection within " .. tostring(seconds) .. " s"
    return nil, errors.new("timeout", "connect to " .. label, why)
  end
  return stream, err
end

local CONNECT_OPTIONS = { timeout = "number" }

--- Connect by TCP; a host with several addresses is tried at all of them, a little after one another. A
-- checkpoint.
---@param name string a host name or an address
---@param port integer
---@param options table|nil {timeout=seconds}
---@return table|nil stream nil and an error: "refused", "timeout", "not_found", "unreachable", ...
---@return table|nil err
function M.connect(name, port, options)
  check_host(1, "connect", name)
  check_port(2, "connect", port, 1)
  options = check_options(3, "connect", options, CONNECT_OPTIONS)
  if options.timeout then
    check_seconds(3, "connect", options.timeout)
  end
  return within(options.timeout, errors.address(name, port), connect, name, port)
end

local function check_path(n, name, path)
  if type(path) ~= "string" or path == "" then
    local got = path == "" and "an empty string" or path == nil and "no value" or describe(path)
    bad_argument(n, name, "path (a string) expected, got " .. got, 2)
  elseif find(path, "%z", 2) then -- (a first one means a name that is no file: Linux)
    bad_argument(n, name, "path must not hold a zero byte", 2)
  end
end

--- Connect to a Unix socket. A checkpoint.
---@param path string
---@param options table|nil {timeout=seconds}
---@return table|nil stream nil and an error: "refused", "not_found", "denied", ...
---@return table|nil err
function M.connect_unix(path, options)
  check_path(1, "connect_unix", path)
  options = check_options(2, "connect_unix", options, CONNECT_OPTIONS)
  if options.timeout then
    check_seconds(2, "connect_unix", options.timeout)
  end
  return within(options.timeout, errors.address(path), connect_unix, path)
end

local LISTEN_OPTIONS = {
  host = "string",
  port = "number",
  unix = "string",
  backlog = "number",
  max_connections = "number",
  reuse_port = "boolean",
}

--- Listen for connections. A checkpoint where a host name must be looked up.
---@param options table {host="127.0.0.1", port=0, unix=path, backlog=1024, max_connections=, reuse_port=}
--   port 0 is a free one, see server:address(); max_connections: served at once by server:serve
---@return table|nil server nil and an error: "in_use", "denied", ...
---@return table|nil err
function M.listen(options)
  if type(options) ~= "table" then
    bad_argument(1, "listen", "table of options expected, got " .. describe(options))
  end
  check_options(1, "listen", options, LISTEN_OPTIONS)
  local backlog, most = options.backlog or 1024, options.max_connections
  streams.check_count(1, "listen", backlog, 1)
  if most then
    streams.check_count(1, "listen", most, 1)
  end
  local number, kind, why, port
  local name = options.unix
  if name then
    check_path(1, "listen", name)
    if options.host or options.port then
      bad_argument(1, "listen", "host and port make no sense beside 'unix'")
    end
    number, kind, why = native.listen_unix(name, backlog)
  else
    name, port = options.host or "127.0.0.1", options.port or 0
    check_host(1, "listen", name)
    check_port(1, "listen", port, 0)
    local addresses, err = resolve(name, port, "listen on " .. errors.address(name, port))
    if not addresses then
      return nil, err
    end
    number, kind, why =
      native.listen(addresses[1], port, backlog, options.reuse_port or false, name)
  end
  if not number then
    return nil, errors.new(kind, "listen on " .. errors.address(name, port), why)
  end
  return servers.new(number, kind, why, most) -- which are host and port here
end

return M
