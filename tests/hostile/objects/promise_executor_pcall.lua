-- what: an executor that swallows its end
-- expect: exit=4 limit=cpu
promise.new(function()
  while true do
    pcall(function()
      while true do
      end
    end)
  end
end)
