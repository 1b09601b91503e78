"""Puts the shared recipe where test modules can import it, and the jail's files under the name that they have there."""

from __future__ import annotations

import sys
from pathlib import Path

from trace_mine.corpus.mined.items import inside

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.modules["trace_mine_items"] = inside
