"""The fuzzer: thousands of Lua programs, sandboxed and limited; none may harm the process.

    python tests/fuzz.py SECONDS [FIRST_SEED]     fuzz; exit code 1 with findings
    python tests/fuzz.py --one SEED               run one program in this process
    python tests/fuzz.py --show SEED              print it

A finding is a signal, a Python exception that is none of the project's, a crash of the scheduler, a report
of more than 64 kB, or a program that goes on for `PATIENCE_S`. Worker processes run many programs each, every
one in a runtime of its own; one that dies is replaced.
"""

from __future__ import annotations

import os
import resource
import selectors
import subprocess
import sys
import tempfile
import time
import traceback
from typing import IO

import attrs
import trio
from fuzz_programs import program

import scheduler
from scheduler.clock import virtual_clock

__all__ = ["Finding", "Fuzz"]

ENGINES = ("lua54", "lua55")
LIMITS = scheduler.Limits(cpu_s=0.2, memory_bytes=20e6, tasks=2000, output_bytes=1e6, host_calls=10_000)
# Real seconds for 0.2 of the processor on a busy machine, the last resort's grace and the end.
PATIENCE_S = 15.0
REPORT_BYTES = 64 * 1024
# What the limits do not see must not take the machine.
ADDRESS_SPACE = 3 << 30
LAST_RESORT = 4


def engine_of(seed: int) -> str:
    """Engines take turns."""
    return ENGINES[seed % len(ENGINES)]


# -- one program -----------------------------------------------------------------------------------


async def _run(seed: int) -> str:
    async def later(value: object = None) -> object:
        await trio.sleep(0.1)
        return value

    outcome = "done"
    try:
        async with scheduler.open_runtime(
            engine=engine_of(seed),
            detect_deadlock=True,
            sandbox=scheduler.Sandbox(allow=scheduler.Sandbox().allow | {"later", "echo"}),
            limits=LIMITS,
            on_stuck="abort",
        ) as runtime:
            runtime.register("later", later)
            runtime.register("echo", lambda *values: values)
            await runtime.run(program(seed))
    except* scheduler.SchedulerCrash:
        raise
    except* scheduler.LuaError as group:
        for error in _leaves(group):
            report = error.report() if isinstance(error, scheduler.LuaError) else str(error)
            if len(report) > REPORT_BYTES:
                raise AssertionError(f"a report of {len(report)} bytes: {report[:200]!r}") from None
            outcome = type(error).__name__
    except* scheduler.SchedulerError as group:
        outcome = ", ".join(type(error).__name__ for error in _leaves(group))
    return outcome


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found


def run_one(seed: int) -> str:
    """Run the program of this seed; returns how it ended, "PYTHON ..." for what must not happen."""
    try:
        return trio.run(_run, seed, clock=virtual_clock())
    except BaseException as error:
        traceback.print_exc()
        return f"PYTHON {type(error).__name__}: {error}".replace("\n", " ")[:500]


def work(first: int, step: int) -> None:
    """Run every `step`th program from `first` on, for ever; a line before and after each."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    report = os.dup(1)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)  # where Lua prints
    seed = first
    while True:
        os.write(report, b"%d begins\n" % seed)
        outcome = run_one(seed)
        os.write(report, f"{seed} {outcome}\n".encode(errors="replace"))
        seed += step


# -- many ------------------------------------------------------------------------------------------


@attrs.frozen
class Finding:
    """A program that did what none may do."""

    seed: int
    what: str

    def __str__(self) -> str:
        text = program(self.seed)
        return f"seed {self.seed} ({engine_of(self.seed)}): {self.what}\n{text[:3000]}\n"


@attrs.define(eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    seed: int
    began: float
    rest: bytes = b""


@attrs.define(eq=False)
class Fuzz:
    """A run of the fuzzer."""

    first_seed: int = 1
    workers: int = 2
    findings: list[Finding] = attrs.field(factory=list)
    # How often programs ended in each way.
    outcomes: dict[str, int] = attrs.field(factory=dict)
    # Programs whose one call of a C function ended the process, as documented.
    last_resorts: list[int] = attrs.field(factory=list)
    _selector: selectors.BaseSelector = attrs.field(factory=selectors.DefaultSelector)

    def run(self, seconds: float) -> None:
        """Fuzz for so long; blocks."""
        end = time.monotonic() + seconds
        for number in range(self.workers):
            self._start(self.first_seed + number)
        while time.monotonic() < end:
            for key, _ in self._selector.select(0.2):
                self._read(key.data)
            self._look_for_hangs()
        for key in list(self._selector.get_map().values()):
            self._end(key.data)
        self._selector.close()

    def _start(self, seed: int) -> None:
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in _end
        process = subprocess.Popen(
            [sys.executable, __file__, "--work", str(seed), str(self.workers)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONFAULTHANDLER": "1"},
        )
        worker = _Worker(process, errors, seed, time.monotonic())
        assert process.stdout is not None
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)

    def _read(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None
        data = os.read(worker.process.stdout.fileno(), 65536)
        if not data:
            self._died(worker)
            return
        *lines, worker.rest = (worker.rest + data).split(b"\n")
        for line in lines:
            number, _, what = line.decode(errors="replace").partition(" ")
            worker.seed, worker.began = int(number), time.monotonic()
            if what.startswith("PYTHON"):
                self.findings.append(Finding(worker.seed, what))
            elif what != "begins":
                self.outcomes[what] = self.outcomes.get(what, 0) + 1

    def _died(self, worker: _Worker) -> None:
        code = worker.process.wait()  # its pipe has ended: it is on its way out
        worker.errors.seek(0)
        words = worker.errors.read()[-1500:].decode(errors="replace")
        self._end(worker)
        if code == LAST_RESORT:
            self.last_resorts.append(worker.seed)
        else:
            self.findings.append(Finding(worker.seed, f"the process ended with {code}: {words}"))
        self._start(worker.seed + self.workers)

    def _look_for_hangs(self) -> None:
        now = time.monotonic()
        for key in list(self._selector.get_map().values()):
            worker: _Worker = key.data
            if now - worker.began > PATIENCE_S:
                self._end(worker)
                self.findings.append(Finding(worker.seed, f"goes on for {PATIENCE_S} s"))
                self._start(worker.seed + self.workers)

    def _end(self, worker: _Worker) -> None:
        pipe = worker.process.stdout
        assert pipe is not None
        self._selector.unregister(pipe)
        worker.process.kill()
        worker.process.wait()
        pipe.close()
        worker.errors.close()


def main(words: list[str]) -> int:
    """See the module's docstring."""
    match words:
        case ["--work", first, step]:
            work(int(first), int(step))
        case ["--show", seed]:
            print(program(int(seed)))
        case ["--one", seed]:
            print(run_one(int(seed)))
        case [seconds, *rest]:
            fuzz = Fuzz(int(rest[0]) if rest else 1, os.cpu_count() or 1)
            fuzz.run(float(seconds))
            for finding in fuzz.findings:
                print(finding)
            print("programs", sum(fuzz.outcomes.values()), dict(sorted(fuzz.outcomes.items())))
            print("ended by the last resort: seeds", *fuzz.last_resorts)
            print("findings", len(fuzz.findings))
            return 1 if fuzz.findings else 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
