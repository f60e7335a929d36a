"""The reactor by itself: no Lua, no trio; the other side is an ordinary socket."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from bridge import reactor as module
from bridge.reactor import (
    ABORT,
    FINISH,
    LOW_BYTES,
    MAX_ACCEPTS,
    PAUSE,
    READ_BYTES,
    REPORT,
    RESUME,
    SHUTDOWN,
    Reactor,
)


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    found = Reactor()
    yield found
    found.close()


class Pair:
    """A socket of the reactor's, by its number, and the other side."""

    def __init__(self, reactor: Reactor) -> None:
        self.reactor = reactor
        listener = socket.create_server(("127.0.0.1", 0))
        self.number = reactor.connect(socket.AF_INET, listener.getsockname())
        self.other, _address = listener.accept()
        self.other.settimeout(10)
        listener.close()
        turns(reactor, until=[(self.number, "connected")])


@pytest.fixture
def pair(reactor: Reactor) -> Iterator[Pair]:
    found = Pair(reactor)
    yield found
    found.other.close()


def turns(reactor: Reactor, *, until: Any) -> list[Any]:
    """Poll until `until` has come (as often as needed, 10 s at most); returns what came before it."""
    seen: list[Any] = []
    poller = select.poll()
    poller.register(reactor.fd, select.POLLIN)
    for _ in range(1000):
        batch = reactor.poll()
        seen += zip(batch[::2], batch[1::2], strict=True)
        seen += reactor.take_events()
        wanted = until if isinstance(until, list) else [until]
        if all(each in seen for each in wanted):
            return [each for each in seen if each not in wanted]
        if not reactor.busy:
            poller.poll(10)
    raise AssertionError(f"{until!r} did not come, but {seen!r}"[:2000])


def settle(reactor: Reactor) -> list[Any]:
    """Poll until nothing more comes."""
    seen: list[Any] = []
    quiet = 0
    while quiet < 3:
        batch = reactor.poll(0.01)
        found = [*zip(batch[::2], batch[1::2], strict=True), *reactor.take_events()]
        quiet = 0 if found or reactor.busy else quiet + 1
        seen += found
    return seen


def size_of(seen: list[Any]) -> int:
    return sum(len(each[1]) for each in seen if isinstance(each[1], bytes))


# -- reading -------------------------------------------------------------------------------------


def test_data_are_read_once_and_in_order(reactor: Reactor, pair: Pair) -> None:
    pair.other.sendall(b"one")
    assert turns(reactor, until=(pair.number, b"one")) == []
    pair.other.sendall(b"two")
    assert turns(reactor, until=(pair.number, b"two")) == []
    assert reactor.poll() == []


def test_an_end_right_behind_data_is_not_missed(reactor: Reactor, pair: Pair) -> None:
    """One edge tells of both, and a read that was not filled looks like the last."""
    pair.other.sendall(b"last")
    pair.other.close()
    assert settle(reactor) == [(pair.number, b"last"), (pair.number, b"")]
    assert settle(reactor) == []


def test_an_end_behind_a_read_that_was_filled_exactly(reactor: Reactor, pair: Pair) -> None:
    pair.other.sendall(b"x" * READ_BYTES)
    pair.other.shutdown(socket.SHUT_WR)
    seen = settle(reactor)
    assert size_of(seen) == READ_BYTES
    assert seen[-1] == (pair.number, b"")


def test_more_than_one_read_comes_without_a_new_edge(reactor: Reactor, pair: Pair) -> None:
    pair.other.sendall(b"x" * (3 * READ_BYTES + 5))
    assert size_of(settle(reactor)) == 3 * READ_BYTES + 5


def test_a_paused_socket_waits_and_goes_on(reactor: Reactor, pair: Pair) -> None:
    reactor.perform((pair.number, PAUSE))
    pair.other.sendall(b"while it pauses")
    assert settle(reactor) == []
    reactor.perform((pair.number, RESUME))
    assert settle(reactor) == [(pair.number, b"while it pauses")]
    reactor.perform((pair.number, PAUSE, pair.number, RESUME))
    pair.other.sendall(b"again")
    assert settle(reactor) == [(pair.number, b"again")]


