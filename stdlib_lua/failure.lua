--- Failures: error values with the traceback of their origin, and the private mark of cancellation.
--
-- Belongs here: what an error looks like. Does not belong here: who gets it (scope.lua).

local setmetatable, pcall, rawequal = setmetatable, pcall, rawequal
local getmetatable = debug.getmetatable -- the real one, also where __metatable hides it
local tostring, type, pairs, error, rawget = tostring, type, pairs, error, rawget
local traceback, getinfo, getlocal = debug.traceback, debug.getinfo, debug.getlocal
local concat, running = table.concat, coroutine.running
local find, gmatch, gsub, sub = string.find, string.gmatch, string.gsub, string.sub
local format, byte, to_integer = string.format, string.byte, math.tointeger

local M = {}

--- Raised in a cancelled task. pcall, xpcall, resume and wrap raise it again (coroutine.lua).
M.CANCEL = setmetatable({}, {
  -- Scripts see it in `<close>` methods, all of them the same one.
  __newindex = function()
    error("a cancellation cannot be changed", 2)
  end,
  __tostring = function()
    return "cancelled"
  end,
  __metatable = false,
  __name = "cancelled",
})
local CANCEL = M.CANCEL

-- A failure in transit is a table {value=, traceback=, site=, task=}: `value` is what was raised, unchanged.

-- Our own files are loaded under names that begin so; a reader of a traceback never needs their frames.
local OURS = "[scheduler]/"

