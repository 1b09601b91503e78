"""Encoded documents as examples for ``transformers``: ids with labels, one document each or packed to a length.

A **label** is the id that a token has, or -100 (``IGNORED``) where it is not to be learnt: the losses of
``transformers`` leave those out. They compare the label of a token with the prediction made before it, so a document's
first token, of which nothing could tell, is never learnt: in a packed example the one before it is another document's.

**Packing** puts whole documents side by side into examples of one length, each into the fullest example that it still
fits in, and fills the rest with padding. A document that is longer than an example is cut into pieces of that length,
the last one shorter; no token is left out, and none stands twice. Documents are kept apart by ``position_ids``, which
begin at 0 with each: without an attention mask ``transformers`` (4.53 and later) finds the documents of an example by
them, and no token attends to another document; its flash attention does the same. ``sequence_lengths`` says the same in
numbers, for trainers that take ``cu_seqlens``, and for ``unpacked``. A recurrent model has no such mask: its state goes
on from one document to the next, unless its kernel takes the lengths.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IGNORED = -100
"""The label of a token that is not learnt."""
ALL, REVEALS = "all", "reveals"
"""What is learnt: every token of text and ``<eos>``; or the tokens that the project's training calls reveals, those of
role ``value``. (Its loss adds the mean over reveals, times a weight, to the mean over all others: with a weight alone
for the former it is that of ``reveals``.) Else roles, by commas.
"""
OPEN_EXAMPLES = 1_000
"""Examples that wait for a document that fits; beyond it the fullest is closed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Document:
    """A document of T tokens: its ``trace_id``, ``ids`` int32 [T], and ``labels`` int32 [T].

    Raises:
        ValueError: there is not a label for each id.
    """

    trace_id: str
    ids: NDArray[np.int32]
    labels: NDArray[np.int32]

    def __post_init__(self) -> None:
        if self.ids.shape != self.labels.shape:
            raise ValueError(f"expected a label for each id, got {self.ids.shape} and {self.labels.shape}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Packed:
    """An example of L tokens: ``input_ids``, ``labels`` and ``position_ids`` int32 [L], the documents' ``trace_ids``,
    and their lengths in order (``sequence_lengths``). What is beyond them is padding.
    """

    input_ids: NDArray[np.int32]
    labels: NDArray[np.int32]
    position_ids: NDArray[np.int32]
    trace_ids: tuple[str, ...]
    sequence_lengths: tuple[int, ...]


def labels_of(
    ids: NDArray[np.int32], roles: NDArray[np.int8], role_names: Sequence[str], learn: str
) -> NDArray[np.int32]:
    """Return the labels [T] of a document with these ids and roles [T].

    Args:
        ids: its tokens.
        roles: an index into ``role_names`` for each; -1 for ``<bos>`` and ``<eos>``.
        role_names: the names of roles.
        learn: ``all``, ``reveals``, or names of roles by commas.

    Raises:
        ValueError: ``learn`` is none of these.
    """
    names = ["value"] if learn == REVEALS else learn.split(",")
    unknown = [name for name in names if name not in role_names]
    if learn != ALL and unknown:
        raise ValueError(
            f"expected what is learnt as {ALL}, {REVEALS} or roles among {', '.join(role_names)}, got {learn!r}; "
            "name some of them"
        )
    if learn == ALL:
        labels = ids.copy()
    else:
        learnt = np.isin(roles, [role_names.index(name) for name in names])
        labels = np.where(learnt, ids, IGNORED).astype(np.int32)
    labels[:1] = IGNORED
    return labels


def packed(documents: Iterable[Document], length: int, padding: int) -> Iterator[Packed]:
    """Yield examples of ``length`` tokens that hold all documents, in an order that depends on these alone.

    Args:
        documents: without tokens a document is left out.
        length: of each example, 2 or more.
        padding: the id that fills what is left.

    Raises:
        ValueError: the length is less than 2: an example of one token has nothing to predict.
    """
    if length < 2:
        raise ValueError(f"expected a length of 2 or more, got {length}; give the context of the model")
    # free tokens -> the examples with so many left, each a list of pieces; the fullest that fits takes a piece
    waiting: dict[int, list[list[Document]]] = defaultdict(list)
    num_waiting = 0
    for document in documents:
        for piece in _pieces(document, length):
            size = len(piece.ids)
            free = min((room for room in waiting if room >= size), default=None)
            if free is None:
                free, pieces = length, []
                num_waiting += 1
            else:
                pieces = waiting[free].pop(0)
                if not waiting[free]:
                    del waiting[free]
            pieces.append(piece)
            if free == size:
                num_waiting -= 1
                yield _example(pieces, length, padding)
            else:
                waiting[free - size].append(pieces)
            if num_waiting > OPEN_EXAMPLES:
                fullest = min(waiting)
                num_waiting -= 1
                yield _example(waiting[fullest].pop(0), length, padding)
                if not waiting[fullest]:
                    del waiting[fullest]
    for room in sorted(waiting):
        for pieces in waiting[room]:
            yield _example(pieces, length, padding)


def unpacked(examples: Iterable[Packed]) -> dict[str, list[tuple[NDArray[np.int32], NDArray[np.int32]]]]:
    """Return for each ``trace_id`` its pieces (ids, labels), in order: joined, they are the document's ids, and its
    labels but for the first one of each piece. The inverse of ``packed`` where no two documents have one ``trace_id``.
    """
    pieces: dict[str, list[tuple[NDArray[np.int32], NDArray[np.int32]]]] = defaultdict(list)
    for example in examples:
        start = 0
        for trace_id, size in zip(example.trace_ids, example.sequence_lengths, strict=True):
            part = slice(start, start + size)
            pieces[trace_id].append((example.input_ids[part], example.labels[part]))
            start += size
    return dict(pieces)


def _pieces(document: Document, length: int) -> Iterator[Document]:
    for start in range(0, len(document.ids), length):
        part = slice(start, start + length)
        labels = document.labels[part].copy()
        labels[0] = IGNORED  # the token before it is another document's, or none
        yield Document(trace_id=document.trace_id, ids=document.ids[part], labels=labels)


def _example(pieces: Sequence[Document], length: int, padding: int) -> Packed:
    sizes = tuple(len(piece.ids) for piece in pieces)
    left = length - sum(sizes)
    spans = [*sizes, left] if left else [*sizes]
    return Packed(
        input_ids=np.concatenate([*(piece.ids for piece in pieces), np.full(left, padding, np.int32)]),
        labels=np.concatenate([*(piece.labels for piece in pieces), np.full(left, IGNORED, np.int32)]),
        # padding is a document of its own, which nothing is learnt of
        position_ids=np.concatenate([np.arange(span, dtype=np.int32) for span in spans]),
        trace_ids=tuple(piece.trace_id for piece in pieces),
        sequence_lengths=sizes,
    )
