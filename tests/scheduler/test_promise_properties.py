"""Random programs of promises keep their rules, under cancellation and timeouts, in virtual time.

Hypothesis makes the programs (data), tests/lua/promise_program.lua runs them and tells what happened, `judge`
reads that and knows nothing of the library's code.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import scheduler
from scheduler.clock import virtual_clock

SOURCE = (Path(__file__).parents[1] / "lua" / "promise_program.lua").read_text()

Row = list[Any]


def execute(program: list[Any], engine: str) -> list[Row]:
    async def main() -> list[Row]:
        async with scheduler.open_runtime(engine=engine, detect_deadlock=True) as runtime:
            rows: list[Row] = await runtime.run(SOURCE, program)
            return rows

    return trio.run(main, clock=virtual_clock())


# -- the rules -----------------------------------------------------------------------------------

# Reasons that come from a cancellation: nobody must hear of them, and a scope does not raise them.
CANCELLED = "cancelled"


@attrs.define
class Story:
    """What happened, by kind of row."""

    rows: dict[str, list[Row]]
    # Number of a promise -> its state and its value or reason, at the end.
    state: dict[int, str] = attrs.field(factory=dict)
    value: dict[int, str] = attrs.field(factory=dict)

    @staticmethod
    def of(rows: list[Row]) -> Story:
        story = Story(defaultdict(list))
        for kind, *fields in rows:
            story.rows[kind].append(fields)
        for number, state, value, waiting in story.rows["final"]:
            assert waiting == 0, f"promise {number} still has tasks that wait for it"
            story.state[number], story.value[number] = state, value
        return story


def judge(rows: list[Row]) -> None:
    story = Story.of(rows)
    assert story.rows["tasks"] == [[1]], "a task is left"
    check_handlers(story)
    check_waits(story)
    check_rejections(story)


def check_handlers(story: Story) -> None:
    """Each is called at most once, with what its promise was settled with; once if nothing was cancelled."""
    ran: dict[int, tuple[str, str]] = {}
    order: list[int] = []
    for number, which, value in story.rows["ran"]:
        assert number not in ran, f"handler {number} was called twice"
        ran[number] = which, value
        order.append(number)
    registered: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, kind, source, result, scope in story.rows["next"]:
        state, value = story.state[source], story.value[source]
        registered[source, scope].append(number)
        if state == "pending":
            assert number not in ran, f"handler {number} was called before its promise was settled"
            continue
        if number in ran and kind != "finally":
            assert ran[number] == ("ok" if state == "fulfilled" else "err", value)
        if story.value[result] == CANCELLED:
            continue
        assert story.state[result] != "pending" or kind in ("promise", "wait")
        if kind == "pass":
            assert (story.state[result], story.value[result]) == (state, value)
            continue
        assert number in ran, f"handler {number} was not called"
        if kind == "finally":
            assert (story.state[result], story.value[result]) == (state, value)
        elif kind == "raise":
            assert (story.state[result], story.value[result]) == ("rejected", f"e{number}")
        elif kind != "promise":
            assert (story.state[result], story.value[result]) == ("fulfilled", f"h{number}")
    # Those of one promise and one scope, in order of registration.
    place = {number: index for index, number in enumerate(order)}
    for numbers in registered.values():
        places = [place[number] for number in numbers if number in place]
        assert places == sorted(places), f"out of order: {numbers}"


def check_waits(story: Story) -> None:
    """Who waits gets what the promise was settled with, or the timeout while it was pending."""
    promise_of = {number: promise for number, promise, _time in story.rows["await"]}
    answers = Counter(number for number, *_ in story.rows["awaited"])
    assert all(count == 1 for count in answers.values())
    settled_by: dict[int, float] = {}
    for number, how, value, time in story.rows["awaited"]:
        promise = promise_of[number]
        if how == "timeout":
            assert time <= settled_by.get(promise, time), f"promise {promise} was settled before a timeout"
        else:
            assert (story.state[promise], story.value[promise]) == (how, value)
            settled_by.setdefault(promise, time)
    for promises, how, value in story.rows["selected"]:
        assert (how, value) in {(story.state[each], story.value[each]) for each in promises}
    for name, promises, result in story.rows["combine"]:
        check_combination(story, name, promises, result)


def check_combination(story: Story, name: str, promises: list[int], result: int) -> None:
    states = [story.state[each] for each in promises]
    state, value = story.state[result], story.value[result]
    if [result] in story.rows["cancel"]:
        return
    outcomes = {(story.state[each], story.value[each]) for each in promises}
    if name == "race":
        assert (state == "pending") == (set(states) == {"pending"})
        assert state == "pending" or (state, value) in outcomes
    elif name == "all_settled":
        assert state == ("pending" if "pending" in states else "fulfilled")
    else:
        deciding, other = ("rejected", "fulfilled") if name == "all" else ("fulfilled", "rejected")
        if deciding in states:
            assert state == deciding
            assert (state, value) in outcomes
        elif "pending" in states:
            assert state == "pending"
        else:
            assert (state, value) == (other, "list" if name == "all" else "failures")


def check_rejections(story: Story) -> None:
    """Every one is heard somewhere; a scope raises each promise's at most once."""
    raised = Counter(reason for _scope, reasons in story.rows["scope"] for reason in reasons)
    assert CANCELLED not in raised
    # Scopes that were left by a cancellation tell nobody.
    told = len(story.rows["scope"]) == len(story.rows["open"])
    promise_of = {number: promise for number, promise, _time in story.rows["await"]}
    heard = {promise_of[number] for number, how, *_ in story.rows["awaited"] if how != "timeout"}
    heard |= {source for _number, _kind, source, *_ in story.rows["next"]}
    heard |= {source for (source,) in story.rows["given"]}
    heard |= {each for _name, promises, _result in story.rows["combine"] for each in promises}
    heard |= {each for promises, how, _ in story.rows["selected"] if how == "rejected" for each in promises}
    reasons = Counter(story.value[number] for number, state in story.state.items() if state == "rejected")
    for reason, count in raised.items():
        assert count <= reasons[reason], f"{reason} was raised {count} times"
    for number, state in story.state.items():
        reason = story.value[number]
        if state == "rejected" and reason != CANCELLED and told:
            assert number in heard or reason in raised, f"nobody heard of {reason}"


