"""The scheduler's Lua side, as data.

Belongs here: the `.lua` files and the one function that reads them. Nothing in this package knows lupa.
"""

import functools
from importlib.resources import files

__all__ = ["sources"]


@functools.cache
def sources() -> dict[str, bytes]:
    """Read every Lua module of the standard library, once per process.

    Returns:
        Module name ("kernel") to UTF-8 source.
    """
    folder = files(__name__)
    return {
        entry.name.removesuffix(".lua"): entry.read_bytes()
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".lua")
    }
