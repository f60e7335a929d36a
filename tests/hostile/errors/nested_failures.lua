-- what: failures of failures of failures, two at each of twelve levels
-- expect: exit=1|4 stderr=tasks failed limit=cpu|memory
local function fail(depth)
  if depth == 0 then
    error("leaf", 0)
  end
  task.scope(function(scope)
    scope:spawn(fail, depth - 1)
    scope:spawn(fail, depth - 1)
  end)
end
fail(12)
