-- what: a source in which Lua looks each name up in 160 functions of 200 variables each
-- expect: exit=4 limit=cpu
local parts = {}
local function add(text)
  parts[#parts + 1] = text
end
local depth = 160
for level = 1, depth do
  local names, inner = {}, {}
  for i = 1, 195 do
    names[i] = "a" .. i
  end
  add("local " .. table.concat(names, ",") .. " ")
  if level < depth then
    add("local function f() ")
    for i = 1, 50 do
      inner[i] = "a" .. i
    end
    add("local _ = " .. table.concat(inner, "..") .. " ")
  end
end
local size = #table.concat(parts)
add(("X=1 "):rep((1040000 - size) // 4))
add((" end"):rep(depth - 1))
local source = table.concat(parts)
while true do
  load(source)
end
