"""Paths stay below their root, whatever they are made of and whoever moves things meanwhile."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.confine import PathRefused, open_inside, read_inside, read_module, resolve_inside


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with files and links, and a secret beside it."""
    root = tmp_path / "root"
    (root / "folder" / "deep").mkdir(parents=True)
    (root / "file.txt").write_text("file")
    (root / "folder" / "inner.txt").write_text("inner")
    (root / "ümlaut.txt").write_text("umlaut")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "root-beside").mkdir()
    (tmp_path / "root-beside" / "file.txt").write_text("beside")
    for name, target in {
        "good": "folder/inner.txt",
        "good-folder": "folder",
        "folder/up": "../file.txt",
        "folder/deep/far": "../../folder/up",
        "bad": "../secret.txt",
        "bad-folder": "..",
        "folder/bad": "../../secret.txt",
        "absolute": str(tmp_path / "secret.txt"),
        "absolute-inside": str(root / "file.txt"),
        "ring": "ring2",
        "ring2": "ring",
        "self": ".",
        "dangling": "nothing",
        "beside": "../root-beside/file.txt",
    }.items():
        (root / name).symlink_to(target)
    os.mkfifo(root / "fifo")
    return root


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("file.txt", "file.txt"),
        ("./file.txt", "file.txt"),
        ("folder//inner.txt", "folder/inner.txt"),
        ("folder/../file.txt", "file.txt"),
        ("folder/deep/../../file.txt", "file.txt"),
        ("good", "folder/inner.txt"),
        ("good-folder/inner.txt", "folder/inner.txt"),
        ("good-folder/../file.txt", "file.txt"),
        ("folder/up", "file.txt"),
        ("folder/deep/far", "file.txt"),
        ("self/self/self/file.txt", "file.txt"),
        ("ümlaut.txt", "ümlaut.txt"),
        ("ümlaut.txt".encode(), "ümlaut.txt"),
    ],
)
def test_path_inside_is_resolved_and_opened(root: Path, path: str | bytes, real: str) -> None:
    assert resolve_inside(root, path) == Path(os.path.realpath(root)) / real
    assert read_inside(root, path, 100) == (root / real).read_bytes()


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "it is empty"),
        ("/etc/passwd", "it is absolute"),
        ("//etc/passwd", "it is absolute"),
        ("..", "'..' leads above the root"),
        ("../secret.txt", "'..' leads above the root"),
        ("folder/../../secret.txt", "'..' leads above the root"),
        ("./.././root/file.txt", "'..' leads above the root"),
        ("../root-beside/file.txt", "'..' leads above the root"),
        ("file.txt\0", "it holds a NUL byte"),
        (b"file.txt\0.lua", "it holds a NUL byte"),
        (b"caf\xe9.txt", "byte 3 is not UTF-8"),
        ("\udce9.txt", "character 0 is a lone surrogate"),
        ("bad", "'..' leads above the root"),
        ("bad-folder/secret.txt", "'..' leads above the root"),
        ("folder/bad", "'..' leads above the root"),
        ("good-folder/../../secret.txt", "'..' leads above the root"),
        ("beside", "'..' leads above the root"),
        ("absolute", "the symbolic link 'absolute' is absolute"),
        ("absolute-inside", "the symbolic link 'absolute-inside' is absolute"),
        ("ring", "more than 40 symbolic links"),
        ("self/" * 41 + "file.txt", "more than 40 symbolic links"),
    ],
)
def test_path_that_leads_out_is_refused_by_name_and_reason(root: Path, path: str | bytes, why: str) -> None:
    for function in (resolve_inside, open_inside):
        with pytest.raises(PathRefused) as caught:
            function(root, path)
        assert why in str(caught.value)
        assert repr(path)[:200] in str(caught.value)


def test_long_path_is_shortened_in_the_message(root: Path) -> None:
    with pytest.raises(PathRefused) as caught:
        resolve_inside(root, "/" + "x" * 100_000)
    assert len(str(caught.value)) < 400
    assert "100001 long" in str(caught.value)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("missing/file.txt", FileNotFoundError),
        ("file.txt/", NotADirectoryError),
        ("file.txt/..", NotADirectoryError),
        ("missing/../file.txt", FileNotFoundError),
        ("x" * 300, OSError),
    ],
)
def test_what_the_file_system_says_stays_as_it_is(root: Path, path: str, error: type[OSError]) -> None:
    with pytest.raises(error) as caught:
        open_inside(root, path)
    assert not isinstance(caught.value, PathRefused)


