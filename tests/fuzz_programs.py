"""Lua programs for the fuzzer: mutated from the project's own, or generated. The same seed, the same program.

Belongs here: making text. Does not belong here: running it (fuzz.py).
"""

from __future__ import annotations

import functools
import random
import re
from pathlib import Path

__all__ = ["program"]

ROOT = Path(__file__).parents[1]
SOURCES = ("tests/hostile/*/*.lua", "tests/lua/*.lua", "tests/stress/*.lua", "examples/*.lua")

_TOKEN = re.compile(
    r"--\[\[.*?\]\]|--[^\n]*|\[\[.*?\]\]|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
    r"|[A-Za-z_][A-Za-z_0-9]*|0[xX][0-9a-fA-F.]+|[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
    r"|\.\.\.|\.\.|==|~=|<=|>=|//|::|<<|>>|\s+|.",
    re.DOTALL,
)

# Names that a sandboxed script reaches, and some that it must not.
_LIBRARIES = {
    "": (
        "assert collectgarbage error getmetatable ipairs load next pairs pcall print rawequal "
        "rawget rawlen rawset require select setmetatable tonumber tostring type xpcall warn dofile "
        "sleep"
    ),
    "coroutine": "close create isyieldable resume running status wrap yield",
    "debug": "traceback sethook getinfo getregistry",
    "event": "emit wait",
    "io": "write open read",
    "math": "floor fmod huge max random randomseed tointeger type ult",
    "os": "clock date difftime exit getenv time execute",
    "string": (
        "byte char dump find format gmatch gsub len lower match pack packsize rep reverse sub unpack upper"
    ),
    "table": "concat insert move pack remove sort unpack",
    "task": (
        "all current limit list local_storage map now race scope shield sleep spawn spawn_with timeout yield"
    ),
    "utf8": "char charpattern codepoint codes len offset",
}
_FUNCTIONS = [
    f"{library}.{name}".lstrip(".") for library, names in _LIBRARIES.items() for name in names.split(" ")
]
_NUMBERS = [
    "0", "1", "2", "3", "-1", "0.5", "7", "100", "255", "256", "1000", "65536", "1e5", "1e6",
    "2147483647", "-2147483648", "4294967296", "1e15", "1e308", "-0.0", "0/0", "1/0", "-1/0",
    "math.maxinteger", "math.mininteger", "9007199254740993",
]  # fmt: skip
_STRINGS = [
    '""',
    '"a"',
    '"k"',
    "'%'",
    '"%s%d%99.99f"',
    '"(a*)*b"',
    '"%b()"',
    '"%f[%w]"',
    '"^(.-)*$"',
    '"[^%z]+-"',
    '"n"',
    '"\\0\\255"',
    '("x"):rep(1000)',
    '("(a?)"):rep(30)',
    '"return 1"',
    '"\\27Lua"',
    '"cpu_s"',
    '"__gc"',
    '"%p"',
    '"<i16"',
    '("ab"):rep(5000)',
    '"kill"',
    '"low"',
    '"k" .. ("%s"):rep(40)',
]
_EVENTS = [
    "__index", "__newindex", "__call", "__len", "__eq", "__lt", "__le", "__concat", "__add",
    "__unm", "__tostring", "__name", "__close", "__gc", "__mode",
]  # fmt: skip
_OPERATORS = [
    "+", "-", "*", "/", "%", "^", "//", "&", "|", "~", "<<", ">>", "..", "==", "~=", "<", "<=", ">",
    ">=", "and", "or",
]  # fmt: skip
_METHODS = ["rep", "join", "cancel", "spawn", "gsub", "format", "close", "x"]
_OPTIONS = ["cpu_s", "memory_bytes", "wall_s", "tasks", "output_bytes", "host_calls"]


@functools.cache
def _corpus() -> list[list[str]]:
    files = sorted(path for pattern in SOURCES for path in ROOT.glob(pattern))
    return [_TOKEN.findall(path.read_text()) for path in files]


def program(seed: int) -> str:
    """Return the program of this seed; it need not compile."""
    chance = random.Random(seed)
    if chance.random() < 0.5:
        return _mutated(chance)
    return _Generator(chance).block(chance.randint(2, 6))


# -- mutation --------------------------------------------------------------------------------------


def _is_name(token: str) -> bool:
    return token[0].isalpha() or token[0] == "_"


def _mutated(chance: random.Random) -> str:
    tokens = list(chance.choice(_corpus()))
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        if tokens:
            _mutate(chance, tokens)
    text = "".join(tokens)
    match chance.randrange(8):
        case 0:
            return f"local function body()\n{text}\nend\nwhile true do pcall(body) end"
        case 1:
            return f"coroutine.wrap(function()\n{text}\nend)()"
        case 2:
            return f"for i = 1, 20 do task.spawn(function(...)\n{text}\nend, i) end"
        case 3:
            return f"table.sort({{ 3, 1, 2 }}, function(a, b)\n{text}\nend)"
    return text


