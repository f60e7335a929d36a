-- Who is the largest? Walks a folder, reads its source files with several tasks at a time and prints a table.
-- `files.list` and `files.read` are asynchronous Python functions (__main__.py); to Lua they are plain calls.
-- luacheck: read globals files

local READERS = 8 -- tasks that read at the same time
local SHOWN = 12
local SOURCES = { py = true, lua = true, md = true, toml = true, js = true, mjs = true }
local SKIPPED = { __pycache__ = true, build = true, dist = true, node_modules = true }

local progress = { found = 0, read = 0, folders = 0 }

local function wanted(folder)
  return not (SKIPPED[folder] or folder:find("^%.") or folder:find("%.egg%-info$"))
end

-- Every folder is listed by a task of its own, as deep as the tree goes.
local function walk(folder, prefix, found)
  local names, folders = files.list(folder)
  progress.folders = progress.folders + 1
  for _, name in ipairs(names) do
    if SOURCES[name:match("%.(%w+)$")] then
      found[#found + 1] = prefix .. name
      progress.found = #found
    end
  end
  task.scope(function(scope)
    for _, name in ipairs(folders) do
      if wanted(name) then
        scope:spawn(walk, folder .. "/" .. name, prefix .. name .. "/", found)
      end
    end
  end)
end

local function measure(path)
  local text = files.read(params.folder .. "/" .. path)
  local _, ends = text:gsub("\n", "")
  local lines = (text == "" or text:find("\n$")) and ends or ends + 1
  progress.read = progress.read + 1
  return { path = path, lines = lines, bytes = #text }
end

-- ---------------------------------------------------------------------------------------------
-- Progress on stderr: one line that is rewritten on a terminal, a few lines elsewhere.

local function bar(done, total)
  local full = total > 0 and math.floor(done / total * 24) or 0
  return ("[%s%s] %d of %d files read, %d folders"):format(
    ("#"):rep(full),
    ("."):rep(24 - full),
    done,
    total,
    progress.folders
  )
end

local function show_on_terminal()
  while true do
    io.stderr:write("\r", bar(progress.read, progress.found))
    task.sleep(0.01)
  end
end

local function show_in_lines()
  local next_share = 0.25
  while true do
    local share = progress.read / math.max(progress.found, 1)
    if share >= next_share then
      io.stderr:write(bar(progress.read, progress.found), "\n")
      next_share = math.floor(share * 4 + 1) / 4
    end
    task.sleep(0.002)
  end
end

-- ---------------------------------------------------------------------------------------------

local began = task.now()
local found = {}
local measured = task.scope(function(scope)
  walk(params.folder, "", found)
  table.sort(found)
  local show = params.terminal and show_on_terminal or show_in_lines
  scope:spawn_with({ name = "progress", background = true }, show)
  return task.map(found, measure, { limit = READERS })
end)
io.stderr:write(params.terminal and "\r" or "", bar(progress.read, progress.found), "\n")

table.sort(measured, function(a, b)
  if a.lines ~= b.lines then
    return a.lines > b.lines
  end
  return a.path < b.path
end)

local lines, bytes = 0, 0
for _, file in ipairs(measured) do
  lines, bytes = lines + file.lines, bytes + file.bytes
end

print(("%6s %9s  %s"):format("lines", "bytes", "path"))
for i = 1, math.min(SHOWN, #measured) do
  local file = measured[i]
  print(("%6d %9d  %s"):format(file.lines, file.bytes, file.path))
end
print(("%6d %9d  in %d files"):format(lines, bytes, #measured))
io.stderr:write(("%d tasks read them in %.2f s\n"):format(READERS, task.now() - began))
