-- The same questions asked in three ways: one call after the other, callbacks, promises.
-- Run: python -m scheduler --virtual-clock examples/17_callback_modes.lua
-- One of them alone: --param mode=simple, mode=parallel or mode=promise

local callback = require("callback")

local questions = { "What is a task?", "What is a scope?", "What is a promise?" }

-- Stands for a service that takes its time: it just waits, as any host function may.
local function ask(question)
  task.sleep(#question / 8)
  if question == "" then
    error("the question is empty", 0)
  end
  return "an answer of " .. #question .. " letters"
end

-- The forms that the other modes use are made of it.
local ask_async = callback.wrap(ask)
local ask_promise = callback.to_promise(ask_async)

local modes = {}

-- The wall time is the sum.
function modes.simple()
  for _, question in ipairs(questions) do
    print("  " .. question .. " " .. ask(question))
  end
end

-- The wall time is that of the slowest call; answers come in order of completion.
function modes.parallel()
  for _, question in ipairs(questions) do
    ask_async(question, function(answer)
      print("  " .. question .. " " .. answer)
    end, print)
  end
  ask_async("", print, function(err)
    print("  refused: " .. err)
  end)
  local frames = 0
  while callback.has_pending() do -- the loop of a program with a display of its own
    callback.process()
    frames = frames + 1
    task.sleep(0.125)
  end
  print("  " .. (frames > 10 and "the display was drawn meanwhile" or "the display stood still"))
end

-- The same time; answers in the order of the questions.
function modes.promise()
  local promises = {}
  for i, question in ipairs(questions) do
    promises[i] = ask_promise(question):next(function(answer)
      return question .. " " .. answer
    end)
  end
  for _, line in ipairs(promise.all(promises):await()) do
    print("  " .. line)
  end
  ask_promise("")
    :catch(function(err)
      print("  refused: " .. err)
    end)
    :await()
end

local function run(mode)
  local began = task.now()
  print(mode)
  modes[mode]()
  print(("  %.2f s"):format(task.now() - began))
end

if params.mode == nil then
  run("simple")
  run("parallel")
  run("promise")
elseif modes[params.mode] then
  run(params.mode)
else
  error("mode must be simple, parallel or promise, got " .. params.mode, 0)
end
