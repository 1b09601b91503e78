"""Task files for lm-evaluation-harness: permutation and belief suites that score any model there.

Every question is the text of a session up to a revealed value. The choices are the values that could stand there, the
target is the value that was shown. Belief tasks also carry the exact law and have a metric beside accuracy:
KL(exact || model), where the model's law are its likelihoods normalised over the choices. Mass on other texts therefore
doesn't count there, as it does in our own ``belief KL``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from trace_mine.corpus.synthetic.stream import words
from trace_mine.train.batches import TaskBatches
from trace_mine.train.measure.sessions import Sessions, sessions_of
from trace_mine.train.settings import Settings, StageSettings

VERSION = 1.0
"""In every task file; to be raised whenever the questions of a suite change, so that nobody compares across them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One task file: ``parameters`` of the synthetic task, and the ``commands`` and ``spacing`` of its sessions."""

    name: str
    parameters: dict[str, int | float]
    commands: int
    spacing: int

    def __post_init__(self) -> None:
        if not 0 < self.spacing <= self.commands:
            raise ValueError(f"expected 0 < spacing <= commands, got {self.spacing} and {self.commands} in {self.name}")

    @property
    def is_belief(self) -> bool:
        """True where outcomes are hidden: then the exact law is no certainty, and a KL says more than accuracy."""
        return "p" in self.parameters


class HarnessQuestion(TypedDict):
    """A line of a suite's .jsonl: a session's text up to its last revealed value, and where the session is from.

    ``law`` is the exact law over ``choices``, ``target`` the index of the choice that was shown. ``task``,
    ``parameters``, ``seed``, ``split`` and ``index`` make the session again.
    """

    text: str
    choices: list[str]
    target: int
    law: list[float]
    task: str
    parameters: dict[str, int | float]
    seed: int
    split: str
    index: int


SUITES = (
    *(
        # the spacing grows with the length, so that every suite has 8 reveals, and the last needs the most memory
        Suite(name=f"trace_permutations_n{n}_c{c}_s{s}", parameters={"n": n}, commands=c, spacing=s)
        for n in (3, 5)
        for c, s in ((8, 1), (16, 2), (32, 4), (64, 8), (128, 16))
    ),
    *(Suite(name=f"trace_belief_n3_c{c}", parameters={"n": 3, "p": 0.1}, commands=c, spacing=2) for c in (16, 48, 192)),
)

# Text, not code of ours: the harness runs it where trace_mine isn't installed, and calls its functions by name.
UTILS = '''"""The questions, found beside this file from any folder; the metrics of the belief tasks: accuracy,
and KL from the exact law to the likelihoods over the choices.
"""

import math
from pathlib import Path


def questions(file, **_):
    """The test split. lm_eval also hands over the task's metadata."""
    from datasets import load_dataset

    return load_dataset("json", data_files={"test": str(Path(__file__).parent / file)})


def process_belief(doc, results):
    """results: (log-likelihood, is_greedy) of each choice."""
    logs = [result[0] for result in results]
    highest = max(logs)
    total = highest + math.log(sum(math.exp(value - highest) for value in logs))
    kl = sum(p * (math.log(p) - (q - total)) for p, q in zip(doc["law"], logs) if p > 0)
    return {"acc": float(logs.index(highest) == doc["target"]), "belief_kl": kl}
'''


def write_tasks(out: Path, *, docs: int, seed: int) -> list[Path]:
    """Write NAME.yaml and NAME.jsonl for every suite, a group for each kind, and ``utils.py``; return the YAML files.

    ``docs`` is the number of questions of each suite. The files are run by
    ``lm_eval run --include_path OUT --tasks trace_beliefs --model hf ...``. The harness cuts questions that are longer
    than a model's context from the left, with a warning; leave those suites out for such a model.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "utils.py").write_text(UTILS, encoding="utf-8")
    written = []
    for suite in SUITES:
        lines = [json.dumps(doc) for doc in questions(suite, docs, seed)]
        (out / f"{suite.name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        written.append(out / f"{suite.name}.yaml")
        written[-1].write_text(task_file(suite.name, is_belief=suite.is_belief, version=VERSION), encoding="utf-8")
    # groups, so that one name on the command line runs all suites of a kind
    for group, is_belief in (("trace_permutations", False), ("trace_beliefs", True)):
        names = "".join(f"  - {suite.name}\n" for suite in SUITES if suite.is_belief == is_belief)
        written.append(out / f"{group}.yaml")
        written[-1].write_text(f"group: {group}\ntask:\n{names}metadata:\n  version: {VERSION}\n", encoding="utf-8")
    return written


def questions(suite: Suite, docs: int, seed: int) -> list[HarnessQuestion]:
    """Make ``docs`` questions of a suite, one for each of the first test sessions of this seed, at its last reveal."""
    # settings of a run that is never trained: ``TaskBatches`` makes their sessions as it does for training
    stages = (StageSettings(steps=1, commands=(suite.commands,), spacings=(suite.spacing,)),)
    settings = Settings(
        recipe="harness",
        model="",
        task_parameters=suite.parameters,
        stages=stages,
        data_seed=seed,
    )
    batches = TaskBatches(settings)
    sessions = sessions_of(batches, commands=suite.commands, spacing=suite.spacing, rows=docs)
    return [question(suite, sessions, row, seed) for row in range(docs)]


def question(suite: Suite, sessions: Sessions, row: int, seed: int) -> HarnessQuestion:
    """Make the question about the last reveal of session ``row``."""
    stream, last = sessions.stream, int(sessions.batch.reveals[row, -1, 0])
    text = "".join(stream.vocabulary[token] for token in sessions.batch.tokens[row, :last])
    assert "".join(words(text)) == text  # models there read text: a word of ours that no text spells would be lost
    return {
        "text": text,
        "choices": list(stream.labels),
        "target": int(sessions.shown[row, -1]),
        "law": sessions.exact[row, -1].tolist(),
        "task": suite.name,
        "parameters": suite.parameters,
        "seed": seed,
        "split": stream.split,
        "index": row,
    }


def task_file(name: str, *, is_belief: bool, version: float) -> str:
    """The YAML of a task, as the harness reads it: its questions are in ``NAME.jsonl`` beside it."""
    lines = [
        f"task: {name}",
        # a function instead of data_files: a path there is relative to the folder where lm_eval was started
        "custom_dataset: !function utils.questions",
        "dataset_kwargs:",
        f"  file: {name}.jsonl",
        "test_split: test",
        "output_type: multiple_choice",
        'doc_to_text: "{{text}}"',
        "doc_to_choice: choices",
        "doc_to_target: target",
        # the text ends with the space before the value, so the harness must not put in its usual one
        'target_delimiter: ""',
    ]
    if is_belief:
        lines += ["process_results: !function utils.process_belief"]
    lines += ["metric_list:", "  - metric: acc", "    aggregation: mean", "    higher_is_better: true"]
    if is_belief:
        lines += ["  - metric: belief_kl", "    aggregation: mean", "    higher_is_better: false"]
    return "\n".join([*lines, "metadata:", f"  version: {version}", ""])
