"""DeltaNet: the delta rule, with eigenvalues in [0, 1] or [-1, 1], and its variant with a renormalised state.

Source: arXiv 2406.06484; negative eigenvalues: arXiv 2411.12537. Parameter names are fla's ``DeltaNet``.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trace_mine.train.kernels.delta import delta_rule, delta_rule_step
from trace_mine.train.kernels.rescale import Rescale
from trace_mine.train.models.layers import Carry, GatedRMSNorm, Mixer, ShortConv, heads, l2_norm


class MatrixMixer(Mixer):
    """A mixer with one matrix a head as its state. ``rescale`` set: the state's norm is put right as it runs, and
    nothing else changes. ``backend`` as in ``trace_mine.train.kernels.delta``.
    """

    config: Any

    def __init__(self) -> None:
        super().__init__()
        self.rescale: Rescale | None = None
        self.backend = "auto"

    def projected(self, x: Tensor, carry: Carry, after: Carry) -> list[Tensor]:
        """x [B, T, D] -> q, k, v [B, T, their widths]: projected, convolved over time where the config says so, SiLU.
        The convolutions' last inputs go into ``after``.
        """
        found = []
        for name in ("q", "k", "v"):
            y = getattr(self, f"{name}_proj")(x)
            if self.config.use_short_conv:
                y, after[f"conv_{name}"] = getattr(self, f"{name}_conv1d")(y, carry.get(f"conv_{name}"))
            else:
                y = F.silu(y)
            found.append(y)
        return found

    def mix(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        beta: Tensor,
        carry: Carry,
        *,
        log_decay: Tensor | None = None,
        n: int = 1,
    ) -> tuple[Tensor, Tensor]:
        """The delta rule from the carry's state on: over time, or, for one step with a carry, the recurrent form."""
        state = carry.get("state")
        if q.shape[1] == 1 and state is not None and self.rescale is None:
            out, state = delta_rule_step(
                q[:, 0], k, v, beta, state, log_decay=None if log_decay is None else log_decay[:, 0], num_householder=n
            )
            return out[:, None], state
        return delta_rule(
            q,
            k,
            v,
            beta,
            log_decay=log_decay,
            num_householder=n,
            initial_state=state,
            rescale=self.rescale,
            position=carry.get("position", 0),
            backend=self.backend,
        )


class DeltaNet(MatrixMixer):
    """One layer. Taps: queries, keys [B, T, H, K] (unit length), values [B, T, H, V], beta [B, T, H], state
    [B, H, K, V] (after the last step), heads [B, T, H, V] (normed, before the output projection).
    """

    points = ("queries", "keys", "values", "beta", "state", "heads")

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        width, self.num_heads = config.hidden_size, config.num_heads
        key_width, value_width = round(width * config.expand_k), round(width * config.expand_v)
        self.q_proj = nn.Linear(width, key_width, bias=False)
        self.k_proj = nn.Linear(width, key_width, bias=False)
        self.v_proj = nn.Linear(width, value_width, bias=False)
        if config.use_beta:
            self.b_proj = nn.Linear(width, self.num_heads, bias=False)
        if config.use_short_conv:
            self.q_conv1d = ShortConv(key_width, config.conv_size)
            self.k_conv1d = ShortConv(key_width, config.conv_size)
            self.v_conv1d = ShortConv(value_width, config.conv_size)
        head_width = value_width // self.num_heads
        if config.use_gate:
            self.g_proj = nn.Linear(width, value_width, bias=False)
            self.o_norm: nn.Module = GatedRMSNorm(head_width, config.norm_eps)
        else:
            self.o_norm = nn.RMSNorm(head_width, eps=config.norm_eps)
        self.o_proj = nn.Linear(value_width, width, bias=False)

    def forward(self, x: Tensor, carry: Carry | None = None) -> tuple[Tensor, Carry]:
        """See ``Mixer.forward``."""
        carry = carry or {}
        after: Carry = {"position": carry.get("position", 0) + x.shape[1]}
        q, k, v = (heads(y, self.num_heads) for y in self.projected(x, carry, after))
        q, k, v = self.tap("queries", l2_norm(q)), self.tap("keys", l2_norm(k)), self.tap("values", v)
        beta = self.b_proj(x).sigmoid() if self.config.use_beta else torch.ones_like(q[..., 0])
        beta = self.tap("beta", beta * 2 if self.config.allow_neg_eigval else beta)
        out, state = self.mix(q, k, v, beta, carry)
        after["state"] = self.tap("state", state)
        out = out.to(x.dtype)
        out = self.o_norm(out, heads(self.g_proj(x), self.num_heads)) if self.config.use_gate else self.o_norm(out)
        y = self.o_proj(self.tap("heads", out).flatten(-2))
        return y, after


class RenormedDeltaNet(DeltaNet):
    """The delta rule with its state brought to a learnt norm a head every ``renorm_every`` steps, from the first on.

    Linear between two such steps, nonlinear over them: it can forget by scale, and does (see docs/models.md).
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        per_head = round(config.hidden_size * config.expand_k) * round(config.hidden_size * config.expand_v)
        self.state_norm = nn.Parameter(torch.full((self.num_heads,), math.sqrt(per_head) / self.num_heads))

    def forward(self, x: Tensor, carry: Carry | None = None) -> tuple[Tensor, Carry]:
        """See ``Mixer.forward``."""
        self.rescale = Rescale(target=self.state_norm, every=self.config.renorm_every, skip=0)
        return super().forward(x, carry)
