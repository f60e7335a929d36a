-- what: readers that load
-- expect: exit=1 stderr=overflow
local function reader()
  assert(load(reader))
  return nil
end
reader()
