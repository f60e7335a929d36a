"""What does a message cost, from one task to another; a choice of several; a lock that changes hands?

Ping-pong: two tasks send a value to and fro through two channels without a buffer (asyncio's queues have one
place at least). Fan-in: 1,000 tasks send through one channel of capacity 64 to one. Select: a task waits for
8 channels, another sends to one of them and waits for the answer; trio and gevent have no such thing. Mutex:
10 tasks hold a lock in turn, each while the others run once.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

import trio

from benchmarks import contest
from benchmarks.contenders import in_asyncio, in_raw_lua, in_runtime, in_uvloop

# -- ping-pong -----------------------------------------------------------------------------------

PING_PONG = """
local n = ...
local there, back = channel.new(), channel.new()
local echo = task.spawn(function()
  for _ = 1, n do
    back:send((there:receive()))
  end
end)
task.yield()
local began = os.clock()
for i = 1, n do
  there:send(i)
  back:receive()
end
return (os.clock() - began) * 1e6 / (2 * n)
"""

# The least a channel can be: a slot and who waits for it.
RAW_PING_PONG = """
local n = ...
local function send(slot, value)
  slot.value = value
  local waiter = slot.waiter
  if waiter then
    slot.waiter = nil
    push(waiter)
  end
end
local function receive(slot, me)
  while slot.value == nil do
    slot.waiter = me
    yield()
  end
  local value = slot.value
  slot.value = nil
  return value
end
local there, back = {}, {}
local ping, pong, elapsed
pong = create(function()
  for _ = 1, n do
    send(back, receive(there, pong))
  end
end)
ping = create(function()
  local began = os.clock()
  for i = 1, n do
    send(there, i)
    receive(back, ping)
  end
  elapsed = os.clock() - began
end)
push(pong)
push(ping)
run()
return elapsed * 1e6 / (2 * n)
"""


async def asyncio_ping_pong(n: int) -> float:
    there: asyncio.Queue[int] = asyncio.Queue(1)
    back: asyncio.Queue[int] = asyncio.Queue(1)

    async def echo() -> None:
        for _ in range(n):
            await back.put(await there.get())

    async with asyncio.TaskGroup() as group:
        group.create_task(echo())
        await asyncio.sleep(0)
        began = time.process_time()
        for i in range(n):
            await there.put(i)
            await back.get()
        return (time.process_time() - began) * 1e6 / (2 * n)


async def trio_ping_pong(n: int) -> float:
    there_in, there_out = trio.open_memory_channel[int](0)
    back_in, back_out = trio.open_memory_channel[int](0)

    async def echo() -> None:
        for _ in range(n):
            await back_in.send(await there_out.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo)
        await trio.lowlevel.checkpoint()
        began = time.process_time()
        for i in range(n):
            await there_in.send(i)
            await back_out.receive()
        return (time.process_time() - began) * 1e6 / (2 * n)


def gevent_ping_pong(n: int) -> float:
    import gevent
    from gevent.queue import Channel

    there, back = Channel(), Channel()

    def echo() -> None:
        for _ in range(n):
            back.put(there.get())

    task = gevent.spawn(echo)
    gevent.sleep(0)
    began = time.process_time()
    for i in range(n):
        there.put(i)
        back.get()
    elapsed = time.process_time() - began
    task.join()
    return elapsed * 1e6 / (2 * n)


# -- fan-in --------------------------------------------------------------------------------------

FAN_IN = """
local n, k = ...
local ch = channel.new(64)
for _ = 1, n do
  task.spawn(function()
    for i = 1, k do
      ch:send(i)
    end
  end)
end
local began = os.clock()
for _ = 1, n * k do
  ch:receive()
end
return (os.clock() - began) * 1e6 / (n * k)
"""

RAW_FAN_IN = """
local n, k = ...
local buffer, first, last = {}, 1, 0
local senders, next_sender, last_sender = {}, 1, 0
local receiver, waits, elapsed
for _ = 1, n do
  local me
  me = create(function()
    for i = 1, k do
      while last - first + 1 >= 64 do
        last_sender = last_sender + 1
        senders[last_sender] = me
        yield()
      end
      last = last + 1
      buffer[last] = i
      if waits then
        waits = false
        push(receiver)
      end
    end
  end)
  push(me)
