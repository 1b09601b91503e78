"""Messages between processes: what one side sends the other gets; anything else is an error and leaves nothing open."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time

import pytest

from trace_mine.tracer.sandbox import wire
from trace_mine.tracer.sandbox.wire import Hangup, field, receive_message, send_message


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def raw(message: bytes, payload: bytes = b"") -> bytes:
    return struct.pack(">II", len(message), len(payload)) + message + payload


def test_round_trip_with_descriptors(ends):
    ours, theirs = ends
    reader, writer = os.pipe()
    send_message(ours, {"text": "\udc80", "number": 1}, b"\x00payload", [writer])
    message, payload, fds = receive_message(theirs, max_fds=1)
    assert (message, payload, len(fds)) == ({"text": "\udc80", "number": 1}, b"\x00payload", 1)
    assert not os.get_inheritable(fds[0])
    os.write(fds[0], b"x")
    assert os.read(reader, 1) == b"x"
    for fd in (reader, writer, *fds):
        os.close(fd)


def test_a_slow_sender(ends):
    ours, theirs = ends
    data = raw(b'{"a": 1}', b"payload")
    thread = threading.Thread(target=lambda: [ours.sendall(data[n : n + 1]) for n in range(len(data))])
    thread.start()
    assert receive_message(theirs)[:2] == ({"a": 1}, b"payload")
    thread.join()


@pytest.mark.parametrize("where", ["header", "message", "payload"])
def test_a_deadline_is_for_the_whole_message(ends, where):
    """A sender that gives a byte now and then gets no time more by it, wherever in the message it is."""
    ours, theirs = ends
    begun = {"header": b"", "message": struct.pack(">II", 50_000, 0), "payload": raw(b"{}", bytes(50_000))[:20]}[where]
    ended = threading.Event()

    def drip() -> None:
        ours.sendall(begun)
        while not ended.wait(0.02):
            ours.sendall(b"\0")

    if where == "header":
        ended.set()  # its 8 bytes would be there too soon: nothing comes at all
    thread = threading.Thread(target=drip)
    thread.start()
    try:
        with pytest.raises(TimeoutError):
            receive_message(theirs, deadline=time.monotonic() + 0.3)
    finally:
        ended.set()
        thread.join()


def test_a_deadline_that_has_passed(ends):
    ours, theirs = ends
    past = time.monotonic() - 1
    send_message(ours, {"a": 1})
    with pytest.raises(TimeoutError):
        receive_message(theirs, deadline=past)
    with pytest.raises(TimeoutError):
        send_message(ours, {}, deadline=past)
    assert receive_message(theirs, deadline=time.monotonic() + 20)[0] == {"a": 1}, "nothing of it was lost"


def test_nobody_who_reads_is_not_waited_for(ends):
    with pytest.raises(TimeoutError):
        send_message(ends[0], {}, bytes(8 << 20), deadline=time.monotonic() + 0.2)


def test_what_is_too_long_is_not_sent(ends, monkeypatch):
    monkeypatch.setattr(wire, "MAX_MESSAGE_BYTES", 100)
    send_message(ends[0], {}, bytes(98))
    with pytest.raises(ValueError, match="at most 100 bytes, got 101"):
        send_message(ends[0], {}, bytes(99))


@pytest.mark.parametrize(("length", "payload", "fits"), [(8, 92, True), (8, 93, False), (101, 0, False)])
def test_the_size_is_bounded(ends, length, payload, fits):
    ours, theirs = ends
    ours.sendall(struct.pack(">II", length, payload) + b'{"a": 1}' + bytes(payload))
    if fits:
        assert receive_message(theirs, max_bytes=100)[0] == {"a": 1}
    else:
        with pytest.raises(ValueError, match="at most 100 bytes, got 101"):
            receive_message(theirs, max_bytes=100)


@pytest.mark.parametrize("message", [b"[1]", b"null", b"5", b"not json", b"\xff"])
def test_only_objects_are_messages(ends, message):
    ours, theirs = ends
    reader, writer = os.pipe()
    before = os.listdir("/proc/self/fd")
    socket.send_fds(ours, [raw(message)], [writer])
    with pytest.raises(ValueError):
        receive_message(theirs, max_fds=1)
    assert os.listdir("/proc/self/fd") == before, "what came with a bad message is closed"
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("cut", [0, 3, 8, 12, 17])
def test_the_end_in_the_middle_of_a_message(ends, cut):
    ours, theirs = ends
    ours.sendall(raw(b'{"a": 1}', b"xx")[:cut])
    ours.close()
    with pytest.raises(Hangup):
        receive_message(theirs)


def test_an_end_with_unread_bytes_is_a_hangup(ends):
    """The kernel reports a reset where the other side closed without reading all."""
    ours, theirs = ends
    theirs.sendall(b"unread")
    ours.close()
    with pytest.raises(Hangup):
        receive_message(theirs)


def test_sending_to_nobody_is_a_hangup(ends):
    ours, theirs = ends
    theirs.close()
    with pytest.raises(Hangup):
        send_message(ours, {})


def test_fields_have_the_type_that_is_asked_for():
    message = {"number": 3, "text": "x" * 1000}
    assert field(message, "number", int) == 3
    for name, kind in (("number", str), ("text", int), ("absent", str)):
        with pytest.raises(ValueError, match=f"expected {kind.__name__} as '{name}'") as error:
            field(message, name, kind)
        assert len(str(error.value)) < 300, "a hostile value is not repeated in full"
