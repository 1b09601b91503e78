"""Kimi Delta Attention (KDA): the delta rule with a decay for each channel of the keys.

Source: arXiv 2510.26692. Parameters have the names of fla's ``KimiDeltaAttention``. ``gated_delta_net_2`` derives from
it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trace_mine.train.kernels.channel_delta import channel_delta_rule, channel_delta_rule_step
from trace_mine.train.models.config import SequenceConfig
from trace_mine.train.models.delta_net import MatrixMixer
from trace_mine.train.models.layers import Carry, GatedRMSNorm, ShortConv, decay_parameters, heads, l2_norm


class KimiDelta(MatrixMixer):
    """The mixer of one layer: S_t = (I - beta_t k_t k_t^T) diag(a_t) S_{t-1} + beta_t k_t v_t^T.

    out_t = S_t^T q_t / sqrt(K), normed and gated. a_t = exp(-exp(A_log) softplus(f_proj(x_t) + dt_bias)) has a number
    in (0, 1) for each of a head's K channels; with ``lower_bound`` b its logarithm is b times
    sigmoid(exp(A_log) (f_proj(x_t) + dt_bias)) instead, at least b.
    Taps as in ``GatedDeltaNet``, with log_decay [B, T, H, K]. H counts heads of values, of which several may share a
    head of keys.
    """

    points: tuple[str, ...] = ("queries", "keys", "values", "beta", "log_decay", "state", "heads")

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__(config)
        width, self.num_heads = config.hidden_size, config.num_heads
        self.num_v_heads = config.num_v_heads or config.num_heads
        self.value_size = int(config.head_dim * config.expand_v)
        key_width, value_width = self.num_heads * config.head_dim, self.num_v_heads * self.value_size
        self.q_proj = nn.Linear(width, key_width, bias=False)
        self.k_proj = nn.Linear(width, key_width, bias=False)
        self.v_proj = nn.Linear(width, value_width, bias=False)
        if config.use_short_conv:
            self.q_conv1d = ShortConv(key_width, config.conv_size)
            self.k_conv1d = ShortConv(key_width, config.conv_size)
            self.v_conv1d = ShortConv(value_width, config.conv_size)
        decays, gate_width = self._decaying_heads(), self._decaying_heads() * config.head_dim
        # two maps through the width of a head: a rank that keeps decays and gates small beside q, k and v
        self.f_proj = nn.Sequential(
            nn.Linear(width, self.value_size, bias=False), nn.Linear(self.value_size, gate_width, bias=False)
        )
        self._make_gates(width, key_width, value_width)
        self.A_log, _ = decay_parameters(decays, 1.0, 16.0, 0.001, 0.1, 1e-4)
        if getattr(config, "lower_bound", None) is not None:
            nn.init.zeros_(self.A_log)  # fla's start of the bounded form
        _, self.dt_bias = decay_parameters(gate_width, 1.0, 16.0, 0.001, 0.1, 1e-4)
        self.g_proj = nn.Sequential(
            nn.Linear(width, self.value_size, bias=False), nn.Linear(self.value_size, value_width)
        )
        self.o_norm = GatedRMSNorm(self.value_size, config.norm_eps, gate="sigmoid")
        self.o_proj = nn.Linear(value_width, width, bias=False)

    def _decaying_heads(self) -> int:
        """Return the number of heads that decay each for itself."""
        return self.num_v_heads

    def _make_gates(self, width: int, key_width: int, value_width: int) -> None:
        """Make the layers of the gates of erasing and writing: here one number for both."""
        self.b_proj = nn.Linear(width, self.num_v_heads, bias=False)

    def _gates(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the gates ``erase`` and ``write`` of ``channel_delta_rule``: here beta [B, T, H], and None."""
        beta = self.b_proj(x).sigmoid()
        return self.tap("beta", beta * 2 if self.config.allow_neg_eigval else beta), None

    def _log_decay(self, x: Tensor) -> Tensor:
        """Return the logarithm of the decay of each channel, [B, T, heads that decay, K], in fp32 or float64."""
        raw = heads(self.f_proj(x), self._decaying_heads())
        raw = raw if raw.dtype == torch.float64 else raw.float()
        raw = raw + self.dt_bias.to(raw.dtype).view(raw.shape[-2:])
        rate = self.A_log.to(raw.dtype).exp()[:, None]
        bound = getattr(self.config, "lower_bound", None)
        if bound is not None:
            return bound * torch.sigmoid(rate * raw)
        return -rate * F.softplus(raw)

    def forward(self, x: Tensor, carry: Carry | None = None) -> tuple[Tensor, Carry]:
        """See ``Mixer.forward``."""
        carry = carry or {}
        after: Carry = {"position": carry.get("position", 0) + x.shape[1]}
        queries, keys, values = self.projected(x, carry, after)
        q, k = self._of_values(heads(queries, self.num_heads)), self._of_values(heads(keys, self.num_heads))
        v = heads(values, self.num_v_heads)
        q, k, v = self.tap("queries", l2_norm(q)), self.tap("keys", l2_norm(k)), self.tap("values", v)
        erase, write = self._gates(x)
        log_decay = self._log_decay(x)
        if log_decay.shape[-2] != self.num_v_heads:
            log_decay = self._of_values(log_decay)
        log_decay = self.tap("log_decay", log_decay)
        state = carry.get("state")
        if x.shape[1] == 1 and state is not None and self.rescale is None:
            out, state = channel_delta_rule_step(q[:, 0], k, v, log_decay[:, 0], erase, state, write)
            out = out[:, None]
        else:
            out, state = channel_delta_rule(
                q,
                k,
                v,
                log_decay,
                erase,
                write,
                initial_state=state,
                rescale=self.rescale,
                position=carry.get("position", 0),
                backend=self.backend,
            )
        after["state"] = self.tap("state", state)
        out = self.o_norm(out.to(x.dtype), heads(self.g_proj(x), self.num_v_heads))
        return self.o_proj(self.tap("heads", out).flatten(-2)), after

    def _of_values(self, x: Tensor) -> Tensor:
        """Repeat [..., heads of keys, D] to [..., heads of values, D]."""
        shared = self.num_v_heads // self.num_heads
        return x.repeat_interleave(shared, dim=-2) if shared > 1 else x