end
receiver = create(function()
  local began = os.clock()
  for _ = 1, n * k do
    while last < first do
      waits = true
      yield()
    end
    buffer[first] = nil
    first = first + 1
    if first > last then
      first, last = 1, 0
    end
    if next_sender <= last_sender then
      push(senders[next_sender])
      senders[next_sender] = nil
      next_sender = next_sender + 1
    end
  end
  elapsed = os.clock() - began
end)
push(receiver)
run()
return elapsed * 1e6 / (n * k)
"""


async def asyncio_fan_in(n: int, k: int) -> float:
    queue: asyncio.Queue[int] = asyncio.Queue(64)

    async def body() -> None:
        for i in range(k):
            await queue.put(i)

    async with asyncio.TaskGroup() as group:
        for _ in range(n):
            group.create_task(body())
        began = time.process_time()
        for _ in range(n * k):
            await queue.get()
        return (time.process_time() - began) * 1e6 / (n * k)


async def trio_fan_in(n: int, k: int) -> float:
    sender, receiver = trio.open_memory_channel[int](64)

    async def body() -> None:
        for i in range(k):
            await sender.send(i)

    async with trio.open_nursery() as nursery:
        for _ in range(n):
            nursery.start_soon(body)
        began = time.process_time()
        for _ in range(n * k):
            await receiver.receive()
        return (time.process_time() - began) * 1e6 / (n * k)


def gevent_fan_in(n: int, k: int) -> float:
    import gevent
    from gevent.queue import Queue

    queue = Queue(64)

    def body() -> None:
        for i in range(k):
            queue.put(i)

    tasks = [gevent.spawn(body) for _ in range(n)]
    began = time.process_time()
    for _ in range(n * k):
        queue.get()
    elapsed = time.process_time() - began
    gevent.joinall(tasks)
    return elapsed * 1e6 / (n * k)


# -- select --------------------------------------------------------------------------------------

SELECT = """
local n = ...
local channels, back = {}, channel.new()
for i = 1, 8 do
  channels[i] = channel.new()
end
task.spawn(function()
  for i = 1, n do
    channels[i % 8 + 1]:send(i)
    back:receive()
  end
end)
local a, b, c, d, e, f, g, h = (table.unpack or unpack)(channels)
local began = os.clock()
for _ = 1, n do
  task.select({
    { a, "receive" }, { b, "receive" }, { c, "receive" }, { d, "receive" },
    { e, "receive" }, { f, "receive" }, { g, "receive" }, { h, "receive" },
  })
  back:send(true)
end
return (os.clock() - began) * 1e6 / n
"""


async def asyncio_select(n: int) -> float:
    queues: list[asyncio.Queue[int]] = [asyncio.Queue(1) for _ in range(8)]
    back: asyncio.Queue[bool] = asyncio.Queue(1)

    async def feed() -> None:
        for i in range(n):
            await queues[i % 8].put(i)
            await back.get()

    async with asyncio.TaskGroup() as group:
        group.create_task(feed())
        began = time.process_time()
        # A getter that was not served goes on waiting: it is made again only for the queue that was.
        getters = {asyncio.ensure_future(queue.get()): queue for queue in queues}
        received = 0
        while received < n:
            done, _ = await asyncio.wait(getters, return_when=asyncio.FIRST_COMPLETED)
            for getter in done:
                received += 1
                queue = getters.pop(getter)
                getters[asyncio.ensure_future(queue.get())] = queue
                await back.put(True)
        elapsed = time.process_time() - began
        for getter in getters:
            getter.cancel()
        return elapsed * 1e6 / n


# -- mutex ---------------------------------------------------------------------------------------

MUTEX = """
local n, k = ...
local mutex, yield = sync.mutex(), task.yield
local began = os.clock()
local ended = 0
task.scope(function()
  for _ = 1, n do
    task.spawn(function()
      for _ = 1, k do
        mutex:lock()
        yield()
        mutex:unlock()
      end
    end)
  end
end)
return (os.clock() - began) * 1e6 / (n * k)
"""

RAW_MUTEX = """
local n, k = ...
local held, waiters, first, last = false, {}, 1, 0
for _ = 1, n do
  local me
  me = create(function()
    for _ = 1, k do
      if held then
        last = last + 1
        waiters[last] = me
        yield()
      end
      held = true
      yield(true)
      if first <= last then
        push(waiters[first])
        waiters[first] = nil
        first = first + 1
      else
        held = false
      end
    end
  end)
  push(me)
