-- what: add a searcher of one's own and a preloaded module
-- expect: exit=0 stdout=contained
local ok = pcall(function()
  package.preload.anything = function()
    return "loaded"
  end
  return require("anything")
end)
print(ok and "ESCAPED: package is here" or "contained")
