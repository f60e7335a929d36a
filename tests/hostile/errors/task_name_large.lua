-- what: a failing task whose name is a megabyte of line ends
-- expect: exit=1 stderr=failed
task.spawn_with({ name = ("name\n"):rep(200000) }, error, "failed", 0)
