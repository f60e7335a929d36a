-- what: read files as code
-- expect: exit=0 stdout=contained
local found = dofile or loadfile or loadstring or _G.loadlib or _G.module or _G.unpack
print(found and "ESCAPED: a loader of files" or "contained")
