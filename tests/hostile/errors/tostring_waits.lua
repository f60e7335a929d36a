-- what: an error whose __tostring sleeps when the report is printed
-- expect: exit=1
error(setmetatable({}, {
  __tostring = function()
    task.sleep(1000)
    return "slept"
  end,
}))
