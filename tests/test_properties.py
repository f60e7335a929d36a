"""Random programs of spawn, sleep, event, join, cancel, scope and error keep the kernel's rules.

Hypothesis makes the programs (data), tests/lua/program.lua runs them and logs what happens, `Model` reads
the log entry by entry and knows nothing of the kernel's code: queues are lists here.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import scheduler
from scheduler.clock import virtual_clock
from scheduler.driver import Driver

PROGRAM = Path(__file__).with_name("lua") / "program.lua"
SOURCE = PROGRAM.read_text()

# -- running -------------------------------------------------------------------------------------


@attrs.frozen
class Entry:
    """One line of the log."""

    actor: int
    kind: str
    time: float
    fields: tuple[str, ...]


@attrs.frozen
class Run:
    """What one run of a program left behind."""

    trace: tuple[str, ...]
    error: BaseException | None

    def entries(self) -> list[Entry]:
        split = (line.split(" ") for line in self.trace)
        return [Entry(int(row[0]), row[1], float(row[2]), tuple(row[3:])) for row in split]


# Virtual seconds; no program of ours lasts so long.
FOREVER = 100_000


async def _cut_off(driver: Driver) -> None:
    """End a driver that parked for ever, which no cancellation of trio's can, so that the test fails."""
    await trio.sleep(FOREVER)
    driver.endings.tasks.clear()
    driver.leave()


async def _run(program: list[Any], engine: str, *, measure: bool) -> Run:
    error: BaseException | None = None
    async with trio.open_nursery() as nursery:
        try:
            async with scheduler.open_runtime(
                engine=engine, detect_deadlock=True, measure=measure, slice_s=math.inf
            ) as runtime:
                driver = runtime._driver
                nursery.start_soon(_cut_off, driver)
                await runtime.run(SOURCE, program)
        except Exception as raised:
            error = raised
        assert trio.current_time() < FOREVER, f"hangs: {driver.vm.globals[b'trace'].values()}"
        nursery.cancel_scope.cancel()
    # The kernel has ended, by a deadlock perhaps: read the log where it lies.
    return Run(tuple(line.decode() for line in driver.vm.globals[b"trace"].values()), error)


def execute(program: list[Any], engine: str) -> Run:
    """Run twice, the second time on the measuring path of the kernel: the log must be the same."""
    runs: list[Run] = []

    async def main(measure: bool) -> None:
        runs.append(await _run(program, engine, measure=measure))

    for measure in (False, True):
        trio.run(main, measure, clock=virtual_clock())
    plain, measured = runs
    assert plain.trace == measured.trace
    assert type(plain.error) is type(measured.error)
    assert str(plain.error) == str(measured.error)
    return plain


# -- the rules -----------------------------------------------------------------------------------


@attrs.define
class Wait:
    """A wait the program began."""

    number: str
    actor: int
    what: str
    began: float
    # What could cancel it: "t<task>", "s<scope>", "d<deadline>".
    chain: frozenset[str]
    doomed: bool = False


