-- what: reach the real globals through the environment of loaded code
-- expect: exit=0 stdout=contained
local env = load("return _ENV")()
local again = load("return _G", "=x", "t", {})()
local nothing = load("return _ENV", "=x", "t", nil)()
local found = env.dofile or env.package or again or (nothing and nothing ~= env)
print((found or env ~= _ENV) and "ESCAPED: another environment" or "contained")
