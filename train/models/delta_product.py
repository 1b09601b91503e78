"""DeltaProduct: several delta-rule updates a token, hence a product of Householder-like factors as its transition.

Source: arXiv 2502.10297. Parameter names are fla's ``GatedDeltaProduct``. With eigenvalues in [-1, 1], n factors make
any orthogonal map that moves at most n dimensions: a permutation of five values in one token needs four.
"""

from __future__ import annotations

from typing import Any

from trace_mine.train.models.gated_delta_net import GatedDeltaNet


class DeltaProduct(GatedDeltaNet):
    """One layer. Taps as in ``GatedDeltaNet``; keys, values and beta have T * num_householder along time."""

    def __init__(self, config: Any) -> None:
        self.num_householder = config.num_householder
        super().__init__(config)
