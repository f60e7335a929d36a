"""Lua in a process of its own: a runtime that can crash, run out of memory and be killed without us.

Belongs here: what is cheap to import. `open_isolated` is in opening.py, which needs msgspec.
"""

from scheduler.isolate.errors import IsolateDied
from scheduler.isolate.limits import ProcessLimits

__all__ = ["IsolateDied", "ProcessLimits"]
