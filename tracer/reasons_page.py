"""The page ``docs/reasons.md``, written from the enumeration of reasons.

``python -m trace_mine.tracer.reasons_page > docs/reasons.md`` writes it; a test holds the page to the code.
"""

from __future__ import annotations

import sys

from trace_mine.tracer.inside.reasons import Reason, ReasonStage

HEAD = """\
# Reasons

Nothing is left out in silence: each snippet that gave no row, each file that was not searched and each construct
that is shown as one command is counted under one of these words. They are those of `stats.json`, of `errors.jsonl`
(with the evidence, snippet by snippet) and of the column `kept_whole`.

This page is written from `trace_mine.tracer.inside.reasons`:
`python -m trace_mine.tracer.reasons_page > docs/reasons.md`."""


def page() -> str:
    """The page, with one table for each stage."""
    parts = [HEAD]
    # Stage by stage, not reason by reason: a reader has met a word at one stage and looks for it there.
    for stage in ReasonStage:
        rows = ["| reason | why | what to do |", "|---|---|---|"]
        for reason in Reason:
            for meaning in reason.meanings:
                if meaning.stage is stage:
                    rows.append(f"| `{reason}` | {_cell(meaning.why)} | {_cell(meaning.cure)} |")
        parts.append(f"## {stage.title}\n{stage.where}\n\n" + "\n".join(rows))
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    # a bar ends a cell in Markdown, in code spans as well
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
