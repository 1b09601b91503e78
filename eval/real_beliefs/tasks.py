"""Task files for lm-evaluation-harness: a task for each rung of the ladder, whose questions are those of the benchmark.

A choice is an outcome with the line end behind it. The tasks' ``belief_kl`` is ``KL among outcomes``: KL from the exact
law to the likelihoods, divided by their sum over the choices.
"""

from __future__ import annotations

import json
from pathlib import Path

from trace_mine.eval.harness import UTILS, task_file
from trace_mine.eval.real_beliefs.ladder import RUNGS, VERSION
from trace_mine.eval.real_beliefs.questions import read_questions

GROUP = "real_beliefs"


def write_tasks(benchmark: Path, out: Path) -> list[Path]:
    """Write ``real_beliefs_RUNG.yaml`` and ``.jsonl``, their group, and ``utils.py``; return the YAML files.

    Raises:
        ValueError: the folder has no benchmark.
    """
    asked = {rung: read_questions(benchmark / "questions" / f"{rung}.jsonl") for rung in RUNGS}
    out.mkdir(parents=True, exist_ok=True)
    (out / "utils.py").write_text(UTILS, encoding="utf-8")
    written: list[Path] = []
    names = [f"{GROUP}_{rung}" for rung, questions in asked.items() if questions]
    for name, questions in zip(names, filter(None, asked.values()), strict=True):
        lines = [
            json.dumps(
                {
                    "name": question.name,
                    "text": question.text,
                    "choices": [outcome + question.ending for outcome in question.outcomes],
                    "target": question.shown,
                    "law": question.law,
                }
            )
            for question in questions
        ]
        (out / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        written.append(out / f"{name}.yaml")
        written[-1].write_text(task_file(name, is_belief=True, version=VERSION), encoding="utf-8")
    written.append(out / f"{GROUP}.yaml")
    group = "".join(f"  - {name}\n" for name in names)
    written[-1].write_text(f"group: {GROUP}\ntask:\n{group}metadata:\n  version: {VERSION}\n", encoding="utf-8")
    return written
