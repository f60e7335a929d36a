-- what: a background task fails while the script sleeps
-- expect: exit=1 stderr=from behind
task.spawn_with({ background = true }, error, "from behind", 0)
task.sleep(1000)
