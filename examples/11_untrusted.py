"""Scripts that nobody has read: sandboxed, limited, ended, while the program goes on.

Run: python -u examples/11_untrusted.py
(-u: Lua prints through C, Python through a buffer of its own; unbuffered, the lines keep their order.)
In real time: processor time cannot be virtual. `isolate=True` would put Lua into a process of its own.
"""

import trio

import scheduler

SCRIPTS = {
    "honest": "print(weather.get('Oslo')); return 6 * 7",
    "endless": "while true do end",
    "stubborn": "while true do pcall(function() while true do end end) end",
    "inside sort": "while true do pcall(table.sort, {3, 1, 2}, function() while true do end end) end",
    "evil pattern": "return ('a'):rep(50000):find('.-.-.-.-b')",
    "hoarder": "local all = {} while true do all[#all + 1] = {} end",
    "large string": "return #('x'):rep(1e9)",
    "fork bomb": "local function f() while true do task.spawn(f) end end f()",
    "chatter": "while true do print('spam') end",
    "thief": "return io.open('/etc/passwd')",
    "burglar": "return admin.wipe_disk()",
    "forger": "return load('\\27Lua', 'x', 'b')",
}
LIMITS = scheduler.Limits(cpu_s=0.1, memory_bytes=20_000_000, wall_s=30, tasks=1000, output_bytes=4)


async def get_weather(city: str) -> str:
    """Stand for a slow service."""
    await trio.sleep(0.01)
    return city[:4]


def wipe_disk() -> None:
    """Stand for what scripts must not reach: `allow` does not name it."""
    raise AssertionError("not for scripts")


async def main() -> None:
    """Run them one after the other; say how each ended."""
    sandbox = scheduler.Sandbox(allow={"weather"})
    async with scheduler.open_runtime(sandbox=sandbox) as runtime:
        runtime.register("weather.get", get_weather)
        runtime.register("admin.wipe_disk", wipe_disk)
        # A task of the program in the same runtime, which lives through all of it.
        heart = runtime.spawn(
            "local n = 0; while true do task.sleep(0.01); n = n + 1; event.emit('beat', n) end"
        )
        for name, script in SCRIPTS.items():
            limits = scheduler.Limits(cpu_s=1, output_bytes=5) if name == "honest" else LIMITS
            try:
                result = await runtime.run(script, name=name, limits=limits)
                print(f"{name}: {result}")
            except scheduler.LimitReached as error:
                print(f"{name}: ended by its limit of {error.limit}")
            except scheduler.LuaError as error:
                print(f"{name}: {error}")
        beats = await runtime.wait_event("beat")
        print("the heart has gone on beating:", beats > 20)
        heart.cancel()


trio.run(main)
