"""Lines with the secret word are those that a plain split finds, and none of them becomes gigabytes of objects."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_mine.corpus.mined.harvest.harvest_protocol import records_of
from trace_mine.corpus.mined.items.item_protocol import answers_of
from trace_mine.corpus.mined.marked_lines import MAX_LINE_BYTES, marked_lines
from trace_mine.tracer.inside.protocol.codec import ProtocolError


@given(st.lists(st.sampled_from([b"w ", b"w", b" ", b"\n", b"x"]), max_size=30).map(b"".join))
def test_they_are_those_of_a_plain_split(output: bytes) -> None:
    expected = [line[2:] for line in output.split(b"\n")[:-1] if line.startswith(b"w ")]
    assert [*marked_lines(output, "w")] == expected


def test_a_long_line_is_cut_and_the_next_one_is_read() -> None:
    output = b"w " + b"x" * (2 * MAX_LINE_BYTES) + b"\nw next\n"
    first, second = marked_lines(output, "w")
    assert len(first) == MAX_LINE_BYTES and second == b"next"


def test_json_of_any_length_is_not_made_into_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """128 MB of ``[{},{},...`` would be gigabytes."""
    longest = 0

    def loads(text: bytes, known=json.loads) -> object:
        nonlocal longest
        longest = max(longest, len(text))
        return known(text)

    monkeypatch.setattr(json, "loads", loads)
    output = b"w [" + b"{}," * (MAX_LINE_BYTES // 2) + b"{}]\n"
    assert [*records_of(output, "w")] == []
    with pytest.raises(ProtocolError):
        answers_of(output, "w")
    assert 0 < longest <= MAX_LINE_BYTES
