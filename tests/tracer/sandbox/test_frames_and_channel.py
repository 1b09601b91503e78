"""What the channel writes is what the supervisor reads; anything else is graded, never believed, never raised."""

from __future__ import annotations

import os
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_mine.tracer.inside.channel import END, HEADER, RECORD, frame_mac, open_channel
from trace_mine.tracer.sandbox.frames import Received, verify_frames

KEY = bytes(range(16))
END_RECORD = {"end": "ok", "exception": None}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def written(*values: object, end: object = END_RECORD) -> bytes:
    read, write = os.pipe()
    chunks: list[bytes] = []

    def drain() -> None:
        while chunk := os.read(read, 1 << 16):
            chunks.append(chunk)

    reader = threading.Thread(target=drain)
    reader.start()
    try:
        send, finish = open_channel(write, KEY)
        for value in values:
            send(value)
        if end is not None:
            finish(end)
    finally:
        os.close(write)
        reader.join()
        os.close(read)
    return b"".join(chunks)


def frame(payload: bytes, number: int = 0, kind: int = RECORD, key: bytes = KEY) -> bytes:
    body = HEADER.pack(len(payload), number, kind) + payload
    return body + frame_mac(key, body)


@given(st.lists(json_values, max_size=5))
def test_round_trip(values):
    received = verify_frames(written(*values), KEY)
    assert (list(received.records), received.end, received.integrity) == (values, END_RECORD, "clean")


def test_lone_surrogates_and_large_records_survive():
    values = ["\udc80\ud800", "x" * 3_000_000, {"\udfff": [10**4000]}]
    assert verify_frames(written(*values), KEY).records == tuple(values)


def test_nothing_goes_out_after_the_end():
    read, write = os.pipe()
    send, finish = open_channel(write, KEY)
    finish(END_RECORD)
    send("late")
    os.close(write)
    with os.fdopen(read, "rb") as file:
        assert verify_frames(file.read(), KEY).records == ()


def test_values_that_json_lacks_are_refused():
    with pytest.raises(TypeError, match="JSON value"):
        written(object())


def test_threads_and_reentry_keep_the_order():
    read, write = os.pipe()
    send, finish = open_channel(write, KEY)
    threads = [threading.Thread(target=lambda n=n: [send([n, k]) for k in range(200)]) for n in range(4)]
    for thread in threads:
        thread.start()
    data = bytearray()
    collector = threading.Thread(target=lambda: [data.extend(c) for c in iter(lambda: os.read(read, 65536), b"")])
    collector.start()
    for thread in threads:
        thread.join()
    finish(END_RECORD)
    os.close(write)
    collector.join()
    os.close(read)
    received = verify_frames(data, KEY)
    assert received.integrity == "clean"
    for n in range(4):
        assert [k for thread, k in received.records if thread == n] == list(range(200))


@given(st.data())
def test_any_change_is_noticed(data):
    good = bytearray(written("first", ["second"]))
    position = data.draw(st.integers(0, len(good) - 1))
    good[position] ^= data.draw(st.integers(1, 255))
    received = verify_frames(good, KEY)
    assert received.integrity in ("forged", "truncated")
    assert received.end is None
    assert received.records in ((), ("first",), ("first", ["second"]))


@given(st.binary(max_size=200))
def test_garbage_never_raises(garbage):
    assert verify_frames(garbage, KEY).end is None


@given(st.integers(0, 200))
def test_a_cut_is_truncated(cut):
    whole = written("first", ["second"])
    received = verify_frames(whole[: len(whole) - 1 - cut % len(whole)], KEY)
    assert (received.integrity, received.end) == ("truncated", None)


@pytest.mark.parametrize(
    "data",
    [
        written("a") + b"x",
        written("a") + frame(b"1", 2),
        frame(b"1", 1),
        frame(b"1", 0, key=bytes(16)),
        frame(b"1", 0, kind=9),
        frame(b"not json"),
        frame(b"\xff"),
        frame(b"[" * 100_000),
        frame(b"[1]", kind=END),
        struct.pack(">IIB", 3, 7, RECORD) + b"abc" + bytes(16),
    ],
)
def test_forgeries(data):
    assert verify_frames(data, KEY).integrity == "forged"


def test_no_end_record_is_never_clean():
    assert verify_frames(written("a", end=None), KEY).integrity == "truncated"
    assert verify_frames(b"", KEY).integrity == "truncated"


def test_what_is_received_says_what_it_is():
    Received(records=(), end={}, integrity="clean")
    with pytest.raises(ValueError, match="integrity in"):
        Received(records=(), end=None, integrity="fine")
    with pytest.raises(ValueError, match="an end record"):
        Received(records=(), end=None, integrity="clean")
