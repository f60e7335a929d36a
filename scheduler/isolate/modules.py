"""What Lua's libraries do in a child that may open no files.

Belongs here: `require`, which asks the parent (which file a name means, and reading it), and the functions
that reach files without opening any. Only modules in the folder of a script that the program itself runs
are read; what a script writes into `package.path` has no say.
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["WITHOUT_FILES", "Modules"]

# A name as `require` takes it: no way out of the folder.
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")

# Limits of the system do not see `os.remove` and `os.rename`, which need no descriptor. The second searcher
# is the one that reads files, in every engine.
WITHOUT_FILES = b"""
local globals, read = ...
local package, load, error = globals.package, load, error
local function refuse()
  return nil, "not permitted in an isolated runtime", 1
end
for library, names in pairs({ os = { "remove", "rename", "tmpname", "execute" }, io = { "popen" } }) do
  for _, name in ipairs(names) do
    if globals[library] and globals[library][name] then
      globals[library][name] = refuse
    end
  end
end
if not package then
  return
end
local searchers = package.searchers or package.loaders
searchers[2] = function(name)
  local path, text = read(name)
  if not text then
    return path
  end
  local chunk, message = load(text, "@" .. path)
  if not chunk then
    error("error loading module '" .. name .. "' from file '" .. path .. "':\\n\\t" .. message, 0)
  end
  return chunk, path
end
"""


class Modules:
    """The folders of the scripts that were run."""

    def __init__(self) -> None:
        self._folders: list[Path] = []

    def look_in(self, folder: str) -> None:
        """Look in `folder` first."""
        self._folders.insert(0, Path(folder))

    def read(self, name: str) -> tuple[str, bytes] | str:
        """Find a module, for the child's `require`.

        Returns:
            The path and the text, or the lines of Lua's message that say where there is none.
        """
        if not _NAME.fullmatch(name):
            return f"\n\tno module can be called {name[:60]!r} in an isolated runtime"
        tried = []
        for folder in self._folders:
            place = folder.joinpath(*name.split("."))
            for file in (place.with_name(place.name + ".lua"), place / "init.lua"):
                try:
                    return str(file), file.read_bytes()
                except OSError:
                    tried.append(f"\n\tno file '{file}'")
        return "".join(tried) or "\n\tan isolated runtime reads modules only beside its script"
