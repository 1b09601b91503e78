"""A run's three pipes: limits to the byte, and no descriptor left."""

from __future__ import annotations

import os

import pytest

from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox.run_pipes import RunPipes

LIMITS = Limits(record_bytes=10, output_bytes=10)


def collected(*texts: bytes) -> tuple[str, tuple[bytes, ...]]:
    """What ``cut`` says, and what is left, after these bytes came over record, stdout and stderr."""
    with RunPipes(LIMITS) as pipes:
        readers = sorted(pipes.open)
        for writer, text in zip(pipes.writers, texts, strict=True):
            os.write(writer, text)
        for reader, text in zip(readers, texts, strict=True):
            assert not text or pipes.read(reader)
        return pipes.cut(), tuple(map(bytes, pipes.collected()))


@pytest.mark.parametrize(
    ("record", "out", "err", "over"),
    [
        (10, 10, 0, ""),
        (11, 0, 0, "trace-limit"),
        (0, 11, 0, "output-limit"),
        (0, 0, 11, "output-limit"),
        (0, 5, 5, ""),
        (0, 6, 5, "output-limit"),  # together
        (11, 11, 0, "trace-limit"),
        (0, 12, 15, "output-limit"),
    ],
)
def test_limits(record, out, err, over):
    sizes = (record, out, err)
    said, left = collected(*(bytes(range(size)) for size in sizes))
    assert said == over
    assert left == tuple(bytes(range(min(size, 10))) for size in sizes)


def test_the_end_of_a_pipe():
    with RunPipes(LIMITS) as pipes:
        os.write(pipes.writers[0], b"last")
        pipes.close_writers()
        reader = min(pipes.open)
        assert pipes.read(reader) and not pipes.read(reader)
        assert len(pipes.open) == 2 and reader not in pipes.open
        pipes.close_writers()


def test_no_descriptor_is_left():
    before = os.listdir("/proc/self/fd")
    with RunPipes(LIMITS) as pipes:
        assert len(os.listdir("/proc/self/fd")) == len(before) + 6
        assert len(pipes.writers) == 3
    pipes.close()
    assert os.listdir("/proc/self/fd") == before


def test_no_descriptor_is_left_where_there_are_none(monkeypatch):
    before = os.listdir("/proc/self/fd")
    pipe, made = os.pipe, []

    def scarce() -> tuple[int, int]:
        if len(made) == 2:
            raise OSError(24, "too many open files")
        made.append(pipe())
        return made[-1]

    monkeypatch.setattr(os, "pipe", scarce)
    with pytest.raises(OSError, match="too many"):
        RunPipes(LIMITS)
    assert os.listdir("/proc/self/fd") == before
