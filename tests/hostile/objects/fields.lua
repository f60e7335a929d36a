-- what: the inner fields of every object
-- expect: exit=0 stdout=contained
local made = {
  channel.new(1),
  sync.mutex(),
  sync.condition(),
  sync.rwlock(),
  sync.once(print),
  promise.resolve(1),
  promise.run(task.sleep, 0),
  require("broadcast").new(1),
  require("broadcast").new(1):subscribe(),
  require("emitter").new(),
  require("emitter").new():on("x", print),
  require("stream").of({}),
  require("timer").after(0, task.now),
  require("timer").throttle(0, print),
}
local names = "senders receivers waiters owner readers writer scope source state value log "
  .. "broadcast tie handlers ear exact fn stage sources out pump cases object runner values fire "
  .. "abort begin co home number handle box"
local found = {}
for i, object in ipairs(made) do
  for name in names:gmatch("%S+") do
    if object[name] ~= nil then
      found[#found + 1] = i .. "." .. name
    end
  end
  local changed = pcall(function()
    object.closed = true
  end)
  if changed or pcall(rawset, object, 1, 1) or getmetatable(object) or next(object) ~= nil then
    found[#found + 1] = i .. " is open"
  end
  if pcall(setmetatable, object, {}) then
    found[#found + 1] = i .. " takes a metatable"
  end
end
print(#found == 0 and "contained" or "ESCAPED: " .. table.concat(found, " "))
