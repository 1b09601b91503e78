"""Laws after windows for rows of games: such rows are generated, so that no run could add them when they were made.

The sessions are run in the sandbox, from every state that agrees with what was shown. That is another way to the same
beliefs as the game's own filter, and the two are compared.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.session import Tracer
from trace_mine.tracer.views import parse_view
from trace_mine.train.held_out import Row

CLOSE = 1e-9


def with_windows(rows: Sequence[Row], windows: Sequence[int]) -> list[Row]:
    """Return the rows with the column ``windows``, for each open reveal and window.

    Raises:
        ValueError: a session has no beliefs when it is run, or others than its row.
    """
    made: list[Row] = []
    with Tracer(TracerConfig(view=parse_view("branch"))) as tracer:
        for row in rows:
            commands = [(step["source"], step["output"]) for step in row["steps"]]
            whole = len(commands)
            # a window of all commands gives the belief itself, by which the two filters are compared
            laws = tracer.windows(commands, json.loads(row["setup"])["code"], [*windows, whole])
            if isinstance(laws, str):
                raise ValueError(f"expected beliefs of the session {row['trace_id']}, got none: {laws}")
            columns = []
            for belief in row["beliefs"]:
                step = row["segments"][belief["segment"]]["step"]
                if len(belief["outcomes"]) < 2:
                    continue
                if not np.allclose(laws[step, whole], belief["probabilities"], rtol=0, atol=CLOSE):
                    raise ValueError(
                        f"expected the belief {belief['probabilities']} of step {step} of {row['trace_id']}, got "
                        f"{laws[step, whole]}: the two filters disagree; report it"
                    )
                columns += [
                    {"segment": belief["segment"], "commands": window, "probabilities": list(laws[step, window])}
                    for window in windows
                ]
            made.append({**row, "windows": columns})
    return made
