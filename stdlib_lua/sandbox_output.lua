--- print, io and debug.traceback of the scripts: what they write is counted, what they show is bounded.
--
-- Belongs here: standard output. Everything else of `io` and `debug` is not for sandboxed scripts.

local errors = require("sandbox_errors")
local failure = require("failure")

local tostring, type, select, error = tostring, type, select, error
local setmetatable, concat = setmetatable, table.concat
local stdout = io.stdout
local write, flush = stdout and stdout.write, stdout and stdout.flush
local clean_traceback, bounded = failure.clean_traceback, errors.bounded

local M = {}

-- Check and count everything before anything is written.
local function count(output, ...)
  local n = select("#", ...)
  local parts = { ... }
  local size = 0
  for i = 1, n do
    local part = parts[i]
    local kind = type(part)
    if kind ~= "string" and kind ~= "number" then
      local got = part == nil and "nil" or kind
      error("bad argument #" .. i .. " to 'write' (string expected, got " .. got .. ")", 3)
    end
    size = size + (kind == "string" and #part or 24) -- as much as a number can take
  end
  output(size)
end

--- Make the functions of one script.
---@param output function(bytes) raises when the script may not write so much more
---@return function print
---@return table io
function M.new(output)
  local out

  local function write_out(...)
    write(stdout, ...)
    return out
  end

  local methods = {
    write = function(self, ...)
      if self ~= out then
        error("bad argument #1 to 'write' (io.stdout expected; use a colon)", 2)
      end
      count(output, ...)
      return write_out(...)
    end,
    flush = function(self)
      if self ~= out then
        error("bad argument #1 to 'flush' (io.stdout expected; use a colon)", 2)
      end
      flush(stdout)
      return out
    end,
  }
  out = setmetatable({}, {
    __name = "FILE*",
    __metatable = false,
    __index = methods,
    __newindex = function()
      error("io.stdout cannot be changed in the sandbox", 2)
    end,
    __tostring = function()
      return "file (stdout)"
    end,
  })

  local function print(...)
    local n = select("#", ...)
    local parts = { ... }
    for i = 1, n do
      parts[i] = tostring(parts[i])
    end
    parts[n + 1] = ""
    local size = n
    for i = 1, n do
      size = size + #parts[i]
    end
    output(size > 0 and size or 1)
    local line = concat(parts, "\t", 1, n)
    write(stdout, line, "\n")
    flush(stdout)
  end

  return print,
    {
      stdout = out,
      write = function(...)
        count(output, ...)
        return write_out(...)
      end,
    }
end

--- debug.traceback: without our own frames, at most MAX_TEXT bytes of message and of stack.
function M.traceback(...)
  local thread, message, level = ...
  if type(thread) ~= "thread" then
    thread, message, level = nil, ...
  end
  if message ~= nil and type(message) ~= "string" and type(message) ~= "number" then
    return message
  end
  if type(level) ~= "number" or level % 1 ~= 0 or level < 0 or level > 1e6 then
    level = thread and 0 or 1
  end
  local text = bounded(clean_traceback(thread, thread and level or level + 1))
  if message == nil then
    return text
  end
  return bounded(tostring(message)) .. "\n" .. text
end

return M
