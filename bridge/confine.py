"""Confinement of files: paths that stay below a root, whatever they are made of.

Belongs here: resolving, opening and reading inside a root. Functions of their arguments and the file system;
nothing of Lua or trio. The modules that open files for scripts do it through here. (Hosts: confine_net.py.)
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

__all__ = ["PathRefused", "open_inside", "read_inside", "read_module", "resolve_inside"]

# As Linux' MAXSYMLINKS: more symbolic links in one path are taken for a loop.
_MAX_LINKS = 40
# A module beside a script. stdlib_lua/sandbox_code.lua refuses to compile more than this.
_MAX_MODULE_BYTES = 1 << 20
# A directory to look names up in, not to list: O_PATH (Linux) needs no read permission.
_DIRECTORY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC


class PathRefused(OSError):
    """A path leads outside its root, or cannot be a path; the message names it and says why."""

    def __init__(self, path: str | bytes, why: str) -> None:
        super().__init__(errno.EACCES, f"path {_shown(path)} refused: {why}")


def _shown(path: str | bytes) -> str:
    text = repr(path)
    return text if len(text) <= 200 else f"{text[:200]}... ({len(path)} long)"


def _parts(path: str | bytes) -> list[str]:
    if isinstance(path, bytes):
        try:
            text = path.decode()
        except UnicodeDecodeError as error:
            raise PathRefused(path, f"byte {error.start} is not UTF-8") from None
    else:
        text = path
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise PathRefused(path, f"character {error.start} is a lone surrogate") from None
    if not text:
        raise PathRefused(path, "it is empty")
    if "\0" in text:
        raise PathRefused(path, "it holds a NUL byte")
    if text.startswith("/"):
        raise PathRefused(path, "it is absolute; give it relative to the root")
    return text.split("/")


class _Walk:
    """A walk down from a root, one directory descriptor per level.

    `..` goes back to the descriptor it came from and never asks the file system for a parent, so a
    directory that somebody moves meanwhile cannot lead the walk out (the hazard of realpath, then open).
    """

    def __init__(self, root: Path, path: str | bytes) -> None:
        self.path = path
        self.names: list[str] = []
        self.todo = _parts(path)[::-1]
        self.links = 0
        self.fds = [os.open(root, _DIRECTORY)]

    def close(self) -> None:
        while self.fds:
            os.close(self.fds.pop())

    def next_name(self) -> str | None:
        """Return the next name that is neither "." nor "..", or None at the end."""
        while self.todo:
            name = self.todo.pop()
            if name == "..":
                if not self.names:
                    raise PathRefused(self.path, "'..' leads above the root")
                self.names.pop()
                os.close(self.fds.pop())
            elif name not in ("", "."):
                return name
        return None

    def follow(self, name: str) -> bool:
        """Put the target of a symbolic link in front of what is left; False: not a link."""
        try:
            target = os.readlink(name, dir_fd=self.fds[-1])
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                return False
            raise
        self.links += 1
        if self.links > _MAX_LINKS:
            raise PathRefused(self.path, f"more than {_MAX_LINKS} symbolic links")
        if target.startswith("/"):
            raise PathRefused(self.path, f"the symbolic link {name!r} is absolute")
        self.todo.extend(target.split("/")[::-1])
        return True

    def enter(self, name: str) -> None:
        self.fds.append(os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=self.fds[-1]))
        self.names.append(name)

    def leaf(self) -> str:
        """Go down to the last name and return it; "." when the path ends in a directory of the walk."""
        while (name := self.next_name()) is not None:
            if self.follow(name):
                continue
            if not self.todo:
                return name
            self.enter(name)
        return "."


def open_inside(root: Path, path: str | bytes, flags: int = os.O_RDONLY, mode: int = 0o666) -> int:
    """Open `path`, relative to `root`, so that it cannot be anything outside.

    What holds, whoever renames or links what meanwhile: every directory on the way was reached from `root`
    by names alone, symbolic links were read and walked in the same way, and the last step follows none.
    As with openat2(RESOLVE_BENEATH), absolute links are refused even when their target lies inside.
    What does not hold: hard links and bind mounts inside the root lead where they lead.

    Args:
        root: a directory; symbolic links in this path itself are followed, it is the embedder's own.
        path: bytes must be UTF-8.
        flags: of os.open; O_NOFOLLOW, O_CLOEXEC and O_NONBLOCK (a FIFO must not block us) are added.
        mode: of a file that is created.

    Returns:
        A descriptor; the caller closes it.

    Raises:
        PathRefused: absolute, empty, NUL, not UTF-8, "..", or a link that leads outside.
        OSError: what the file system says.
    """
    walk = _Walk(root, path)
    try:
        name = walk.leaf()
        extra = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            return os.open(name, flags | extra, mode, dir_fd=walk.fds[-1])
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise PathRefused(path, f"{name!r} became a symbolic link meanwhile") from None
            raise
    finally:
        walk.close()


def resolve_inside(root: Path, path: str | bytes) -> Path:
    """Return the absolute path without links that `path`, relative to `root`, means now.

    The last name need not exist. The answer is for messages and for comparing paths: it holds at the time
    of the call only. To open a file, use `open_inside`.

    Raises:
        PathRefused: as `open_inside`.
        OSError: a directory on the way is missing or is none.
    """
    walk = _Walk(root, path)
    try:
        name = walk.leaf()
        return Path(os.path.realpath(root), *walk.names, *(() if name == "." else (name,)))
    finally:
        walk.close()


def read_inside(root: Path, path: str | bytes, max_bytes: int) -> bytes:
    """Read a regular file below `root`.

    Raises:
        PathRefused: as `open_inside`; it is not a regular file; it has more than `max_bytes`.
        OSError: what the file system says.
    """
    fd = open_inside(root, path)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise PathRefused(path, "it is not a regular file")
        with open(fd, "rb", closefd=False) as file:
            content = file.read(max_bytes + 1)
    finally:
        os.close(fd)
    if len(content) > max_bytes:
        raise PathRefused(path, f"it has more than {max_bytes} bytes")
    return content


# No name with a slash, a dot at either end or two in a row: it cannot climb even before it is resolved.
_MODULE = re.compile(rb"[A-Za-z0-9_-]{1,100}(?:\.[A-Za-z0-9_-]{1,100}){0,9}")


def read_module(folder: Path | None, name: bytes) -> tuple[bytes, bytes] | tuple[None, bytes]:
    """Find the source of module `name` beside a script, as the sandbox's `require` asks for it.

    Never raises an OSError: Lua calls it, and a Python exception must not travel through a coroutine.

    Args:
        folder: of the script; None for code that has no file.
        name: "a.b" means a/b.lua, then a/b/init.lua.

    Returns:
        Source and chunk name; or None and why there is none.
    """
    if folder is None:
        return None, b"this script is not a file, so no modules lie beside it"
    if not _MODULE.fullmatch(name):
        return None, b"a module's name is made of letters, digits, '_', '-' and single dots"
    base = name.decode().replace(".", "/")
    tried = []
    for candidate in (f"{base}.lua", f"{base}/init.lua"):
        try:
            return read_inside(folder, candidate, _MAX_MODULE_BYTES), f"@{candidate}".encode()
        except (FileNotFoundError, NotADirectoryError):
            tried.append(f"no file '{candidate}'")
        except OSError as error:
            return None, (error.strerror or str(error)).encode(errors="replace")
    return None, ("; ".join(tried) + " beside the script").encode()
