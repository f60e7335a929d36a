-- what: every method on every other object and on forged ones
-- expect: exit=0 stdout=contained
local made = {
  channel.new(1),
  sync.mutex(),
  sync.semaphore(1),
  sync.condition(),
  sync.rwlock(),
  sync.barrier(2),
  sync.waitgroup(),
  sync.event(),
  sync.once(print),
  sync.rate_limiter({ per_second = 1 }),
  promise.resolve(1),
  require("broadcast").new(1),
  require("emitter").new(),
  require("stream").of({}),
  require("timer").after(0, function() end),
  task.current(),
  setmetatable({ first = 1, last = 1e9, waiters = {}, state = false }, { __name = "channel" }),
  "text",
  1,
}
local names = "send receive try_send close iter statistics lock unlock with acquire release notify "
  .. "wait add done set call read_lock write_unlock await next catch subscribe on emit off "
  .. "map collect each merge cancel join"
local wrong = {}
for i, object in ipairs(made) do
  for name in names:gmatch("%S+") do
    local known, method = pcall(function()
      return object[name]
    end)
    for j, other in ipairs(made) do
      if known and type(method) == "function" and i ~= j and type(object) == "table" then
        local ok, message = pcall(method, other, 1)
        local text = tostring(message)
        if ok and not text:find("mutex") and rawget(_G, "strict") then
          wrong[#wrong + 1] = name
        end
        if text:find("attempt to", 1, true) or text:find("[scheduler]", 1, true) then
          wrong[#wrong + 1] = i .. "." .. name .. "(" .. j .. "): " .. text
        end
      end
    end
  end
end
print(#wrong == 0 and "contained" or "ESCAPED: " .. table.concat(wrong, "; "))
