"""Rows as tokens with the role and the step of each, aligned by construction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mine.tokenizer.lexemes import plain_table, refuse_surrogates
from trace_mine.tracer.schema import ROLES as SCHEMA_ROLES

ROLES: tuple[str, ...] = tuple(SCHEMA_ROLES)
"""A token's role is an index into these; -1 is a token that is no text."""

ROLE_NUMBERS = {role: number for number, role in enumerate(ROLES)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Encoded:
    """``ids`` int32 [T], ``roles`` int8 [T] (index into ``ROLES``, -1: no text), ``steps`` int32 [T] (-1: no text)."""

    ids: NDArray[np.int32]
    roles: NDArray[np.int8]
    steps: NDArray[np.int32]


def encode_text(tokenizer: Any, text: str) -> list[int]:
    """The ids of a text; ``tokenizer.decode`` gives it back.

    Raises:
        ValueError: the text has a lone surrogate, or a piece that a closed vocabulary lacks.
    """
    return _encoded(tokenizer, [text])[0].tolist()


def encode_rows(
    tokenizer: Any, rows: Iterable[Mapping[str, Any]], *, bos: bool = False, eos: bool = False
) -> list[Encoded]:
    """Rows (``text``, and ``segments`` as in the dataset: start, end, role, step) as tokens.

    A row's text is encoded in one piece, and each token gets the segment that its first byte lies in; where a token
    would reach over a segment's end the row is encoded segment by segment instead, so no token has two roles. In a
    vocabulary of whole commands a token holds prompt and command: there it has the role in which it ends.

    Raises:
        ValueError: as ``encode_text``, or segments that don't cover their text.
    """
    if (bos and tokenizer.bos_token_id is None) or (eos and tokenizer.eos_token_id is None):
        raise ValueError("expected a tokenizer with <bos> and <eos>, got a closed vocabulary; leave bos and eos out")
    rows = list(rows)
    texts = [row["text"] for row in rows]
    closed = tokenizer.unk_token_id is not None
    sizes = token_sizes(tokenizer)
    found = []
    for row, ids in zip(rows, _encoded(tokenizer, texts), strict=True):
        segments = row["segments"]
        text_ends, numbers, segment_steps = _columns(row["text"], segments)
        ends = text_ends if row["text"].isascii() else _byte_ends(row["text"], text_ends)
        token_ends = np.cumsum(sizes[ids])
        assert not len(ids) or token_ends[-1] == (ends[-1] if len(ends) else 0), "tokens don't add up to their text"
        at = np.searchsorted(token_ends, ends)
        if not closed and len(ids) and not (token_ends[at] == ends).all():
            pieces = _encoded(tokenizer, [row["text"][s["start"] : s["end"]] for s in segments])
            ids = np.concatenate(pieces)
            token_ends = np.cumsum(sizes[ids])
        at = np.searchsorted(ends, token_ends)
        roles, steps = numbers[at], segment_steps[at]
        found.append(_framed(tokenizer, ids, roles, steps, bos, eos))
    return found


def token_sizes(tokenizer: Any) -> NDArray[np.int64]:
    """Bytes of text that each id stands for; 0 for tokens that are no text."""
    raw = tokenizer.backend_tokenizer
    vocabulary = raw.get_vocab(with_added_tokens=True)
    sizes = np.zeros(max(vocabulary.values()) + 1, dtype=np.int64)
    closed = tokenizer.unk_token_id is not None
    special = set(tokenizer.all_special_ids)
    for token, number in vocabulary.items():
        if number not in special:
            # a byte-level token has one character a byte
            sizes[number] = len(token.encode()) if closed else len(token)
    return sizes


def _encoded(tokenizer: Any, texts: Sequence[str]) -> list[NDArray[np.int32]]:
    """The ids of each text. Plain texts of the ``python`` kind take the short way (see ``PlainTable``)."""
    table = plain_table(tokenizer)
    found: list[NDArray[np.int32] | None] = [None if table is None else table.encode(text) for text in texts]
    left = [n for n, ids in enumerate(found) if ids is None]
    for n, ids in zip(left, library_ids(tokenizer, [texts[n] for n in left]), strict=True):
        found[n] = ids
    return [ids for ids in found if ids is not None]


def library_ids(tokenizer: Any, texts: Sequence[str]) -> list[NDArray[np.int32]]:
    """The ids of each text as ``tokenizers`` gives them: what the short way is held to."""
    raw = tokenizer.backend_tokenizer
    raw.encode_special_tokens = True  # the strings of special tokens are text; not stored in tokenizer.json
    raw.no_truncation()  # both are left behind by a call with truncation=True or padding=True
    raw.no_padding()
    for text in texts:
        refuse_surrogates(text)
    found = [
        np.array(each.ids, dtype=np.int32) for each in raw.encode_batch_fast(list(texts), add_special_tokens=False)
    ]
    unknown = tokenizer.unk_token_id
    if unknown is not None:
        for text, ids in zip(texts, found, strict=True):
            strangers = {unknown, tokenizer.pad_token_id}  # a literal <pad> in the text is no padding
            if np.isin(ids, list(strangers)).any():
                raise ValueError(
                    f"expected words of the closed vocabulary, got {_first_of(raw, text, strangers)!r}; "
                    "fit a tokenizer on data that has it"
                )
    return found


def _first_of(raw: Any, text: str, numbers: set[int]) -> str:
    told = raw.encode(text, add_special_tokens=False)
    start, end = next(span for span, number in zip(told.offsets, told.ids, strict=True) if number in numbers)
    return text[start:end]


def _columns(
    text: str, segments: Sequence[Mapping[str, Any]]
) -> tuple[NDArray[np.int64], NDArray[np.int8], NDArray[np.int32]]:
    """(ends in characters, roles, steps) of the segments: one pass, for there are many."""
    try:
        told = [(s["start"], s["end"], ROLE_NUMBERS[s["role"]], s["step"]) for s in segments]
    except KeyError as missing:
        raise ValueError(f"expected segments with start, end, step and a role among {ROLES}, got {missing}") from None
    table = np.array(told, dtype=np.int64).reshape(-1, 4)
    ends = table[:, 1]
    last = int(ends[-1]) if len(ends) else 0
    if last != len(text) or (len(ends) and table[0, 0]) or (table[1:, 0] != ends[:-1]).any():
        raise ValueError("expected segments that cover their text in order, got others; read rows with datasets")
    return ends, table[:, 2].astype(np.int8), table[:, 3].astype(np.int32)


def _byte_ends(text: str, ends: NDArray[np.int64]) -> NDArray[np.int64]:
    starts = [0, *ends[:-1].tolist()]
    return np.cumsum([len(text[a:b].encode()) for a, b in zip(starts, ends.tolist(), strict=True)])


def _framed(
    tokenizer: Any,
    ids: NDArray[np.int32],
    roles: NDArray[np.int8],
    steps: NDArray[np.int32],
    bos: bool,
    eos: bool,
) -> Encoded:
    if not bos and not eos:
        return Encoded(ids=ids, roles=roles, steps=steps)
    before = [tokenizer.bos_token_id] if bos else []
    after = [tokenizer.eos_token_id] if eos else []
    none_before, none_after = [-1] * len(before), [-1] * len(after)
    return Encoded(
        ids=np.concatenate([np.array(before, np.int32), ids, np.array(after, np.int32)]),
        roles=np.concatenate([np.array(none_before, np.int8), roles, np.array(none_after, np.int8)]),
        steps=np.concatenate([np.array(none_before, np.int32), steps, np.array(none_after, np.int32)]),
    )
