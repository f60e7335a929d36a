-- what: an endless loop made of a goto
-- expect: exit=4 limit=cpu
::again::
goto again
