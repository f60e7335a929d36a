-- what: a coroutine that makes and resumes another, without end
-- expect: exit=1
local function deeper()
  coroutine.wrap(deeper)()
  return 1
end
deeper()