-- A prefix: a script may give `load` a chunk name, or a first line, that holds it somewhere else.
local function is_ours(source)
  return sub(source, 1, #OURS) == OURS
end

local OPEN = {
  ["broadcast_cuts.lua"] = true,
  ["combinators.lua"] = true,
  ["compiler.lua"] = true,
  ["coroutine.lua"] = true,
  ["emitter_calls.lua"] = true,
  ["listing.lua"] = true,
  ["promise_list.lua"] = true,
  ["stream.lua"] = true,
  ["stream_stages.lua"] = true,
  ["stream_work.lua"] = true,
}

-- Files that could as well be a script's: what they do may take as long as a script wants, and leaves
-- nothing of the kernel's half-done.
local function is_open(file)
  return find(file, "^guard_") or find(file, "^sandbox") or OPEN[file]
end

--- Is it a file of ours that must not be interrupted?
function M.is_kernels(source)
  return is_ours(source) and not is_open(sub(source, #OURS + 1))
end

-- Longer texts are cut where they leave for Python or a terminal.
local MAX_TEXT = 8192

local function bounded(text)
  if #text <= MAX_TEXT then
    return text
  end
  return sub(text, 1, MAX_TEXT) .. "... (" .. #text - MAX_TEXT .. " bytes more)"
end
M.is_ours = is_ours

local MAX_NAME = 100
local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escaped(control)
  return ESCAPES[control] or format("\\x%02x", byte(control, -1))
end

--- A name that a script has chosen, as messages and reports print it: a terminal obeys control characters,
-- and a line break would forge a line. The same for Python: bridge/errors.py.
---@param text string
---@param most integer|nil bytes shown of it, 100 by default
function M.printable(text, most)
  most = most or MAX_NAME
  if #text > most then
    -- Not in the middle of a character.
    text = gsub(sub(text, 1, most + 1), "[\192-\255]?[\128-\191]*.$", "") .. "..."
  end
  if find(text, "[%c\128-\159]") then
    text = gsub(gsub(text, "\194[\128-\159]", escaped), "%c", escaped)
  end
  return text
end

--- A traceback without our own frames.
---@param thread thread|nil nil is the running one
---@param level integer|nil first level
function M.clean_traceback(thread, level)
  local text
  if thread then
    text = traceback(thread, nil, level or 0)
  else
    text = traceback("", (level or 1) + 1)
  end
  local kept = {}
  local ours_before = false
  for line in gmatch(text, "[^\n]+") do
    if find(line, "^\t%[scheduler%]/") then
      ours_before = true
      -- The C function that our frame called (xpcall, yield) says nothing either.
      while kept[#kept] and find(kept[#kept], "^\t%[C%]:") and find(kept[#kept], "pcall") do
        kept[#kept] = nil
      end
    elseif not (ours_before and find(line, "^\t%[C%]: in function '?x?pcall")) then
      ours_before = false
      kept[#kept + 1] = line
    end
  end
  while #kept > 1 and (find(kept[#kept], "^\t%[C%]:") or kept[#kept] == "\t(...tail calls...)") do
    kept[#kept] = nil
  end
  return bounded(concat(kept, "\n"))
end

local function get(value, field)
  return value[field]
end

--- The string in a field of an error value of any kind, or nil; an __index that raises does no harm.
function M.field(value, field)
  if type(value) ~= "table" then
    return nil
  end
  local ok, found = pcall(get, value, field)
  return ok and type(found) == "string" and sub(found, 1, 100) or nil
end

-- Text of any error value; a failing or lying __tostring does no harm. It may run for ever.
local function text_of(value)
  if type(value) == "string" then
    return value
  elseif rawequal(value, CANCEL) then
    return "a cancellation was kept by the script and raised where nothing is cancelled"
  end
  local ok, text = pcall(tostring, value)
  if ok and type(text) == "string" then
    if type(value) == "table" and not (getmetatable(value) and find(text, "^table: ") == nil) then
      return M.field(value, "message") or "(error object is a table value)"
    end
    if value == nil then
      return "nil (error raised without a message)"
    end
    return text
  end
  return "(error object is a " .. type(value) .. " value whose __tostring fails)"
end

--- Text of any error value, of bounded length.
function M.text(value)
  return bounded(text_of(value))
end

--- Note how a failure prints. Called in the task that failed, as long as it can be preempted, limited and
-- killed: methods of the script run here, and nowhere else.
function M.render(failure)
  if not failure.text then
    failure.text, failure.kind = M.text(failure.value), M.field(failure.value, "kind")
  end
end

-- The failure a task raised last from one of its children: raised again, it keeps its origin.
local last_raised = setmetatable({}, { __mode = "k" })

--- Remember that `task` raises `failure.value` again, then the caller raises it.
function M.remember(task, failure)
  last_raised[task] = failure
end

-- "function <file:line>": where a function was defined.
local function definition(info)
  if info.what == "main" then
    return info.short_src
  end
  return "function <" .. info.short_src .. ":" .. info.linedefined .. ">"
end

-- The number of levels of a stack. Asking for level n costs n steps, so look for the end by bisection: a
-- stack that has overflowed has 200,000 levels.
local function depth_of(thread)
  local low, high = 0, 1
  while getinfo(thread, high, "l") do
    low, high = high, high * 2
  end
  while high - low > 1 do
    local middle = (low + high - (low + high) % 2) / 2
    if getinfo(thread, middle, "l") then
      low = middle
    else
      high = middle
    end
  end
  return high
end

-- The outermost frame that is the script's: the function the task runs.
local function outermost(thread)
  for level = depth_of(thread), 0, -1 do
    local info = getinfo(thread, level, "S")
    if info and info.what ~= "C" and not is_ours(info.short_src) then
      return definition(info)
    end
  end
end

-- coroutine -> what the handler saw last on it: {value, traceback, site}.
local notes = setmetatable({}, { __mode = "k" })

--- Message handler of every task and scope body: notes where the error was raised, while the stack stands.
-- The value itself stays as it is: `<close>` methods and `load` get to see what a handler returns.
function M.handler(value)
  if not rawequal(value, CANCEL) then
    local thread = running()
    notes[thread] = {
      value = value,
      traceback = M.clean_traceback(nil, 2),
      site = outermost(thread),
    }
  end
  return value
end

local NO_VALUE = "<no error object>"

--- Make a Failure of what an xpcall with `handler` returned, on the coroutine that called it.
---@param raised any
---@param task table whose body or scope it left
function M.capture(raised, task)
  local thread = running()
  local note = notes[thread]
  notes[thread] = nil
  local origin = last_raised[task]
  if origin and rawequal(origin.value, raised) then
    return origin
  end
  if note and note.value == nil and raised == NO_VALUE then
    note.value = raised -- what Lua 5.5 makes of error(nil), after the handler has seen nil
  elseif not note or not rawequal(note.value, raised) then
    -- The handler could not run: the stack or memory was exhausted.
    note = { value = raised, traceback = "stack traceback:\n\t(not available)" }
  end
  note.task = task
  task.site = task.site or note.site
  return note
end

-- ---------------------------------------------------------------------------------------------
-- Several failures at once

-- The message is made once, before the script gets the group: `errors` is the script's to change, and a group
-- that held itself twice would take 2^200 steps to print.
local Group = {
  __name = "failures",
  __metatable = false,
  __tostring = function(self)
    local message = rawget(self, "message")
    return type(message) == "string" and message or "failures"
  end,
}

local function list(failures)
  local lines = { #failures .. " tasks failed:" }
  for i = 1, #failures do
    lines[#lines + 1] = "  " .. i .. ". " .. gsub(M.text(failures[i].value), "\n", "\n     ")
  end
  return bounded(concat(lines, "\n"))
end

--- One failure out of a non-empty list; several become one error that lists all.
function M.combine(failures)
  if #failures == 1 then
    return failures[1]
  end
  local errors, traces = {}, {}
  for i = 1, #failures do
    errors[i] = failures[i].value
    traces[i] = failures[i].traceback
  end
  local group = setmetatable({ kind = "failures", errors = errors }, Group)
  group.message = list(failures)
  return {
    value = group,
    traceback = concat(traces, "\n"),
    task = failures[1].task,
    parts = failures,
  }
end

-- ---------------------------------------------------------------------------------------------
-- Error tables of ours: {kind=, message=}

local Error = {
  __name = "error",
  __metatable = false,
  __tostring = function(self)
    return tostring(self.message)
  end,
}

--- Make an error table that prints as its message.
---@param kind string from the documented set
---@param message string
function M.new(kind, message)
  return setmetatable({ kind = kind, message = message }, Error)
end

-- Python exceptions behind error tables, for `__cause__`: Lua's collector owns the reference.
local causes = setmetatable({}, { __mode = "k" })

--- An error table for a Python exception; the object itself stays out of reach of scripts.
function M.from_host(kind, message, exception)
  local value = setmetatable({ kind = kind, message = message }, {
    __name = kind,
    __metatable = false,
    __tostring = function(self)
      return tostring(self.kind) .. ": " .. tostring(self.message)
    end,
  })
  causes[value] = exception
  return value
end

function M.cause(value)
  return type(value) == "table" and causes[value] or nil
end

function M.drop_causes()
  for value in pairs(causes) do
    causes[value] = nil
  end
end

-- ---------------------------------------------------------------------------------------------
-- Where things are

--- "file:line" of the innermost frame of `thread` that is the script's, or nil.
function M.line_of(thread, level)
  level = level or 0
  while true do
    local info = thread and getinfo(thread, level, "Sl") or not thread and getinfo(level + 1, "Sl")
    if not info then
      return nil
    end
    if info.what ~= "C" and not is_ours(info.short_src) then
      return info.short_src .. ":" .. info.currentline
    end
    level = level + 1
  end
end

local function inner_thread(thread)
  local level = 0
  while true do
    local info = getinfo(thread, level, "S")
    if not info or info.what ~= "C" and not is_ours(info.short_src) then
      return nil
    end
    if info.what ~= "C" then
      local index = 1
      local name, value = getlocal(thread, level, index)
      while name do
        if name == "co" and type(value) == "thread" and value ~= thread then
          return value
        end
        index = index + 1
        name, value = getlocal(thread, level, index)
      end
    end
    level = level + 1
  end
end

-- The script's function that has left the stack by a tail call, `return ch:receive()`: the xpcall that called
-- it still has it as its first argument (not on LuaJIT, which moves it).
local function tail_called(thread)
  for level = 0, 9 do -- no script's frames are there, and of ours only a few
    local info = getinfo(thread, level, "S")
    if not info then
      return nil
    end
    local _, fn = getlocal(thread, level, 1)
    local called = info.what == "C" and type(fn) == "function" and getinfo(fn, "S")
    if called and called.what ~= "C" and not is_ours(called.short_src) then
      return definition(called)
    end
  end
end

--- "file:line" where a task waits, through the coroutines it has resumed inside; "function <file:line>" when
-- it waits in a tail call.
function M.line_of_task(task)
  local thread = task.co
  -- 200: Lua nests no more resumes. A script's chunk may name itself like ours and hold a "co" of its own, so
  -- the chain could be a ring.
  for _ = 1, 200 do
    local inner = inner_thread(thread)
    if not inner then
      break
    end
    thread = inner
  end
  return M.line_of(thread) or thread and tail_called(thread)
end

--- Where a task was spawned, when that was recorded; else the function it runs.
function M.site_of(task)
  local fn = not task.site and task.fn
  if fn and type(fn) ~= "function" then
    local meta = getmetatable(fn)
    fn = type(meta) == "table" and rawget(meta, "__call")
    if type(fn) ~= "function" then
      return "a callable " .. type(task.fn) -- its __call has one, or has changed since
    end
  end
  if fn then
    local info = getinfo(fn, "S")
    return info.what == "C" and "a C function" or definition(info)
  end
  return task.site or not task.state and outermost(task.co) or "unknown"
end

--- Raise "bad argument #n to 'name' (what)" at the caller of the library function.
-- `level` counts from the function that calls this one.
function M.bad_argument(n, name, what, level)
  error("bad argument #" .. n .. " to '" .. name .. "' (" .. what .. ")", (level or 1) + 2)
end
local bad_argument = M.bad_argument

--- Check a duration: a number of seconds, not negative, not NaN.
function M.check_seconds(n, name, value)
  if type(value) ~= "number" then
    local got = value == nil and "no value" or type(value)
    bad_argument(n, name, "number of seconds expected, got " .. got, 2)
  end
  if not (value >= 0) then
    bad_argument(n, name, "seconds must not be negative or NaN, got " .. tostring(value), 2)
  end
end

-- Exact in a float; no list is longer.
local MOST = 2 ^ 53

--- Is it a length: a whole number of at least 0, 3.0 as well as 3?
function M.is_length(value)
  return type(value) == "number" and value >= 0 and value <= MOST and value % 1 == 0
end

--- Check the field `n` of a list, which is its length.
---@return number length an integer where the engine has them
function M.check_length(n, name, value, level)
  if not M.is_length(value) then
    local got = type(value) == "number" and tostring(value) or "a " .. type(value)
    local text = "the field 'n' of a list is its length, a whole number of at least 0; got " .. got
    bad_argument(n, name, text, (level or 1) + 1)
  end
  return to_integer and to_integer(value) or value
end

--- Check that an argument can be called.
function M.check_callable(n, name, value)
  if type(value) == "function" then
    return
  end
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__call then
    return
  end
  local got = value == nil and "no value" or type(value)
  bad_argument(n, name, "function expected, got " .. got, 2)
end

return M
