"""Gated DeltaNet: the delta rule with a decay of the state that depends on the input.

Source: arXiv 2412.06464. Parameters have the names of fla's ``GatedDeltaNet``. ``delta_product`` derives from it.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from trace_mine.train.models.config import SequenceConfig
from trace_mine.train.models.delta_net import MatrixMixer
from trace_mine.train.models.layers import Carry, GatedRMSNorm, RMSNorm, ShortConv, decay_parameters, heads, l2_norm


class GatedDeltaNet(MatrixMixer):
    """The mixer of one layer: S_t = a_t S_{t-1} + beta_t k_t (v_t - a_t S_{t-1}^T k_t)^T.

    a_t = exp(-exp(A_log) softplus(a_proj(x_t) + dt_bias)) is a number in (0, 1) for each head.
    Taps as in ``DeltaNet``, and log_decay [B, T, H], the logarithm of a_t. H counts heads of values, of which several
    may share a head of keys.
    """

    points: tuple[str, ...] = ("queries", "keys", "values", "beta", "log_decay", "state", "heads")
    num_householder: int = 1

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__(config)
        width, n = config.hidden_size, self.num_householder
        self.num_heads, self.num_v_heads = config.num_heads, config.num_v_heads or config.num_heads
        key_width = config.num_heads * config.head_dim
        self.value_size = int(config.head_dim * config.expand_v)
        value_width = self.num_v_heads * self.value_size
        self.q_proj = nn.Linear(width, key_width, bias=False)
        self.k_proj = nn.Linear(width, key_width * n, bias=False)
        self.v_proj = nn.Linear(width, value_width * n, bias=False)
        self.b_proj = nn.Linear(width, self.num_v_heads * n, bias=False)
        self.forgets = getattr(config, "use_forget_gate", True)  # a key of DeltaProduct's configuration alone
        # a hook on a point that nothing passes would silently do nothing
        if not self.forgets:
            self.points = tuple(point for point in self.points if point != "log_decay")
        if self.forgets:
            self.a_proj = nn.Linear(width, self.num_v_heads, bias=False)
            self.A_log, self.dt_bias = decay_parameters(self.num_v_heads, 0.0, 16.0, 0.001, 0.1, 1e-4)
        if config.use_short_conv:
            self.q_conv1d = ShortConv(key_width, config.conv_size)
            self.k_conv1d = ShortConv(key_width * n, config.conv_size)
            self.v_conv1d = ShortConv(value_width * n, config.conv_size)
        # fla's name of the key: use_output_gate in DeltaProduct, use_gate in GatedDeltaNet
        self.gates_output = getattr(config, "use_output_gate", getattr(config, "use_gate", True))
        if self.gates_output:
            self.g_proj = nn.Linear(width, value_width, bias=False)
            self.o_norm: nn.Module = GatedRMSNorm(self.value_size, config.norm_eps)
        else:
            self.o_norm = RMSNorm(self.value_size, eps=config.norm_eps)
        self.o_proj = nn.Linear(value_width, width, bias=False)

    def forward(self, x: Tensor, carry: Carry | None = None) -> tuple[Tensor, Carry]:
        """See ``Mixer.forward``."""
        carry, n = carry or {}, self.num_householder
        after: Carry = {"position": carry.get("position", 0) + x.shape[1]}
        queries, keys, values = self.projected(x, carry, after)
        q = heads(queries, self.num_heads)
        # fla's order of the last axis is (householder, head, width); time and householder then become one axis
        k = keys.unflatten(-1, (n, self.num_heads, -1)).flatten(1, 2)
        v = values.unflatten(-1, (n, self.num_v_heads, -1)).flatten(1, 2)
        shared = self.num_v_heads // self.num_heads
        if shared > 1:
            q, k = q.repeat_interleave(shared, dim=-2), k.repeat_interleave(shared, dim=-2)
        q, k, v = self.tap("queries", l2_norm(q)), self.tap("keys", l2_norm(k)), self.tap("values", v)
        beta = self.b_proj(x).sigmoid()
        beta = beta * 2 if self.config.allow_neg_eigval else beta
        beta = self.tap("beta", beta.unflatten(-1, (n, self.num_v_heads)).flatten(1, 2))
        log_decay = None
        if self.forgets:
            rate = F.softplus((self.a_proj(x) + self.dt_bias).to(q.dtype))
            log_decay = self.tap("log_decay", -self.A_log.to(q.dtype).exp() * rate)
        out, state = self.mix(q, k, v, beta, carry, log_decay=log_decay, n=n)
        after["state"] = self.tap("state", state)
        out = out.to(x.dtype)
        out = self.o_norm(out, heads(self.g_proj(x), self.num_v_heads)) if self.gates_output else self.o_norm(out)
        y = self.o_proj(self.tap("heads", out).flatten(-2))
        return y, after
