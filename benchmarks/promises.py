"""What does a promise cost: one of a chain, one that is made and awaited, one of many that run together?

Chain: each promise is made of the one before by `next` (`then` in JavaScript); the last one is awaited.
asyncio has no such thing built in: each future's callback sets the next one, as far as it goes without a
class of one's own. Made and awaited: by an executor that resolves it at once. Together: asynchronous
functions that yield once, all awaited as one.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial

from benchmarks import contest
from benchmarks.contenders import in_asyncio, in_node, in_runtime, in_uvloop

# -- a chain -------------------------------------------------------------------------------------

CHAIN = """
local n = ...
local function add(x) return x + 1 end
local began = os.clock()
local p = promise.resolve(0)
for _ = 1, n do
  p = p:next(add)
end
assert(p:await() == n)
return (os.clock() - began) * 1e6 / n
"""

CHAIN_JS = """
let p = Promise.resolve(0)
for (let i = 0; i < n; i++) p = p.then(x => x + 1)
if (await p !== n) throw new Error("wrong")
"""


async def chain(n: int) -> float:
    loop = asyncio.get_running_loop()

    def after(before: asyncio.Future[int]) -> asyncio.Future[int]:
        future: asyncio.Future[int] = loop.create_future()
        before.add_done_callback(lambda done: future.set_result(done.result() + 1))
        return future

    began = time.process_time()
    first: asyncio.Future[int] = loop.create_future()
    first.set_result(0)
    future = first
    for _ in range(n):
        future = after(future)
    assert await future == n
    return (time.process_time() - began) * 1e6 / n


# -- made and awaited ----------------------------------------------------------------------------

AWAIT = """
local n = ...
local began, sum = os.clock(), 0
for i = 1, n do
  sum = sum + promise.new(function(resolve) resolve(i) end):await()
end
return (os.clock() - began) * 1e6 / n
"""

AWAIT_JS = """
let sum = 0
for (let i = 0; i < n; i++) sum += await new Promise(resolve => resolve(i))
"""


async def made_and_awaited(n: int) -> float:
    loop = asyncio.get_running_loop()
    began, total = time.process_time(), 0
    for i in range(n):
        future: asyncio.Future[int] = loop.create_future()
        loop.call_soon(future.set_result, i)
        total += await future
    return (time.process_time() - began) * 1e6 / n


# -- together ------------------------------------------------------------------------------------

TOGETHER = """
local n, k = ...
local yield = task.yield
local function body(i)
  yield()
  return i
end
local began = os.clock()
for _ = 1, n / k do
  local all = {}
  for i = 1, k do
    all[i] = promise.run(body, i)
  end
  assert(promise.all(all):await()[k] == k)
end
return (os.clock() - began) * 1e6 / n
"""

TOGETHER_JS = """
async function body(i) { await null; return i }
for (let round = 0; round < n / k; round++) {
  const all = []
  for (let i = 1; i <= k; i++) all.push(body(i))
  if ((await Promise.all(all))[k - 1] !== k) throw new Error("wrong")
}
"""


async def together(n: int, k: int) -> float:
    async def body(i: int) -> int:
        await asyncio.sleep(0)
        return i

    began = time.process_time()
    for _ in range(n // k):
        values = await asyncio.gather(*(body(i) for i in range(1, k + 1)))
        assert values[-1] == k
    return (time.process_time() - began) * 1e6 / n


def rows(quick: bool) -> list[contest.Row]:
    n, k = (2_000, 100) if quick else (100_000, 1_000)
    return [
        contest.Row(
            "promise: 100,000 chained, each",
            "us",
            {
                "lua54": partial(in_runtime, "lua54", CHAIN, n),
                "luajit": partial(in_runtime, "luajit", CHAIN, n),
                "asyncio": partial(in_asyncio, chain, n),
                "uvloop": partial(in_uvloop, chain, n),
                "node": partial(in_node, CHAIN_JS, n),
            },
        ),
        contest.Row(
            "promise: made and awaited",
            "us",
            {
                "lua54": partial(in_runtime, "lua54", AWAIT, n),
                "luajit": partial(in_runtime, "luajit", AWAIT, n),
                "asyncio": partial(in_asyncio, made_and_awaited, n),
                "uvloop": partial(in_uvloop, made_and_awaited, n),
                "node": partial(in_node, AWAIT_JS, n),
            },
        ),
        contest.Row(
            "promise: of 1,000 functions that yield, together",
            "us",
            {
                "lua54": partial(in_runtime, "lua54", TOGETHER, n, k),
                "luajit": partial(in_runtime, "luajit", TOGETHER, n, k),
                "asyncio": partial(in_asyncio, together, n, k),
                "uvloop": partial(in_uvloop, together, n, k),
                "node": partial(in_node, TOGETHER_JS, n, k),
            },
        ),
    ]


if __name__ == "__main__":
    contest.main("benchmarks.promises")
