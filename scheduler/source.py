"""Scripts as sources: where the text comes from and what Lua may see of it.

Belongs here: reading, `#!` and BOM lines, UTF-8. Does not belong here: running.
"""

from __future__ import annotations

from pathlib import Path

import attrs

__all__ = ["BadSource", "Source"]

_BOM = b"\xef\xbb\xbf"


class BadSource(OSError):
    """The script cannot be read as Lua source; the message names file, line and reason."""


@attrs.frozen
class Source:
    """A script's text, ready to compile."""

    code: bytes
    # Lua's chunk name: "@path" for a file, "=name" otherwise.
    chunk_name: str
    # For people: file name or "string".
    name: str
    # What `arg[0]` is: the path as the user gave it; None for code inside a program, which has no `arg`.
    script: str | None = None
    # Where `require` looks first.
    folder: str | None = None

    @classmethod
    def read(cls, path: Path) -> Source:
        """Read a `.lua` file, or `main.lua` of a folder.

        Raises:
            BadSource: missing, unreadable, or not UTF-8.
        """
        file = path / "main.lua" if path.is_dir() else path
        try:
            code = file.read_bytes()
        except FileNotFoundError:
            what = f"the folder {path} has no main.lua" if path.is_dir() else f"no such script: {path}"
            raise BadSource(what) from None
        except OSError as error:
            raise BadSource(f"cannot read {file}: {error.strerror}") from None
        return cls(_clean(code, str(file)), f"@{file}", file.name, script=str(file), folder=str(file.parent))

    @classmethod
    def of_text(cls, code: str | bytes, name: str = "string", script: str | None = None) -> Source:
        """Take code that has no file; `name` appears in messages as `name:line:`."""
        raw = code.encode() if isinstance(code, str) else code
        return cls(_clean(raw, name), f"={name}", name, script=script)

    @classmethod
    def of(cls, script: str | Path | Source) -> Source:
        """Take Lua source, a path, or what is a Source already.

        Raises:
            BadSource: as `read`.
        """
        if isinstance(script, Source):
            return script
        if isinstance(script, Path):
            return cls.read(script)
        if not isinstance(script, str):
            raise TypeError(f"a script is Lua source (str) or a Path, not {script!r}")
        return cls.of_text(script)


def _clean(code: bytes, name: str) -> bytes:
    code = code.removeprefix(_BOM)
    if code.startswith(b"\x1bLua") or code.startswith(b"\x1bLJ"):
        raise BadSource(f"{name}: this is compiled Lua (bytecode); give the source")
    try:
        code.decode()
    except UnicodeDecodeError as error:
        line = code.count(b"\n", 0, error.start) + 1
        byte = code[error.start]
        raise BadSource(
            f"{name}:{line}: not valid UTF-8 (byte 0x{byte:02x}); save the file as UTF-8, "
            "or write the byte as an escape in a string"
        ) from None
    if code.startswith(b"#"):
        # Keep the line end: line numbers stay right.
        end = code.find(b"\n")
        code = b"" if end < 0 else code[end:]
    return code
