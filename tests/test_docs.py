"""The code in the documents runs, and prints the output block that follows it.

A ```lua block is a script, run with a virtual clock. A ```python block is a program, or, without a line
`trio.run(...)` or `scheduler.run(...)`, the body of an `async with scheduler.open_runtime() as runtime:`.
The ```output block after it is stdout, then stderr, then "[exit code N]" unless it is 0.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import attrs
import pytest

import scheduler

ROOT = Path(__file__).parents[1]
# These hold no examples.
PLAIN = {"conformance.md", "design.md", "mission.md", "security.md"}
PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md") if path.name not in PLAIN)
DOCUMENTS = ("README.md", *(f"docs/{name}" for name in PAGES))
# Real seconds after which a hanging program is killed; no test waits for it when all is well.
GIVE_UP_S = 30

# Every trio.run of a program gets a virtual clock of its own, unless it brings one.
_PREAMBLE = """\
import trio
import trio.testing
import scheduler
from scheduler.clock import virtual_clock as _virtual_clock
_run = trio.run
trio.run = lambda *args, **options: _run(*args, **{"clock": _virtual_clock(), **options})
"""
_AROUND = """\
async def _main():
    async with scheduler.open_runtime() as runtime:
{body}
trio.run(_main)
"""


@attrs.frozen
class Example:
    document: str
    line: int
    language: str
    code: str
    # None when no output block follows.
    output: str | None


def read(document: str) -> str:
    return (ROOT / document).read_text()


def examples_of(document: str) -> list[Example]:
    text = (ROOT / document).read_text()
    blocks = list(re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    found = []
    for block, after in zip(blocks, [*blocks, None][1:], strict=True):
        if block[1] in ("lua", "python"):
            follows = after is not None and after[1] == "output"
            line = text.count("\n", 0, block.start()) + 1
            found.append(Example(document, line, block[1], block[2], after[2] if follows else None))
    return found


EXAMPLES = [example for document in DOCUMENTS for example in examples_of(document)]


def program_of(example: Example) -> str:
    code = example.code
    if not re.search(r"\b(trio|scheduler)\.run\(", code):
        code = _AROUND.format(body=textwrap.indent(code, " " * 8))
    return _PREAMBLE + code


def run(example: Example, folder: Path) -> str:
    if example.language == "lua":
        (folder / "example.lua").write_text(example.code)
        words = ["-m", "scheduler", "--virtual-clock", "example.lua"]
    else:
        (folder / "example.py").write_text(program_of(example))
        words = ["-u", "example.py"]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=GIVE_UP_S,
        check=False,
    )
    output = done.stdout.decode() + done.stderr.decode()
    return output + (f"[exit code {done.returncode}]\n" if done.returncode else "")


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example.document}:{example.line}")
def test_example_prints_the_block_that_follows(example: Example, tmp_path: Path) -> None:
    assert example.output is not None, "no ```output block follows"
    assert run(example, tmp_path) == example.output


@pytest.mark.parametrize("document", DOCUMENTS)
def test_document_has_examples(document: str) -> None:
    """The pattern above finds them: an empty parametrization would pass unseen."""
    assert examples_of(document)


META = ROOT / "stdlib_lua" / "meta"

# What the libraries hold, as a script sees it; methods through a task and a scope.
LIST_LIBRARY = """
local found = {}
local function list(prefix, object)
  for name, value in pairs(object) do
    if type(value) == "function" and name:sub(1, 2) ~= "__" then
      found[#found + 1] = prefix .. name
    end
  end
end
local function list_class(prefix, object)
  list(prefix, getmetatable(object).__index)
end
list("task.", task)
list("event.", event)
list("channel.", channel)
list_class("Channel:", channel.new())
local broadcast, stream, emitter = require("broadcast"), require("stream"), require("emitter")
list("broadcast.", broadcast)
list_class("Broadcast:", broadcast.new(1))
list_class("Subscription:", broadcast.new(1):subscribe())
list("stream.", stream)
list_class("Stream:", stream.of({}))
list("emitter.", emitter)
list_class("Emitter:", emitter.new())
list("promise.", promise)
list_class("Promise:", promise.resolve())
list("callback.", require("callback"))
list("sync.", sync)
list_class("Mutex:", sync.mutex())
list_class("Semaphore:", sync.semaphore(1))
list_class("Condition:", sync.condition())
list_class("Rwlock:", sync.rwlock())
list_class("Barrier:", sync.barrier(1))
list_class("Waitgroup:", sync.waitgroup())
list_class("Event:", sync.event())
list_class("Once:", sync.once(print))
list_class("Limiter:", sync.rate_limiter({ per_second = 1 }))
local timer = require("timer")
list("timer.", timer)
list_class("Timer:", timer.after(0, print))
list_class("Calls:", timer.debounce(0, print))
local net = require("net")
list("net.", net)
local server = net.listen({})
list_class("Server:", server)
local conn = net.connect(server:address())
list_class("Conn:", conn)
conn:close()
server:close()
list_class("Task:", task.current())
task.scope(function(scope) list_class("Scope:", scope) end)
return found
"""
# Callable from a script, but for the runtime's own use.
INNER = {"Task:on_deadline", "Scope:on_deadline", "Scope:kill", "Promise:fire", "Limiter:on_deadline"}


def annotated() -> set[str]:
    text = "".join(path.read_text() for path in sorted(META.glob("*.lua")))
    return set(re.findall(r"^function ([\w.:]+)\(", text, re.MULTILINE)) - {"sleep"}


async def test_stubs_annotate_what_the_libraries_hold() -> None:
    async with scheduler.open_runtime() as runtime:
        found = set(await runtime.run(LIST_LIBRARY))
    assert found - INNER == annotated()


def test_every_function_is_documented() -> None:
    """A heading `### `mutex:lock()`, `mutex:unlock()`` of some page names each; classes in small letters."""
    lines = "\n".join(re.findall(r"^### .*", "".join(map(read, DOCUMENTS)), re.MULTILINE))
    headings = re.findall(r"`([\w.:]+)", lines)
    classes = {name: re.sub("^.*:", lambda found: found[0].lower(), name) for name in annotated()}
    names = {name.replace("task:", "t:") for name in classes.values()}
    assert names - set(headings) == set()


def test_links_lead_somewhere() -> None:
    broken = []
    for document in [
        *DOCUMENTS,
        "docs/design.md",
        "docs/security.md",
        "docs/mission.md",
        "examples/README.md",
    ]:
        folder = (ROOT / document).parent
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / document).read_text()):
            if not (folder / target).exists():
                broken.append(f"{document}: {target}")
    assert broken == []


@pytest.mark.parametrize("document", ["docs/security.md", "docs/isolation.md"])
def test_each_promise_names_tests_that_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    hostile = ROOT / "tests" / "hostile"
    sources = "".join(path.read_text() for path in sorted((ROOT / "tests").rglob("*.py")))
    named = re.findall(r"`(test_\w+?)_?(?:\.\.\.)?`", text)
    missing = [name for name in named if not re.search(rf"def {name}", sources)]
    groups = "|".join(sorted(path.name for path in hostile.iterdir()))
    scripts = re.findall(rf"`((?:{groups})/[\w*]+)`", text)
    missing += [name for name in scripts if not list(hostile.glob(f"{name}.lua"))]
    files = re.findall(r"`((?:tests|benchmarks)/[\w/.]+\.(?:py|lua))`", text)
    missing += [name for name in files if not (ROOT / name).exists()]
    assert named
    assert missing == []


def test_the_reading_of_the_kernel_names_what_exists() -> None:
    text = (ROOT / "docs" / "teaching.md").read_text()
    reading = text[text.index("## Now read ours") :]
    table = [line.split("|")[3] for line in reading.splitlines() if re.match(r"\| \d", line)]
    names = set(re.findall(r"`(?:M\.)?([A-Za-z_]+)`", " ".join(table)))
    sources = "".join(path.read_text() for path in sorted((ROOT / "stdlib_lua").glob("*.lua")))
    assert len(names) > 20
    assert names - set(re.findall(r"\w+", sources)) == set()
