--- math.random and math.randomseed of one script: nobody else draws from it, seeds it or foretells it.
--
-- Belongs here: the generator. Lua's own has one state for the whole state of Lua, so a script could make the
-- numbers of another predictable.
-- MRG32k3a (L'Ecuyer 1999): two recurrences whose products stay below 2^53, so it is exact without bit
-- operators. Not for secrets, as Lua's own is not.

local error, select, type = error, select, type
local floor, tointeger, ult, math_type = math.floor, math.tointeger, math.ult, math.type
local native = math.random

local M = {}

local M1, M2 = 4294967087, 4294944443

local function bad(n, what)
  error("bad argument #" .. n .. " to 'random' (" .. what .. ")", 3)
end

local function integer(n, value, name)
  local found = tointeger(value)
  if found then
    return found
  end
  local got = value == nil and "no value" or type(value)
  local what = type(value) == "number" and "number has no integer representation"
    or "number expected, got " .. got
  error("bad argument #" .. n .. " to '" .. name .. "' (" .. what .. ")", 3)
end

--- Make the two functions, seeded by chance.
---@return function random
---@return function randomseed
function M.new()
  local a0, a1, a2, b0, b1, b2

  -- A number from 0 to M1 - 1.
  local function draw()
    a0, a1, a2 = a1, a2, (1403580 * a1 - 810728 * a0) % M1
    b0, b1, b2 = b1, b2, (527612 * b2 - 1370589 * b0) % M2
    return (a2 - b2) % M1
  end

  local function seed(x, y)
    -- Each word of the state is below 2^32 and no recurrence is all zeros.
    local low, high = x % 4294967296, floor(x / 4294967296) % 4294967296
    a0, a1, a2 = low % M1, high % M1, 12345
    b0, b1, b2 = y % 4294967296 % M2, floor(y / 4294967296) % M2, 67890
    for _ = 1, 16 do
      draw()
    end
  end
  seed(native(0), native(0))

  local function fraction()
    -- 53 bits: 26 from one number and 27 from another.
    return (floor(draw() * 67108864 / M1) * 134217728 + floor(draw() * 134217728 / M1))
      / 9007199254740992
  end

  local function any_integer()
    local bits = 0
    for _ = 1, 4 do
      bits = bits * 65536 + floor(draw() * 65536 / M1)
    end
    return bits
  end

  -- An integer from low to high, each as likely as the other.
  local function between(low, high)
    local range = high - low -- as unsigned; it may wrap
    if ult(range, 2147483648) then
      local n = range + 1
      local limit = M1 - M1 % n -- from here on the remainders would not be equally likely
      local number = draw()
      while number >= limit do
        number = draw()
      end
      return low + number % n
    end
    local size = 1
    while size > 0 and not ult(range, size) do
      size = size * 2 -- ends at 2^63, which is negative: then all 64 bits are drawn
    end
    while true do
      local offset = any_integer()
      if size > 0 then
        offset = offset % size
      end
      if not ult(range, offset) then
        return low + offset
      end
    end
  end

  --- As Lua's own.
  local function random(...)
    local n = select("#", ...)
    if n == 0 then
      return fraction()
    elseif n > 2 then
      error("wrong number of arguments", 2)
    end
    local low, high = ...
    low = integer(1, low, "random")
    if n == 2 then
      high = integer(2, high, "random")
    elseif low == 0 then
      return any_integer()
    else
      low, high = 1, low
    end
    if low > high then
      bad(n, "interval is empty")
    end
    return between(low, high)
  end

  --- As Lua's own: the same seeds give the same numbers, though not the numbers Lua's own gives.
  ---@return integer x, integer y the seeds
  local function randomseed(...)
    local x, y = ...
    if select("#", ...) == 0 then
      x, y = native(0), native(0)
    else
      if math_type(x) == "float" then
        x = tointeger(x) or floor(x % 9007199254740992 * 1024)
        x = tointeger(x) or 0 -- not a number, or infinite
      else
        x = integer(1, x, "randomseed")
      end
      y = y == nil and 0 or integer(2, y, "randomseed")
    end
    seed(x, y)
    return x, y
  end

  return random, randomseed
end

return M
