-- what: waits inside gsub callbacks inside gsub callbacks
-- expect: exit=0 stdout=contained
local function deeper(n)
  return (
    ("x"):gsub("x", function()
      task.sleep(0)
      return n > 0 and deeper(n - 1) or "contained"
    end)
  )
end
print(deeper(50))
