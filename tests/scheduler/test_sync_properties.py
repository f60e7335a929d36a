"""Random programs of tasks that share locks, cut off at random: the rules of `sync` hold.

Hypothesis makes the programs, tests/lua/sync_program.lua runs them and logs, `Model` reads the log entry by
entry. It knows who should hold what from the log alone: queues are lists here.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import scheduler
from scheduler.clock import virtual_clock

SOURCE = (Path(__file__).parents[1] / "lua" / "sync_program.lua").read_text()
PERMITS, RATE, BURST = 3, 2, 3

# -- running -------------------------------------------------------------------------------------


def execute(program: list[Any], engine: str) -> tuple[str, ...]:
    """Run twice, the second time on the measuring path of the kernel: the log must be the same."""
    logs: list[tuple[str, ...]] = []

    async def main(measure: bool) -> None:
        async with scheduler.open_runtime(
            engine=engine, detect_deadlock=True, measure=measure, slice_s=math.inf
        ) as runtime:
            logs.append(tuple(await runtime.run(SOURCE, program)))

    for measure in (False, True):
        trio.run(main, measure, clock=virtual_clock())
    assert logs[0] == logs[1]
    return logs[0]


# -- the rules -----------------------------------------------------------------------------------


@attrs.define
class Want:
    """Somebody waits for something."""

    task: int
    amount: float
    mode: str
    # When somebody behind it said first that it was served: it must have given up by then, and say so before
    # time goes on.
    passed_over: float | None = None


@attrs.define
class Model:
    """Reads a log and objects to whatever breaks a rule."""

    # Object -> those who want it, in order.
    queues: dict[str, list[Want]] = attrs.field(factory=dict)
    # Object -> who holds it.
    holders: dict[str, list[Want]] = attrs.field(factory=dict)
    # Task -> objects it holds, innermost last.
    stacks: dict[int, list[str]] = attrs.field(factory=dict)
    # Who waits for the condition, until `again`; those of them that came before one that was notified, which
    # must have given up; how many were notified and are not back.
    waiting: list[int] = attrs.field(factory=list)
    overtaken: set[int] = attrs.field(factory=set)
    notified: int = 0
    # Who has arrived at the barrier; how many of them its second arrival has let go.
    arrived: list[int] = attrs.field(factory=list)
    let_go: int = 0
    # Times of tokens that were granted.
    tokens: list[tuple[float, float]] = attrs.field(factory=list)
    time: float = 0.0
    left: int = 0

    def read(self, log: tuple[str, ...]) -> None:
        for line in log:
            task, kind, time, *fields = line.split(" ")
            assert float(time) >= self.time, "time went backwards"
            if float(time) > self.time:
                self._rest()
            self.time = float(time)
            getattr(self, f"_{kind}")(int(task), *fields)

    def _rest(self) -> None:
        """Time goes on: everybody waits, and nobody for what is there."""
        for name, queue in self.queues.items():
            if queue and name != "l1":
                first, holders = queue[0], self.holders.get(name, [])
                if name == "s3":
                    there = PERMITS - sum(each.amount for each in holders) >= first.amount
                else:
                    there = not holders or (first.mode == "read" and holders[0].mode == "read")
                assert not there, f"{name} is there for {first}, who waits"

    def _want(self, task: int, name: str, amount: str, mode: str) -> None:
        self.queues.setdefault(name, []).append(Want(task, float(amount), mode))

    def _got(self, task: int, name: str) -> None:
        queue = self.queues[name]
        want = next(want for want in queue if want.task == task)
        # What several hold together it may have got before, in its turn, and say so now.
        shared = name in ("s3", "l1") or want.mode == "read"
        allowed = (None, self.time) if shared else (None,)
        assert want.passed_over in allowed, f"{name}: task {task} came after those behind it"
        for earlier in queue[: queue.index(want)]:
            if earlier.passed_over is None:
                earlier.passed_over = self.time
        queue.remove(want)
        if name == "l1":
            self._grant(want.amount)
        else:
            self._take(name, want)

    def _take(self, name: str, want: Want) -> None:
        holders = self.holders.setdefault(name, [])
        holders.append(want)
        self.stacks.setdefault(want.task, []).append(name)
        if name == "s3":
            assert sum(each.amount for each in holders) <= PERMITS
        elif want.mode == "read":
            assert all(each.mode == "read" for each in holders)
        else:
            assert len(holders) == 1, f"{name} is held by {holders}"

    def _grant(self, amount: float) -> None:
        self.tokens.append((self.time, amount))
        granted = 0.0
        for time, each in reversed(self.tokens):
            granted += each
            room = BURST + RATE * (self.time - time)
            assert granted <= room + 1e-6, f"{granted} tokens within {self.time - time} s"

    def _lost(self, task: int, name: str) -> None:
        self._give_up(task, self.queues[name])

    def _give_up(self, task: int, queue: list[Want]) -> None:
        for want in [want for want in queue if want.task == task]:
            assert want.passed_over in (None, self.time), f"{want} still waited"
            queue.remove(want)

    def _leave(self, task: int, name: str) -> None:
        assert self.stacks[task].pop() == name
        holders = self.holders[name]
        holders.remove(next(want for want in holders if want.task == task))

    def _arrive(self, task: int) -> None:
        self.arrived.append(task)

    def _passed(self, task: int, place: str) -> None:
        if place == "2":
            assert self.arrived[-1] == task
            self.let_go += 1
        elif place == "1":
            self.let_go -= 1
            assert self.let_go >= 0, "the barrier let somebody go alone"
        self.arrived.remove(task)

    def _waits(self, task: int, _name: str) -> None:
        self.waiting.append(task)

    def _notify(self, _task: int, woken: str, wanted: str) -> None:
        assert int(woken) <= int(wanted)
        self.notified += int(woken)

    def _again(self, task: int, name: str, why: str) -> None:
        if why == "notified":
            self.notified -= 1
            assert self.notified >= 0, "woken without a notification"
            assert task not in self.overtaken, f"task {task} came after those behind it"
            self.overtaken.update(self.waiting[: self.waiting.index(task)])
        self.waiting.remove(task)
        self.overtaken.discard(task)
        self._take(name, Want(task, 1, "mutex"))

    def _cut(self, task: int, depth: str) -> None:
        self._end(task, int(depth))

    def _exited(self, task: int, state: str) -> None:
        assert state in ("done", "cancelled"), f"task {task} {state}"
        if state == "done":
            assert self.stacks.get(task, []) == []
        self._end(task, 0)

    def _end(self, task: int, depth: int) -> None:
        """What it was doing is over, but for the locks that it held before."""
        for queue in self.queues.values():
            self._give_up(task, queue)
        while len(self.stacks.get(task, [])) > depth:
            self._leave(task, self.stacks[task][-1])
        for people in (self.arrived, self.waiting):
            if task in people:
                people.remove(task)
        self.overtaken.discard(task)

    def _left(self, _task: int, name: str, waiting: str, held: str, entries: str) -> None:
        assert (waiting, held, entries) == ("0", "free", "0"), f"{name}: {waiting} wait, it is {held}"
        assert self.queues.get(name, []) == []
        assert self.holders.get(name, []) == []
        self.left += 1


def check(program: list[Any], engine: str) -> Model:
    """Run `program` and hold its log against the rules."""
    model = Model()
    model.read(execute(program, engine))
    assert (model.left, model.let_go, model.notified) == (7, 0, 0)
    return model


# -- programs ------------------------------------------------------------------------------------

# Multiples of a quarter: sums are exact, and several tasks wake at the same time.
SECONDS = st.integers(0, 8).map(lambda quarters: quarters / 4)
FOREVER = st.sampled_from([-1, -1, 0.25, 1])
MODES = st.sampled_from(["read", "read", "write"])
SELECTED = st.sampled_from([("m1", "m2"), ("m2", "s3"), ("s3", "l1"), ("l1", "m1")])

LEAVES = st.one_of(
    st.tuples(st.just("sleep"), SECONDS),
    st.tuples(st.just("yield")),
    st.tuples(st.just("cancel"), st.integers(1, 6)),
    st.tuples(st.just("tokens"), st.integers(1, 3), FOREVER),
    st.tuples(st.just("barrier"), SECONDS),
)
# What takes locks one at a time: nested in each other they would be the same lock, an error.
OUTER = st.one_of(
    LEAVES,
    st.tuples(st.just("try_mutex"), st.sampled_from(["m1", "m2"]), SECONDS),
    st.tuples(st.just("try_permits"), st.integers(1, 3), SECONDS),
    st.tuples(st.just("try_rw"), MODES, SECONDS),
    st.tuples(st.just("condition"), FOREVER),
    st.tuples(st.just("notify"), st.integers(1, 3)),
    st.tuples(SELECTED, SECONDS).map(lambda pair: ("select", *pair[0], pair[1])),
)


def inside(names: tuple[str, ...]) -> st.SearchStrategy[Any]:
    """Actions under locks: each lock of `names` may be taken once more, in any order: they may deadlock."""
    if not names:
        return LEAVES
    kinds = [LEAVES, st.tuples(st.just("timeout"), SECONDS, st.lists(LEAVES, min_size=1, max_size=2))]
    for name in names:
        rest = tuple(each for each in names if each != name)
        body = st.lists(st.deferred(lambda rest=rest: inside(rest)), max_size=2)
        if name == "s3":
            kinds.append(st.tuples(st.just("permits"), st.integers(1, 3), body))
        elif name == "r1":
            kinds.append(st.tuples(st.just("rw"), MODES, body))
        else:
            kinds.append(st.tuples(st.just("mutex"), st.just(name), body))
    return st.one_of(kinds)


NESTED = inside(("m1", "m2", "s3", "r1"))
TASK = st.lists(
    st.one_of(
        OUTER,
        NESTED,
        NESTED,
        st.tuples(st.just("timeout"), SECONDS, st.lists(st.one_of(OUTER, NESTED), min_size=1, max_size=3)),
    ),
    min_size=1,
    max_size=5,
)
PROGRAMS = st.lists(TASK, min_size=2, max_size=6)

# The same programs every time.
RULES = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


# While one holds it time goes by, or there would be nobody who waits.
A_WHILE = st.integers(1, 6).map(lambda quarters: quarters / 4)
UNDER = st.one_of(
    st.tuples(st.tuples(st.just("sleep"), A_WHILE)),
    st.tuples(
        st.tuples(st.just("sleep"), A_WHILE),
        st.tuples(st.just("cancel"), st.integers(1, 5)),
        st.tuples(st.just("sleep"), A_WHILE),
    ),
)


def about(*actions: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Programs about one object: what the others find too seldom."""
    some = st.one_of(*actions)
    cut = st.tuples(st.just("timeout"), SECONDS, st.lists(some, min_size=1, max_size=2))
    task = st.lists(st.one_of(some, some, cut, st.tuples(st.just("yield"))), min_size=1, max_size=3)
    return st.lists(task, min_size=3, max_size=5)


