-- what: look for library functions that are not on the allow-list
-- expect: exit=0 stdout=contained
local forbidden = [[os.execute os.exit os.getenv os.remove os.rename os.setlocale os.tmpname
  io.close io.input io.lines io.open io.output io.popen io.read io.stdin io.stderr io.tmpfile io.type
  debug.debug debug.gethook debug.getinfo debug.getlocal debug.getmetatable debug.getregistry
  debug.getupvalue debug.getuservalue debug.sethook debug.setlocal debug.setmetatable
  debug.setupvalue debug.setuservalue debug.upvalueid debug.upvaluejoin debug.setcstacklimit
  string.dump package.loaded package.loadlib package.preload package.searchers package.cpath]]
for library, name in forbidden:gmatch("(%w+)%.(%w+)") do
  local t = _G[library]
  if t and t[name] ~= nil then
    return print("ESCAPED: " .. library .. "." .. name)
  end
end
print("contained")
