"""Rows with padding and packed rows, run so that no state ever sees padding; and the cache that ``generate`` hands on.

A row is cut into its sequences, padding left out. Sequences of like lengths run together as a batch of their own, and
their outputs are put back where the tokens stood. So each comes out as if it were alone, whatever the mixer is: a mask
would help attention only, for a recurrent state that has read padding is another state.

Where the carry after a row is wanted, the sequence that ends it runs with others of its very length alone. All others
are filled up on the right to the longest of their group, which a causal model's outputs don't depend on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from trace_mine.train.models.layers import Carry

LayerAxes = Sequence[dict[str, int]]
"""For each layer ``Mixer.batch_axes``: name in the carry -> the axis of rows, where that isn't axis 0."""

Run = Callable[[Tensor, "list[Carry] | None"], "tuple[list[Tensor], list[Carry]]"]
"""A model's backbone: inputs [B, T] or [B, T, D] and carries to some outputs [B, T, D], and the new carries."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowPiece:
    """A sequence of a row: ``columns`` [tokens] where they stand in the row, padding left out.

    ``begins`` is False if it goes on from what the row's cache holds; ``ends`` is True if it is the row's last.
    """

    row: int
    columns: Tensor
    begins: bool
    ends: bool


@dataclass(slots=True, kw_only=True, eq=False)
class Part:
    """The carries of some rows of a cache, as one batch. ``positions`` has the steps that each row has seen."""

    rows: list[int]
    positions: list[int]
    carry: list[Carry]


@dataclass(slots=True, kw_only=True, eq=False)
class _Cached:
    """What a cache holds: the rows' carries, by part; rows that have seen no token yet are in none."""

    parts: list[Part] = field(default_factory=list)
    axes: LayerAxes = ()
    num_rows: int = 0
    num_columns: int = 0


class CarryCache:
    """The carries of a batch of rows, each after its own last token: what ``generate`` calls ``past_key_values``.

    Its size doesn't grow with time, but for attention, whose carry is the keys and values of all steps. ``forward``
    changes it in place. An empty one, ``CarryCache()``, may be given to begin with.

    It is no ``transformers.Cache``, which is made of keys and values, but has the methods that ``generate`` calls.
    """

    is_compileable = False
    is_croppable = False

    def __init__(self) -> None:
        self.held = _Cached()

    def __len__(self) -> int:
        return len(self.held.axes)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of columns that were read, padding included: ``generate`` cuts off as many."""
        return self.held.num_columns

    def get_max_length(self) -> int:
        """Return -1: there is no bound."""
        return -1

    def position(self, row: int) -> int:
        """Return the number of steps that a row has seen, padding left out."""
        for part in self.held.parts:
            if row in part.rows:
                return part.positions[part.rows.index(row)]
        return 0

    def num_bytes(self) -> int:
        """Return the bytes of all tensors held."""
        return sum(
            tensor.numel() * tensor.element_size()
            for part in self.held.parts
            for carry in part.carry
            for value in carry.values()
            for tensor in (value if isinstance(value, tuple) else (value,))
            if isinstance(tensor, Tensor)
        )

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Make row n what row ``beam_idx[n]`` was; beam search calls it after each step."""
        self.batch_select_indices(beam_idx)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep the rows ``indices`` [rows], in this order; a row may be taken several times."""
        wanted = indices.tolist()
        parts = []
        for part in self.held.parts:
            picks = [(n, part.rows.index(row)) for n, row in enumerate(wanted) if row in part.rows]
            if picks:
                places = [place for _, place in picks]
                parts.append(
                    Part(
                        rows=[n for n, _ in picks],
                        positions=[part.positions[place] for place in places],
                        carry=_selected(part.carry, places, self.held.axes),
                    )
                )
        self.held.parts, self.held.num_rows = parts, len(wanted)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat each row ``repeats`` times."""
        self.batch_select_indices(torch.arange(self.held.num_rows).repeat_interleave(repeats))

    def reset(self) -> None:
        """Forget all rows."""
        self.held = _Cached()

    def crop(self, *sizes: int) -> None:
        """Refuse: a recurrent state can't go back.

        Raises:
            ValueError: always.
        """
        raise ValueError("expected no cropping of a cache of carries, got some: a state can't go back; start anew")

    def carry_of(self, rows: Sequence[int]) -> list[Carry]:
        """Return the carries of some rows, as one batch in their order; the rows must be in the cache."""
        for part in self.held.parts:
            if part.rows == list(rows):
                return part.carry
        pieces, order = [], []
        for part in self.held.parts:
            places = [place for place, row in enumerate(part.rows) if row in set(rows)]
            if places:
                pieces.append(_selected(part.carry, places, self.held.axes))
                order += [part.rows[place] for place in places]
        together = _joined(pieces, self.held.axes) if len(pieces) > 1 else pieces[0]
        return _selected(together, [order.index(row) for row in rows], self.held.axes)

    def put(self, parts: list[Part], axes: LayerAxes, num_rows: int, num_columns: int) -> None:
        """Hold the carries of ``parts`` after ``num_columns`` more columns; other rows keep what they have."""
        replaced = {row for part in parts for row in part.rows}
        kept = []
        for part in self.held.parts:
            places = [place for place, row in enumerate(part.rows) if row not in replaced]
            if places:
                rows, positions = ([each[place] for place in places] for each in (part.rows, part.positions))
                whole = len(places) == len(part.rows)
                carry = part.carry if whole else _selected(part.carry, places, axes)
                kept.append(Part(rows=rows, positions=positions, carry=carry))
        self.held = _Cached(
            parts=[*parts, *kept], axes=axes, num_rows=num_rows, num_columns=self.held.num_columns + num_columns
        )