def test_a_pause_does_not_hide_the_end(reactor: Reactor, pair: Pair) -> None:
    reactor.perform((pair.number, PAUSE))
    pair.other.close()
    assert settle(reactor) == []
    reactor.perform((pair.number, RESUME))
    assert settle(reactor) == [(pair.number, b"")]


def test_a_reset_is_told_once(reactor: Reactor, pair: Pair) -> None:
    pair.other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    pair.other.close()
    assert settle(reactor) == [(pair.number, "reset", "reset", os.strerror(errno.ECONNRESET))]


# -- sending -------------------------------------------------------------------------------------


def receive(other: socket.socket, size: int) -> int:
    """Receive up to `size` bytes; returns how many came before the end."""
    got = 0
    while got < size and (data := other.recv(1 << 20)):
        got += len(data)
    return got


def test_what_cannot_be_sent_is_told_and_goes_later(reactor: Reactor, pair: Pair) -> None:
    reactor.perform((pair.number, b"x" * 20_000_000))
    [(number, what, unsent)] = reactor.take_events()
    assert (number, what) == (pair.number, "backlog")
    assert 0 < unsent < 20_000_000
    reactor.perform((pair.number, b"y" * 10, pair.number, REPORT))
    assert reactor.take_events() == []
    got = receive(pair.other, 20_000_010 - unsent - 10)
    seen: list[Any] = []
    while got < 20_000_010:
        seen += settle(reactor)
        got += receive(pair.other, min(1 << 20, 20_000_010 - got))
    assert got == 20_000_010
    seen += settle(reactor)
    assert seen[-1] == (pair.number, "backlog", 0)
    assert all(0 <= each[2] <= LOW_BYTES for each in seen)
    reactor.perform((pair.number, b"short way again", pair.number, REPORT))
    assert reactor.take_events() == [(pair.number, "backlog", 0)]


def test_sending_into_a_reset_fails_once(reactor: Reactor, pair: Pair) -> None:
    pair.other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    pair.other.close()
    reactor.perform((pair.number, b"x", pair.number, b"y"))
    assert [each[:3] for each in reactor.take_events()] == [(pair.number, "broken", "reset")]


def test_shutting_down_waits_for_what_is_unsent(reactor: Reactor, pair: Pair) -> None:
    reactor.perform((pair.number, b"x" * 10_000_000, pair.number, SHUTDOWN))
    got = 0
    while got < 10_000_000:
        settle(reactor)
        got += receive(pair.other, 1 << 16)
    settle(reactor)
    assert got == 10_000_000
    assert pair.other.recv(1) == b""
    pair.other.sendall(b"still heard")
    assert turns(reactor, until=(pair.number, b"still heard")) is not None


def test_finishing_closes_after_what_is_unsent(reactor: Reactor, pair: Pair) -> None:
    reactor.perform((pair.number, b"x" * 10_000_000, pair.number, FINISH))
    assert reactor.count == 1
    got = 0
    while got < 10_000_000:
        settle(reactor)
        got += receive(pair.other, 1 << 16)
    settle(reactor)
    assert reactor.count == 0
    assert pair.other.recv(1) == b""


def test_finishing_with_nothing_unsent_closes_at_once(reactor: Reactor, pair: Pair) -> None:
    reactor.perform((pair.number, b"bye", pair.number, FINISH))
    assert reactor.take_events() == [(pair.number, "closed")]
    assert reactor.count == 0
    assert pair.other.recv(10) == b"bye"
    assert pair.other.recv(10) == b""


def test_finishing_ends_when_the_other_side_goes(reactor: Reactor, pair: Pair) -> None:
    reactor.perform((pair.number, b"x" * 10_000_000, pair.number, FINISH))
    reactor.take_events()
    pair.other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    pair.other.close()
    assert (pair.number, "closed") in settle(reactor)
    assert reactor.count == 0


def test_requests_for_a_socket_that_is_gone_are_nothing(reactor: Reactor, pair: Pair) -> None:
    number = pair.number
    reactor.perform((number, ABORT, number, b"x", number, REPORT, number, ABORT, number, 5, 999, b"x"))
    assert settle(reactor) == []
    assert pair.other.recv(1) == b""


# -- connecting and accepting --------------------------------------------------------------------


