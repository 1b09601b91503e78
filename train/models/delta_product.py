"""DeltaProduct: several delta-rule updates a token, hence a product of Householder-like factors as its transition.

Source: arXiv 2502.10297. Parameters have the names of fla's ``GatedDeltaProduct``. With eigenvalues in [-1, 1], n
factors make any orthogonal map that moves at most n dimensions: a permutation of five values in one token needs four.
"""

from __future__ import annotations

from trace_mine.train.models.config import SequenceConfig
from trace_mine.train.models.gated_delta_net import GatedDeltaNet


class DeltaProduct(GatedDeltaNet):
    """The mixer of one layer: ``GatedDeltaNet`` with ``num_householder`` (n) sub-steps a token, each with its own key.

    Taps as in ``GatedDeltaNet``; keys, values and beta have T * n along time, the sub-steps of a token side by side.
    """

    def __init__(self, config: SequenceConfig) -> None:
        self.num_householder = config.num_householder  # first: GatedDeltaNet makes its projections by it
        super().__init__(config)
