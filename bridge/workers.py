"""Workers: trio tasks that run asynchronous host calls.

Belongs here: the pool and the life of one call. What a call means is in host.py.

Starting a trio task costs 11 us, waking an idle one 2; so tasks are kept. An (async) generator keeps one of
its own for its whole life, so that cancel scopes inside it never change tasks.
"""

from __future__ import annotations

import contextvars
import math
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import outcome
import trio

from bridge.errors import DeadlockError, ScriptExit, TaskCancelled
from bridge.reply import OK, PARKED, RAISED, Reply, raised

__all__ = ["ENDINGS", "Job", "Owner", "Workers", "current_call"]

# Idle workers kept for the next call: each costs about 2 kB, and 20 us to make anew.
MAX_IDLE = 1000

# Number of the host call that the current trio task performs, 0 elsewhere.
current_call: contextvars.ContextVar[int] = contextvars.ContextVar("current_call", default=0)

# What a Lua callback raises in Python when it did not fail but was ended.
ENDINGS = (TaskCancelled, ScriptExit, DeadlockError)


@attrs.define(eq=False)
class Owner:
    """Keeps a worker to itself: every job of an iterator runs in the same trio task."""

    # Made at the first job.
    worker: _Worker | None = None
    # A job is under way; there may be only one at a time.
    busy: bool = False

    @property
    def alive(self) -> bool:
        """Whether its worker has begun and not ended."""
        return self.worker is not None and not self.worker.ended


@attrs.define(eq=False)
class Job:
    """One asynchronous call under way."""

    # Number of the call that a Lua task waits for, None for work nobody waits for (closing a dropped
    # iterator).
    call_id: int | None
    name: str
    work: Awaitable[Any]
    # Turns the awaited value into the reply.
    finish: Callable[[Any], Reply]
    # Set: it runs in this owner's worker.
    owner: Owner | None = None
    # The last job of its owner.
    last: bool = False
    worker: _Worker | None = None
    cancelled: bool = False


class Workers:
    """The workers of one runtime and the calls they run."""

    def __init__(self, *, wake: Callable[[], None], on_fatal: Callable[[BaseException], None]) -> None:
        """Prepare.

        Args:
            wake: tells the driver that a call has completed.
            on_fatal: takes an exception that no script may see (KeyboardInterrupt, SystemExit), and one
                that nobody waits for.
        """
        self._wake = wake
        self._on_fatal = on_fatal
        self._jobs: dict[int, Job] = {}
        self._idle: list[_Worker] = []
        self._completed: list[tuple[int, Reply | None]] = []
        self._nursery: trio.Nursery | None = None

    def open(self, nursery: trio.Nursery) -> None:
        """Start workers in `nursery` from now on."""
        self._nursery = nursery

    def close(self) -> None:
        """Let every idle worker end; busy ones end with their job."""
        for worker in list(self._idle):
            worker.scope.cancel()

    @property
    def pending(self) -> int:
        """Calls under way that a Lua task waits for."""
        return len(self._jobs)

    @property
    def has_completed(self) -> bool:
        """Whether `take_completed` has something."""
        return bool(self._completed)

    def take_completed(self) -> list[tuple[int, Reply | None]]:
        """Return (number of the call, reply) of the calls that ended; reply None means cancelled."""
        completed, self._completed = self._completed, []
        return completed

    def start(self, job: Job) -> Reply:
        """Run `job` in a worker. Checkpoint: no."""
        if job.call_id is not None:
            self._jobs[job.call_id] = job
        owner = job.owner
        if owner is not None:
            assert not owner.busy
            owner.busy = True
        if owner is None:
            if self._idle:
                self._idle.pop().begin(job)
                return PARKED
            worker = _Worker(self, keep=True)
        elif owner.worker is not None and not owner.worker.ended:
            owner.worker.begin(job)
            return PARKED
        else:
            worker = owner.worker = _Worker(self, keep=False)
        assert self._nursery is not None
        self._nursery.start_soon(worker.run, job, name=f"lua host call {job.name}")
        return PARKED

    def cancel(self, call_id: int) -> bool:
        """Cancel the call that a Lua task waits for; False when it has none."""
        job = self._jobs.get(call_id)
        if job is None:
            return False
        if not job.cancelled:
            job.cancelled = True
            if job.worker is not None:
                job.worker.scope.cancel()
        return True

    # -- for the workers -----------------------------------------------------------------------

    def complete(self, job: Job, reply: Reply | None) -> None:
        """Record how a call ended."""
        if job.owner is not None:
            job.owner.busy = False
        if job.call_id is not None:
            del self._jobs[job.call_id]
            self._completed.append((job.call_id, reply))
            if len(self._completed) == 1:
                self._wake()
        elif reply is not None and reply[0] == RAISED:
            self._on_fatal(reply[3])  # nobody waits for it, and it must not be lost

    def fail(self, job: Job, error: BaseException) -> None:
        """Record an exception that ends the whole runtime."""
        self.complete(job, raised(error))
        self._on_fatal(error)

    def keep(self, worker: _Worker) -> bool:
        """Keep an idle worker for the next call; False when there are enough."""
        if len(self._idle) >= MAX_IDLE:
            return False
        self._idle.append(worker)
        return True

    def forget(self, worker: _Worker) -> None:
        """Take a worker that was cancelled while idle out of the pool."""
        if worker in self._idle:
            self._idle.remove(worker)


