-- what: carry a hundred thousand values through yields and resumes
-- expect: exit=0 stdout=contained
local t = {}
for i = 1, 100000 do
  t[i] = i
end
local co = coroutine.wrap(function(...)
  while true do
    coroutine.yield(...)
  end
end)
for _ = 1, 10 do
  assert(select("#", co(table.unpack(t))) == 100000)
end
print("contained")
