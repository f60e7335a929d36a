-- Runs a program of tests/scheduler/test_promise_properties.py and returns what happened: a list of rows.
--
-- A program is a list of actors, each a list of operations. Every value and every reason is made once: "v3"
-- is given to `resolve`, "r3" to `reject`, "h3" returned and "e3" raised by handler 3.

local program = ...
local rows = {}
local promises, number_of = {}, {} -- all promises in order of making; promise -> its number
local deferred = {} -- those that have functions: {promise=, resolve=, reject=}
local values, handlers, waits, scopes = 0, 0, 0, 0

local function row(...)
  rows[#rows + 1] = { ... }
end

-- A value or reason as text; errors of the library by their kind.
local function text(value)
  if type(value) == "table" then
    return value.kind or value.status and "outcome" or "list"
  end
  return tostring(value)
end

local function new_value(letter)
  values = values + 1
  return letter .. values
end

local function made(p)
  if not number_of[p] then
    promises[#promises + 1] = p
    number_of[p] = #promises
  end
  return number_of[p]
end

local function at(list, index)
  return list[(index - 1) % #list + 1]
end

local function chosen(indices)
  local list, numbers = {}, {}
  for i, index in ipairs(indices) do
    list[i] = at(promises, index)
    numbers[i] = number_of[list[i]]
  end
  return list, numbers
end

local function new_deferred(seconds)
  local entry = {}
  entry.promise = promise.new(function(resolve, reject)
    entry.resolve, entry.reject = resolve, reject
    if seconds then
      task.sleep(seconds)
      resolve(new_value("v"))
    end
  end)
  deferred[#deferred + 1] = entry
  made(entry.promise)
end

local function handler(id, which, kind, seconds)
  return function(value)
    row("ran", id, which, text(value))
    if kind == "wait" then
      task.sleep(seconds)
    elseif kind == "raise" then
      error("e" .. id, 0)
    elseif kind == "promise" then
      return promises[1]
    end
    return "h" .. id
  end
end

local perform
local operations = {}

-- What a scope that has ended raised, if anything.
local function ended(scope, ok, err)
  local reasons = {}
  if not ok then
    local several = type(err) == "table" and tostring(err):find("^%d+ tasks failed")
    for i, reason in ipairs(several and err.errors or { err }) do
      reasons[i] = text(reason)
    end
  end
  row("scope", scope, reasons)
end

local function new_scope()
  scopes = scopes + 1
  row("open", scopes)
  return scopes
end

function operations.new(_, seconds)
  new_deferred(seconds)
end

function operations.resolve(_, index)
  local entry = at(deferred, index)
  if entry.resolve then -- else its executor was cancelled before it began
    entry.resolve(new_value("v"))
  end
end

function operations.reject(_, index)
  local entry = at(deferred, index)
  if entry.reject then
    entry.reject(new_value("r"))
  end
end

function operations.follow(_, index, other)
  local entry, p = at(deferred, index), at(promises, other)
  if entry.resolve then
    row("given", number_of[p])
    entry.resolve(p)
  end
end

function operations.next(scope, index, kind, seconds)
  handlers = handlers + 1
  local id, p = handlers, at(promises, index)
  local q
  if kind == "pass" then
    q = p:next()
  elseif kind == "finally" then
    q = p:finally(function()
      row("ran", id, "finally", "")
    end)
  else
    q = p:next(handler(id, "ok", kind, seconds), handler(id, "err", kind, seconds))
  end
  row("next", id, kind, number_of[p], made(q), scope)
end

function operations.await(_, index, timeout)
  waits = waits + 1
  local id, p = waits, at(promises, index)
  row("await", id, number_of[p], task.now())
  local ok, value, why = pcall(p.await, p, timeout)
  if not ok and tostring(value):find("its own promise") then
    return
  elseif ok and why == "timeout" then
    row("awaited", id, "timeout", "", task.now())
  else
    row("awaited", id, ok and "fulfilled" or "rejected", text(value), task.now())
  end
end

function operations.select(_, indices, timeout)
  local list, numbers = chosen(indices)
  local cases = { timeout = timeout }
  for i, p in ipairs(list) do
    cases[i] = { p, "await" }
  end
  local results = { pcall(task.select, cases) }
  if not results[1] and tostring(results[2]):find("its own promise") then
    return
  elseif not results[1] then
    row("selected", numbers, "rejected", text(results[2]))
  elseif results[2] then
    row("selected", { numbers[results[2]] }, "fulfilled", text(results[3]))
  end
end

function operations.combine(_, name, indices)
  local list, numbers = chosen(indices)
  row("combine", name, numbers, made(promise[name](list)))
end

function operations.cancel(_, index)
  local p = at(promises, index)
  if p:cancel() then
    row("cancel", number_of[p])
  end
end

function operations.sleep(_, seconds)
  task.sleep(seconds)
end

function operations.run(scope, body)
  local value = new_value("v")
  made(promise.run(function()
    perform(scope, body)
    return value
  end))
end

function operations.scope(_, body)
  local scope = new_scope()
  ended(
    scope,
    pcall(task.scope, function()
      perform(scope, body)
    end)
  )
end

function operations.timeout(_, seconds, body)
  local scope = new_scope()
  ended(scope, pcall(task.timeout, seconds, perform, scope, body))
end

function perform(scope, body)
  for _, operation in ipairs(body) do
    operations[operation[1]](scope, operation[2], operation[3], operation[4])
  end
end

local outermost = new_scope()
ended(
  outermost,
  pcall(task.timeout, 100, function()
    for _ = 1, 3 do
      new_deferred()
    end
    for _, actor in ipairs(program) do
      task.spawn(perform, outermost, actor)
    end
  end)
)

-- Who still waits for a promise: tasks and cases of a select may not.
local function waiters_of(p)
  local waiting = 0
  local list = p.waiters
  if list and not list.last then
    list = { first = 1, last = 1, list }
  end
  for i = list and list.first or 1, list and list.last or 0 do
    if list[i] and list[i].waiters == nil and not list[i].group then
      waiting = waiting + 1
    end
  end
  return waiting
end

for i, p in ipairs(promises) do
  row("final", i, p:status(), p.state and text(p.value) or "", waiters_of(p))
end
row("tasks", #task.list())
return rows
