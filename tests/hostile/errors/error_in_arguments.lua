-- what: fail while the arguments of a spawn are made
-- expect: exit=1 stderr=while spawning
task.spawn(task.sleep, error("while spawning"))