end
local began = os.clock()
run()
return (os.clock() - began) * 1e6 / (n * k)
"""


async def asyncio_mutex(n: int, k: int) -> float:
    lock = asyncio.Lock()

    async def body() -> None:
        for _ in range(k):
            async with lock:
                await asyncio.sleep(0)

    began = time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(n):
            group.create_task(body())
    return (time.process_time() - began) * 1e6 / (n * k)


async def trio_mutex(n: int, k: int) -> float:
    lock = trio.Lock()

    async def body() -> None:
        for _ in range(k):
            async with lock:
                await trio.lowlevel.checkpoint()

    began = time.process_time()
    async with trio.open_nursery() as nursery:
        for _ in range(n):
            nursery.start_soon(body)
    return (time.process_time() - began) * 1e6 / (n * k)


def gevent_mutex(n: int, k: int) -> float:
    import gevent
    from gevent.lock import Semaphore

    lock = Semaphore(1)

    def body() -> None:
        for _ in range(k):
            with lock:
                gevent.sleep(0)

    began = time.process_time()
    gevent.joinall([gevent.spawn(body) for _ in range(n)])
    return (time.process_time() - began) * 1e6 / (n * k)


# ------------------------------------------------------------------------------------------------


def _contenders(ours: str, raw: str | None, peers: dict[str, Any], *args: int) -> dict[str, Any]:
    found = {engine: partial(in_runtime, engine, ours, *args) for engine in ("lua54", "luajit")}
    if raw is not None:
        found["raw 54"] = partial(in_raw_lua, "lua54", raw, *args)
        found["raw jit"] = partial(in_raw_lua, "luajit", raw, *args)
    if "asyncio" in peers:
        found["asyncio"] = partial(in_asyncio, peers["asyncio"], *args)
        found["uvloop"] = partial(in_uvloop, peers["asyncio"], *args)
    if "trio" in peers:
        found["trio"] = partial(trio.run, peers["trio"], *args)
    if "gevent" in peers:
        found["gevent"] = partial(peers["gevent"], *args)
    return found


def rows(quick: bool) -> list[contest.Row]:
    round_trips = 2_000 if quick else 250_000
    senders, each = (100, 20) if quick else (1_000, 500)
    choices = 1_000 if quick else 100_000
    turns = 200 if quick else 20_000
    return [
        contest.Row(
            "channel: ping-pong, a message",
            "us",
            _contenders(
                PING_PONG,
                RAW_PING_PONG,
                {"asyncio": asyncio_ping_pong, "trio": trio_ping_pong, "gevent": gevent_ping_pong},
                round_trips,
            ),
            aim_ratio=1.3,
        ),
        contest.Row(
            "channel: 1,000 senders, capacity 64, a message",
            "us",
            _contenders(
                FAN_IN,
                RAW_FAN_IN,
                {"asyncio": asyncio_fan_in, "trio": trio_fan_in, "gevent": gevent_fan_in},
                senders,
                each,
            ),
        ),
        contest.Row(
            "select over 8 channels, a choice",
            "us",
            _contenders(SELECT, None, {"asyncio": asyncio_select}, choices),
        ),
        contest.Row(
            "mutex: 10 tasks, a turn",
            "us",
            _contenders(
                MUTEX,
                RAW_MUTEX,
                {"asyncio": asyncio_mutex, "trio": trio_mutex, "gevent": gevent_mutex},
                10,
                turns,
            ),
        ),
    ]


if __name__ == "__main__":
    contest.main("benchmarks.channels")
