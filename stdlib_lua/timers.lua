--- The sleep heap: absolute deadlines in order, ties broken by insertion.
--
-- Belongs here: the heap. Does not belong here: clocks, tasks, what a due entry means.
-- Three parallel arrays instead of one table per entry: 100,000 sleepers then cost three array slots
-- each. An entry is cancelled lazily: its owner forgets the ticket, and `pop_due` hands tickets out
-- so that the owner can tell a stale one.

local M = {}

local infinity = math.huge

local when, tickets, owners = {}, {}, {}
local size = 0
local last_ticket = 0
local stale = 0 -- entries whose owner no longer waits; when they dominate, the heap is rebuilt

local function earlier(when_a, ticket_a, when_b, ticket_b)
  return when_a < when_b or (when_a == when_b and ticket_a < ticket_b)
end

local function sift_up(index, at, ticket, owner)
  while index > 1 do
    local parent = (index - index % 2) / 2
    local parent_at = when[parent]
    if not earlier(at, ticket, parent_at, tickets[parent]) then
      break
    end
    when[index], tickets[index], owners[index] = parent_at, tickets[parent], owners[parent]
    index = parent
  end
  when[index], tickets[index], owners[index] = at, ticket, owner
end

local function sift_down(index, at, ticket, owner)
  while true do
    local child = index * 2
    if child > size then
      break
    end
    if
      child < size
      and earlier(when[child + 1], tickets[child + 1], when[child], tickets[child])
    then
      child = child + 1
    end
    if not earlier(when[child], tickets[child], at, ticket) then
      break
    end
    when[index], tickets[index], owners[index] = when[child], tickets[child], owners[child]
    index = child
  end
  when[index], tickets[index], owners[index] = at, ticket, owner
end

local function remove_top()
  local last = size
  local at, ticket, owner = when[last], tickets[last], owners[last]
  when[last], tickets[last], owners[last] = nil, nil, nil
  size = last - 1
  if size > 0 then
    sift_down(1, at, ticket, owner)
  end
end

-- Entries move down to live ones only; heap order is restored bottom-up (Floyd), ties keep their ticket.
local function rebuild()
  local kept = 0
  for i = 1, size do
    local owner = owners[i]
    if owner.timer == tickets[i] then
      kept = kept + 1
      when[kept], tickets[kept], owners[kept] = when[i], tickets[i], owner
    end
  end
  for i = kept + 1, size do
    when[i], tickets[i], owners[i] = nil, nil, nil
  end
  size, stale = kept, 0
  for i = (kept - kept % 2) / 2, 1, -1 do
    sift_down(i, when[i], tickets[i], owners[i])
  end
end

--- Arm `owner.timer` for the absolute second `at`.
---@param owner table its field `timer` holds the live ticket, nil when none
---@param at number seconds on the runtime's clock; math.huge never fires and costs nothing
function M.arm(owner, at)
  last_ticket = last_ticket + 1
  owner.timer = last_ticket
  if at < infinity then
    size = size + 1
    sift_up(size, at, last_ticket, owner)
  end
end

--- Forget the timer of `owner`; its entry stays in the heap until it surfaces or the heap is rebuilt.
function M.disarm(owner)
  if owner.timer then
    owner.timer = nil
    stale = stale + 1
    -- 64: below that a rebuild costs more than the slots it frees.
    if stale > 64 and stale * 2 > size then
      rebuild()
    end
  end
end

--- Take the earliest entry that is due at `now`.
---@return table|nil owner whose timer fired (its `timer` is nil now)
function M.pop_due(now)
  while size > 0 and when[1] <= now do
    local owner, ticket = owners[1], tickets[1]
    remove_top()
    if owner.timer == ticket then
      owner.timer = nil
      return owner
    end
    stale = stale - 1
  end
  return nil
end

--- The earliest live deadline, or nil.
---@return number|nil seconds on the runtime's clock
function M.next_deadline()
  while size > 0 do
    if owners[1].timer == tickets[1] then
      return when[1]
    end
    remove_top()
    stale = stale - 1
  end
  return nil
end

return M
