"""The arrows of the design: who may import whom, and where the unsafe things sit."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("scheduler", "bridge", "stdlib_lua")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LUA_FILES = sorted((ROOT / "stdlib_lua").rglob("*.lua"))
# Lower may not import higher.
LEVEL = {"stdlib_lua": 0, "bridge": 1, "scheduler": 2}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> set[str]:
    """Absolute names of the modules that a file imports anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)}:{node.lineno}: relative import"
            assert node.module is not None
            found.add(node.module)
    return found


def code_of(path: Path) -> str:
    """Lua source without comments and strings, lines kept."""
    text = re.sub(
        r"--\[\[.*?\]\]", lambda found: "\n" * found.group().count("\n"), path.read_text(), flags=re.DOTALL
    )
    text = re.sub(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", '""', text)
    return re.sub(r"--[^\n]*", "", text)


def test_the_files_are_found() -> None:
    assert {"scheduler/driver.py", "bridge/vm.py", "stdlib_lua/__init__.py"} <= {name(path) for path in FILES}
    assert "stdlib_lua/kernel.lua" in [name(path) for path in LUA_FILES]


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_point_one_way(path: Path) -> None:
    own = LEVEL[path.relative_to(ROOT).parts[0]]
    back = [module for module in imports(path) if LEVEL.get(module.split(".")[0], -1) > own]
    assert back == []


@pytest.mark.parametrize(
    ("module", "owner"), [("greenlet", "bridge/portal.py"), ("ctypes", "bridge/capi.py")]
)
def test_one_file_imports(module: str, owner: str) -> None:
    users = [name(path) for path in FILES if module in {found.split(".")[0] for found in imports(path)}]
    assert users == [owner]


def test_one_file_knows_lupa() -> None:
    # Modules of lupa are chosen by name at run time, so look at the text.
    users = [
        name(path)
        for path in FILES
        if any(found.split(".")[0] == "lupa" for found in imports(path))
        or re.search(r"[\"']lupa[.\"']", path.read_text())
    ]
    assert users == ["bridge/vm.py"]


def test_errors_is_a_leaf() -> None:
    ours = {module for module in imports(ROOT / "bridge" / "errors.py") if module.split(".")[0] in PACKAGES}
    assert ours == set()


def test_host_modules_know_nothing_of_the_kernel() -> None:
    for path in (ROOT / "bridge" / "modules").rglob("*.py"):
        forbidden = {"bridge.vm", "bridge.portal", "bridge.capi", "lupa", "greenlet", "ctypes"}
        assert imports(path) & forbidden == set(), name(path)


def test_only_the_kernel_yields_raw_and_knows_the_door() -> None:
    """Everything else in Lua is written on the kernel's few functions, as user code would be."""
    yields = [name(path) for path in LUA_FILES if re.search(r"\bcoroutine\s*\.\s*yield\b", code_of(path))]
    door = [
        name(path)
        for path in LUA_FILES
        if re.search(r"""require\s*\(?\s*["']host_door["']""", re.sub(r"--[^\n]*", "", path.read_text()))
    ]
    assert yields == ["stdlib_lua/kernel.lua"]
    # embed.lua closes the door when the runtime ends.
    assert set(door) - {"stdlib_lua/embed.lua"} == {"stdlib_lua/kernel.lua"}


def test_lua_library_uses_what_all_engines_share() -> None:
    """No integer division, bit operators, goto labels, attributes or `table.unpack` without a fallback."""
    shared = re.compile(r"//|<const>|<close>|<<|>>|::\w+::|\bgoto\b|(?<![~<>=])[&|](?!=)")
    offences = [
        f"{name(path)}:{number}: {line.strip()}"
        for path in LUA_FILES
        for number, line in enumerate(code_of(path).splitlines(), 1)
        if shared.search(line)
    ]
    assert offences == []


def test_no_file_names_a_place_of_one_machine() -> None:
    pattern = re.compile(r"(?<![\w.$:/{}-])/(?:home|root|work|Users|private|var/folders|mnt|tmp)/\w")
    suffixes = {".py", ".lua", ".toml", ".md", ".sh", ".yml", ".yaml", ".cfg", ".mjs"}
    hidden = {
        ".git",
        ".venv",
        ".tools",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".hypothesis",
        "build",
        "dist",
    }
    offences = [
        f"{name(path)}:{number}"
        for path in ROOT.rglob("*")
        if path.is_file()
        and (path.suffix in suffixes or path.name in ("Makefile", "run"))
        and not hidden & set(path.relative_to(ROOT).parts)
        and path != Path(__file__)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]
    assert offences == []


def test_public_names_are_exported_and_documented() -> None:
    import scheduler

    undocumented = [
        exported
        for exported in scheduler.__all__
        if exported != "__version__" and not (getattr(scheduler, exported).__doc__ or "").strip()
    ]
    assert undocumented == []
    assert sorted(scheduler.__all__) == scheduler.__all__
