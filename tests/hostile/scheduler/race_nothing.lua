-- what: a race of nobody
-- expect: exit=1 stderr=bad argument #1 to 'race'
task.race({})
