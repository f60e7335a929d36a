---@meta sync
-- Annotations of the `sync` library for the Lua language server; nothing here runs.

---One task at a time. Handed over first come, first served.
---@class sync.Mutex
local Mutex = {}

---Lock; waits while another task holds it. Checkpoint: yes; others only run when it waits.
---Raises when the caller holds it already.
---@param timeout? number seconds; nil waits for ever
---@return true|nil locked nil and "timeout"
---@return "timeout"|nil why
function Mutex:lock(timeout) end

---Lock if that needs no wait. Checkpoint: no.
---@return true|nil locked nil and "locked"
---@return "locked"|nil why
function Mutex:try_lock() end

---Unlock; whoever waits longest has it from now on. Only for the task that holds it. Checkpoint: no.
function Mutex:unlock() end

---Call `fn(...)` with the mutex locked, and unlock whatever becomes of it. Checkpoint: yes.
---@param fn fun(...: any): any
---@param ... any its arguments
---@return any ... its values
function Mutex:with(fn, ...) end

---@class sync.MutexStatistics
---@field locked boolean
---@field owner? task.Task who holds it
---@field waiting integer

---Checkpoint: no.
---@return sync.MutexStatistics
function Mutex:statistics() end

---A number of permits. They have no owner: any task may release them.
---@class sync.Semaphore
local Semaphore = {}

---Take permits; waits until there are enough and it is one's turn. Checkpoint: yes.
---@param n? integer how many; 1
---@param timeout? number seconds; nil waits for ever
---@return true|nil taken nil and "timeout"
---@return "timeout"|nil why
function Semaphore:acquire(n, timeout) end

---Take permits if that needs no wait. Checkpoint: no.
---@param n? integer how many; 1
---@return true|nil taken nil and "exhausted"
---@return "exhausted"|nil why
function Semaphore:try_acquire(n) end

---Give permits; who waits longest gets them. Checkpoint: no.
---@param n? integer how many; 1
function Semaphore:release(n) end

---Call `fn(...)` with one permit, and release it whatever becomes of it. Checkpoint: yes.
---@param fn fun(...: any): any
---@param ... any its arguments
---@return any ... its values
function Semaphore:with(fn, ...) end

---@class sync.SemaphoreStatistics
---@field permits integer that are free
---@field waiting integer

---Checkpoint: no.
---@return sync.SemaphoreStatistics
function Semaphore:statistics() end

---Waits for a change of what a mutex guards.
---@class sync.Condition
---@field mutex sync.Mutex
local Condition = {}

---Give the mutex up, wait for a notification, lock the mutex again. Checkpoint: yes.
---The mutex is held again afterwards, also after a timeout or a cancellation.
---@param timeout? number seconds; nil waits for ever
---@return true|nil notified nil and "timeout"
---@return "timeout"|nil why
function Condition:wait(timeout) end

---Wake those who wait longest. The caller must hold the mutex. Checkpoint: no.
---@param n? integer how many; 1
---@return integer woken
function Condition:notify(n) end

---Wake everybody. The caller must hold the mutex. Checkpoint: no.
---@return integer woken
function Condition:notify_all() end

---@class sync.ConditionStatistics
---@field waiting integer

---Checkpoint: no.
---@return sync.ConditionStatistics
function Condition:statistics() end

---Many read or one writes; first come, first served among both.
---@class sync.Rwlock
local Rwlock = {}

---Lock for reading; waits while somebody writes or waits to write. Checkpoint: yes.
---@param timeout? number seconds; nil waits for ever
---@return true|nil locked nil and "timeout"
---@return "timeout"|nil why
function Rwlock:read_lock(timeout) end

---Lock for writing: alone. Checkpoint: yes.
---@param timeout? number seconds; nil waits for ever
---@return true|nil locked nil and "timeout"
---@return "timeout"|nil why
function Rwlock:write_lock(timeout) end

---Lock for reading if that needs no wait. Checkpoint: no.
---@return true|nil locked nil and "locked"
---@return "locked"|nil why
function Rwlock:try_read_lock() end

---Lock for writing if that needs no wait. Checkpoint: no.
---@return true|nil locked nil and "locked"
---@return "locked"|nil why
function Rwlock:try_write_lock() end

---End reading. Only for a task that reads. Checkpoint: no.
function Rwlock:read_unlock() end

---End writing. Only for the task that writes. Checkpoint: no.
function Rwlock:write_unlock() end

---Call `fn(...)` while reading, and unlock whatever becomes of it. Checkpoint: yes.
---@param fn fun(...: any): any
---@param ... any its arguments
---@return any ... its values
function Rwlock:with_read(fn, ...) end

---Call `fn(...)` while writing, and unlock whatever becomes of it. Checkpoint: yes.
---@param fn fun(...: any): any
---@param ... any its arguments
---@return any ... its values
function Rwlock:with_write(fn, ...) end

---@class sync.RwlockStatistics
---@field readers integer
---@field writer? task.Task
---@field waiting integer