@attrs.define
class Model:
    """Reads a log and objects to whatever breaks a rule."""

    # Tasks made ready, in order, per priority; FIFO within each.
    ready: dict[str, deque[int]] = attrs.field(factory=lambda: defaultdict(deque))
    priority: dict[int, str] = attrs.field(factory=dict)
    running: int | None = None
    # A task that yields may find itself cancelled and not give the processor up.
    yielding: int | None = None
    alive: set[int] = attrs.field(factory=set)
    ended: set[int] = attrs.field(factory=set)
    parent: dict[int, int] = attrs.field(factory=dict)
    # By the reason of their wait.
    parked: dict[int, str] = attrs.field(factory=dict)
    waits: dict[str, Wait] = attrs.field(factory=dict)
    # The wait each task is in, by its own account.
    current: dict[int, Wait] = attrs.field(factory=dict)
    waiters: dict[str, list[int]] = attrs.field(factory=lambda: defaultdict(list))
    emitting: tuple[str, list[int]] | None = None
    cancelled: set[str] = attrs.field(factory=set)
    chains: dict[int, frozenset[str]] = attrs.field(factory=dict)
    open_scopes: dict[str, int] = attrs.field(factory=dict)
    raised: set[str] = attrs.field(factory=set)
    caught: set[str] = attrs.field(factory=set)
    time: float = 0.0

    def read(self, entries: list[Entry]) -> None:
        main = entries[0].actor
        self.running = main
        self.alive.add(main)
        self.priority[main] = "normal"
        for entry in entries:
            assert entry.time >= self.time, "time went backwards"
            self.time = entry.time
            self._step(entry)
            handler: Callable[..., None] = getattr(self, "_" + entry.kind)
            handler(entry, *entry.fields)
        assert not self.alive, f"never ended: {self.alive}"
        assert not any(self.ready.values()), f"made ready and never run: {self.ready}"

    def _step(self, entry: Entry) -> None:
        """Whoever acts runs now, and ran when its turn had come."""
        actor = entry.actor
        if actor == 0:
            assert self.running is None
            return
        assert actor in self.alive, f"task {actor} acts after its end"
        if self.running == actor:
            return
        assert self.running is None, f"task {actor} acts while {self.running} runs"
        queue = self.ready[self.priority[actor]]
        if self.yielding == actor and queue[0] != actor and entry.kind != "woke":
            assert queue.pop() == actor  # cancelled: raised at once, it did not yield
        else:
            assert queue, f"task {actor} runs but was not made ready"
            assert queue.popleft() == actor, f"task {actor} runs out of turn"
        self.yielding = None
        self.running = actor

    def _make_ready(self, task: int) -> None:
        for queue in self.ready.values():
            assert task not in queue, f"task {task} was made ready twice"
        self.ready[self.priority[task]].append(task)

    # Kernel entries.

    def _spawned(self, _entry: Entry, task: str, owner: str, priority: str) -> None:
        number = int(task)
        assert number not in self.alive
        assert number not in self.ended
        self.alive.add(number)
        self.parent[number] = int(owner)
        self.priority[number] = priority
        self._make_ready(number)

    def _scheduled(self, _entry: Entry, task: str) -> None:
        number = int(task)
        assert number in self.parked, f"task {number} was woken while it did not wait"
        del self.parked[number]
        self._make_ready(number)
        wait = self.current.pop(number, None)
        if wait is None:
            return
        if wait.what.startswith("event:"):
            name = wait.what.split(":")[1]
            if self.emitting and self.emitting[0] == name:
                self.emitting[1].append(number)
            elif number in self.waiters[name]:
                self.waiters[name].remove(number)

    def _parked(self, entry: Entry, task: str, reason: str) -> None:
        number = int(task)
        assert entry.actor == number
        self.parked[number] = reason
        self.running = None
        if reason == "event":
            wait = self.current[number]
            self.waiters[wait.what.split(":")[1]].append(number)

    def _exited(self, entry: Entry, task: str, _state: str) -> None:
        number = int(task)
        assert entry.actor == number
        children = [child for child in self.alive if self.parent.get(child) == number]
        assert not children, f"task {number} ended before its children {children}"
        self.alive.remove(number)
        self.ended.add(number)
        self.running = None

    # The program's own entries.

    def _start(self, entry: Entry, chain: str) -> None:
        self.chains[entry.actor] = _chain(chain)
        stopped = self.chains[entry.actor] & self.cancelled
        assert not stopped, f"task {entry.actor} was cancelled before its start ({stopped}) and ran"

    def _returns(self, _entry: Entry) -> None:
        pass

    def _wait(self, entry: Entry, number: str, what: str, chain: str) -> None:
        wait = Wait(number, entry.actor, what, entry.time, _chain(chain))
        wait.doomed = bool(wait.chain & self.cancelled)
        self.waits[number] = wait
        self.current[entry.actor] = wait
        if what == "yield" or what.startswith("yield:") or what == "sleep:0":
            self._make_ready(entry.actor)
            self.yielding = entry.actor
            self.running = None

    def _woke(self, entry: Entry, number: str, *values: str) -> None:
        wait = self.waits[number]
        assert wait.actor == entry.actor
        self.current.pop(entry.actor, None)
        assert not wait.doomed, f"{wait} ended although it was cancelled"
        for marker in wait.chain:
            if marker[0] == "d":
                assert entry.time <= float(marker[1:]), f"{wait} outlived its deadline"
        kind, *details = wait.what.split(":")
        if kind == "sleep":
            assert entry.time == wait.began + float(details[0]), f"{wait} ended at {entry.time}"
            assert float(values[0]) == float(details[0])
        elif kind == "yield":
            assert entry.time == wait.began
        elif kind == "join":
            assert int(details[0]) in self.ended
        elif kind == "event" and len(details) == 2:
            deadline = wait.began + float(details[1])
            if values[0] == "timeout":
                assert entry.time == deadline, f"{wait} timed out at {entry.time}"
            else:
                assert entry.time <= deadline

    def _emit(self, _entry: Entry, name: str) -> None:
        self.emitting = (name, [])

    def _emitted(self, _entry: Entry, name: str, count: str) -> None:
        assert self.emitting is not None
        assert self.emitting[1] == self.waiters.pop(name, [])
        assert len(self.emitting[1]) == int(count)
        self.emitting = None

    def _cancel(self, _entry: Entry, marker: str) -> None:
        self.cancelled.add(marker)
        for task, wait in self.current.items():
            # What was ready already may still return; what waits must not.
            if task in self.parked and marker in wait.chain:
                wait.doomed = True

    def _open(self, entry: Entry, marker: str) -> None:
        self.open_scopes[marker] = entry.actor

    def _close(self, _entry: Entry, marker: str) -> None:
        inside = [task for task, chain in self.chains.items() if task in self.alive and marker in chain]
        assert not inside, f"scope {marker} ended before its tasks {inside}"

    def _raise(self, _entry: Entry, message: str) -> None:
        self.raised.add(message)

    def _caught(self, _entry: Entry, *words: str) -> None:
        self.caught |= _errors_in(" ".join(words))


