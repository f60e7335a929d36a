-- what: wait again when the deadlock is resolved by cancellation
-- expect: exit=3
while true do
  pcall(event.wait, "never")
end
