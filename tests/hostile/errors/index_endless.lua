-- what: an error whose fields take for ever to read
-- expect: exit=1|4 stderr=error object is a table value limit=cpu
error(setmetatable({}, {
  __index = function()
    while true do
    end
  end,
}))
