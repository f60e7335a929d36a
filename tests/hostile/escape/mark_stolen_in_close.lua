-- what: keep the private mark of cancellation that __close sees, and raise it elsewhere
-- expect: exit=0 stdout=contained
local mark
local t = task.spawn(function()
  local _ <close> = setmetatable({}, {
    __close = function(_, err)
      mark = err
    end,
  })
  task.sleep(10)
end)
task.yield()
t:cancel()
task.yield()
local ok, err = pcall(error, mark)
local other = task.spawn(error, mark)
local joined = pcall(other.join, other)
local tampered = mark ~= nil and pcall(setmetatable, mark, {})
local right = not ok and rawequal(err, mark) and not joined and not tampered
print(right and other:status() ~= "done" and "contained" or "ESCAPED: the mark has power")
