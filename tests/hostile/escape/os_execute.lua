-- what: run a shell command
-- expect: exit=1 stderr=attempt to call a nil value (field 'execute')
os.execute("echo ESCAPED")
