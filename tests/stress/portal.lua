--- Hundreds of tasks parked where Lua cannot yield, some cancelled, garbage collected in between.
-- Driven by tests/stress/portal.py: `...` is the seed and the number of tasks; returns a summary.
-- luacheck: read globals host_async host_sync host_collect

local seed, count = ...

local generator = seed
local function random(n)
  -- Park and Miller's generator: the same numbers on every engine.
  generator = generator * 16807 % 2147483647
  return generator % n + 1
end

local has_close = not jit
local closed = 0

local function pause()
  local kind = random(5)
  if kind == 1 then
    task.yield()
  elseif kind == 2 then
    sleep(random(20) / 16)
  elseif kind == 3 then
    assert(host_async(random(8) / 16) == "async")
  elseif kind == 4 then
    local text = "back" .. random(1000)
    local answer = host_sync(function(value)
      sleep(random(4) / 16)
      return { value = value }
    end, text)
    assert(answer.value == text, "host_sync mixed up its answers")
  else
    event.wait("tick", random(6) / 16)
  end
end

local kinds = {}

function kinds.sort()
  local list = {}
  for i = 1, 8 do
    list[i] = random(1000)
  end
  local compared = 0
  table.sort(list, function(a, b)
    compared = compared + 1
    if compared % 4 == 1 then
      pause()
    end
    return a < b
  end)
  for i = 2, 8 do
    assert(list[i - 1] <= list[i], "sort went wrong")
  end
end

function kinds.gsub()
  local word = "w" .. random(10000)
  local text = word:gsub("%w", function(letter)
    if random(3) == 1 then
      pause()
    end
    return letter .. "-"
  end)
  assert(text:gsub("-", "") == word, "gsub went wrong")
end

function kinds.index()
  local proxy = setmetatable({}, {
    __index = function(_, key)
      pause()
      return key * 2
    end,
    __lt = function()
      pause()
      return true
    end,
    __tostring = function()
      pause()
      return "text"
    end,
  })
  -- rawequal results through C: table.concat and unpack reach __index only in Lua 5.3 and later.
  assert(proxy[21] == 42)
  assert(tostring(proxy) == "text")
  assert(proxy < setmetatable({}, getmetatable(proxy)))
  if has_close then
    assert(table.concat(proxy, ",", 1, 3) == "2,4,6")
  end
end

function kinds.generator()
  local sum = 0
  local produce = coroutine.wrap(function()
    for i = 1, 4 do
      table.sort({ 2, 1 }, function(a, b)
        if i % 2 == 0 then
          pause()
        end
        return a < b
      end)
      coroutine.yield(i)
    end
  end)
  for value in produce do
    sum = sum + value
    pause()
  end
  assert(sum == 10, "the generator went wrong")
end

-- A callback that resumes a coroutine that waits: both kinds of waiting on one stack.
function kinds.nested()
  local seen = {}
  local _ = ("abc"):gsub(".", function(letter)
    local co = coroutine.create(function()
      pause()
      table.sort({ 3, 1, 2 }, function(a, b)
        if a == 3 then
          pause()
        end
        return a < b
      end)
      return letter
    end)
    local ok, value = coroutine.resume(co)
    assert(ok, value)
    seen[#seen + 1] = value
  end)
  assert(table.concat(seen) == "abc")
end

local modules = 0
function kinds.require()
  modules = modules + 1
  local name = "stress_module_" .. modules
  package.preload[name] = function()
    pause()
    return { name = name }
  end
  assert(require(name).name == name)
end

if has_close then
  kinds.close = load([[
    local pause, on_close = ...
    return function()
      local _ <close> = setmetatable({}, { __close = function()
        task.shield(table.sort, { 2, 1 }, function(a, b)
          sleep(1 / 16)
          return a < b
        end)
        on_close()
      end })
      pause()
      pause()
    end
  ]])(pause, function()
    closed = closed + 1
  end)
end

local names = { "sort", "gsub", "index", "generator", "nested", "require", "close" }
if not has_close then
  names[#names] = nil
end

local workers = {}
local done, cancelled = 0, 0
local started_closes, close_turns = 0, 0

task.spawn_with({ background = true, name = "collector" }, function()
  while true do
    sleep(random(3) / 16)
    collectgarbage()
    host_collect()
    event.emit("tick")
  end
end)

task.scope(function(scope)
  for i = 1, count do
    local name = names[i % #names + 1]
    workers[i] = scope:spawn(function()
      for _ = 1, 3 do
        if name == "close" then
          started_closes = started_closes + 1
        end
        kinds[name]()
        if name == "close" then
          close_turns = close_turns + 1
        end
      end
      done = done + 1
      return name
    end)
  end
  scope:spawn(function()
    for _ = 1, count / 4 do
      sleep(random(4) / 64)
      if workers[random(count)]:cancel("at random") then
        cancelled = cancelled + 1
      end
    end
  end)
end)

local states = {}
for i = 1, count do
  local status = workers[i]:status()
  states[status] = (states[status] or 0) + 1
end
assert(states.done == done, "some task ended twice or never")
assert(closed == started_closes, "a <close> variable was not closed")
assert(done < count, "nothing was cancelled: the seed tests nothing")
return done, states.cancelled, closed, task.now()
