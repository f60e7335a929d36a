-- what: get the real libraries and the scheduler's own modules from require
-- expect: exit=0 stdout=contained
local names = { "os", "io", "debug", "package", "python", "lupa", "_G", "kernel", "scope" }
for _, name in ipairs({ "host", "embed", "failure", "coroutine", "string", "bridge.vm" }) do
  names[#names + 1] = name
end
local mine = { os = os, io = io, debug = debug, coroutine = coroutine, string = string, _G = _G }
for _, name in ipairs(names) do
  local ok, module = pcall(require, name)
  if ok and (mine[name] == nil or module ~= mine[name]) then
    return print("ESCAPED: require gives " .. name)
  end
end
print("contained")
