-- what: names of events that are no strings
-- expect: exit=0 stdout=contained
for _, name in ipairs({ {}, print, true, task.current(), 0 / 0 }) do
  if pcall(event.wait, name, 0) or pcall(event.emit, name) then
    return print("ESCAPED: a " .. type(name))
  end
end
print(pcall(event.emit) and "ESCAPED: nothing" or "contained")
