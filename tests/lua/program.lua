--- Runs a program given as data and logs what happens; tests/test_properties.py judges the log.
--
-- `...` is the list of actions of the main task. The log is the global table `trace`: one line per entry,
-- "actor kind time fields...", the actor being the id of the running task, 0 outside any.
-- luacheck: globals trace

local program = ...

trace = {}

-- The kernel's own observer sees spawns, parks, wake-ups and ends whatever the script does.
local function upvalue_of(fn, wanted)
  local index = 1
  local name, value = debug.getupvalue(fn, index)
  while name ~= wanted do
    assert(name, "no upvalue " .. wanted)
    index = index + 1
    name, value = debug.getupvalue(fn, index)
  end
  return value
end
local kernel = upvalue_of(task.local_storage, "kernel")

local function log(kind, ...)
  local running = task.current()
  trace[#trace + 1] =
    table.concat({ running and running.id or 0, kind, ("%.17g"):format(task.now()), ... }, " ")
end

kernel.set_instrument(function(what, subject)
  if what == "parked" then
    log(what, subject.id, subject.wait.reason)
  elseif what == "exited" then
    log(what, subject.id, subject.state)
  elseif what == "spawned" then
    local name = subject.class and subject.class.name or "normal"
    log(what, subject.id, subject.home.owner and subject.home.owner.id or 0, name)
  else
    log(what, subject.id)
  end
end)

local slots = {} -- slot -> the task spawned last with it
local scopes = 0 -- scopes opened so far, for their ids
local errors = 0

local unpack = table.unpack or unpack
local run

local function run_all(actions, context)
  for index = 1, #actions do
    run(actions[index], context)
  end
end

-- A context: `chain`, what can cancel the code that runs in it, up to the nearest shield; `home`, what can
-- cancel a task that is spawned there (its scope, not the spawning task); `open`, the script's scopes it
-- may spawn into, innermost last.
local function inside(context, marker, handle)
  local open = context.open
  local chain = context.chain .. marker .. ","
  if handle then
    open = { unpack(open) }
    open[#open + 1] = { handle = handle, chain = chain, name = marker }
  end
  return { chain = chain, home = chain, open = open }
end

local function text(err)
  if type(err) == "table" and err.message then
    err = err.message
  end
  return (tostring(err):gsub("%s+", " "))
end

-- A wait: "wait" before, "woke" after, so that an unfinished one is one without "woke".
local waits = 0
local function wait(context, what, fn, ...)
  waits = waits + 1
  local number = waits
  log("wait", number, what, context.chain == "" and "-" or context.chain)
  local function woke(...)
    log("woke", number, ...)
  end
  woke(fn(...))
end

local function scoped(context, marker, handle, body)
  log("open", marker)
  run_all(body, inside(context, marker, handle))
end

local actions = {}

function actions.sleep(context, seconds)
  wait(context, ("sleep:%g"):format(seconds), task.sleep, seconds)
end

function actions.yield(context)
  wait(context, "yield", task.yield)
end

function actions.wait(context, name, timeout)
  if timeout >= 0 then
    wait(context, ("event:%s:%g"):format(name, timeout), function()
      local value, why = event.wait(name, timeout)
      return value or why
    end)
  else
    wait(context, "event:" .. name, event.wait, name)
  end
end

function actions.emit(_, name, value)
  log("emit", name)
  log("emitted", name, event.emit(name, value))
end

function actions.spawn(context, slot, options, where, body)
  local open = context.open[#context.open - where]
  local home = open and open.chain or context.home
  local child
  local function main()
    local chain = home .. "t" .. child.id .. ","
    log("start", chain)
    run_all(body, { chain = chain, home = home, open = context.open })
    log("returns")
  end
  if open then
    child = open.handle:spawn_with(options, main)
  else
    child = task.spawn_with(options, main)
  end
  slots[slot] = child
end

function actions.join(context, slot)
  local other = slots[slot]
  if other then
    wait(context, (other.state and "yield:" or "join:") .. other.id, other.join, other)
  end
end

function actions.cancel(_, slot)
  local other = slots[slot]
  if other then
    local live = other:cancel("by the program")
    if live then
      log("cancel", "t" .. other.id)
    end
  end
end

function actions.scope(context, body)
  scopes = scopes + 1
  local marker = "s" .. scopes
  local function close(...)
    log("close", marker)
    return ...
  end
  close(task.scope(function(scope)
    scoped(context, marker, scope, body)
  end))
end

function actions.cancel_scope(context, where)
  local open = context.open[#context.open - where]
  if open and open.handle:cancel("by the program") then
    log("cancel", open.name)
  end
end

function actions.timeout(context, seconds, body)
  task.timeout(seconds, function()
    scoped(context, ("d%.17g"):format(task.now() + seconds), nil, body)
  end)
end

function actions.shield(context, body)
  task.shield(function()
    run_all(body, { chain = "", home = "", open = context.open })
  end)
end

function actions.pcall(context, body)
  local ok, err = pcall(run_all, body, context)
  if not ok then
    log("caught", text(err))
  end
end

function actions.coroutine(context, body)
  coroutine.wrap(function()
    run_all(body, context)
  end)()
end

function actions.sort(context, body)
  local first = true
  table.sort({ 2, 1 }, function(a, b)
    if first then
      first = false
      run_all(body, context)
    end
    return a < b
  end)
end

function actions.gsub(context, body)
  assert(("x"):gsub("x", function()
    run_all(body, context)
    return "y"
  end) == "y")
end

function actions.error(_, as_table)
  errors = errors + 1
  local message = "boom:" .. errors .. ";"
  log("raise", message)
  error(as_table and { message = message } or message)
end

function run(action, context)
  actions[action[1]](context, unpack(action, 2))
end

-- The runtime opens a scope around every script, so that the main task owns what it spawns.
local main = "t" .. task.current().id .. ","
run_all(program, { chain = main, home = main, open = {} })
log("returns")
