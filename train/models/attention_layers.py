"""Layers of attention among recurrent ones: ``attn`` of a config, in the form of flash-linear-attention (fla).

One mapping or a list of them, each with ``layers`` (from 0) and ``num_heads``, and if need be ``num_kv_heads``,
``qkv_bias``, ``window_size`` and ``rope_theta``. Keys that aren't known here are kept in the config, as fla does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionSpec:
    """The attention of a layer.

    Attributes:
        num_heads, num_kv_heads: heads of queries, and of keys and values, of which several of the former share one.
        qkv_bias: q, k and v have biases.
        window_size: keys that a query sees, its own among them; None: all before it.
        rope_theta: base of the rotary positions.
    """

    num_heads: int
    num_kv_heads: int
    qkv_bias: bool = False
    window_size: int | None = None
    rope_theta: float = 10_000.0


Attn = Mapping[str, object] | Sequence[Mapping[str, object]] | None
"""``attn`` of a config."""


def attention_specs(attn: Attn, num_layers: int, hidden_size: int) -> dict[int, AttentionSpec]:
    """Return layer -> its attention, of the layers that have one.

    >>> attention_specs({"layers": [1], "num_heads": 2}, num_layers=3, hidden_size=8)
    {1: AttentionSpec(num_heads=2, num_kv_heads=2, qkv_bias=False, window_size=None, rope_theta=10000.0)}

    Raises:
        ValueError: ``attn`` isn't of fla's form, a layer doesn't exist or is named twice, or heads don't divide widths.
    """
    if attn is None:
        return {}
    specs: dict[int, AttentionSpec] = {}
    for given in [attn] if isinstance(attn, Mapping) else attn:
        if not isinstance(given, Mapping) or not isinstance(given.get("layers"), list | tuple):
            raise _unfit("{layers: [1], num_heads: 2} or a list of such", given)
        spec = _spec(given, hidden_size)
        layers = given["layers"]
        assert isinstance(layers, list | tuple)
        for layer in layers:
            if type(layer) is not int or not 0 <= layer < num_layers or layer in specs:
                raise _unfit(f"layers from 0 to {num_layers - 1}, each once", layer)
            specs[layer] = spec
    return specs


def _spec(given: Mapping[str, object], hidden_size: int) -> AttentionSpec:
    """Return the attention that a mapping describes.

    Raises:
        ValueError: a value is of another type, or heads don't divide widths.
    """
    num_heads = given.get("num_heads")
    if type(num_heads) is not int or num_heads < 1 or hidden_size % (2 * num_heads):
        raise _unfit(f"num_heads that divides half of hidden_size={hidden_size}", num_heads)
    num_kv_heads = given.get("num_kv_heads")
    num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
    if type(num_kv_heads) is not int or num_kv_heads < 1 or num_heads % num_kv_heads:
        raise _unfit(f"num_kv_heads that divides num_heads={num_heads}", num_kv_heads)
    qkv_bias = given.get("qkv_bias", False)
    if not isinstance(qkv_bias, bool):
        raise _unfit("qkv_bias true or false", qkv_bias)
    window_size = given.get("window_size")
    if window_size is not None and (type(window_size) is not int or window_size < 1):
        raise _unfit("a positive window_size or none", window_size)
    theta = given.get("rope_theta", 10_000.0)
    if isinstance(theta, bool) or not isinstance(theta, int | float) or not 0 < theta < math.inf:
        raise _unfit("a positive rope_theta", theta)
    return AttentionSpec(
        num_heads=num_heads,
        num_kv_heads=num_kv_heads,
        qkv_bias=qkv_bias,
        window_size=window_size,
        rope_theta=float(theta),
    )


def _unfit(expected: str, got: object) -> ValueError:
    return ValueError(f"expected attn to have {expected}, got {got!r:.60}")