def _mutate(chance: random.Random, tokens: list[str]) -> None:
    at = chance.randrange(len(tokens))
    end = min(len(tokens), at + chance.randint(1, 12))
    match chance.randrange(7):
        case 0:
            del tokens[at:end]
        case 1:
            tokens[at:at] = tokens[at:end] * chance.randint(1, 3)
        case 2:
            other = chance.choice(_corpus())
            start = chance.randrange(len(other))
            tokens[at:at] = other[start : start + chance.randint(1, 60)]
        case 3:
            tokens[at:end] = reversed(tokens[at:end])
        case 4 | 5:
            _replace(chance, tokens, re.compile(r"[0-9]").match, _NUMBERS + _STRINGS)
        case 6:
            names = [token for token in tokens if _is_name(token)]
            _replace(chance, tokens, _is_name, names + _FUNCTIONS)


def _replace(chance: random.Random, tokens: list[str], fits: object, choices: list[str]) -> None:
    assert callable(fits)
    places = [index for index, token in enumerate(tokens) if fits(token)]
    if places:
        tokens[chance.choice(places)] = chance.choice(choices)


# -- generation ------------------------------------------------------------------------------------


class _Generator:
    """Makes programs that compile, most of them."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._variables = ["_G", "t", "f"]
        self._depth = 0

    def block(self, length: int) -> str:
        """Statements, one a line."""
        known = list(self._variables)
        lines = [self._statement() for _ in range(length)]
        if not self._depth:
            # One failing statement is not to be the end of all.
            lines = [self._protected(line) for line in lines]
            lines.insert(0, "local t, f = {}, function(...) return ... end")
        self._variables = known
        return "\n".join(lines)

    def _protected(self, statement: str) -> str:
        if statement.startswith("local") or self._chance.random() < 0.2:
            return statement
        return f"print(pcall(function()\n{statement}\nend))"

    def _inner(self) -> str:
        self._depth += 1
        text = self.block(self._chance.randint(1, 3)) if self._depth < 5 else "t = nil"
        self._depth -= 1
        return text

    def _statement(self) -> str:
        chance, value, inner = self._chance, self._value, self._inner
        match chance.randrange(16):
            case 0:
                self._variables.append(f"v{len(self._variables)}")
                return f"local {self._variables[-1]} = {value()}"
            case 1:
                return f"for i = {value()}, {chance.choice(_NUMBERS)} do\n{inner()}\nend"
            case 2:
                return f"while {value()} do\n{inner()}\nend"
            case 3:
                return f"for k, v in {self._call()} do\n{inner()}\nend"
            case 4:
                return f"{self._variable()}[{value()}] = {value()}"
            case 5:
                return f"if {value()} then\n{inner()}\nelse\n{inner()}\nend"
            case 6:
                return f"repeat\n{inner()}\nuntil {value()}"
            case 7:
                return f"do local guard <close> = {self._object()}\n{inner()}\nend"
            case 8:
                return f"pcall(function()\n{inner()}\nend)"
            case 9:
                return f"task.spawn(function()\n{inner()}\nend)"
            case 10:
                option = chance.choice(_OPTIONS)
                return f"print(task.limit({{ {option} = {value()} }}, {self._function()}))"
            case 11:
                return f"{self._variable()} = {value()}"
            case _:
                return f"f({self._call()})"

    def _call(self) -> str:
        chance = self._chance
        arguments = ", ".join(self._value() for _ in range(chance.choice((0, 1, 1, 2, 2, 3, 5))))
        if chance.random() < 0.1:
            return f"({self._value()}):{chance.choice(_METHODS)}({arguments})"
        return f"{chance.choice(_FUNCTIONS)}({arguments})"

    def _variable(self) -> str:
        return self._chance.choice(self._variables)

    def _value(self) -> str:
        self._depth += 1
        try:
            return self._simple() if self._depth > 5 else self._any()
        finally:
            self._depth -= 1

    def _simple(self) -> str:
        return self._chance.choice((*_NUMBERS, *_STRINGS, *self._variables, "nil", "true", "false", "{}"))

    def _any(self) -> str:
        chance = self._chance
        match chance.randrange(12):
            case 0 | 1:
                return f"({self._call()})"
            case 2:
                return self._function()
            case 3:
                return self._object()
            case 4:
                return f"({self._value()} {chance.choice(_OPERATORS)} {self._value()})"
            case 5:
                return f"{{ {self._value()}, {self._value()}, n = {self._value()} }}"
            case 6:
                return chance.choice(_FUNCTIONS)
            case 7:
                return f"coroutine.create({self._function()})"
        return self._simple()

    def _function(self) -> str:
        return f"function(...)\n{self._inner()}\nreturn {self._value()}\nend"

    def _object(self) -> str:
        fields = [
            f"{self._chance.choice(_EVENTS)} = {self._function()}" for _ in range(self._chance.randint(1, 3))
        ]
        return f"setmetatable({{}}, {{ {', '.join(fields)} }})"
