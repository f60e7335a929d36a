--- find, match and gmatch that never hold the processor for long.
--
-- Belongs here: these three and what guard_gsub shares with them. The fast path is one table lookup, the
-- longest subject for the pattern, and a comparison; then Lua's own function runs. Everything else is in
-- the second half of each.

local search = require("guard_search")
local bound = require("guard_bound")
local matcher = require("guard_matcher")
local blame = require("guard_blame")
local numbers = require("guard_numbers")

local math_type, integer = numbers.math_type, numbers.integer
local native_find, native_match = string.find, string.match
local native_gmatch = string.gmatch
local sub, byte = string.sub, string.byte
local type, tostring, pairs, select = type, tostring, pairs, select

local M = {}

-- Longest subjects by pattern; find differs, as it may treat a pattern as plain text, and so does gmatch,
-- which has no anchor.
local find_limit, match_limit, gmatch_limit, gsub_limit = {}, {}, {}, {}
local guess, guess_limit = {}, {} -- see guard_search
local gsub_captures = {} -- the highest capture that a replacement string may use
local MAX_KEY = 500
-- The last subject: a tokenizer asks for the same one again and again, and comparing it is faster than
-- calling `type`. One string lives longer for it.
local recent
local CARET = byte("^")

local function forget(limits)
  for key in pairs(limits) do
    limits[key] = nil
  end
end

function search.on_full()
  forget(find_limit)
  forget(match_limit)
  forget(gmatch_limit)
  forget(gsub_limit)
  forget(gsub_captures)
  forget(guess)
  forget(guess_limit)
end

