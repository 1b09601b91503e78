"""DeltaNet: the delta rule, with eigenvalues in [0, 1] or [-1, 1], and its variant with a renormalised state.

Source: arXiv 2406.06484; negative eigenvalues: arXiv 2411.12537. Parameters have the names of fla's ``DeltaNet``.
``MatrixMixer`` is also the base of the other mixers whose state is a matrix for each head.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trace_mine.train.kernels.delta import delta_rule, delta_rule_step
from trace_mine.train.kernels.rescale import Rescale
from trace_mine.train.models.config import SequenceConfig
from trace_mine.train.models.layers import Carry, GatedRMSNorm, Mixer, RMSNorm, ShortConv, heads, l2_norm


class MatrixMixer(Mixer):
    """A mixer whose state is a matrix for each head.

    Attributes:
        rescale: if set, the norm of the state is rescaled while the mixer runs; its parameters don't change.
        backend: the kernel, as in ``trace_mine.train.kernels.delta.delta_rule``.
    """

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__(config)
        self.rescale: Rescale | None = None
        self.backend = "auto"

    @property
    def needs_position(self) -> bool:
        """True where the state is rescaled, every so many steps."""
        return self.rescale is not None

    def projected(self, x: Tensor, carry: Carry, after: Carry) -> list[Tensor]:
        """Project x [B, T, D] to queries, keys and values [B, T, their widths], with a short convolution and SiLU.

        The convolution over time is left out if the config says so. Its last inputs are read from ``carry`` and
        written to ``after``.
        """
        projections = []
        for name in ("q", "k", "v"):
            y = getattr(self, f"{name}_proj")(x)
            if self.config.use_short_conv:
                y, after[f"conv_{name}"] = getattr(self, f"{name}_conv1d")(y, carry.get(f"conv_{name}"))
            else:
                y = F.silu(y)  # ShortConv applies SiLU itself
            projections.append(y)
        return projections

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
        """Compute the delta rule from the carry's state on: over time, or for a single step in its recurrent form.

        Shapes:
            q: [B, T, H, K]; k: [B, T * n, H, K]; v: [B, T * n, H, V]; beta: [B, T * n, H]; log_decay: [B, T, H]
            returns: out [B, T, H, V]; the state after the last step [B, H, K, V]
        """
        state = carry.get("state")
        # delta_rule_step rescales nothing; the general form counts positions and rescales where that is due.
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
    """The mixer of one layer: S_t = S_{t-1} + beta_t k_t (v_t - S_{t-1}^T k_t)^T, out_t = S_t^T q_t / sqrt(K).

    Taps: queries, keys [B, T, H, K] (unit length), values [B, T, H, V], beta [B, T, H], state [B, H, K, V] (after the
    last step), heads [B, T, H, V] (normed, before the output projection).
    """

    points = ("queries", "keys", "values", "beta", "state", "heads")

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__(config)
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
            self.o_norm = RMSNorm(head_width, eps=config.norm_eps)
        self.o_proj = nn.Linear(value_width, width, bias=False)

    def forward(self, x: Tensor, carry: Carry | None = None) -> tuple[Tensor, Carry]:
        """See ``Mixer.forward``."""
        carry = carry or {}
        after: Carry = {"position": carry.get("position", 0) + x.shape[1]}
        q, k, v = (heads(y, self.num_heads) for y in self.projected(x, carry, after))
        q, k, v = self.tap("queries", l2_norm(q)), self.tap("keys", l2_norm(k)), self.tap("values", v)
        # l2-normed keys keep the eigenvalues of transitions in range; values are free
        beta = self.b_proj(x).sigmoid() if self.config.use_beta else torch.ones_like(q[..., 0])
        # For a unit key the transition I - beta k k^T has the eigenvalue 1 - beta along k: at beta = 2 a reflection,
        # which swaps two values in one step.
        beta = self.tap("beta", beta * 2 if self.config.allow_neg_eigval else beta)
        out, state = self.mix(q, k, v, beta, carry)
        after["state"] = self.tap("state", state)  # a hook here changes the carry, so what later pieces start from
        out = out.to(x.dtype)
        out = self.o_norm(out, heads(self.g_proj(x), self.num_heads)) if self.config.use_gate else self.o_norm(out)
        y = self.o_proj(self.tap("heads", out).flatten(-2))
        return y, after


class RenormedDeltaNet(DeltaNet):
    """DeltaNet whose state is brought to a learnt norm, one for each head, after every ``renorm_every`` time steps.

    Linear between two rescalings and nonlinear over them: whatever is written between makes older writes smaller.
    Trained in like this it doesn't stop the drift of beliefs (docs/training.md).
    """

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__(config)
        # sqrt(K V) a head: entries of the state then have a root mean square of 1, above that of a trained DeltaNet
        per_head = round(config.hidden_size * config.expand_k) * round(config.hidden_size * config.expand_v)
        self.state_norm = nn.Parameter(torch.full((self.num_heads,), math.sqrt(per_head) / self.num_heads))

    @property
    def needs_position(self) -> bool:
        """True: ``rescale`` is set at each call."""
        return True

    def forward(self, x: Tensor, carry: Carry | None = None) -> tuple[Tensor, Carry]:
        """See ``Mixer.forward``."""
        # made anew: a parameter that was replaced, by loading or moving to a device, must not be held here
        self.rescale = Rescale(target=self.state_norm, every=self.config.renorm_every, skip=0)
        return super().forward(x, carry)
