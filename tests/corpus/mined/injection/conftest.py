"""Puts the jail's files under the names that they have there."""

from __future__ import annotations

import sys

from trace_mine.corpus.mined.harvest import inside as harvest
from trace_mine.corpus.mined.injection import inside

sys.modules["trace_mine_harvest"] = harvest
sys.modules["trace_mine_inject"] = inside
