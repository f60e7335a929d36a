---@meta task
-- Annotations of the `task` library for the Lua language server; nothing here runs.

---@alias task.Status
---| "ready" # will run in the next round
---| "running" # is running now
---| "sleeping" # waits for its time
---| "blocked" # waits for something else
---| "done" # has returned
---| "failed" # has raised
---| "cancelled" # was cancelled and has unwound

---@alias task.Reason
---| "sleep" # a duration
---| "event" # a named event
---| "host" # a Python function
---| "io" # input or output
---| "resource" # another task, or the tasks of a scope

---A task: a function that runs cooperatively with the others. Made by `task.spawn`.
---@class task.Task
---@field id integer unique in the runtime, ascending in the order of spawning
---@field name string as given to `spawn_with`, else "task"
local Task = {}

---Wait for the task's end. Checkpoint: yes.
---Raises the task's error unchanged; an error table of kind "cancelled" when it was cancelled; an
---error when the caller would wait for itself.
---@return any ... the task's values
function Task:join() end

---Cancel the task and every scope it has open. Checkpoint: no.
---@param reason? string for reports
---@return boolean accepted false when the task has ended
function Task:cancel(reason) end

---Checkpoint: no.
---@return task.Status
function Task:status() end

---What is known about the task. Checkpoint: no.
---@return task.Info
function Task:info() end

---@class task.Info
---@field id integer
---@field name string
---@field status task.Status
---@field reason? task.Reason why it waits; nil when it does not
---@field detail? string what it waits for, for people
---@field where? string "file:line" at which it waits
---@field site string the function it runs; with statistics on, the line that spawned it
---@field background boolean
---@field yields? integer steps taken; only with statistics on
---@field run_time? number seconds of the processor; only with statistics on

---A nursery: owns tasks and ends after them. Given to the function that `task.scope` runs.
---@class task.Scope
local Scope = {}

---Spawn a child of this scope. Checkpoint: no.
---@param fn fun(...): ...
---@param ... any its arguments
---@return task.Task
function Scope:spawn(fn, ...) end

---`spawn` with options. Checkpoint: no.
---@param options task.SpawnOptions
---@param fn fun(...): ...
---@param ... any its arguments
---@return task.Task
function Scope:spawn_with(options, fn, ...) end

---Cancel everything in the scope, its body too. Checkpoint: no.
---@param reason? string what `task.scope` returns after nil when its body is cut short
---@return boolean first false when it was cancelled already
function Scope:cancel(reason) end

---@class task.SpawnOptions
---@field name? string for reports
---@field priority? "high"|"normal"|"low"
---@field timeout? number seconds; then the task is cancelled and its values are nil, "timeout"
---@field background? boolean true: cancelled when the scope's other work has ended
---@field limits? task.Limits beyond them the task fails with a task.LimitError

---What `task.limit` allows; a field that is not there is no limit.
---@class task.Limits
---@field cpu_s? number seconds of the processor
---@field memory_bytes? number growth of Lua's heap in the steps of these tasks, an estimate
---@field wall_s? number seconds on the runtime's clock
---@field tasks? integer alive at the same time
---@field output_bytes? integer to standard output
---@field host_calls? integer
---@field policy? "kill"|"throttle"|"warn" default: "kill"

---The second value of `task.limit` when a limit was exceeded.
---@class task.LimitError
---@field kind "limit"
---@field limit "cpu"|"memory"|"wall"|"tasks"|"output"|"host_calls"
---@field used number seconds, bytes or pieces
---@field allowed number
---@field message string

---@class task.MapOptions
---@field limit? integer how many at a time, at least 1; default: all

---An array of first results in the order given.
---@class task.Results
---@field n integer how many, nils counted
---@field [integer] any

---@class tasklib
task = {}

---Spawn a child of the current scope; it starts in the next round. Checkpoint: no.
---@param fn fun(...): ...
---@param ... any its arguments
---@return task.Task
function task.spawn(fn, ...) end

---`spawn` with options. Checkpoint: no.
---@param options task.SpawnOptions
---@param fn fun(...): ...
---@param ... any its arguments
---@return task.Task
function task.spawn_with(options, fn, ...) end

