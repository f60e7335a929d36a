-- An echo server and its clients in one script: lines, a slow reader, one that never comes back, a clean end.
-- Run: python -m scheduler examples/30_echo_server.lua

local net = require("net")

local server = assert(net.listen({ host = "127.0.0.1" })) -- port 0: a free one
local host, port = server:address()

local serving = task.spawn(function()
  return server:serve(function(conn)
    for line in conn:lines() do
      if line == "crash" then
        error("asked to crash")
      end
      conn:write(line, "\n")
    end
  end, function(err)
    print("server: a handler failed: " .. tostring(err):match("asked.*"))
  end)
end)

local function ask(...)
  local conn = assert(net.connect(host, port, { timeout = 5 }))
  local answers = {}
  for _, line in ipairs({ ... }) do
    conn:write(line, "\n")
    answers[#answers + 1] = conn:read_line() or "(the end)"
  end
  conn:close()
  return table.concat(answers, ", ")
end

-- Several clients at once, each with its own connection.
local answers = task.map({ 1, 2, 3, 4, 5 }, function(i)
  return ask("client " .. i, "again " .. i)
end)
for i = 1, answers.n do
  print(answers[i])
end

-- A handler that fails loses its own connection and no other.
print(ask("before", "crash"))
print(ask("the server lives on"))

-- More than fits into any buffer: the writer waits for its reader, and nothing is lost.
local conn = assert(net.connect(host, port))
local line = ("x"):rep(1000) .. "\n"
local writer = task.spawn(function()
  for _ = 1, 5000 do
    conn:write(line)
  end
  conn:shutdown()
end)
local count, bytes = 0, 0
for each in conn:lines() do
  count, bytes = count + 1, bytes + #each
end
writer:join()
conn:close()
print(count .. " lines, " .. bytes .. " bytes came back")

-- Nobody answers: the wait ends, the stream is usable afterwards.
local quiet = assert(net.connect(host, port))
print(task.timeout(0.05, function()
  return quiet:read_line()
end))
quiet:write("now\n")
print(quiet:read_line())
quiet:close()

server:close()
print("served to the end: " .. tostring(serving:join()))
print(select(2, net.connect(host, port)).kind)
