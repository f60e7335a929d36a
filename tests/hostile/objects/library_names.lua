-- what: files of ours by the script's require
-- expect: exit=0 stdout=contained
for _, name in ipairs({
  "deferred",
  "kernel",
  "waitlist",
  "sync_mutex",
  "handles",
  "stream_core",
  "promise_object",
}) do
  if pcall(require, name) then
    print("ESCAPED: " .. name)
    return
  end
end
print("contained")
