-- what: learn from tracebacks where the host's files are
-- expect: exit=0 stdout=contained
local seen = { debug.traceback(), debug.traceback((coroutine.running())) }
table.sort({ 2, 1 }, function(a, b)
  seen[#seen + 1] = debug.traceback("in a comparator")
  return a < b
end)
xpcall(task.timeout, function(err)
  seen[#seen + 1] = debug.traceback(tostring(err))
end, -1, print)
local text = table.concat(seen, "\n")
print(text:find("%.py") and "ESCAPED: a Python file: " .. text or "contained")
