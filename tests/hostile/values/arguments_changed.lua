-- what: spoil arg and params, then fail
-- expect: exit=1 stderr=spoiled
for _, t in ipairs({ arg or {}, params or {} }) do
  for key in pairs(t) do
    t[key] = nil
  end
  t[0], t.x, t[t] = {}, print, t
  setmetatable(t, {
    __index = error,
    __tostring = error,
    __len = error,
  })
end
error("spoiled")
