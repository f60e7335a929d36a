-- what: replace debug.traceback and fail
-- expect: exit=1 stderr=replaced
rawset(debug, "traceback", function()
  print("ESCAPED: the report calls the script's function")
  return {}
end)
_G.tostring, _G.pcall, _G.type = print, print, print
error("replaced")
