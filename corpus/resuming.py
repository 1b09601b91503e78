"""The line that says where a run goes on which was begun before: ``going on from 8 of 15 units``."""

from __future__ import annotations

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.ledger import Ledger
from trace_mine.tracer.atomic import write_atomically

MADE_BY = "made_by"
"""The file of the ledger with the fingerprint of the origin whose units stand there."""


def resumed(ledger: Ledger, fingerprint: str) -> tuple[str, frozenset[str]]:
    """Say how much of a dataset an earlier run has finished, by what its ledger holds, before anything is planned.

    Units that were made by other code, or with another interpreter, are done again: they have other keys. The ledger
    notes the fingerprint for the next run.

    Args:
        ledger: the dataset's ledger, locked.
        fingerprint: the origin's.

    Returns:
        a line for people, empty for a new dataset; the keys of the units that were finished.
    """
    file = ledger.root / MADE_BY
    before = file.read_text(encoding="ascii", errors="replace") if file.exists() else ""
    write_atomically(file, fingerprint.encode("ascii"))
    done = frozenset(path.stem for path in (ledger.root / "done").glob("*.json"))
    if not done:
        return "", done
    if before and before != fingerprint:
        return f"{len(done)} units were finished by other code of trace-mine: they are done again", done
    try:
        planned = frozenset(ledger.plan().keys)
        more = ""
    except CorpusError:  # the run was cut off while it planned
        planned = done | {path.stem for path in (ledger.root / "units").glob("*.json")}
        more = ", and those that were not planned yet"
    if planned <= done:
        return f"all {len(planned)} units are finished{more}", done
    return f"going on from {len(planned & done)} of {len(planned)} units{more}", done