---Checkpoint: no.
---@return sync.RwlockStatistics
function Rwlock:statistics() end

---So many tasks go on together.
---@class sync.Barrier
local Barrier = {}

---Arrive, and wait until all have. Checkpoint: yes.
---@param timeout? number seconds; nil waits for ever
---@return integer|nil place in the order of arrival, the number of tasks for the last one; nil and "timeout"
---@return "timeout"|nil why
function Barrier:wait(timeout) end

---@class sync.BarrierStatistics
---@field parties integer how many must arrive
---@field waiting integer

---Checkpoint: no.
---@return sync.BarrierStatistics
function Barrier:statistics() end

---Waits until as many are done as were added.
---@class sync.Waitgroup
local Waitgroup = {}

---So many more will be done. Checkpoint: no.
---@param n? integer 1
function Waitgroup:add(n) end

---One is done; the last one wakes who waits. Checkpoint: no.
function Waitgroup:done() end

---Wait until all are done. Checkpoint: yes.
---@param timeout? number seconds; nil waits for ever
---@return true|nil done nil and "timeout"
---@return "timeout"|nil why
function Waitgroup:wait(timeout) end

---@class sync.WaitgroupStatistics
---@field count integer not done
---@field waiting integer

---Checkpoint: no.
---@return sync.WaitgroupStatistics
function Waitgroup:statistics() end

---A flag to wait for; it stays set. (Named events that carry values: `event`.)
---@class sync.Event
local Event = {}

---Set it; everybody who waits goes on. Checkpoint: no.
---@return boolean first false when it was set already
function Event:set() end

---From now on one waits again. Checkpoint: no.
function Event:clear() end

---Checkpoint: no.
---@return boolean
function Event:is_set() end

---Wait until it is set; not at all when it is. Checkpoint: yes.
---@param timeout? number seconds; nil waits for ever
---@return true|nil set nil and "timeout"
---@return "timeout"|nil why
function Event:wait(timeout) end

---@class sync.EventStatistics
---@field set boolean
---@field waiting integer

---Checkpoint: no.
---@return sync.EventStatistics
function Event:statistics() end

---A function that runs once; call the object itself, or its method `call`.
---@class sync.Once
---@overload fun(...: any): ...: any
local Once = {}

---Run the function, or wait for the task that does, or take what is known. Checkpoint: yes.
---@param ... any arguments, if this call is the one that runs it
---@return any ... its values; its error is raised
function Once:call(...) end

---Wait until it has run, without running it. Checkpoint: yes.
---@param timeout? number seconds; nil waits for ever
---@return any ... its values; its error is raised; nil and "timeout"
function Once:wait(timeout) end

---@class sync.OnceStatistics
---@field state "new"|"running"|"done"|"failed"
---@field waiting integer

---Checkpoint: no.
---@return sync.OnceStatistics
function Once:statistics() end

---So many per second, so many at once.
---@class sync.Limiter
local Limiter = {}

---Take tokens; waits until they are there and it is one's turn. Checkpoint: yes.
---@param n? number how many, not more than the burst; 1
---@param timeout? number seconds; nil waits for ever
---@return true|nil taken nil and "timeout"
---@return "timeout"|nil why
function Limiter:acquire(n, timeout) end

---Take tokens if they are there. Checkpoint: no.
---@param n? number how many, not more than the burst; 1
---@return true|nil taken nil and "exhausted"
---@return "exhausted"|nil why
function Limiter:try_acquire(n) end

---@class sync.LimiterStatistics
---@field per_second number
---@field burst number
---@field available number tokens that are there
---@field waiting integer

---Checkpoint: no.
---@return sync.LimiterStatistics
function Limiter:statistics() end

---What tasks need that share something.
---@class synclib
sync = {}

---@param name? string for reports
---@return sync.Mutex
function sync.mutex(name) end

---@param n integer permits at first, 0 or more
---@param name? string for reports
---@return sync.Semaphore
function sync.semaphore(n, name) end

---@param mutex? sync.Mutex nil makes one
---@param name? string for reports
---@return sync.Condition
function sync.condition(mutex, name) end

---@param name? string for reports
---@return sync.Rwlock
function sync.rwlock(name) end

---@param n integer how many tasks must arrive, at least 1
---@param name? string for reports
---@return sync.Barrier
function sync.barrier(n, name) end

---@param name? string for reports
---@return sync.Waitgroup
function sync.waitgroup(name) end

---@param name? string for reports
---@return sync.Event
function sync.event(name) end

---@param fn fun(...: any): any
---@param name? string for reports
---@return sync.Once
function sync.once(fn, name) end

---@class sync.LimiterOptions
---@field per_second number tokens that come in a second
---@field burst? number tokens that gather in a pause, at least 1; 1
---@field name? string for reports

---@param options sync.LimiterOptions
---@return sync.Limiter
function sync.rate_limiter(options) end

return sync
