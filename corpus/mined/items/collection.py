"""Collects a repository's tests in a sandbox, by the repository's own configuration of pytest.

The jail is like those in which its snippets run: the repository and its environment, read-only, no network, no other
process. Besides, it shows the files of ``inside``. What it answers is data of strangers, see ``item_protocol``.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from trace_mine.corpus.mined.items.item_protocol import CollectionSummary, ItemRecipe, answers_of
from trace_mine.corpus.mined.items.siblings import SIBLINGS
from trace_mine.corpus.mined.pytest_options import GOES_ON, MARKS, OPTIONS
from trace_mine.corpus.mined.shown_code import staged_code, with_code
from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.inside.protocol.codec import ProtocolError
from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Worker
from trace_mine.tracer.two_worlds import jail_of, root_of

LIMITS = Limits(
    # networkx' 7,151 items take 40 s with the imports of its conftest
    cpu_seconds=600,
    wall_seconds=1200.0,
    memory_bytes=4 << 30,
    output_bytes=128 << 20,
)
"""The limits of collecting one repository's tests."""
ENDED = (0, 1, 2, 5)
"""Exit codes of pytest after a collection: all well, files with errors, and no tests; 3 and 4 are errors of its own."""
PACKAGE = "trace_mine_items"
CHOICE = 16
"""Items of one test that are collected for each one of which a session is made."""
_PROGRAM = """\
import os, sys
_out = os.dup(1)
from trace_mine_items.collector import collect
def _write(line, write=os.write):
    while line:
        line = line[write(_out, line):]
collect({root!r}, {word!r}, _write, options={options!r}, marks={marks!r}, most_of_a_test={most!r})
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedTests:
    """The items that pytest collected, in its order; ``failure``, where it did not come to its end, says why."""

    items: tuple[ItemRecipe, ...] = ()
    summary: CollectionSummary | None = None
    failure: str = ""

    def __post_init__(self) -> None:
        if (self.summary is None) != bool(self.failure):
            raise ValueError("expected a summary or a failure of a collection, got both or none; give one")


def collect_tests(config: TracerConfig, staging: Path, siblings: int = SIBLINGS) -> CollectedTests:
    """Collect the tests of the configuration's repository.

    Args:
        config: what its snippets are traced with: repository, folders, environment, interpreter, levels.
        staging: a folder of ours that the jail's user can read.
        siblings: items of one test that differ in their parameters alone, of which sessions are made: `CHOICE` times as
            many are collected, from which these are chosen.

    Raises:
        SandboxUnavailable: this machine offers less than the configuration asks for.
    """
    assert config.repository is not None
    code = staged_code(staging, Path(__file__).parent / "inside", PACKAGE)
    jail = with_code(jail_of(config, replaying=False), code)
    word = secrets.token_hex(16)
    with Worker(jail, LIMITS, **config.worker_levels) as worker:
        options = [*OPTIONS, GOES_ON]
        root, most = root_of(config, worker), CHOICE * siblings
        program = _PROGRAM.format(root=root, word=word, options=options, marks=[*MARKS], most=most)
        outcome = worker.run(PlainJob(source=program, counts_events=False), LIMITS)
    try:
        items, summary = answers_of(outcome.stdout, word)
    except ProtocolError as error:
        return CollectedTests(failure=str(error)[:300])
    if summary is None or not summary.is_whole or summary.exit_code not in ENDED:
        last_line = outcome.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2][:300]
        ended = outcome.status if summary is None else f"pytest's exit code {summary.exit_code}"
        return CollectedTests(failure=f"collecting ended with {ended}: {last_line}")
    return CollectedTests(items=tuple(items), summary=summary)
