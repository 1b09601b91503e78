"""Loads the tables of all licences when it is imported: the reader's sandbox does so once, not for each repository."""

from __future__ import annotations

from trace_mine.corpus.mined.licences import normalise, recognised

recognised("")
normalise("MIT")
