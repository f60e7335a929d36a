-- what: an error that claims to come from a file of the host
-- expect: exit=1 stderr=forged
load("error('forged')", "@/etc/passwd")()