CONDITIONS = about(
    st.tuples(st.just("mutex"), st.just("m1"), UNDER),
    st.tuples(st.just("condition"), FOREVER),
    st.tuples(st.just("condition"), FOREVER),
    st.tuples(st.just("notify"), st.integers(1, 3)),
)
READERS_AND_WRITERS = about(
    st.tuples(st.just("rw"), MODES, UNDER),
    st.tuples(st.just("try_rw"), st.sampled_from(["read", "write", "write"]), SECONDS),
)
PERMITS_OF_ONE_AND_MORE = about(
    st.tuples(st.just("permits"), st.just(1), UNDER),
    st.tuples(st.just("try_permits"), st.integers(1, 3), SECONDS),
)


@pytest.mark.slow
@settings(RULES, max_examples=300)
@given(CONDITIONS)
def test_programs_about_a_condition(program: list[Any]) -> None:
    check(program, "lua54")


@pytest.mark.slow
@settings(RULES, max_examples=300)
@given(READERS_AND_WRITERS)
def test_programs_about_a_rwlock(program: list[Any]) -> None:
    check(program, "lua54")


@pytest.mark.slow
@settings(RULES, max_examples=300)
@given(PERMITS_OF_ONE_AND_MORE)
def test_programs_about_a_semaphore(program: list[Any]) -> None:
    check(program, "lua54")