class _Worker:
    """A trio task that runs asynchronous calls, one after the other."""

    def __init__(self, pool: Workers, *, keep: bool) -> None:
        self._pool = pool
        # Whether other calls may use it: an iterator's worker belongs to the iterator.
        self._keep = keep
        self._task: trio.lowlevel.Task | None = None
        self.scope = trio.CancelScope()
        self.ended = False

    def begin(self, job: Job) -> None:
        """Give an idle worker its next job."""
        assert self._task is not None
        if self._keep:
            # Each call has a context of its own: what one sets in a context variable, the next does not
            # see. All steps of an iterator share one: it may reset what it has set.
            self._task.context = contextvars.copy_context()
        self._task.context.run(current_call.set, job.call_id or 0)
        trio.lowlevel.reschedule(self._task, outcome.Value(job))

    async def run(self, job: Job | None) -> None:
        """Run `job` and what `begin` gives, until nobody keeps it."""
        pool = self._pool
        self._task = trio.lowlevel.current_task()
        current_call.set(job.call_id or 0 if job is not None else 0)
        try:
            with self.scope:
                while job is not None:
                    job.worker = self
                    if job.cancelled:
                        self.scope.cancel()
                    reply: Reply | None
                    try:
                        reply = job.finish(await job.work)
                    except StopAsyncIteration as error:
                        reply = (OK,) if job.owner is not None else raised(error)
                    except trio.Cancelled as error:
                        if trio.current_effective_deadline() == -math.inf:
                            raise
                        reply = raised(error)  # kept by the function and raised where nothing is cancelled
                    except ENDINGS as error:
                        # A Lua callback was cancelled together with this call.
                        reply = None if job.cancelled else raised(error)
                    except Exception as error:
                        reply = raised(error)
                    done, job = job, None
                    pool.complete(done, reply)
                    if done.last or self.scope.cancel_called or (self._keep and not pool.keep(self)):
                        break
                    job = await trio.lowlevel.wait_task_rescheduled(self._abort)
        except Exception as error:
            # What remains of a group after the scope took its Cancelled out.
            if job is None:
                raise
            pool.complete(job, raised(error))
            job = None
        except BaseException as error:
            if job is None or isinstance(error, trio.Cancelled):
                raise
            pool.fail(job, error)
            job = None
        finally:
            self.ended = True
            if job is not None:
                pool.complete(job, None)

    def _abort(self, _raise_cancel: Any) -> trio.lowlevel.Abort:
        self._pool.forget(self)
        return trio.lowlevel.Abort.SUCCEEDED
