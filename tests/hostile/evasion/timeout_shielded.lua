-- what: outlast the time in a shielded sleep
-- expect: exit=124
-- options: --timeout 0.5
task.shield(task.sleep, 1000)
