-- what: emit names that the runtime might use for itself
-- expect: exit=0 stdout=contained
for _, name in ipairs({ "", "\0", "done", "exit", "thaw", "post", "close", "__gc", "kill" }) do
  if event.emit(name, "forged", print) ~= 0 then
    return print("ESCAPED: somebody listens to " .. name)
  end
end
print("contained")
