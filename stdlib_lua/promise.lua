--- The script's `promise` library.
--
-- Belongs here: the list. The files behind it are loaded when the first promise is made: opening a runtime
-- should not pay for them.

local require = require

local M = {}

-- The function `name` of one of our files.
local function from(file, name)
  local fn
  return function(...)
    fn = fn or require(file)[name]
    return fn(...) -- a tail call: errors name the script's line
  end
end

M.public = {
  all = from("promise_combinators", "all"),
  all_settled = from("promise_combinators", "all_settled"),
  any = from("promise_combinators", "any"),
  new = from("promise_object", "new"),
  race = from("promise_combinators", "race"),
  reject = from("promise_object", "reject"),
  resolve = from("promise_object", "resolve"),
  run = from("promise_object", "run"),
}

return M
