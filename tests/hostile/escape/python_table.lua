-- what: find lupa's python table by its name
-- expect: exit=0 stdout=contained
local roads = {
  function()
    return python -- luacheck: ignore
  end,
  function()
    return _G["python"]
  end,
  function()
    return rawget(_ENV, "python")
  end,
  function()
    return load("return python")()
  end,
  function()
    return require("python")
  end,
  function()
    return package.loaded.python
  end,
}
for i, road in ipairs(roads) do
  local ok, found = pcall(road)
  if ok and found ~= nil then
    return print("ESCAPED: road " .. i .. " gives " .. tostring(found))
  end
end
print("contained")
