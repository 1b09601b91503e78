"""Rows as tokens with the role and the step of each token.

Roles are assigned by bytes: the segments of a row say at which byte each role ends, and every token stands for a known
number of bytes. Nothing is searched for in the text, so tokens and roles can't drift apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trace_mine.tokenizer.lexemes import plain_table, refuse_surrogates
from trace_mine.tracer.schema import ROLES as SCHEMA_ROLES

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

# Any, for rows come from pyarrow, from ``datasets`` and from tests, whose values have no types that could be checked.
Row = Mapping[str, Any]
"""A row of a dataset: its ``text``, and ``segments`` with start, end, role and step; other columns aren't read."""

ROLES: tuple[str, ...] = tuple(SCHEMA_ROLES)
"""A token's role is an index into these; -1 is the role of a token that is no text, such as ``<bos>``."""

ROLE_NUMBERS = {role: number for number, role in enumerate(ROLES)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Encoded:
    """The tokens of a text of T tokens.

    ``ids`` int32 [T]; ``roles`` int8 [T], indices into ``ROLES``; ``steps`` int32 [T], counted from 0. Roles and steps
    of tokens that are no text (``<bos>``, ``<eos>``) are -1.
    """

    ids: NDArray[np.int32]
    roles: NDArray[np.int8]
    steps: NDArray[np.int32]

    def __post_init__(self) -> None:
        if not self.ids.shape == self.roles.shape == self.steps.shape:
            shapes = self.ids.shape, self.roles.shape, self.steps.shape
            raise ValueError(f"expected a role and a step for each id, got arrays of shapes {shapes}")


def encode_text(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Encode a text without special tokens; ``tokenizer.decode`` gives the text back.

    Raises:
        ValueError: the text has a lone surrogate, or a piece that a closed vocabulary lacks.
    """
    return _encoded(tokenizer, [text])[0].tolist()


def encode_rows(
    tokenizer: PreTrainedTokenizerBase, rows: Iterable[Row], *, bos: bool = False, eos: bool = False
) -> list[Encoded]:
    """Encode rows, giving each token the role and the step of its segment.

    A row's text is encoded in one piece, since a text cut at segments may give other tokens than a model sees when it
    reads on. The cumulated sizes of tokens and segments in bytes then say in which segment each token ends. Where a
    token would reach over a segment's end, the row is encoded segment by segment instead, so that no token has two
    roles. In a closed vocabulary of whole commands a token holds a prompt and a command: there it keeps both, with the
    role in which it ends.

    ``bos`` and ``eos`` put the special tokens before and after each row.

    Raises:
        ValueError: as ``encode_text``, or segments that don't cover their text.
    """
    if (bos and tokenizer.bos_token_id is None) or (eos and tokenizer.eos_token_id is None):
        raise ValueError("expected a tokenizer with <bos> and <eos>, got a closed vocabulary; leave bos and eos out")
    rows = list(rows)
    texts = [row["text"] for row in rows]
    closed = tokenizer.unk_token_id is not None
    sizes = token_sizes(tokenizer)
    encoded = []
    for row, ids in zip(rows, _encoded(tokenizer, texts), strict=True):
        segments = row["segments"]
        text_ends, segment_roles, segment_steps = _columns(row["text"], segments)
        # segments count characters, tokens bytes; in ASCII, that is in most rows, the two are the same
        ends = text_ends if row["text"].isascii() else _byte_ends(row["text"], text_ends)
        token_ends = np.cumsum(sizes[ids])
        assert not len(ids) or token_ends[-1] == (ends[-1] if len(ends) else 0), "tokens don't add up to their text"
        # the token that holds each segment's last byte: where it ends elsewhere, it reaches into the next segment
        at = np.searchsorted(token_ends, ends)
        if not closed and len(ids) and not (token_ends[at] == ends).all():
            pieces = _encoded(tokenizer, [row["text"][s["start"] : s["end"]] for s in segments])
            ids = np.concatenate(pieces)
            token_ends = np.cumsum(sizes[ids])
        at = np.searchsorted(ends, token_ends)
        encoded.append(_framed(tokenizer, ids, segment_roles[at], segment_steps[at], bos, eos))
    return encoded


def token_sizes(tokenizer: PreTrainedTokenizerBase) -> NDArray[np.int64]:
    """[vocabulary]: the number of bytes of text that each id stands for; 0 for special tokens."""
    raw = tokenizer.backend_tokenizer
    vocabulary = raw.get_vocab(with_added_tokens=True)
    sizes = np.zeros(max(vocabulary.values()) + 1, dtype=np.int64)
    closed = tokenizer.unk_token_id is not None
    special = set(tokenizer.all_special_ids)
    for token, number in vocabulary.items():
        if number not in special:
            # a token of the python kind is spelt with one letter a byte; of the symbols kind it is the text itself
            sizes[number] = len(token.encode()) if closed else len(token)
    return sizes


def _encoded(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[NDArray[np.int32]]:
    """The ids of each text: from the ``PlainTable`` where a text is plain, from the library else."""
    table = plain_table(tokenizer)
    from_table = [None if table is None else table.encode(text) for text in texts]
    # all the others in one call, which the library spreads over the cores
    remaining = library_ids(tokenizer, [text for text, ids in zip(texts, from_table, strict=True) if ids is None])
    from_library = iter(remaining)
    return [next(from_library) if ids is None else ids for ids in from_table]


def library_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[NDArray[np.int32]]:
    """The ids of each text as ``tokenizers`` gives them; tests compare the ``PlainTable`` with these.

    Raises:
        ValueError: as ``encode_text``.
    """
    raw = tokenizer.backend_tokenizer
    raw.encode_special_tokens = True  # the strings of special tokens are text; not stored in tokenizer.json
    raw.no_truncation()  # both are left behind by a call with truncation=True or padding=True
    raw.no_padding()
    for text in texts:
        refuse_surrogates(text)
    # "fast" leaves out where each token stands in the text, which nothing here needs
    encodings = raw.encode_batch_fast(list(texts), add_special_tokens=False)
    ids_of_texts = [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]
    unknown = tokenizer.unk_token_id
    if unknown is not None:
        for text, ids in zip(texts, ids_of_texts, strict=True):
            forbidden = {unknown, tokenizer.pad_token_id}  # a literal <pad> in the text is no padding
            if np.isin(ids, list(forbidden)).any():
                raise ValueError(
                    f"expected words of the closed vocabulary, got {_first_piece(raw, text, forbidden)!r}; "
                    "fit a tokenizer on data that has it"
                )
    return ids_of_texts


def _first_piece(raw: Tokenizer, text: str, numbers: set[int]) -> str:
    """The first piece of a text that has one of these ids; it has one."""
    encoding = raw.encode(text, add_special_tokens=False)
    start, end = next(span for span, number in zip(encoding.offsets, encoding.ids, strict=True) if number in numbers)
    return text[start:end]


def _columns(text: str, segments: Sequence[Row]) -> tuple[NDArray[np.int64], NDArray[np.int8], NDArray[np.int32]]:
    """(ends in characters, roles, steps) of a text's segments, [segments] each.

    Raises:
        ValueError: segments leave a gap or overlap, or lack a column.
    """
    # one pass over the segments for all four columns, since a dataset has many segments for each text
    try:
        values = [(s["start"], s["end"], ROLE_NUMBERS[s["role"]], s["step"]) for s in segments]
    except KeyError as missing:
        raise ValueError(f"expected segments with start, end, step and a role among {ROLES}, got {missing}") from None
    table = np.array(values, dtype=np.int64).reshape(-1, 4)
    ends = table[:, 1]
    last = int(ends[-1]) if len(ends) else 0
    if last != len(text) or (len(ends) and table[0, 0]) or (table[1:, 0] != ends[:-1]).any():
        raise ValueError("expected segments that cover their text in order, got others; read rows with datasets")
    return ends, table[:, 2].astype(np.int8), table[:, 3].astype(np.int32)


def _byte_ends(text: str, ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ends of segments in bytes of UTF-8, given their ends in characters."""
    starts = [0, *ends[:-1].tolist()]
    return np.cumsum([len(text[a:b].encode()) for a, b in zip(starts, ends.tolist(), strict=True)])


def _framed(
    tokenizer: PreTrainedTokenizerBase,
    ids: NDArray[np.int32],
    roles: NDArray[np.int8],
    steps: NDArray[np.int32],
    bos: bool,
    eos: bool,
) -> Encoded:
    """The tokens of a row, with ``<bos>`` before and ``<eos>`` after them where that is wanted."""
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
