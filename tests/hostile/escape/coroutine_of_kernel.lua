-- what: find the coroutine that runs the kernel and close it
-- expect: exit=0 stdout=contained
local co, main = coroutine.running()
local ok = pcall(coroutine.close, co)
local status = coroutine.status(co)
print((ok or main and status ~= "running") and "ESCAPED: " .. status or "contained")