def _chain(text: str) -> frozenset[str]:
    return frozenset() if text == "-" else frozenset(text.rstrip(",").split(","))


def _errors_in(text: str) -> set[str]:
    return set(re.findall(r"boom:\d+;", text))


def _surfaced(error: BaseException | None) -> set[str]:
    found = set()
    for leaf in _leaves(error):
        found |= _errors_in(str(leaf))
        for part in getattr(leaf, "errors", ()):
            found |= _surfaced(part)
    return found


def _leaves(error: BaseException | None) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [] if error is None else [error]


def check(program: list[Any], engine: str) -> None:
    """Run `program` and hold its log against the rules."""
    run = execute(program, engine)
    assert run.trace, run.error
    for error in _leaves(run.error):
        assert isinstance(error, (scheduler.LuaError, scheduler.DeadlockError)), error
    model = Model()
    model.read(run.entries())
    lost = model.raised - model.caught - _surfaced(run.error)
    assert not lost, f"errors nobody received: {lost}"


# -- programs ------------------------------------------------------------------------------------

SLOTS = st.integers(0, 4)
EVENTS = st.sampled_from(["a", "b"])
# Multiples of a quarter: sums are exact, and several tasks wake at the same time.
SECONDS = st.integers(0, 8).map(lambda quarters: quarters / 4)
TIMEOUTS = st.sampled_from([-1, -1, 0, 0.25, 1])
WHERE = st.integers(0, 2)
OPTIONS = st.sampled_from([{}, {}, {}, {"background": True}, {"timeout": 0.75}])
CLASSES = st.sampled_from([{}, {"priority": "high"}, {"priority": "low"}])

LEAVES = st.one_of(
    st.tuples(st.just("sleep"), SECONDS),
    st.tuples(st.just("yield")),
    st.tuples(st.just("wait"), EVENTS, TIMEOUTS),
    st.tuples(st.just("emit"), EVENTS, st.just(1)),
    st.tuples(st.just("join"), SLOTS),
    st.tuples(st.just("cancel"), SLOTS),
    st.tuples(st.just("cancel_scope"), WHERE),
    st.tuples(st.just("error"), st.booleans()),
)


def bodies(options: st.SearchStrategy[dict[str, Any]], around: list[str]) -> st.SearchStrategy[list[Any]]:
    """Lists of actions, nested; `around` are the actions that only wrap others."""

    def extend(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        body = st.lists(inner, min_size=1, max_size=4)
        return st.one_of(
            st.tuples(st.just("spawn"), SLOTS, options, WHERE, body),
            st.tuples(st.just("timeout"), SECONDS, body),
            st.tuples(st.sampled_from(around), body),
            LEAVES,
        )

    return st.lists(st.recursive(LEAVES, extend, max_leaves=12), min_size=1, max_size=6)


STRUCTURE = ["scope", "scope", "shield", "pcall", "coroutine"]
CALLBACKS = ["scope", "pcall", "coroutine", "sort", "gsub"]
PLAIN = bodies(OPTIONS, STRUCTURE)
# Waits where Lua cannot yield, and three priorities.
PORTAL = bodies(CLASSES, CALLBACKS)

# The same 10,000 programs every time; together about a minute and a half of processor time.
RULES = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@pytest.mark.slow
@settings(RULES, max_examples=4000)
@given(PLAIN)
def test_programs_on_lua54(program: list[Any]) -> None:
    check(program, "lua54")


@pytest.mark.slow
@settings(RULES, max_examples=1500)
@given(PLAIN)
def test_programs_on_lua55(program: list[Any]) -> None:
    check(program, "lua55")


@pytest.mark.slow
@settings(RULES, max_examples=2000)
@given(PLAIN)
def test_programs_on_luajit(program: list[Any]) -> None:
    check(program, "luajit")


@pytest.mark.slow
@settings(RULES, max_examples=1500)
@given(PORTAL)
def test_programs_with_callbacks_and_priorities_on_lua54(program: list[Any]) -> None:
    check(program, "lua54")


@pytest.mark.slow
@settings(RULES, max_examples=1000)
@given(PORTAL)
def test_programs_with_callbacks_and_priorities_on_luajit(program: list[Any]) -> None:
    check(program, "luajit")


def test_the_log_names_the_priority_of_each_task(engine: str) -> None:
    """It once failed in the observer, so that no program with priorities ever ran."""
    program = [("spawn", 0, {"priority": priority}, 0, [("yield",)]) for priority in ("high", "low")]
    spawned = [entry for entry in execute(program, engine).entries() if entry.kind == "spawned"]
    assert [entry.fields[-1] for entry in spawned] == ["high", "low"]