local function learn(source)
  local plan = search.plan(source)
  if #source <= MAX_KEY then
    find_limit[source] = plan.plain and bound.plain(#source) or plan.search
    match_limit[source] = plan.search
    guess[source], guess_limit[source] = plan.guess, plan.guess_limit
    gsub_limit[source] = plan.replace
    gsub_captures[source] = plan.captures > 1 and plan.captures or 1
  end
  return plan
end

local function text(value)
  if type(value) == "string" then
    return value
  elseif type(value) == "number" then
    return tostring(value)
  end
end

-- Where to begin in a subject of this length.
local function start(init, length)
  if init > 0 then
    return init
  elseif init == 0 or init < -length then
    return 1
  end
  return length + init + 1
end

-- Called around what is not to be a tail call: an error then finds our caller's frame.
local function same(...)
  return ...
end

local function retrieve(value)
  if value == matcher.UNFINISHED then
    blame.raise("unfinished capture")
  end
end

-- All that a match found: where it begins and ends, captures.
local function retrieved(first, ...)
  for index = 2, select("#", ...) do
    retrieve((select(index, ...)))
  end
  return first, ...
end

-- ---------------------------------------------------------------------------------------------
-- find, match

local function find_slowly(s, p, init, plain)
  local subject, source, from = text(s), text(p), integer(init, 1)
  if not subject or not source or not from then
    return blame.refuse("string.find", native_find, s, p, init, plain)
  end
  from = start(from, #subject)
  if from > #subject + 1 then
    return nil
  elseif plain or bound.is_plain(source) then
    if #source <= MAX_KEY and not plain then
      find_limit[source] = bound.plain(#source)
    end
    if #subject - from <= bound.plain(#source) then
      return native_find(subject, source, from, true)
    end
    return search.next_text(subject, source, from)
  end
  return retrieved(search.next_match(learn(source), subject, from))
end

--- As string.find.
function M.find(s, p, init, plain)
  local limit = find_limit[p]
  if
    limit
    and (s == recent or type(s) == "string")
    and #s <= limit
    and (init == nil or math_type(init) == "integer")
  then
    recent = s
    return native_find(s, p, init, plain)
  end
  return same(find_slowly(s, p, init, plain))
end

-- What `match` gives for a match: the captures, or all of it.
local function captured(subject, first, last, ...)
  if not first then
    return nil
  elseif select("#", ...) == 0 then
    return sub(subject, first, last)
  end
  return ...
end

local function match_slowly(s, p, init)
  local subject, source, from = text(s), text(p), integer(init, 1)
  if not subject or not source or not from then
    return blame.refuse("string.match", native_match, s, p, init)
  end
  from = start(from, #subject)
  if from > #subject + 1 then
    return nil
  end
  return captured(subject, retrieved(search.next_match(learn(source), subject, from)))
end

local function guessed(s, p, first, ...)
  if first == nil then
    return match_slowly(s, p, nil)
  end
  return first, ...
end

--- As string.match.
function M.match(s, p, init)
  local limit = match_limit[p]
  if
    limit
    and (s == recent or type(s) == "string")
    and (init == nil or math_type(init) == "integer")
  then
    local length = #s
    if length <= limit then
      recent = s
      return native_match(s, p, init)
    elseif length <= guess_limit[p] and init == nil then
      return same(guessed(s, p, native_match(s, guess[p])))
    end
  end
  return same(match_slowly(s, p, init))
end

-- ---------------------------------------------------------------------------------------------
-- gmatch

-- The next match from `at` on that does not end where the last one did.
local function next_different(plan, subject, at, stop, first, last, ...)
  if first and last + 1 == stop then
    if plan.anchored then
      return nil
    end
    return next_different(plan, subject, at + 1, nil, search.next_match(plan, subject, at + 1))
  end
  return first, last, ...
end

-- Lua's own gmatch on one window after the other; by matches where there is no window.
local function in_windows(plan, subject, at)
  local inner, step

  local function advanced(first, ...)
    if first ~= nil then
      return first, ...
    end
    inner = nil
    return step()
  end

  local function jumped(first, last, ...)
    if not first then
      at = #subject + 1
      return nil
    end
    at = last + 1
    return captured(subject, first, last, ...)
  end

  function step()
    if inner then
      return advanced(inner())
    elseif at > #subject then
      return nil
    end
    local window = search.window(plan, subject, at, plan.search)
    if window then
      at = at + #window
      inner = native_gmatch(window, plan.source)
      return advanced(inner())
    end
    return jumped(search.next_match(plan, subject, at))
  end

  return step
end

local function gmatch_slowly(s, p, init)
  local subject, source, from = text(s), text(p), integer(init, 1)
  if not subject or not source or not from then
    return blame.refuse("string.gmatch", native_gmatch, s, p, init)
  end
  local plan = byte(source) == CARET and search.plan("%" .. source) or learn(source)
  if #source <= MAX_KEY then
    gmatch_limit[source] = plan.search
  end
  if #subject <= plan.search then
    return native_gmatch(s, p, init)
  end
  local at, stop = start(from, #subject), nil
  if #source <= MAX_KEY and search.window(plan, subject, at, plan.search) then
    return in_windows(plan, subject, at)
  end
  if at > #subject + 1 then
    at = #subject + 2 -- no match at all, not even an empty one
  end
  local function step(first, last, ...)
    if first then
      at, stop = last + 1, last + 1
    end
    return captured(subject, first, last, ...)
  end
  return function()
    return step(
      retrieved(next_different(plan, subject, at, stop, search.next_match(plan, subject, at)))
    )
  end
end

--- As string.gmatch.
function M.gmatch(s, p, init)
  local limit = gmatch_limit[p]
  if
    limit
    and type(s) == "string"
    and #s <= limit
    and (init == nil or math_type(init) == "integer")
  then
    return native_gmatch(s, p, init)
  end
  return same(gmatch_slowly(s, p, init))
end

M.learn, M.text, M.same = learn, text, same
M.captured, M.retrieve, M.retrieved = captured, retrieve, retrieved
M.next_different, M.forget = next_different, forget
M.match_limit, M.gsub_limit, M.gsub_captures = match_limit, gsub_limit, gsub_captures

return M
