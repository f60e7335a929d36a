-- what: a message that is no text
-- expect: exit=1 stderr=end of message
error("\255\254\0\1\237\160\128 end of message")
