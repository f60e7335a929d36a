-- what: a chain of weak keys that costs the collector the square of its length
-- expect: exit=4 limit=cpu|memory
while true do
  local weak = setmetatable({}, { __mode = "k" })
  local first = {}
  local key = first
  for _ = 1, 10000 do
    local value = {}
    weak[key] = value
    key = value
  end
  collectgarbage("step", 1000)
  weak[first] = key
end
