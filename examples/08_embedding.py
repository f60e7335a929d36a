"""A trio program that embeds Lua: async host functions, generators, callbacks, events, errors.

Run: python -u examples/08_embedding.py
(-u: Lua prints through C, Python through a buffer of its own; unbuffered, the lines keep their order.)
Time is virtual here, so the output is exact; a real program calls `trio.run(main)`.
"""

from collections.abc import AsyncIterator, Callable

import trio

import scheduler
from scheduler.clock import virtual_clock

SCRIPT = """
local cities = { "Oslo", "Rome", "Cairo" }

-- Three calls at a time: each looks like a plain call and parks only its own task.
local readings = task.map(cities, function(city)
  return { city = city, celsius = weather.get(city) }
end)
for _, reading in ipairs(readings) do
  print(reading.city, reading.celsius)
end

-- An async generator is an iterator.
for n, word in weather.stream("rain then sun") do
  print(n, word)
end

-- A failed host function is an error table, with the Python class as its kind.
local ok, err = pcall(weather.get, "Atlantis")
print(ok, err.kind, err.message)

-- Python may call a Lua function back; the function may wait.
print(weather.average(function(city)
  return weather.get(city)
end, cities))

event.emit("report", #cities, { hottest = "Cairo" })
return "done", task.now()
"""

CELSIUS = {"Oslo": 4, "Rome": 21, "Cairo": 34}


async def get(city: str) -> int:
    """Pretend to ask a server."""
    await trio.sleep(1)
    if city not in CELSIUS:
        raise LookupError(f"no such city: {city}")
    return CELSIUS[city]


async def stream(text: str) -> AsyncIterator[tuple[int, str]]:
    """Send words as they come."""
    for number, word in enumerate(text.split(), 1):
        await trio.sleep(0.5)
        yield number, word


async def average(read: Callable[..., object], cities: list) -> float:
    """Ask Lua for each city, all at once."""
    values = []

    async def ask(city: str) -> None:
        values.append(await read(city))

    async with trio.open_nursery() as nursery:
        for city in cities:
            nursery.start_soon(ask, city)
    return round(sum(values) / len(values), 1)


async def main() -> None:
    """Run the script, and listen to its event meanwhile."""
    async with scheduler.open_runtime() as runtime:
        runtime.register("weather.get", get)
        runtime.register("weather.stream", stream)
        runtime.register("weather.average", average)

        task = runtime.spawn(SCRIPT, name="report")
        report = await runtime.wait_event("report")
        result = await task.join()
        print("Python saw the event:", report)
        print("Python got the result:", result)

        try:
            await runtime.run("local x = nil; return x.field", name="broken")
        except scheduler.LuaError as error:
            print("Python caught:", error.message, "in", error.task)


trio.run(main, clock=virtual_clock())
