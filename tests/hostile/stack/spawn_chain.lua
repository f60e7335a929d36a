-- what: each task spawns one and joins it, ten thousand deep
-- expect: exit=0 stdout=contained
local function deeper(n)
  if n > 0 then
    return task.spawn(deeper, n - 1):join()
  end
  return "contained"
end
print(deeper(10000))