---Sleep; 0 yields. Checkpoint: yes.
---@param seconds number not negative
---@return number slept seconds really slept
function task.sleep(seconds) end

---Let every other ready task run once. Checkpoint: yes.
function task.yield() end

---Run `fn(scope)` as a nursery; returns when all its children have ended. The first failure cancels
---the rest and is raised; several are raised together, as an error table of kind "failures" with the
---list `errors`.
---Checkpoint: when there are children to wait for.
---@param fn fun(scope: task.Scope): ...
---@return any ... fn's values; nil and the reason when `scope:cancel` cut it short
function task.scope(fn) end

---Run `fn(...)`; after `seconds` everything inside is cancelled. Checkpoint: as `task.scope`.
---@param seconds number not negative
---@param fn fun(...): ...
---@param ... any its arguments
---@return any ... fn's values, or nil, "timeout"
function task.timeout(seconds, fn, ...) end

---Run `fn(...)` within limits, everything it spawns included. Checkpoint: as `task.scope`.
---@param limits task.Limits
---@param fn fun(...): ...
---@param ... any its arguments
---@return any ... fn's values, or nil and a task.LimitError
function task.limit(limits, fn, ...) end

---Run `fn(...)` so that it may wait although the task is cancelled: for cleanup. Checkpoint: as `task.scope`.
---@param fn fun(...): ...
---@param ... any its arguments
---@return any ... fn's values
function task.shield(fn, ...) end

---Run all at the same time; the first failure cancels the rest and is raised. Checkpoint: yes.
---@param list (task.Task | fun(): ...)[]
---@return task.Results
function task.all(list) end

---The first to end wins; the others are cancelled and waited for. Checkpoint: yes.
---@param list (task.Task | fun(): ...)[] at least one
---@return any ... the winner's values; its error is raised
function task.race(list) end

---Apply `fn(item)` to every item; the first failure cancels the rest and is raised.
---Checkpoint: yes, unless the list is empty.
---@generic T
---@param list T[]
---@param fn fun(item: T): any
---@param options? task.MapOptions
---@return task.Results
function task.map(list, fn, options) end

---Cases `{object, operation [, value]}`: {ch, "receive"}, {ch, "send", v}, {t, "join"}, {"name", "wait"} and
---whatever else can be waited for.
---@class task.Cases
---@field timeout? number seconds; then it returns nil, "timeout"
---@field default? boolean true: return nil, "default" when no case is ready
---@field [integer] table

---Wait for the first of several things; at most one takes effect. Checkpoint: yes.
---@param cases task.Cases
---@return integer|nil index of the case that took effect
---@return any ... its values
function task.select(cases) end

---The running task. Checkpoint: no.
---@return task.Task
function task.current() end

---All live tasks, by id. Checkpoint: no.
---@return task.Task[]
function task.list() end

---Seconds on the runtime's clock: monotonic, virtual with a virtual clock. Checkpoint: no.
---@return number
function task.now() end

---What a task uses; see `task.usage`.
---@class task.Usage
---@field cpu_s number seconds of the processor
---@field cpu_percent number of one processor, over the duration
---@field memory_bytes number by how much its steps made Lua's heap grow; an estimate
---@field network_bytes_sent integer
---@field network_bytes_received integer
---@field duration_s number

---What a task has used; counting begins with the first call, for all tasks. Checkpoint: no.
---@param t? task.Task default: the running one
---@param subtree? boolean true: everything below it counts, too
---@return task.Usage
function task.usage(t, subtree) end

---The task's own table; a child starts with a copy of it, made when it is spawned. Checkpoint: no.
---@return table<any, any>
function task.local_storage() end

---What a pollable function gives its resumer while the result is not there.
task.POLL_PENDING = {}

---Make a function that, in a coroutine of the script's own, runs `fn(...)` as a task and yields
---`task.POLL_PENDING` at each step until that has ended; called anywhere else it waits. The coroutine's last
---step gives fn's values or raises its error. Checkpoint: no.
---@param fn function
---@return function
function task.pollable(fn) end

return task
