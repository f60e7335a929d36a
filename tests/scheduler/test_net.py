"""The `net` library as scripts see it: real sockets on the loopback, in virtual time."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from conftest import Lua, Shell, opened

import scheduler
from scheduler import DeadlockError, Sandbox

# What most tests begin with: a server that runs `handler`, and its port.
SERVE = """
local net = require("net")
local function serving(handler, options)
  options = options or {}
  options.host = "127.0.0.1"
  local server = assert(net.listen(options))
  local _, port = server:address()
  local t = task.spawn(function() return server:serve(handler) end)
  return server, port, t
end
local function echo(s)
  while true do
    local data = s:read()
    if not data then return end
    s:write(data)
  end
end
"""


class Peer:
    """A blocking socket in a thread: the other side, that knows nothing of us."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self._threads: list[threading.Thread] = []

    def serve(self, handle: Any, connections: int = 1) -> None:
        def run() -> None:
            for _ in range(connections):
                connection, _address = self.listener.accept()
                with connection:
                    connection.settimeout(20)
                    handle(connection)

        thread = threading.Thread(target=run)
        thread.start()
        self._threads.append(thread)

    def close(self) -> None:
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()
        self.listener.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    found = Peer()
    yield found
    found.close()


def reset(connection: socket.socket) -> None:
    """Close so that the other side sees a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


# -- the ordinary --------------------------------------------------------------------------------


async def test_an_echo_keeps_bytes_as_they_are(lua: Lua) -> None:
    every = bytes(range(256)) * 3
    assert await lua(
        SERVE
        + """
        local server, port = serving(echo)
        local s = assert(net.connect("127.0.0.1", port))
        s:write(...)
        local back = s:read_exactly(#...)
        s:shutdown()
        local rest, err = s:read()
        s:close()
        server:close()
        return { back == ..., rest == nil, err == nil }
    """,
        every,
    ) == [True, True, True]


async def test_reading_by_line_length_and_separator(lua: Lua) -> None:
    assert await lua(
        SERVE
        + r"""
        local server, port = serving(function(s)
          s:write("one\r\ntwo\n\nfo")
          task.sleep(1)
          s:write("ur\r", "\nabcdefgh--", 12, "-|-", "rest\nlast")
        end)
        local s, log = assert(net.connect("127.0.0.1", port)), {}
        local function note(value, err) log[#log + 1] = value or (err and err.kind) or "end" end
        note(s:read_line())
        note(s:read_line())
        note(s:read_line())
        note(s:read_line())
        note(s:read_exactly(3))
        note(s:read(2))
        note(s:read_until("-|-"))
        note(s:read_exactly(0))
        note(s:read_line())
        note(s:read_line())
        note(s:read_line())
        note(s:read())
        s:close()
        server:close()
        return log
    """
    ) == ["one", "two", "", "four", "abc", "de", "fgh--12", "", "rest", "last", "end", "end"]


async def test_what_is_missing_comes_along_in_the_error(lua: Lua) -> None:
    assert await lua(
        SERVE
        + """
        local server, port = serving(function(s) s:write("abc") end)
        local log = {}
        for _, method in ipairs({ "read_exactly", "read_until" }) do
          local s = assert(net.connect("127.0.0.1", port))
          local value, err = s[method](s, method == "read_exactly" and 10 or "--")
          log[#log + 1] = tostring(value)
          log[#log + 1] = err.kind
          log[#log + 1] = err.partial
          log[#log + 1] = tostring(s:read())
          s:close()
        end
        server:close()
        return log
    """
    ) == ["nil", "eof", "abc", "nil", "nil", "eof", "abc", "nil"]


async def test_a_line_that_is_too_long_is_an_error_and_stays(lua: Lua) -> None:
    assert await lua(
        SERVE
        + r"""
        local server, port = serving(function(s) s:write("123456\nabc\n", ("x"):rep(300000)) end)
        local s, log = assert(net.connect("127.0.0.1", port)), {}
        local function note(value, err) log[#log + 1] = value or err.kind end
        note(s:read_line(5))
        note(s:read_line(6))
        note(s:read_until("\n", 2))
        note(s:read_until("\n", 3))
        note(s:read_line(1000))
        note(#s:read_exactly(300000))
        s:close()
        server:close()
        return log
    """
    ) == ["limit", "123456", "limit", "abc", "limit", 300000]


async def test_lines_iterates_and_raises_what_is_no_end(lua: Lua, peer: Peer) -> None:
    def handle(connection: socket.socket) -> None:
        connection.sendall(b"a\nb\n")
        connection.recv(1)
        reset(connection)

    peer.serve(handle)
    assert await lua(
        SERVE
        + """
        local s, log = assert(net.connect("127.0.0.1", ...)), {}
        local ok, err = pcall(function()
          for line in s:lines() do
            log[#log + 1] = line
            if line == "b" then s:write("x") end
          end
        end)
        log[#log + 1] = ok
        log[#log + 1] = err.kind
        s:close()
        return log
    """,
        peer.port,
    ) == ["a", "b", False, "reset"]


async def test_large_data_pass_through_windows_and_backlogs(lua: Lua) -> None:
    """More than the window of reading, the mark of writing and the buffers of the kernel together."""
    assert await lua(
        SERVE
        + """
        local server, port = serving(echo)
        local s = assert(net.connect("127.0.0.1", port))
        local piece = ("0123456789abcdef"):rep(4096)
        task.spawn(function()
          for _ = 1, 160 do s:write(piece) end
          s:shutdown()
        end)
        local bytes, right = 0, true
        while true do
          local data = s:read_exactly(#piece)
          if not data then break end
          bytes, right = bytes + #data, right and data == piece
        end
        s:close()
        server:close()
        return { bytes, right }
    """
    ) == [160 * 65536, True]


async def test_read_exactly_takes_more_than_the_window(lua: Lua) -> None:
    assert (
        await lua(
            SERVE
            + """
        local server, port = serving(function(s) s:write(("x"):rep(3000000)) end)
        local s = assert(net.connect("127.0.0.1", port))
        local n = #s:read_exactly(3000000)
        s:close()
        server:close()
        return n
    """
        )
        == 3000000
    )


async def test_a_reader_that_sleeps_holds_the_writer_back(lua: Lua) -> None:
    assert await lua(
        SERVE
        + """
        local written = 0
        local server, port = serving(function(s)
          local piece = ("x"):rep(65536)
          while s:write(piece) do written = written + 1 end
        end)
        local s = assert(net.connect("127.0.0.1", port))
        task.sleep(1)
        local before = written
        task.sleep(1)
        local after = written
        for _ = 1, 400 do s:read_exactly(65536) end
        local more = written > after
        s:close()
        server:close()
        return { before == after, before < 400, more }
    """
    ) == [True, True, True]


async def test_a_big_write_waits_until_it_is_nearly_sent(lua: Lua, peer: Peer) -> None:
    got = []

    def handle(connection: socket.socket) -> None:
        while data := connection.recv(1 << 20):
            got.append(len(data))

    peer.serve(handle)
    await lua(
        SERVE
        + """
        local s = assert(net.connect("127.0.0.1", ...))
        assert(s:write(("x"):rep(20000000)))
        assert(s:write("end"))
        s:close()
    """,
        peer.port,
    )
    peer.close()
    assert sum(got) == 20000003


async def test_the_other_side_has_an_address(lua: Lua) -> None:
    assert await lua(
        SERVE
        + """
        local seen = {}
        local server, port = serving(function(s) seen[1], seen[2] = s:peer() end)
        local s = assert(net.connect("127.0.0.1", port))
        local host, their_port = s:peer()
        s:read()
        s:close()
        server:close()
        local text = "net.stream 127.0.0.1:" .. port .. " (closed)"
        return { host, their_port == port, seen[1], seen[2] ~= port, tostring(s) == text }
    """
    ) == ["127.0.0.1", True, "127.0.0.1", True, True]


async def test_half_close_lets_the_other_side_answer(lua: Lua, peer: Peer) -> None:
    def handle(connection: socket.socket) -> None:
        got = b""
        while data := connection.recv(100):
            got += data
        connection.sendall(b"got " + got)

    peer.serve(handle)
    assert await lua(
        SERVE
        + """
        local s = assert(net.connect("127.0.0.1", ...))
        s:write("all")
        s:shutdown()
        local done, err = s:write("more")
        local answer = s:read_until("all")
        s:close()
        return { tostring(done), err.kind, answer }
    """,
        peer.port,
    ) == ["nil", "closed", "got "]


async def test_unix_sockets(lua: Lua, tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert await lua(
        SERVE
        + """
        local path = ...
        local server = assert(net.listen({ unix = path }))
        local t = task.spawn(function() server:serve(echo) end)
        local s = assert(net.connect_unix(path))
        s:write("hi\\n")
        local log = { s:read_line(), (s:peer()) == path, (server:address()) == path }
        s:close()
        server:close()
        t:join()
        local none, err = net.connect_unix(path)
        log[#log + 1] = tostring(none)
        log[#log + 1] = err.kind
        return log
    """,
        str(path),
    ) == ["hi", True, True, "nil", "not_found"]
    assert not path.exists()


async def test_ipv6_where_there_is_one(lua: Lua) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    assert await lua("""
        local net = require("net")
        local server = assert(net.listen({ host = "::1" }))
        local host, port = server:address()
        task.spawn(function() server:serve(function(s) s:write("six") end) end)
        local s = assert(net.connect("::1", port))
        local data = s:read()
        s:close()
        server:close()
        return { host, data, tostring(server) == "net.server [::1]:" .. port .. " (closed)" }
    """) == ["::1", "six", True]


async def test_names_are_resolved_and_each_address_is_tried(lua: Lua) -> None:
    """`localhost` may mean ::1 first, where nobody listens."""
    assert (
        await lua(
            SERVE
            + """
        local server, port = serving(function(s) s:write("here") end)
        local s = assert(net.connect("localhost", port))
        local data = s:read()
        s:close()
        server:close()
        return data
    """
        )
        == "here"
    )


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.skip(f"no more than {hard} descriptors here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
async def test_a_thousand_connections_at_once(lua: Lua, many_descriptors: None) -> None:
    assert (
        await lua(
            SERVE
            + """
        local server, port = serving(echo, { backlog = 2000 })
        local sum, all = 0, sync.barrier(1000)
        task.scope(function(scope)
          for i = 1, 1000 do
            scope:spawn(function()
              local s = assert(net.connect("127.0.0.1", port))
              all:wait()
              for round = 1, 3 do
                s:write(i .. "\\n")
                assert(s:read_line() == tostring(i))
              end
              sum = sum + 1
              s:close()
            end)
          end
        end)
        server:close()
        return sum
    """
        )
        == 1000
    )


# -- servers -------------------------------------------------------------------------------------


async def test_a_handler_that_raises_loses_its_connection_alone(
    lua: Lua, caplog: pytest.LogCaptureFixture
) -> None:
    assert await lua(
        SERVE
        + """
        local n = 0
        local server, port = serving(function(s)
          n = n + 1
          if n == 1 then error("first one") end
          echo(s)
        end)
        local s = assert(net.connect("127.0.0.1", port))
        local data, err = s:read()
        s:close()
        local s = assert(net.connect("127.0.0.1", port))
        s:write("x")
        local log = { tostring(data), s:read() }
        s:close()
        server:close()
        return log
    """
    ) == ["nil", "x"]
    assert "first one" in caplog.text
    assert "was dropped, its handler failed" in caplog.text
    assert "stack traceback" in caplog.text


async def test_errors_of_handlers_can_be_heard(lua: Lua) -> None:
    assert (
        await lua("""
        local net = require("net")
        local server = assert(net.listen({}))
        local _, port = server:address()
        local heard
        local t = task.spawn(function()
          server:serve(function() error({ kind = "mine" }) end, function(err, s)
            heard = err.kind .. " " .. tostring((s:peer()))
            server:close()
          end)
        end)
        local s = assert(net.connect("127.0.0.1", port))
        s:read()
        s:close()
        t:join()
        return heard
    """)
        == "mine 127.0.0.1"
    )


async def test_tasks_of_a_handler_belong_to_its_connection(lua: Lua) -> None:
    assert await lua(
        SERVE
        + """
        local log = {}
        local server, port = serving(function(s)
          task.spawn(function()
            task.sleep(1)
            log[#log + 1] = "child wrote"
            s:write("from the child")
          end)
        end)
        local s = assert(net.connect("127.0.0.1", port))
        local data = s:read()
        log[#log + 1] = data
        log[#log + 1] = tostring(s:read())
        s:close()
        server:close()
        return log
    """
    ) == ["child wrote", "from the child", "nil"]


async def test_closing_a_server_drains_it(lua: Lua) -> None:
    assert await lua(
        SERVE
        + """
        local log = {}
        local server, port, serve = serving(function(s)
          s:read()
          task.sleep(5)
          s:write("late")
        end)
        local s = assert(net.connect("127.0.0.1", port))
        s:write("x")
        task.sleep(1)
        log[1] = server:statistics().serving
        log[2], log[3] = server:close(), server:close()
        log[4] = select(2, net.connect("127.0.0.1", port)).kind
        log[5] = s:read()
        s:close()
        log[6] = serve:join()
        log[7] = select(2, server:accept()).kind
        return log
    """
    ) == [1, True, False, "refused", "late", True, "closed"]


async def test_max_connections_makes_others_wait(lua: Lua) -> None:
    assert await lua(
        SERVE
        + """
        local now, most = 0, 0
        local server, port = serving(function(s)
          now = now + 1
          most = math.max(most, now)
          s:read()
          now = now - 1
        end, { max_connections = 3 })
        local served = 0
        task.scope(function(scope)
          for i = 1, 10 do
            scope:spawn(function()
              local s = assert(net.connect("127.0.0.1", port))
              task.sleep(1)
              s:shutdown()
              s:read()
              s:close()
              served = served + 1
            end)
          end
        end)
        server:close()
        return { most, served }
    """
    ) == [3, 10]


async def test_accept_by_hand_and_in_a_select(lua: Lua) -> None:
    assert await lua("""
        local net = require("net")
        local server = assert(net.listen({}))
        local _, port = server:address()
        local log, ch = {}, channel.new(1)
        local nothing, why = task.select({ { server, "accept" }, timeout = 1 })
        log[1] = why
        task.spawn(function()
          local s = assert(net.connect("127.0.0.1", port))
          s:write("first")
          task.sleep(1)
          ch:send("from the channel")
          task.sleep(1)
          s:close()
        end)
        local index, s = task.select({ { server, "accept" }, { ch, "receive" } })
        log[2] = index
        for _ = 1, 3 do
          local _, value = task.select({ { s, "read" }, { ch, "receive" } })
          log[#log + 1] = tostring(value)
        end
        s:close()
        server:close()
        log[#log + 1] = select(3, task.select({ { server, "accept" } })).kind
        return log
    """) == ["timeout", 1, "first", "from the channel", "nil", "closed"]


# -- what goes wrong -----------------------------------------------------------------------------


async def test_expected_failures_are_values(lua: Lua, tmp_path: Path) -> None:
    with socket.socket() as bound:  # bound, and nobody listens
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        assert await lua(
            """
            local net = require("net")
            local log = {}
            local function note(value, err)
              log[#log + 1] = tostring(value) .. " " .. err.kind .. ": " .. tostring(err)
            end
            note(net.connect("127.0.0.1", (...)))
            note(net.connect_unix(select(2, ...) .. "/none"))
            note(net.listen({ port = ... }))
            note(net.listen({ host = "127.0.0.1", unix = nil, port = ... }))
            return log
        """,
            port,
            str(tmp_path),
        ) == [
            f"nil refused: connect to 127.0.0.1:{port}: Connection refused",
            f"nil not_found: connect to {tmp_path}/none: No such file or directory",
            f"nil in_use: listen on 127.0.0.1:{port}: Address already in use",
            f"nil in_use: listen on 127.0.0.1:{port}: Address already in use",
        ]


async def test_a_name_that_is_none(lua: Lua, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert await lua("""
        local net = require("net")
        local s, err = net.connect("no.such.name.invalid", 80)
        return { tostring(s), err.kind, err.message }
    """) == ["nil", "not_found", "connect to no.such.name.invalid:80: Name or service not known"]


async def test_a_host_that_is_no_text_is_no_host(lua: Lua) -> None:
    assert await lua("""
        local net = require("net")
        local log = {}
        for _, host in ipairs({ "\\255\\254:1", "::g" }) do
          local s, err = net.connect(host, 80)
          log[#log + 1] = err.kind
        end
        return log
    """) == ["not_found", "not_found"]


async def test_addresses_race(lua: Lua, monkeypatch: pytest.MonkeyPatch, peer: Peer) -> None:
    """Two addresses: nobody listens at the first, the second answers at once."""
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", peer.port)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", peer.port)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)
    peer.serve(lambda connection: connection.sendall(b"second"))
    assert await lua(
        """
        local s = assert(require("net").connect("two.addresses", ...))
        local data = s:read()
        local host = s:peer()
        s:close()
        return { data, host }
    """,
        peer.port,
    ) == ["second", "127.0.0.1"]


async def test_a_peer_that_vanishes(lua: Lua, peer: Peer) -> None:
    def handle(connection: socket.socket) -> None:
        connection.sendall(b"so far")
        connection.recv(1)
        reset(connection)

    peer.serve(handle)
    assert await lua(
        """
        local s = assert(require("net").connect("127.0.0.1", ...))
        local log = { s:read() }
        s:write("x")
        local data, err = s:read()
        log[2], log[3] = tostring(data), err.kind
        data, err = s:read()
        log[4] = err.kind
        local done, err = s:write("y")
        log[5], log[6] = tostring(done), err.kind
        log[7] = s:close()
        return log
    """,
        peer.port,
    ) == ["so far", "nil", "reset", "reset", "nil", "reset", True]


async def test_writing_to_who_does_not_read_any_more_fails(lua: Lua, peer: Peer) -> None:
    peer.serve(lambda connection: None)
    assert await lua(
        """
        local s = assert(require("net").connect("127.0.0.1", ...))
        local log = { tostring(s:read()) }
        local n = 0
        repeat
          n = n + 1
          local done, err = s:write("x")
          task.sleep(0.01)
        until not done or n == 100
        log[2] = select(2, s:write("x")).kind
        s:close()
        return log
    """,
        peer.port,
    ) == ["nil", "reset"]


async def test_using_a_closed_stream_is_a_value(lua: Lua) -> None:
    assert await lua(
        SERVE
        + """
        local server, port = serving(echo)
        local s = assert(net.connect("127.0.0.1", port))
        s:close()
        local log = { s:close() }
        for _, call in ipairs({
          { "read" }, { "read_line" }, { "read_exactly", 1 }, { "read_until", "x" },
          { "write", "x" }, { "shutdown" },
        }) do
          local value, err = s[call[1]](s, call[2])
          log[#log + 1] = tostring(value) .. " " .. err.kind
        end
        server:close()
        return log
    """
    ) == [True, *["nil closed"] * 6]


async def test_closing_wakes_who_reads(lua: Lua) -> None:
    assert await lua(
        SERVE
        + """
        local server, port = serving(echo)
        local s = assert(net.connect("127.0.0.1", port))
        local log = {}
        local t = task.spawn(function()
          local data, err = s:read()
          log[#log + 1] = tostring(data) .. " " .. err.kind
        end)
        task.sleep(1)
        s:close()
        t:join()
        server:close()
        return log
    """
    ) == ["nil closed"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            "net.connect()",
            "bad argument #1 to 'connect' (host (a name or an address) expected, got no value)",
        ),
        (
            'net.connect("")',
            "bad argument #1 to 'connect' (host (a name or an address) expected, got an empty",
        ),
        ('net.connect("a\\0b", 1)', "bad argument #1 to 'connect' (host must not hold a zero byte)"),
        ('net.connect("a")', "bad argument #2 to 'connect' (port (1 to 65535) expected, got no value)"),
        ('net.connect("a", 65536)', "bad argument #2 to 'connect' (port (1 to 65535) expected, got 65536"),
        ('net.connect("a", 1.5)', "bad argument #2 to 'connect' (port (1 to 65535) expected, got 1.5)"),
        ('net.connect("a", 1, 2)', "bad argument #3 to 'connect' (table of options expected, got number)"),
        (
            'net.connect("a", 1, {x=1})',
            "bad argument #3 to 'connect' (unknown option 'x'; known are timeout)",
        ),
        ('net.connect("a", 1, {timeout="x"})', "option 'timeout' must be a number, got string)"),
        ('net.connect("a", 1, {timeout=-1})', "seconds must not be negative or NaN, got -1)"),
        ("net.connect_unix()", "bad argument #1 to 'connect_unix' (path (a string) expected, got no value)"),
        ('net.connect_unix("a\\0b")', "bad argument #1 to 'connect_unix' (path must not hold a zero byte)"),
        ("net.listen()", "bad argument #1 to 'listen' (table of options expected, got nil)"),
        ("net.listen({ports=1})", "unknown option 'ports'; known are backlog, host, max_connections, port"),
        ("net.listen({port=-1})", "bad argument #1 to 'listen' (port (0 to 65535) expected, got -1)"),
        ('net.listen({unix="x", port=1})', "host and port make no sense beside 'unix'"),
        ("net.listen({max_connections=0})", "a whole number of at least 1 expected, got 0"),
        ("s.read()", "bad argument #1 to 'read' (stream expected, got no value; call it with a colon"),
        ("s.write('x')", "bad argument #1 to 'write' (stream expected, got string; call it with a colon"),
        ("s:read(0)", "bad argument #1 to 'read' (a whole number of at least 1 expected, got 0)"),
        ("s:read_exactly('x')", "a whole number of at least 0 expected, got string)"),
        (
            "s:read_until('')",
            "bad argument #1 to 'read_until' (separator (a string) expected, got an empty one)",
        ),
        ("s:write({})", "bad argument #1 to 'write' (string expected, got table)"),
        ("s:write('a', nil, 'b')", "bad argument #2 to 'write' (string expected, got no value)"),
        ("server:serve()", "bad argument #1 to 'serve' (function expected, got no value)"),
        (
            "server.accept(s)",
            "bad argument #1 to 'accept' (server expected, got net.stream; call it with a colon",
        ),
    ],
)
async def test_misuse_raises(call: str, message: str) -> None:
    async with opened() as runtime:
        found = await runtime.run(
            """
            local net = require("net")
            local server = assert(net.listen({}))
            local _, port = server:address()
            local s = assert(net.connect("127.0.0.1", port))
            local fn = assert(load("local net, s, server = ... ; " .. ..., "=call"))
            local ok, err = pcall(fn, net, s, server)
            s:close()
            server:close()
            return tostring(err)
        """,
            call,
        )
    assert message in found
    assert found.startswith("call:1: ")


async def test_one_task_reads_at_a_time(lua: Lua) -> None:
    found = await lua(
        SERVE
        + """
        local server, port = serving(echo)
        local s = assert(net.connect("127.0.0.1", port))
        local t = task.spawn(function() return s:read() end)
        task.sleep(1)
        local ok, err = pcall(s.read_line, s)
        local ok2, err2 = pcall(task.select, { { s, "read" } })
        s:write("x")
        local got = t:join()
        s:close()
        server:close()
        return { err, err2, got }
    """
    )
    assert "another task reads from it; let one task read and pass on what it gets" in found[0]
    assert "another task reads from 127.0.0.1" in found[1]
    assert found[2] == "x"


# -- time and cancellation -----------------------------------------------------------------------


async def test_a_read_that_times_out_leaves_the_stream_usable(lua: Lua) -> None:
    assert await lua(
        SERVE
        + """
        local server, port = serving(echo)
        local s, log = assert(net.connect("127.0.0.1", port)), {}
        for _, method in ipairs({ "read", "read_line" }) do
          local value, why = task.timeout(1, function() return s[method](s) end)
          log[#log + 1] = why
        end
        s:write("a li")
        local value, why = task.timeout(1, function() return s:read_line() end)
        log[#log + 1] = why
        s:write("ne\\n")
        log[#log + 1] = s:read_line()
        s:close()
        server:close()
        return log
    """
    ) == ["timeout", "timeout", "timeout", "a line"]


async def test_a_write_that_times_out_leaves_the_stream_usable(lua: Lua) -> None:
    assert await lua(
        SERVE
        + """
        local go = sync.event()
        local got = 0
        local server, port = serving(function(s)
          go:wait()
          while true do
            local data = s:read()
            if not data then return end
            got = got + #data
          end
        end)
        local s = assert(net.connect("127.0.0.1", port))
        local _, why = task.timeout(1, function() return s:write(("x"):rep(20000000)) end)
        go:set()
        assert(s:write("y"))
        s:close()
        server:close()
        task.sleep(1)
        return { why, got }
    """
    ) == ["timeout", 20000001]


async def test_closing_gives_up_sending_when_cancelled(lua: Lua) -> None:
    assert await lua(
        SERVE
        + """
        local go = sync.event()
        local server, port, t = serving(function(s)
          go:wait()
        end)
        local s = assert(net.connect("127.0.0.1", port))
        task.timeout(1, function() return s:write(("x"):rep(20000000)) end)
        local _, why = task.timeout(1, function() return s:close() end)
        go:set()
        server:close()
        t:join()
        return { why, tostring(s):match("closed") }
    """
    ) == ["timeout", "closed"]


async def test_connecting_can_time_out_and_be_cancelled(lua: Lua) -> None:
    """A listener whose queue is full does not answer."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        others = [socket.socket() for _ in range(4)]
        for other in others:
            other.setblocking(False)
            other.connect_ex(("127.0.0.1", port))
        try:
            assert await lua(
                """
                local net, log = require("net"), {}
                local s, err = net.connect("127.0.0.1", ..., { timeout = 3 })
                log[1], log[2], log[3] = tostring(s), err.kind, tostring(err)
                log[4] = select(2, task.timeout(1, net.connect, "127.0.0.1", ...))
                local t = task.spawn(net.connect, "127.0.0.1", ...)
                task.sleep(1)
                log[5] = t:info().detail
                t:cancel()
                log[6] = pcall(t.join, t)
                return log
            """,
                port,
            ) == [
                "nil",
                "timeout",
                f"connect to 127.0.0.1:{port}: no connection within 3 s",
                "timeout",
                f"connect to 127.0.0.1:{port}",
                False,
            ]
        finally:
            for other in others:
                other.close()


async def test_accepting_can_be_cancelled(lua: Lua) -> None:
    assert await lua("""
        local net = require("net")
        local server = assert(net.listen({}))
        local _, port = server:address()
        local _, why = task.timeout(1, function() return server:accept() end)
        local _, why2 = task.timeout(1, function() return server:serve(function() end) end)
        local s = assert(net.connect("127.0.0.1", port))
        local mine = server:accept()
        mine:write("still there")
        local data = s:read()
        s:close()
        mine:close()
        server:close()
        return { why, why2, data }
    """) == ["timeout", "timeout", "still there"]


async def test_cancelling_serve_closes_its_connections(lua: Lua) -> None:
    assert await lua(
        SERVE
        + """
        local server, port, t = serving(echo)
        local s = assert(net.connect("127.0.0.1", port))
        s:write("x")
        s:read()
        t:cancel()
        local data, err = s:read()
        s:close()
        return { tostring(data), server:statistics().serving, server:close() }
    """
    ) == ["nil", 0, True]


async def test_cancelling_the_runtime_ends_every_wait() -> None:
    async with opened() as runtime:
        runtime.spawn(
            SERVE
            + """
            local server, port = serving(echo)
            task.spawn(function() local s = net.connect("127.0.0.1", port); s:read() end)
            local other = net.listen({})
            other:accept()
        """
        )
        await trio.sleep(1)
        runtime.cancel()


# -- the deadlock report, and what is left over --------------------------------------------------


async def test_a_task_that_waits_for_a_socket_is_no_deadlock(lua: Lua, peer: Peer) -> None:
    go = threading.Event()

    def handle(connection: socket.socket) -> None:
        go.wait(20)
        connection.sendall(b"late")

    peer.serve(handle)
    async with opened(detect_deadlock=True) as runtime:
        task = runtime.spawn(
            'local s = require("net").connect("127.0.0.1", ...); local d = s:read(); s:close(); return d',
            peer.port,
        )
        reading = ("io", f"read from 127.0.0.1:{peer.port}")
        while (runtime.tasks()[0].reason, runtime.tasks()[0].detail) != reading:
            await trio.lowlevel.checkpoint()
        for _ in range(10):  # and looks for a deadlock
            await trio.lowlevel.checkpoint()
        go.set()
        assert await task.join() == "late"


async def test_open_sockets_nobody_waits_for_do_not_hide_a_deadlock() -> None:
    with pytest.raises(DeadlockError, match="channel 'never' empty"):
        async with scheduler.open_runtime(detect_deadlock=True) as runtime:
            await runtime.run("""
                local net = require("net")
                local server = assert(net.listen({}))
                channel.new(0, "never"):receive()
            """)


async def test_what_tasks_wait_for_is_said(lua: Lua) -> None:
    found = await lua(
        SERVE
        + """
        local server, port = serving(function(s) task.sleep(10) end)
        local s = assert(net.connect("127.0.0.1", port))
        local details = {}
        local reader = task.spawn(function() s:read() end)
        local writer = task.spawn(function() s:write(("x"):rep(20000000)) end)
        task.sleep(1)
        for _, t in ipairs({ reader, writer }) do
          local info = t:info()
          details[#details + 1] = info.reason .. ": " .. (info.detail:gsub("%d+$", "PORT"))
          t:cancel()
        end
        s:close()
        server:close()
        return details
    """
    )
    assert found == ["io: read from 127.0.0.1:PORT", "io: write to 127.0.0.1:PORT"]


async def test_a_forgotten_stream_is_closed_by_the_collector(lua: Lua) -> None:
    assert await lua(
        SERVE
        + """
        local server, port = serving(echo)
        local ended = false
        do
          local other = assert(net.listen({}))
          local _, port = other:address()
          local s = assert(net.connect("127.0.0.1", port))
          local mine = other:accept()
          local t = task.spawn(function(mine) ended = mine:read() == nil; mine:close() end, mine)
          task.sleep(0)
          s, mine = nil, nil
          other:close()
          for _ = 1, 4 do
            collectgarbage()
            task.sleep(0.1)
          end
          t:cancel()
        end
        server:close()
        return ended
    """
    )


async def test_nothing_is_left_over_when_nobody_closes() -> None:
    """The fixture `nothing_left_over` counts descriptors."""
    before = len(os.listdir("/proc/self/fd"))
    async with opened() as runtime:
        await runtime.run("""
            local net = require("net")
            server = assert(net.listen({}))
            local _, port = server:address()
            streams = {}
            for i = 1, 20 do
              streams[2 * i - 1] = assert(net.connect("127.0.0.1", port))
              streams[2 * i] = assert(server:accept())
            end
        """)
        assert len(os.listdir("/proc/self/fd")) >= before + 41
    assert len(os.listdir("/proc/self/fd")) == before


async def test_close_variables_close_streams(lua_with_close: Lua) -> None:
    assert (
        await lua_with_close(
            SERVE
            + """
        local server <close>, port = serving(echo)
        local ended
        do
          local s <close> = assert(net.connect("127.0.0.1", port))
          s:write("x")
          s:read()
          ended = s
        end
        return select(2, ended:read()).kind
    """
        )
        == "closed"
    )


async def test_waits_where_lua_cannot_yield_and_in_coroutines_of_the_script(lua: Lua) -> None:
    assert await lua(
        SERVE
        + """
        local server, port = serving(echo)
        local s = assert(net.connect("127.0.0.1", port))
        local function ask(text)
          s:write(text, "\\n")
          return s:read_line()
        end
        local letters = { "b", "c", "a" }
        table.sort(letters, function(x, y) return ask(x) < ask(y) end)
        local generator = coroutine.wrap(function()
          for _, letter in ipairs(letters) do coroutine.yield(ask(letter)) end
        end)
        local log = { generator(), generator(), generator() }
        log[4] = ("x"):gsub("x", ask)
        s:close()
        server:close()
        return log
    """
    ) == ["a", "b", "c", "x"]


def test_the_end_of_descriptors_delays_and_passes(shell: Shell) -> None:
    """In a process with 40 descriptors what cannot be connected fails, what cannot be accepted waits."""
    shell.write(
        "main.lua",
        SERVE
        + """
        local server, port = serving(echo, { backlog = 100 })
        local conns, failed = {}, 0
        for i = 1, 60 do
          local s, err = net.connect("127.0.0.1", port)
          if s then
            conns[#conns + 1] = s
          else
            assert(err.kind == "exhausted", err)
            failed = failed + 1
          end
        end
        assert(#conns > 5 and failed > 5)
        for i = 1, #conns do
          conns[i]:write("x\\n")
        end
        local answers = 0
        for i = 1, #conns do
          -- Those that were not accepted wait for descriptors of those that were.
          local line = conns[i]:read_line()
          answers = answers + (line == "x" and 1 or 0)
          conns[i]:close()
        end
        print(answers == #conns)
        server:close()
    """,
    )
    done = subprocess.run(
        ["bash", "-c", 'ulimit -n 40; exec "$0" "$@"', sys.executable, "-m", "scheduler", "main.lua"],
        cwd=shell.folder,
        env=shell.environment(),
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"true\n", b"")


# -- sandboxes -----------------------------------------------------------------------------------


async def test_a_sandbox_has_no_network_unless_it_is_granted() -> None:
    async with opened(sandbox=Sandbox()) as runtime:
        assert "module 'net' not found" in await runtime.run("""
            local ok, err = pcall(require, "net")
            return err
        """)


@pytest.mark.parametrize("isolate", [False, pytest.param(True, marks=pytest.mark.slow)])
async def test_a_sandbox_reaches_what_it_was_granted(isolate: bool) -> None:
    sandbox = Sandbox(allow={"net"}, net_hosts=["127.0.0.1"])
    async with scheduler.open_runtime(
        sandbox=sandbox,
        isolate=scheduler.ProcessLimits(open_files=True) if isolate else False,
        detect_deadlock=True,
    ) as runtime:
        assert await runtime.run("""
            local net = require("net")
            local server = assert(net.listen({}))
            local _, port = server:address()
            local log = {}
            local t = task.spawn(function()
              server:serve(function(s)
                log[1] = tostring(s):gsub("%d+$", "PORT")
                log[2] = tostring(getmetatable(s)) .. " " .. type(s) .. " " .. tostring(next(s))
                for line in s:lines() do s:write(line:upper(), "\\n") end
              end)
            end)
            local s = assert(net.connect("127.0.0.1", port))
            s:write("a\\nb\\n")
            log[3], log[4] = s:read_line(), s:read_line()
            s:close()
            server:close()
            t:join()
            local function note(value, err) log[#log + 1] = tostring(value) .. " " .. tostring(err) end
            note(net.connect("127.0.0.2", 80))
            note(net.connect("example.com", 80))
            note(net.connect_unix("/s"))
            note(net.listen({ host = "0.0.0.0" }))
            note(net.listen({ unix = "/s" }))
            local other = assert(net.listen({}))
            local _, port = other:address()
            local s = assert(net.connect("127.0.0.1", port))
            local _, mine = task.select({ { other, "accept" } })
            mine:write("through a select")
            log[#log + 1] = s:read() .. " " .. tostring(next(mine))
            note(pcall(mine.read, setmetatable({}, { __name = "net.stream" })))
            for _, each in ipairs({ s, mine, other }) do each:close() end
            return log
        """) == [
            "net.stream 127.0.0.1:PORT",
            "false table nil",
            "A",
            "B",
            "nil connect to 127.0.0.2:80: '127.0.0.2' port 80 was not granted to this sandbox (net_hosts)",
            "nil connect to example.com:80: 'example.com' port 80 was not granted to this sandbox "
            "(net_hosts)",
            "nil connect to /s: Unix sockets are not granted in a sandbox",
            "nil listen on 0.0.0.0:0: '0.0.0.0' port 0 was not granted to this sandbox (net_hosts)",
            "nil listen on /s: Unix sockets are not granted in a sandbox",
            "through a select nil",
            "false bad argument #1 to 'read' (stream expected, got net.stream; call it with a colon, as in "
            "stream:read())",
        ]


async def test_a_granted_name_must_not_mean_a_private_address(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)
    sandbox = Sandbox(allow={"net"}, net_hosts=["example.com"])
    async with opened(sandbox=sandbox) as runtime:
        assert await runtime.run("""
            local s, err = require("net").connect("example.com", 80)
            return { err.kind, err.message }
        """) == [
            "denied",
            "connect to example.com:80: address 127.0.0.1 refused: 127.0.0.0/8 is not public (loopback) and "
            "was not granted",
        ]


def test_the_command_line(shell: Shell) -> None:
    shell.write(
        "main.lua",
        SERVE
        + """
        local server, port = serving(echo)
        local s = assert(net.connect("127.0.0.1", port))
        s:write("through the shell\\n")
        print(s:read_line())
        s:close()
        server:close()
    """,
    )
    assert shell.run("main.lua") == (0, "through the shell\n", "")


# -- limits and usage ----------------------------------------------------------------------------


async def test_a_flood_does_not_pass_the_memory_limit() -> None:
    """What nobody reads waits in the operating system; what somebody keeps counts as his."""
    listener = socket.create_server(("127.0.0.1", 0))

    def flood() -> None:
        connection, _address = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.settimeout(20)
            for _ in range(4000):
                connection.sendall(b"x" * 65536)

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        async with scheduler.open_runtime(limits=scheduler.Limits(memory_bytes=20_000_000)) as runtime:
            ended = await runtime.run(
                """
                local s = assert(require("net").connect("127.0.0.1", ...))
                local kept = {}
                while true do
                  local data, err = s:read()
                  if not data then return err.kind end
                  kept[#kept + 1] = data
                end
                """,
                listener.getsockname()[1],
            )
    except scheduler.LimitReached as error:
        ended = str(error)
    finally:
        thread.join()
        listener.close()
    # "limit": faster than the watchdog looks, and what did not fit any more did not enter.
    assert ended == "limit" or "memory" in ended


async def test_limited_writes_go_out_piece_by_piece() -> None:
    limits = scheduler.Limits(memory_bytes=200_000_000)
    async with opened(limits=limits, detect_deadlock=True) as runtime:
        assert (
            await runtime.run(
                SERVE
                + """
            local server, port = serving(echo)
            local s = assert(net.connect("127.0.0.1", port))
            local data = ("0123456789"):rep(350000)
            local t = task.spawn(function() return s:write(data) end)
            local back = s:read_exactly(#data)
            t:join()
            s:close()
            server:close()
            return back == data
        """
            )
            is True
        )


async def test_bytes_are_booked_to_the_tasks_that_sent_and_received_them() -> None:
    async with opened(detect_deadlock=True) as runtime:
        resources = runtime.resources
        server = runtime.spawn(
            SERVE
            + """
            local server = assert(net.listen({}))
            _, port = server:address()
            local s = server:accept()
            s:write(s:read_exactly(1000), "+")
            s:close()
            server:close()
        """
        )
        client = runtime.spawn("""
            while not port do task.yield() end
            local s = assert(require("net").connect("127.0.0.1", port))
            s:write(("x"):rep(1000))
            s:read_exactly(1001)
            s:close()
        """)
        await client.join()
        await server.join()
        used = [resources.monitor(task) for task in (client, server)]
        assert [(each.network_bytes_sent, each.network_bytes_received) for each in used] == [
            (1000, 1001),
            (1001, 1000),
        ]