# -- programs ------------------------------------------------------------------------------------

INDEX = st.integers(1, 12)
INDICES = st.lists(INDEX, min_size=1, max_size=3)
# Dyadic, so that sums are exact and ties happen.
SECONDS = st.sampled_from([0, 0.25, 0.5, 1, 2])
TIMEOUT = st.sampled_from([0, 0.25, 1, 3])
KIND = st.sampled_from(["plain", "wait", "raise", "promise", "pass", "finally"])

SIMPLE = st.one_of(
    st.tuples(st.just("new"), st.one_of(st.none(), SECONDS)),
    st.tuples(st.just("resolve"), INDEX),
    st.tuples(st.just("reject"), INDEX),
    st.tuples(st.just("follow"), INDEX, INDEX),
    st.tuples(st.just("next"), INDEX, KIND, SECONDS),
    st.tuples(st.just("next"), INDEX, KIND, SECONDS),
    st.tuples(st.just("await"), INDEX, st.one_of(st.none(), TIMEOUT)),
    st.tuples(st.just("select"), INDICES, TIMEOUT),
    st.tuples(st.just("combine"), st.sampled_from(["all", "all_settled", "any", "race"]), INDICES),
    st.tuples(st.just("cancel"), INDEX),
    st.tuples(st.just("sleep"), SECONDS),
)


def nested(operations: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    body = st.lists(operations, max_size=5)
    return st.one_of(
        operations,
        st.tuples(st.just("run"), body),
        st.tuples(st.just("scope"), body),
        st.tuples(st.just("timeout"), TIMEOUT, body),
    )


PROGRAMS = st.lists(st.lists(st.recursive(SIMPLE, nested, max_leaves=6), max_size=7), min_size=1, max_size=4)
RULES = settings(
    deadline=None,
    derandomize=True,
    database=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
@settings(RULES, max_examples=700)
@given(PROGRAMS)
def test_programs_on_lua54(program: list[Any]) -> None:
    judge(execute(program, "lua54"))


@pytest.mark.slow
@settings(RULES, max_examples=300)
@given(PROGRAMS)
def test_programs_on_lua55(program: list[Any]) -> None:
    judge(execute(program, "lua55"))


@pytest.mark.slow
@settings(RULES, max_examples=400)
@given(PROGRAMS)
def test_programs_on_luajit(program: list[Any]) -> None:
    judge(execute(program, "luajit"))


@pytest.mark.slow
@settings(RULES, max_examples=100)
@given(PROGRAMS)
def test_the_same_program_takes_the_same_course(program: list[Any]) -> None:
    assert execute(program, "lua54") == execute(program, "lua54")


def test_the_judge_objects() -> None:
    """To each kind of breach, in the story of a small program."""
    program = [[("next", 1, "plain", 0), ("next", 1, "plain", 0), ("await", 1, None)], [("resolve", 1)]]
    rows = execute(program, "lua54")
    judge(rows)
    for breach in (
        [row for row in rows if row != ["ran", 2, "ok", "v1"]],
        [*rows, ["ran", 1, "ok", "v1"]],
        [["ran", 1, "err", "v1"] if row[:2] == ["ran", 1] else row for row in rows],
        [["ran", 3 - row[1], *row[2:]] if row[0] == "ran" else row for row in rows],
        [[*row[:3], "other", *row[4:]] if row[0] == "awaited" else row for row in rows],
        [["final", 2, "rejected", "r9", 0] if row[:2] == ["final", 2] else row for row in rows],
        [[*row[:4], 1] if row[0] == "final" else row for row in rows],
        [*rows, ["scope", 9, ["r9"]]],
        [["tasks", 2] if row[0] == "tasks" else row for row in rows],
    ):
        with pytest.raises(AssertionError):
            judge(breach)
