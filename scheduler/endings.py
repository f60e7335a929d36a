"""Endings: which tasks live, and who has heard of which failure.

Belongs here: the rule of `open_runtime` that no error is lost and none is raised twice. Does not belong
here: where tasks run (driver.py, isolate/parent.py).
"""

from __future__ import annotations

from collections.abc import Callable

import outcome

from bridge.errors import TaskCancelled
from scheduler.task import LuaTask

__all__ = ["Endings"]


class Endings:
    """The tasks of one runtime and the errors that its block must raise."""

    def __init__(self, cancel_all: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            cancel_all: cancels every task, with a reason.
        """
        self._cancel_all = cancel_all
        # Live tasks by number.
        self.tasks: dict[int, LuaTask] = {}
        # True: nothing is left that could run tasks.
        self.crashed = False
        # Failed tasks whose error nobody has received, in order of failing.
        self._unheard: dict[LuaTask, BaseException] = {}
        # What ends the runtime whatever its tasks do; the first one counts.
        self.fatal_error: BaseException | None = None
        self._fatal_heard = False
        # Called once when a failure has nobody to receive it.
        self.on_failure: Callable[[], None] | None = None

    def failed(self, task: LuaTask, error: BaseException, *, heard: bool = False) -> None:
        """End a task with an error; cancels everything when nobody waits for it, as a nursery does.

        Args:
            task: which has just ended.
            error: TaskCancelled: it was cancelled, and nobody needs to hear of it.
            heard: somebody on Lua's side has received the error.
        """
        fatal = self.fatal_error
        if fatal is not None and (error.__cause__ is fatal or isinstance(error, TaskCancelled)):
            error = fatal  # the end of the runtime is what ended this task, too
        elif not heard and not isinstance(error, TaskCancelled) and error is not fatal:
            self._unheard[task] = error  # until a joiner has really received it
            if not task.has_joiner:
                self._fail_closed(task)
        task.settle(outcome.Error(error))

    def fatal(self, error: BaseException) -> None:
        """Note what ends the whole runtime."""
        if self.fatal_error is None:
            self.fatal_error = error
        self._cancel_all(type(error).__name__)
        self._notify()

    def crash(self, error: BaseException) -> None:
        """End every task at once: there is nothing left that could run them."""
        self.crashed = True
        if self.fatal_error is None or isinstance(self.fatal_error, Exception):
            self.fatal_error = error
        tasks, self.tasks = self.tasks, {}
        for task in tasks.values():
            task.settle(outcome.Error(error))
        self._notify()

    def heard(self, task: LuaTask) -> None:
        """Note that somebody received the outcome of `task`."""
        self._unheard.pop(task, None)

    def abandoned(self, task: LuaTask) -> None:
        """Note that the last joiner of a failed task was cancelled before it received the error."""
        if task in self._unheard:
            self._fail_closed(task)

    def joined(self, task: LuaTask) -> None:
        """Note that the embedding program received the outcome, which then is not raised again."""
        self.heard(task)
        if self.fatal_error is not None and task.error is self.fatal_error:
            self._fatal_heard = True

    def errors(self, *, body_cut: bool) -> list[BaseException]:
        """Return what must be raised when the runtime ends.

        Args:
            body_cut: the block's body was cancelled, so the fatal error is raised whoever has heard it.
        """
        errors = list(self._unheard.values())
        if self.fatal_error is not None and (body_cut or not self._fatal_heard):
            errors.insert(0, self.fatal_error)
        return errors

    def _fail_closed(self, task: LuaTask) -> None:
        self._cancel_all(f"task {task.name!r} failed")
        self._notify()

    def _notify(self) -> None:
        if self.on_failure is not None:
            notify, self.on_failure = self.on_failure, None
            notify()
