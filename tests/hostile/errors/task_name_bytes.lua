-- what: a failing task whose name is no text
-- expect: exit=1 stderr=failed
task.spawn_with({ name = "\255\0\27[2J\237\160\128" }, error, "failed", 0)
