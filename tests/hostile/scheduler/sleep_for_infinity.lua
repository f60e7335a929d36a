-- what: a sleep that ends never is a deadlock
-- expect: exit=3
task.sleep(math.huge)
