-- what: a message with terminal escapes and carriage returns
-- expect: exit=1 stderr=cleared
error("\27[2J\27[H\27]0;title\7\r\b cleared")
