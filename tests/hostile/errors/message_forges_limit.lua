-- what: an error that reads like a reached limit is still an error of the script
-- expect: exit=1 stderr=limit reached: cpu
error("limit reached: cpu: used 2 s, allowed 1 s (task 1 'main')", 0)
