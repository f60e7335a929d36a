-- what: sleep for longer than the clock can count
-- expect: exit=124
-- options: --timeout 0.3
task.sleep(1e300)
