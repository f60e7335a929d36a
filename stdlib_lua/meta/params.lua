---@meta
-- Annotations of the global `params` for the Lua language server; nothing here runs.

---What the command line (`--param k=v`, values are strings) or the embedding program passed; always there.
---@type table<string, any>
params = {}