def test_new_file_is_created_inside_and_never_through_a_link(root: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT
    os.close(open_inside(root, "folder/new.txt", flags, 0o600))
    assert (root / "folder" / "new.txt").stat().st_mode & 0o777 == 0o600
    with pytest.raises(PathRefused):
        open_inside(root, "bad", flags)
    with pytest.raises(IsADirectoryError):
        open_inside(root, "folder", flags)
    # A link to a name that is missing creates that name, which is inside.
    os.close(open_inside(root, "dangling", flags))
    assert (root / "nothing").exists()


def test_resolving_a_missing_name_is_allowed_and_the_root_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to("root")
    assert resolve_inside(tmp_path / "alias", "folder/new") == Path(os.path.realpath(root)) / "folder" / "new"
    assert resolve_inside(root, ".") == Path(os.path.realpath(root))
    assert resolve_inside(root, "folder/..") == Path(os.path.realpath(root))


def test_only_regular_files_of_bounded_size_are_read(root: Path) -> None:
    with pytest.raises(PathRefused, match="not a regular file"):
        read_inside(root, "fifo", 100)
    with pytest.raises(PathRefused, match="not a regular file"):
        read_inside(root, "folder", 100)
    with pytest.raises(PathRefused, match="more than 3 bytes"):
        read_inside(root, "file.txt", 3)
    assert read_inside(root, "file.txt", 4) == b"file"


def test_descriptors_are_closed_whatever_happens(root: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for path in (
        "bad",
        "ring",
        "missing/x",
        "folder/deep/far",
        "self/self/../..",
        "fifo",
        "folder",
        "file.txt/x",
    ):
        for function in (lambda p: read_inside(root, p, 100), lambda p: resolve_inside(root, p)):
            with contextlib.suppress(OSError):
                function(path)
    assert len(os.listdir("/proc/self/fd")) == before


SECRET = b"secret"


def prepare_swap(root: Path, trick: str) -> Callable[[], None]:
    """Return what somebody does to the names below the root, once, while a path is walked."""
    inside, outside = root / "folder", root.parent / "elsewhere"
    outside.mkdir()
    (outside / "inner.txt").write_bytes(SECRET)
    (root.parent / "inner.txt").write_bytes(SECRET)

    def swap() -> None:
        if trick == "folder becomes a link":
            inside.rename(root / "spare")
            inside.symlink_to(outside)
        elif trick == "folder moves out":
            (inside / "deep").rename(root.parent / "deep")
        else:
            (inside / "inner.txt").unlink()
            (inside / "inner.txt").symlink_to("../../secret.txt")

    return swap


PATHS = {
    "folder becomes a link": "folder/inner.txt",
    # The parent of the directory that the walk stands in is outside then.
    "folder moves out": "folder/deep/../inner.txt",
    "file becomes a link": "folder/inner.txt",
}


@pytest.mark.parametrize("step", range(9))
@pytest.mark.parametrize("trick", PATHS)
def test_nothing_outside_is_opened_when_names_are_swapped_at_any_step(
    root: Path, monkeypatch: pytest.MonkeyPatch, trick: str, step: int
) -> None:
    """Every interleaving: the swap comes before the first, second, ... system call of the walk."""
    swap = prepare_swap(root, trick)
    calls = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal calls
            if calls == step:
                swap()
            calls += 1
            return function(*args, **options)

        return call

    with monkeypatch.context() as patch:
        for name in ("open", "readlink", "fstat"):
            patch.setattr(os, name, counted(getattr(os, name)))
        try:
            found = read_inside(root, PATHS[trick], 100)
        except (PathRefused, FileNotFoundError, NotADirectoryError):
            found = b"refused"
    assert found in (b"inner", b"refused")
    # Swapped before anything was looked at, it is refused; swapped after the end, it is not.
    if step == 0:
        assert found == b"refused"
    if calls <= step:
        assert found == b"inner"


@pytest.mark.parametrize("trick", ["folder becomes a link", "file becomes a link"])
def test_resolving_first_and_opening_then_is_not_enough(root: Path, trick: str) -> None:
    """Why `open_inside` exists, and that the swaps above do lead out."""
    swap = prepare_swap(root, trick)
    path = resolve_inside(root, PATHS[trick])
    swap()
    assert path.read_bytes() == SECRET


# -- modules beside a script -----------------------------------------------------------------------


def test_module_is_a_file_or_a_folder_beside_the_script(root: Path) -> None:
    (root / "one.lua").write_text("return 1")
    (root / "pack").mkdir()
    (root / "pack" / "init.lua").write_text("return 2")
    (root / "pack" / "part.lua").write_text("return 3")
    assert read_module(root, b"one") == (b"return 1", b"@one.lua")
    assert read_module(root, b"pack") == (b"return 2", b"@pack/init.lua")
    assert read_module(root, b"pack.part") == (b"return 3", b"@pack/part.lua")


@pytest.mark.parametrize(
    "name",
    [b"", b".", b"..", b"a..b", b".a", b"a.", b"../secret", b"/etc/passwd", b"a/b", b"a\\b", b"a\0", b"\xff",
     b"a b", b"x" * 101, b".".join([b"a"] * 11), "ü".encode(), b"a\n"],
)  # fmt: skip
def test_name_that_could_climb_is_no_module(root: Path, name: bytes) -> None:
    source, why = read_module(root, name)
    assert source is None
    assert why.startswith(b"a module's name is made of")


def test_missing_module_is_an_answer_and_no_exception(root: Path) -> None:
    assert read_module(root, b"none") == (
        None,
        b"no file 'none.lua'; no file 'none/init.lua' beside the script",
    )
    assert read_module(None, b"none")[0] is None
    (root / "out.lua").symlink_to("../secret.txt")
    assert read_module(root, b"out") == (None, b"path 'out.lua' refused: '..' leads above the root")
    (root / "big.lua").write_text(" " * 1_048_577)
    assert read_module(root, b"big") == (None, b"path 'big.lua' refused: it has more than 1048576 bytes")
    assert read_module(root / "gone", b"none")[0] is None
