"""The demo: the largest source files of a project, found by Lua tasks that read through trio.

Run: python -m examples.demo [FOLDER]     (from the checkout; FOLDER defaults to the checkout itself)

Python lists and reads, as asynchronous host functions; largest.lua hands the work out, ranks and prints.
"""

import sys
from pathlib import Path

import trio

import scheduler

HERE = Path(__file__).parent


async def list_folder(path: str) -> tuple[list, list]:
    """Return the names of the files and of the folders in `path`, sorted."""
    files, folders = [], []
    for entry in sorted(await trio.Path(path).iterdir()):
        if await entry.is_symlink():
            continue
        (folders if await entry.is_dir() else files).append(entry.name)
    return files, folders


async def read_file(path: str) -> bytes:
    """Return the bytes of a file."""
    return await trio.Path(path).read_bytes()


async def main() -> None:
    """Run largest.lua on the folder named on the command line."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parents[1]
    params = {"folder": str(folder), "terminal": sys.stderr.isatty()}
    async with scheduler.open_runtime(params=params) as runtime:
        runtime.register("files.list", list_folder)
        runtime.register("files.read", read_file)
        await runtime.run(HERE / "largest.lua")


if __name__ == "__main__":
    try:
        trio.run(main)
    except scheduler.LuaError as error:
        sys.exit(error.report())