def cut(real: Tensor, begins: Tensor | None, cached: CarryCache | None) -> list[RowPiece]:
    """Cut rows into pieces.

    Args:
        real: [B, T] bool, False at padding.
        begins: [B, T] bool, True where a sequence begins anew; None where each row is one sequence.
        cached: from which the first piece of a row goes on, unless it begins anew or the cache hasn't seen the row.
    """
    real, begins = real.cpu(), None if begins is None else begins.cpu()
    pieces = []
    for row in range(real.shape[0]):
        columns = real[row].nonzero()[:, 0]
        if not len(columns):
            continue
        starts = [] if begins is None else begins[row, columns].nonzero()[:, 0].tolist()
        goes_on = cached is not None and cached.position(row) > 0 and 0 not in starts
        edges = [0, *(start for start in starts if start), len(columns)]
        for index, (first, last) in enumerate(itertools.pairwise(edges)):
            pieces.append(
                RowPiece(
                    row=row,
                    columns=columns[first:last],
                    begins=index > 0 or not goes_on,
                    ends=last == len(columns),
                )
            )
    return pieces


def run_pieces(
    run: Run,
    inputs: Tensor,
    pieces: Sequence[RowPiece],
    *,
    cached: CarryCache | None,
    axes: LayerAxes,
    needs_position: bool,
) -> list[Tensor]:
    """Run each piece as if it were alone, and put the outputs back where its tokens stood. There must be a piece.

    Args:
        inputs: [B, T] tokens or [B, T, D] embeddings.
        cached: what pieces go on from; it then holds the carry after each row. None: carries aren't wanted.
        needs_position: rows that have seen different numbers of steps can't go on as one batch.

    Returns:
        the outputs of ``run``, [B, T, D] each, 0 at padding.
    """
    num_rows, time = inputs.shape[:2]
    groups: dict[tuple[int, int, bool], list[RowPiece]] = {}
    for piece in pieces:
        # whose carry is wanted runs in its very length, others filled up to less than twice it
        wanted = cached is not None and piece.ends
        length = len(piece.columns) if wanted else 1 << (len(piece.columns) - 1).bit_length()
        position = -1
        if not piece.begins:
            assert cached is not None  # ``cut`` says so
            position = cached.position(piece.row) if needs_position else 0
        groups.setdefault((position, length, wanted), []).append(piece)
    made_by_group: list[list[Tensor]] = []
    at: list[tuple[Tensor, Tensor]] = []
    parts = []
    for (position, _, wanted), group in groups.items():
        rows = torch.tensor([piece.row for piece in group], device=inputs.device)
        longest = max(len(piece.columns) for piece in group)
        places = torch.stack(
            [torch.cat([p.columns, p.columns[-1:].expand(longest - len(p.columns))]) for p in group]
        ).to(inputs.device)
        carry = None
        if position >= 0:
            assert cached is not None
            carry = _at_position(cached.carry_of([piece.row for piece in group]), cached.position(group[0].row))
        made, after = run(inputs[rows[:, None], places], carry)
        lengths = torch.tensor([[len(piece.columns)] for piece in group], device=inputs.device)
        real = torch.arange(longest, device=inputs.device) < lengths
        at.append((rows[:, None].expand(places.shape)[real], places[real]))
        made_by_group.append([each[real] for each in made])
        if wanted:
            assert cached is not None
            parts.append(
                Part(
                    rows=[piece.row for piece in group],
                    positions=[
                        len(piece.columns) + (0 if piece.begins else cached.position(piece.row)) for piece in group
                    ],
                    carry=after,
                )
            )
    if cached is not None:
        cached.put(parts, axes, num_rows, time)
    at_rows, at_columns = (torch.cat(each) for each in zip(*at, strict=True))
    return [
        each[0].new_zeros(num_rows, time, *each[0].shape[1:]).index_put((at_rows, at_columns), torch.cat(each))
        for each in zip(*made_by_group, strict=True)
    ]


def filled(outputs: Tensor, real: Tensor) -> Tensor:
    """Put at padding the output of the row's last token before it: outputs [B, T, D], real [B, T].

    So the last column says what comes next, in rows that are padded on the right too. What stands before a row's first
    token is left as it is.
    """
    time = torch.arange(real.shape[1], device=real.device)
    last = torch.where(real, time, 0).cummax(1).values
    return outputs.gather(1, last[..., None].expand(outputs.shape))


def _at_position(carry: list[Carry], position: int) -> list[Carry]:
    """Return the carries with another number of steps seen."""
    return [{**layer, "position": position} for layer in carry]


def _selected(carry: list[Carry], places: Sequence[int], axes: LayerAxes) -> list[Carry]:
    """Return the rows ``places`` of the carries of all layers."""

    def select(value: object, axis: int) -> object:
        if isinstance(value, tuple):
            return tuple(select(each, axis) for each in value)
        if isinstance(value, Tensor):
            return value.index_select(axis, torch.tensor(places, device=value.device))
        return value

    return [
        {name: select(value, layer_axes.get(name, 0)) for name, value in layer.items()}
        for layer, layer_axes in zip(carry, axes, strict=True)
    ]


def _joined(carries: Sequence[list[Carry]], axes: LayerAxes) -> list[Carry]:
    """Return the rows of several carries as one batch. The position is that of the first."""

    def join(values: Sequence[object], axis: int) -> object:
        first = values[0]
        if isinstance(first, tuple):
            return tuple(join(each, axis) for each in zip(*values, strict=True))  # type: ignore[call-overload]
        if isinstance(first, Tensor):
            return torch.cat([value for value in values if isinstance(value, Tensor)], axis)
        return first

    return [
        {name: join([layer[name] for layer in layers], layer_axes.get(name, 0)) for name in layers[0]}
        for layers, layer_axes in zip(zip(*carries, strict=True), axes, strict=True)
    ]
