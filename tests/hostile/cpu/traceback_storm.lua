-- what: tracebacks of a deep stack for ever
-- expect: exit=4 limit=cpu
local function deep(n)
  if n > 0 then
    return 1 + deep(n - 1)
  end
  while true do
    debug.traceback()
  end
end
deep(10000)
