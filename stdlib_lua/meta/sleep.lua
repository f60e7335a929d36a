---@meta sleep
-- Annotations of the global `sleep` for the Lua language server; nothing here runs.

---Sleep; 0 yields. The same function as `task.sleep`. Checkpoint: yes.
---@param seconds number not negative
---@return number slept seconds really slept
function sleep(seconds) end

return sleep
