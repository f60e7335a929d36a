-- what: end the host process
-- expect: exit=1 stderr=attempt to call a nil value (field 'exit')
os.exit(0, true)
