"""Laws after windows for rows of games: such rows are generated, so that no run could add them when they were made.

The sessions are run in the sandbox, from every state that agrees with what was shown. That is another way to the same
beliefs as the game's own filter, and the two are compared.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.session import Tracer
from trace_mine.tracer.views import parse_view
from trace_mine.train.held_out import Row

CLOSE = 1e-9


def with_windows(rows: Sequence[Row], windows: Sequence[int]) -> list[Row]:
    """Return the rows with the column ``windows``, for each reveal that a reader who has seen nothing can't know.

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
                given = dict(zip(belief["outcomes"], belief["probabilities"], strict=True))
                if (step, whole) not in laws:  # who has seen nothing knows it, too
                    run_law = {outcome: 1.0 for outcome in given if len(given) == 1}
                else:
                    run_law = laws[step, whole]
                    columns += [
                        {
                            "segment": belief["segment"],
                            "commands": window,
                            "outcomes": [*laws[step, window]],
                            "probabilities": [*laws[step, window].values()],
                        }
                        for window in windows
                    ]
                if not all(
                    math.isclose(given.get(each, 0), run_law.get(each, 0), abs_tol=CLOSE) for each in given | run_law
                ):
                    raise ValueError(
                        f"expected the belief {given} of step {step} of {row['trace_id']}, got {run_law}: the two "
                        "filters disagree; report it"
                    )
            made.append({**row, "windows": columns})
    return made
