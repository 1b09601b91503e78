"""The roles of another tokenizer's tokens, by the characters that each stands for.

Such a tokenizer cuts a text where it likes, so that a token may reach over the end of a segment: the line end of a
value and the prompt after it are one token for some. A token then has the role of its first character that is no
space; of spaces alone, that of the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trace_mine.tokenizer.encoded import ROLE_NUMBERS, Encoded, Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def encode_aligned(tokenizer: PreTrainedTokenizerBase, rows: Iterable[Row], *, end: bool = True) -> list[Encoded]:
    """Encode rows by the tokenizer's own habit, giving each token the role and the step of its segment.

    Special tokens that the tokenizer adds have neither (-1). With ``end`` its end of text comes last, where it has one.

    Raises:
        ValueError: the tokenizer doesn't say which characters a token stands for, or has no token for a text.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise ValueError(
            f"expected a tokenizer that tells characters of tokens, got {type(tokenizer).__name__}, which is not fast; "
            "save it with its tokenizer.json"
        )
    encoded = []
    for row in rows:
        text, segments = row["text"], row["segments"]
        if not text.isascii():
            text.encode()  # a lone surrogate, which no tokenizer takes: UnicodeEncodeError is a ValueError
        made = tokenizer(text, return_offsets_mapping=True, truncation=False, padding=False)
        ids = [*made["input_ids"]]
        unknown = tokenizer.unk_token_id
        # Some have one token for the end of text, padding and the unknown: in a text it is told by its characters.
        if unknown is not None and any(
            number == unknown and span[1] > span[0] for number, span in zip(ids, made["offset_mapping"], strict=True)
        ):
            raise ValueError(f"expected a tokenizer that knows the session's text, got unknown tokens in {text[:40]!r}")
        roles, steps = _of_characters(text, segments, made["offset_mapping"])
        if end and tokenizer.eos_token_id is not None and (not ids or ids[-1] != tokenizer.eos_token_id):
            ids.append(tokenizer.eos_token_id)
            roles, steps = np.append(roles, np.int8(-1)), np.append(steps, np.int32(-1))
        encoded.append(Encoded(ids=np.array(ids, np.int32), roles=roles.astype(np.int8), steps=steps.astype(np.int32)))
    return encoded


def _of_characters(
    text: str, segments: Sequence[Row], spans: Sequence[tuple[int, int]]
) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    """(roles, steps) of tokens that stand for these spans of characters; -1 for empty spans."""
    roles, steps = np.full(len(spans), -1, np.int8), np.full(len(spans), -1, np.int32)
    ends = np.array([segment["end"] for segment in segments], dtype=np.int64)
    for number, (start, stop) in enumerate(spans):
        if stop <= start:
            continue
        piece = text[start:stop]
        place = start + len(piece) - len(piece.lstrip()) if piece.strip() else start
        segment = segments[int(np.searchsorted(ends, place, side="right"))]
        roles[number], steps[number] = ROLE_NUMBERS[segment["role"]], segment["step"]
    return roles, steps