@pytest.mark.slow
@settings(RULES, max_examples=600)
@given(PROGRAMS)
def test_programs_on_lua54(program: list[Any]) -> None:
    check(program, "lua54")


@pytest.mark.slow
@settings(RULES, max_examples=300)
@given(PROGRAMS)
def test_programs_on_lua55(program: list[Any]) -> None:
    check(program, "lua55")


@pytest.mark.slow
@settings(RULES, max_examples=300)
@given(PROGRAMS)
def test_programs_on_luajit(program: list[Any]) -> None:
    check(program, "luajit")


def test_the_log_tells_of_waits_and_cuts(engine: str) -> None:
    """The programs do what they say: a check that reads nothing would pass."""
    program = [
        [("mutex", "m1", [("sleep", 2)]), ("condition", 1)],
        [("timeout", 1, [("mutex", "m1", [])]), ("barrier", 0.5)],
        [("try_mutex", "m1", 0.5), ("permits", 1, [("cancel", 1)]), ("select", "m2", "s3", 1)],
    ]
    log = execute(program, engine)
    assert [line for line in log if line.startswith(("1", "2"))] == [
        "1 want 0 m1 1 mutex",
        "1 got 0 m1",
        "2 want 0 m1 1 mutex",
        "1 exited 0.5 cancelled",
        "2 got 0.5 m1",
        "2 leave 0.5 m1",
        "2 arrive 0.5",
        "2 passed 1 timeout",
        "2 exited 1 done",
    ]
