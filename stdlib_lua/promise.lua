--- The script's `promise` library.
--
-- Belongs here: the list. The files behind it are loaded when the first promise is made: opening a runtime
-- should not pay for them.

local pairs, require = pairs, require

local M = {}

-- Name -> file that has it.
local FILES = {
  all = "promise_combinators",
  all_settled = "promise_combinators",
  any = "promise_combinators",
  new = "promise_object",
  race = "promise_combinators",
  reject = "promise_object",
  resolve = "promise_object",
  run = "promise_object",
}

M.public = {}

for name, file in pairs(FILES) do
  local fn
  local function load_first(...)
    if not fn then
      fn = require(file)[name]
      if M.public[name] == load_first then
        M.public[name] = fn -- from now on without this step
      end
    end
    return fn(...) -- a tail call: errors name the script's line
  end
  M.public[name] = load_first
end

return M