def test_a_refused_connection_is_told_and_closed(reactor: Reactor) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        try:
            number = reactor.connect(socket.AF_INET, bound.getsockname())
        except ConnectionRefusedError:
            pass  # the loopback may say so at once
        else:
            [event] = settle(reactor)
            assert event == (number, "failed", "refused", os.strerror(errno.ECONNREFUSED))
    assert reactor.count == 0


def test_data_that_come_with_the_connection_are_read(reactor: Reactor) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    number = reactor.connect(socket.AF_INET, listener.getsockname())
    other, _address = listener.accept()
    other.sendall(b"hello")
    other.close()
    listener.close()
    assert settle(reactor) == [(number, "connected"), (number, b"hello"), (number, b"")]


def test_a_listener_takes_as_many_as_it_is_asked_for(reactor: Reactor) -> None:
    number, address = reactor.listen(socket.AF_INET, ("127.0.0.1", 0), backlog=100, reuse_port=False)
    others = [socket.create_connection(address) for _ in range(5)]
    assert settle(reactor) == []
    reactor.perform((number, 2))
    seen = settle(reactor)
    assert [(each[0], each[1], each[3]) for each in seen] == [(number, "accepted", "127.0.0.1")] * 2
    reactor.perform((number, 64))
    assert len(settle(reactor)) == 3
    others.append(socket.create_connection(address))
    assert len(settle(reactor)) == 1
    for other in others:
        other.close()


def test_more_than_one_turn_of_connections(reactor: Reactor) -> None:
    number, address = reactor.listen(socket.AF_INET, ("127.0.0.1", 0), backlog=1000, reuse_port=False)
    many = MAX_ACCEPTS + 10
    others = [socket.create_connection(address) for _ in range(many)]
    reactor.perform((number, many))
    assert len(settle(reactor)) == many
    for other in others:
        other.close()


def test_the_end_of_descriptors_is_told_and_passes(reactor: Reactor, monkeypatch: pytest.MonkeyPatch) -> None:
    number, address = reactor.listen(socket.AF_INET, ("127.0.0.1", 0), backlog=10, reuse_port=False)
    other = socket.create_connection(address)

    class Full:
        def accept(self) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    entry = reactor._by_number[number]
    real = entry.sock
    entry.sock = Full()  # type: ignore[assignment]
    reactor.perform((number, 10))
    assert settle(reactor) == [(number, "trouble", "exhausted", os.strerror(errno.EMFILE))]
    entry.sock = real
    reactor.perform((number, 10))
    assert [each[1] for each in settle(reactor)] == ["accepted"]
    other.close()


def test_a_path_is_removed_with_its_listener_and_no_other(reactor: Reactor, tmp_path: Any) -> None:
    first, second = str(tmp_path / "a"), str(tmp_path / "b")
    one, _address = reactor.listen(socket.AF_UNIX, first, backlog=1, reuse_port=False)
    two, _address = reactor.listen(socket.AF_UNIX, second, backlog=1, reuse_port=False)
    os.unlink(second)
    (tmp_path / "b").write_text("somebody else's")
    reactor.perform((one, ABORT, two, ABORT))
    assert os.listdir(tmp_path) == ["b"]


def test_a_descriptor_used_again_is_another_socket(reactor: Reactor, pair: Pair) -> None:
    """Events of the old one must not reach the new one, which has its number in the operating system."""
    pair.other.sendall(b"for the old one")
    fd = reactor._by_number[pair.number].fd
    reactor.perform((pair.number, ABORT))
    new = Pair(reactor)
    assert reactor._by_number[new.number].fd == fd
    new.other.sendall(b"new")
    assert settle(reactor) == [(new.number, b"new")]
    new.other.close()


def test_closing_closes_everything(pair: Pair) -> None:
    reactor = Reactor()
    before = len(os.listdir("/proc/self/fd"))
    reactor.listen(socket.AF_INET, ("127.0.0.1", 0), backlog=1, reuse_port=False)
    Pair(reactor).other.close()
    reactor.close()
    assert reactor.count == 0
    assert len(os.listdir("/proc/self/fd")) == before - 1


def test_kinds_have_names() -> None:
    assert module.kind_of(ConnectionResetError(errno.ECONNRESET, "")) == "reset"
    assert module.kind_of(OSError(errno.ENOTTY, "")) == "io"
    assert module.kind_of(OSError("without a number")) == "io"
