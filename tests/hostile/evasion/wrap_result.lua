-- what: catch the kill of a wrapped coroutine
-- expect: exit=4 limit=cpu
while true do
  local ok = pcall(coroutine.wrap(function()
    pcall(function()
      while true do
      end
    end)
    print("ESCAPED: inside the coroutine")
  end))
  print("ESCAPED: outside the coroutine", ok)
end
