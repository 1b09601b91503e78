"""Gated DeltaNet-2: what a key erases and what it writes have gates of their own, by channel.

Parameters have the names of fla's ``GatedDeltaNet2`` layer, of which fla has no language model.
"""

from __future__ import annotations

from torch import Tensor, nn

from trace_mine.train.models.kimi_delta import KimiDelta
from trace_mine.train.models.layers import heads


class GatedDeltaNet2(KimiDelta):
    """The mixer of one layer: S_t = (I - k_t (b_t * k_t)^T) diag(a_t) S_{t-1} + k_t (w_t * v_t)^T.

    a_t as in ``KimiDelta``, by head of keys. b_t and w_t have a number in (0, 1) for each channel of keys and of
    values; with ``allow_neg_eigval`` b_t is twice that. Taps as there, with ``erase`` [B, T, H, K] and ``write``
    [B, T, H, V] in the place of beta.
    """

    points = ("queries", "keys", "values", "erase", "write", "log_decay", "state", "heads")

    def _decaying_heads(self) -> int:
        return self.num_heads

    def _make_gates(self, width: int, key_width: int, value_width: int) -> None:
        self.b_proj = nn.Linear(width, key_width, bias=False)
        self.w_proj = nn.Linear(width, value_width, bias=False)

    def _gates(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        erase = self._of_values(heads(self.b_proj(x).sigmoid(), self.num_heads))
        erase = self.tap("erase", erase * 2 if self.config.allow_neg_eigval else erase)
        return erase, self.tap("write", heads(self.w_proj(x).sigmoid(), self.num_v_heads))
