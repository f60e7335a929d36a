-- what: run a command through a pipe
-- expect: exit=1 stderr=attempt to call a nil value (field 'popen')
print("ESCAPED: " .. io.popen("id"):read("a"))
