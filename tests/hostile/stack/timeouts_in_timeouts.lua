-- what: a thousand timeouts inside each other in the functions of tasks
-- expect: exit=0|1 stdout=contained stderr=overflow
local function deeper(n)
  if n > 0 then
    return task.timeout(10, deeper, n - 1)
  end
  task.sleep(0)
  return "contained"
end
print(deeper(1000))
