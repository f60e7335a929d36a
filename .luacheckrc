std = "max"
max_line_length = 110
ignore = { "581" } -- "not (x >= 0)" is how a NaN is caught
-- Our modules run on 5.4, 5.5 and LuaJIT: names of one of them are fine.
files["stdlib_lua/script.lua"] = { globals = { "os" } }
files["stdlib_lua/meta"] = { ignore = { "1", "2" } }
files["tests"] = { globals = { "task", "event", "sleep", "params", "channel", "sync", "promise" } }
files["tests/stress/preemption.lua"] = { globals = { "task", "event", "sleep", "host_many", "host_back" } }
files["examples"] = { globals = { "task", "event", "sleep", "params", "channel", "sync", "promise" } }
files["benchmarks"] = { globals = { "task", "event", "sleep", "params", "channel", "sync", "promise" } }
