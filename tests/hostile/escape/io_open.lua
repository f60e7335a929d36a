-- what: read a file
-- expect: exit=1 stderr=attempt to call a nil value (field 'open')
print("ESCAPED: " .. tostring(io.open("/etc/passwd")))
