-- The sleeping barber: one chair, three places to wait. Customers who find no place leave; the barber
-- sleeps while nobody is there. A channel is the waiting room: what it has is room, order and a barber who
-- sleeps on it.
-- Run: python -m scheduler --virtual-clock examples/16_sleeping_barber.lua

local timer = require("timer")

local PLACES = 3
local waiting_room = channel.new(PLACES, "waiting room")
local day = sync.waitgroup("customers")
local turned_away = 0

local function say(who, what)
  print(("%5.1f  %-10s %s"):format(task.now(), who, what))
end

local function barber()
  while true do
    local customer = waiting_room:try_receive()
    if not customer then
      say("barber", "sleeps")
      customer = waiting_room:receive()
    end
    if not customer then
      return say("barber", "goes home")
    end
    say("barber", "cuts customer " .. customer.number)
    task.sleep(2)
    customer.served:set()
  end
end

local function visit(number)
  local customer = { number = number, served = sync.event("customer " .. number) }
  if waiting_room:try_send(customer) then
    customer.served:wait()
    say("customer " .. number, "leaves, well shorn")
  else
    turned_away = turned_away + 1
    say("customer " .. number, "finds no place and leaves")
  end
  day:done()
end

local ARRIVALS = { 1, 6, 6.5, 6.5, 7, 7, 7.5, 15 }

task.scope(function(scope)
  scope:spawn_with({ name = "barber" }, barber)
  for number, at in ipairs(ARRIVALS) do
    day:add()
    timer.after(at, visit, number)
  end
  day:wait()
  waiting_room:close()
end)
print(turned_away .. " were turned away")
