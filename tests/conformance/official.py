"""Run the files of the official Lua 5.4 test suite as scripts of the scheduler.

    python -m tests.conformance.official FOLDER [FILE.lua ...]

FOLDER is `testes` of a Lua 5.4.8 source tree (github.com/lua/lua, tag v5.4.8); it is not part of this
project. Each file is the main task of a run of its own, in the suite's complete mode (`_soft` and `_port`
false). What is not run or left out stands in the tables below and is printed with its reason. A file that
fails is run in plain Lua of the same lupa too: then the output says whether the failure is ours.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import attrs

ROOT = Path(__file__).resolve().parents[2]
GIVE_UP_S = 120

MAIN_THREAD = "asserts that it runs in the main thread; a script is a task, and may yield"

# Statements left out, one line each: line numbers of the file stay what they are.
EXCEPTED = {
    "coroutine.lua": {
        'assert(type(main) == "thread" and ismain)': MAIN_THREAD,
        "assert(not coroutine.isyieldable(main) and not coroutine.isyieldable())": MAIN_THREAD,
        "assert(not pcall(coroutine.yield))": MAIN_THREAD,
    },
    "errors.lua": {
        'checkmessage("coroutine.yield()", "outside a coroutine")': MAIN_THREAD,
    },
}

# Files run in the suite's portable mode, which leaves parts of them out.
PORTABLE = {
    "attrib.lua": "its complete mode loads C modules that must be compiled from FOLDER/libs first",
    "files.lua": "its complete mode needs io.popen, which lupa's Lua is built without",
}

# Files not run.
LEFT_OUT = {
    "all.lua": "runs the other files in one state; here each has its own",
    "heavy.lua": "fills the memory of the machine until Lua gives up",
    "main.lua": "tests the options of the `lua` executable",
}

# Files that end at once in any ordinary build of Lua.
VACUOUS = {
    "api.lua": "needs Lua's internal test library (T); without it the file ends at once",
    "code.lua": "needs Lua's internal test library (T); without it the file ends at once",
}

PRELUDE = """\
local path, name, portable = ...
_soft, _port, _nomsg, T, ARG = false, portable == "portable", true, nil, arg
function Message() end
local file = assert(io.open(path, "rb"))
local text = file:read("a")
file:close()
return assert(load(text, "@" .. name))(name)
"""

PLAIN_LUA = """\
import sys
import lupa.lua54
runtime = lupa.lua54.LuaRuntime(encoding=None, register_eval=False, register_builtins=False)
arguments = [argument.encode() for argument in sys.argv[1:]]
runtime.globals()[b"arg"] = runtime.table(*arguments)
try:
    runtime.eval(b"loadfile")(arguments[0])(*arguments[1:])
except lupa.lua54.LuaError as error:
    sys.exit(str(error))
"""


@attrs.frozen
class Result:
    """How one file ended."""

    # "" when it passed, else the first lines of the error.
    failure: str
    seconds: float


def without_exceptions(name: str, text: str) -> str:
    """Return the file's text with its excepted statements blanked.

    Raises:
        SystemExit: a statement is not there exactly once: another version of the suite.
    """
    for statement in EXCEPTED.get(name, ()):
        if text.count(f"\n{statement}\n") != 1:
            sys.exit(f"{name}: the excepted statement {statement!r} is not there; is this Lua 5.4.8?")
        text = text.replace(f"\n{statement}\n", "\n\n")
    return text


def execute(command: list[str], folder: Path) -> Result:
    """Run one file."""
    began = time.monotonic()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    try:
        # A pipe as stdin: files.lua expects one that cannot seek.
        done = subprocess.run(
            [sys.executable, *command],
            cwd=folder,
            env=environment,
            input=b"",
            capture_output=True,
            timeout=GIVE_UP_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Result(f"no end after {GIVE_UP_S} s", GIVE_UP_S)
    seconds = time.monotonic() - began
    if done.returncode == 0:
        return Result("", seconds)
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return Result("\n    ".join([f"exit code {done.returncode}", *lines[-8:]]), seconds)


def run_file(folder: Path, name: str) -> Result:
    """Run one file under the scheduler; a failure says whether plain Lua fails likewise."""
    text = without_exceptions(name, (folder / name).read_text("latin-1"))
    with tempfile.TemporaryDirectory() as place:
        prelude, patched = Path(place, "prelude.lua"), Path(place, name)
        prelude.write_text(PRELUDE)
        patched.write_text(text, "latin-1")
        script = [str(prelude), str(patched), name, "portable" if name in PORTABLE else "complete"]
        result = execute(["-m", "scheduler", *script], folder)
        if result.failure:
            plain = execute(["-c", PLAIN_LUA, *script], folder)
            verdict = f"plain Lua fails too: {plain.failure}" if plain.failure else "plain Lua passes"
            result = attrs.evolve(result, failure=f"{result.failure}\n    {verdict}")
    return result


def main(arguments: list[str]) -> int:
    """Print a line per file; returns how many failed (at most 100)."""
    if not arguments:
        print(__doc__)
        return 2
    folder = Path(arguments[0]).resolve()
    names = arguments[1:] or sorted(path.name for path in folder.glob("*.lua"))
    if not names:
        sys.exit(f"{folder} holds no .lua files; give the `testes` folder of Lua 5.4.8")
    failed = 0
    for name in names:
        if name in LEFT_OUT:
            print(f"{name:<16} not run   {LEFT_OUT[name]}")
            continue
        result = run_file(folder, name)
        failed += bool(result.failure)
        notes = [table[name] for table in (PORTABLE, VACUOUS) if name in table]
        if name in EXCEPTED:
            notes.append(f"{len(EXCEPTED[name])} statements excepted")
        word = "FAILED" if result.failure else "passed"
        print(f"{name:<16} {word} {result.seconds:5.1f} s  {'; '.join(notes)}".rstrip())
        if result.failure:
            print(f"    {result.failure}")
    print("\nExcepted statements:")
    for name in names:
        for statement, reason in EXCEPTED.get(name, {}).items():
            print(f"  {name}: {statement}\n    {reason}")
    print(f"\n{failed} failed" if failed else "\nall passed")
    return min(failed, 100)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
