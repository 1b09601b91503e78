"""Arguments that transformers gives to a causal model, checked, and read as the layout of rows: padding, sequences.

Nothing is left out in silence: what has no meaning for a model without positions and attention masks is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trace_mine.train.models.layers import Carry
from trace_mine.train.models.ragged import CarryCache

LOSS = ("num_items_in_batch", "shift_labels", "ignore_index")
"""Arguments of transformers' loss of causal models."""

PACKED = ("cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k", "seq_idx")
"""Where packed sequences begin, said once more for kernels of attention; ``position_ids`` say it here."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowLayout:
    """How rows lie in a batch.

    Attributes:
        real: [B, T] bool, False at padding; None where there is none.
        begins: [B, T] bool, True where a sequence begins anew; None where each row is one sequence.
        as_they_lie: the rows can run as one batch, as they are.
    """

    real: Tensor | None
    begins: Tensor | None
    as_they_lie: bool


def loss_arguments(others: Mapping[str, object], position_ids: Tensor | None) -> dict[str, object]:
    """Return those of ``others`` that the loss takes.

    Raises:
        ValueError: another one is given, with a value that asks for something.
    """
    for name, value in others.items():
        # transformers gives all models such arguments as output_attentions=False, which ask for nothing
        asks = value is not None and value is not False
        if asks and name not in LOSS and not (name in PACKED and position_ids is not None):
            raise ValueError(f"expected an argument of a sequence model, got {name}={value!r:.60}; leave it out")
    return {name: value for name, value in others.items() if name in LOSS}


def layout_of(
    *,
    input_ids: Tensor | None,
    inputs_embeds: Tensor | None,
    attention_mask: Tensor | None,
    position_ids: Tensor | None,
    carry: Sequence[Carry] | None,
    return_carry: bool,
    cached: CarryCache | None,
) -> tuple[Tensor, RowLayout]:
    """Return the inputs, [B, T] or [B, T, D], and how their rows lie.

    Raises:
        ValueError: arguments are missing, don't go together, or have other shapes.
    """
    if (input_ids is None) == (inputs_embeds is None):
        raise ValueError("expected input_ids or inputs_embeds, got both or neither; give one")
    inputs = input_ids if input_ids is not None else inputs_embeds
    assert inputs is not None
    num_rows, time = inputs.shape[:2]
    if time == 0:
        raise ValueError("expected at least one token a row, got none")
    _check_memory(carry, cached, num_rows)
    real = begins = None
    if attention_mask is not None:
        read = cached.get_seq_length() if cached is not None else 0
        if attention_mask.ndim != 2 or attention_mask.shape not in ((num_rows, time), (num_rows, read + time)):
            raise ValueError(
                f"expected attention_mask [B={num_rows}, T={time}] or [B, {read + time}] with the columns read before, "
                f"got {list(attention_mask.shape)}"
            )
        real = attention_mask[:, -time:] != 0
        if bool(real.all()):
            real = None
    if position_ids is not None:
        begins = _begins(position_ids, real, num_rows, time)
    # a first token that begins its sequence, with nothing before it to go on from, is what a row without positions is
    if begins is not None and (cached is None or cached.get_seq_length() == 0) and carry is None:
        begins = _further(begins, real)
    on_the_right = real is not None and not bool((real[:, 1:] > real[:, :-1]).any())
    wants_carry = return_carry or cached is not None
    as_they_lie = begins is None and (real is None or (on_the_right and not wants_carry and carry is None))
    if not as_they_lie and (carry is not None or return_carry):
        raise ValueError(
            "expected rows without padding, each one sequence, with carry or return_carry, got others; "
            "give use_cache=True and past_key_values, which keep a carry for each row"
        )
    # a row that a cache hasn't seen yet, or as many steps as others but not together, can't go on with them as they lie
    if as_they_lie and cached is not None and not _together(cached, num_rows):
        as_they_lie, real = False, torch.ones(num_rows, time, dtype=torch.bool, device=inputs.device)
    if not as_they_lie and real is None:
        real = torch.ones(num_rows, time, dtype=torch.bool, device=inputs.device)
    return inputs, RowLayout(real=real, begins=begins, as_they_lie=as_they_lie)


def _check_memory(carry: object, cached: object, num_rows: int) -> None:
    """Raise ValueError unless at most one memory is given, a cache of carries, and of as many rows."""
    if cached is None:
        return
    if carry is not None:
        raise ValueError("expected carry or a cache, got both; give one")
    if not isinstance(cached, CarryCache):
        raise ValueError(
            f"expected past_key_values that this model returned, or CarryCache(), got {type(cached).__name__}; "
            "leave it out, and give use_cache=True"
        )
    if cached.get_seq_length() and cached.held.num_rows != num_rows:
        raise ValueError(f"expected the {cached.held.num_rows} rows of past_key_values, got {num_rows}")


def _together(cached: CarryCache, num_rows: int) -> bool:
    """Tell if all rows of a cache are one batch in their order, or none has been read."""
    parts = cached.held.parts
    return not cached.get_seq_length() or (len(parts) == 1 and parts[0].rows == [*range(num_rows)])


def _begins(position_ids: Tensor, real: Tensor | None, num_rows: int, time: int) -> Tensor:
    """Return [B, T] bool, True where a token's position is 0.

    Raises:
        ValueError: the positions of a row's tokens, padding left out, jump other than to 0.
    """
    if position_ids.ndim != 2 or position_ids.shape[1] != time or position_ids.shape[0] not in (1, num_rows):
        raise ValueError(f"expected position_ids [B={num_rows}, T={time}], got {list(position_ids.shape)}")
    positions = position_ids.expand(num_rows, time)
    begins = positions == 0
    if real is not None:
        begins = begins & real
    step = positions[:, 1:] == positions[:, :-1] + 1
    both = torch.ones_like(step) if real is None else real[:, 1:] & real[:, :-1]
    if bool((both & ~step & ~begins[:, 1:]).any()):
        raise ValueError("expected position_ids that count each sequence's tokens from 0 in ones, got a jump")
    return begins


def _further(begins: Tensor, real: Tensor | None) -> Tensor | None:
    """Return ``begins`` without the first token of each row; None if nothing else begins."""
    first = torch.zeros_like(begins)
    if real is None:
        first[:, 0] = True
    else:
        first = real & (real.cumsum(1) == 1)
    further = begins & ~first
    return further if bool(further.any()) else None
