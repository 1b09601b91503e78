"""The run folder: what a run was made of, its measurements, and which of its checkpoints are complete.

``running`` writes a folder by these functions and resumes from it; ``eval`` reads it through ``settings_of``.

run.json        settings, versions, commit, hashes of vocabulary and data, kernel of the delta rule, processes
tokenizer/      the tokenizer
metrics.jsonl   one line every ``log_every`` steps
evals.jsonl     one line for each evaluation
checkpoints/    checkpoint-N: see ``checkpoints``
model.safetensors, config.json, final.json   written at the end: a folder with final.json is a finished run
modeling_trace_mine.py, generation_config.json, tokenizer.json and its kin   with which transformers opens the folder
README.md       the model card (``card``)
complete.json   the last: hashes of what is read of a finished run (``checkpoints.seal``)
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, Protocol, TypedDict, cast

from trace_mine.tracer.atomic import write_atomically
from trace_mine.tracer.bounded import DamagedFile, parse_json, read_bytes, read_json
from trace_mine.train import checkpoints, children
from trace_mine.train.models.keys import FOREIGN
from trace_mine.train.settings import Settings, from_json
from trace_mine.train.summary import Final, summary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from trace_mine.train.models.language_model import SequenceModel

log = logging.getLogger("trace-train")

MAX_LOG_BYTES = 1 << 30
"""Size of ``metrics.jsonl`` or ``evals.jsonl`` up to which they are read: a million logs have a third of that."""

PACKAGES = (
    "trace-mine",
    "torch",
    "transformers",
    "accelerate",
    "tokenizers",
    "flash-linear-attention",
    "triton",
    "numpy",
)
"""Packages whose versions ``run.json`` records: those that can change a run's numbers."""


class TrainingData(Protocol):
    """The part of ``batches.Batches`` that a run folder keeps: the tokenizer, and a hash that tells data apart."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer that made the ids."""

    @property
    def data_hash(self) -> str:
        """SHA-256 in hexadecimal."""


class RunRecord(TypedDict):
    """``run.json``. Runs of older versions have neither ``delta_rule_on_cpu`` nor ``processes``."""

    settings: dict[str, object]
    versions: dict[str, str | None]
    commit: str | None
    vocabulary_hash: str
    data_hash: str
    delta_rule_on_cpu: NotRequired[str]
    processes: NotRequired[int]


class LogLine(TypedDict):
    """A line of ``metrics.jsonl`` or ``evals.jsonl``: the optimiser step, beside the numbers measured at it."""

    step: int


def write_json(path: Path, record: Mapping[str, object]) -> None:
    """Replace the file by ``record`` as indented JSON. A reader finds the old file or the new one, nothing between."""
    write_atomically(path, (json.dumps(record, indent=2, default=str) + "\n").encode())


def append_line(path: Path, record: Mapping[str, object]) -> None:
    """Append ``record`` to the file as one line of JSON."""
    # Opened for each line: a process that is killed later loses none that was written before.
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def read_lines(path: Path) -> list[LogLine]:
    """Read the complete lines of a file; a file that isn't there has none.

    A process that was killed while it appended may leave a last line without its end, which is left out. So are
    damaged lines, of which a warning tells.

    Raises:
        DamagedFile: it is no file, or a larger one than a run's can be.
    """
    if not path.exists():
        return []
    lines: list[LogLine] = []
    num_damaged = 0
    *complete, _ = read_bytes(path, MAX_LOG_BYTES).split(b"\n")
    for text in complete:
        try:
            line = parse_json(text, path)
        except DamagedFile:
            num_damaged += 1
            continue
        if type(line.get("step")) is int:
            lines.append(cast(LogLine, line))
        else:
            num_damaged += 1
    if num_damaged:
        log.warning("%s: %d damaged line(s) are left out", path, num_damaged)
    return lines


def keep_lines_up_to(path: Path, step: int) -> None:
    """Remove the lines of steps after ``step`` from the file, since a run resumed there writes them again."""
    lines = [line for line in read_lines(path) if line["step"] <= step]
    write_atomically(path, "".join(json.dumps(line) + "\n" for line in lines).encode())


def versions() -> dict[str, str | None]:
    """Return name -> installed version of Python and of ``PACKAGES``; None for a package that isn't installed."""
    installed: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            installed[name] = None
    return installed


def commit() -> str | None:
    """Return the git commit of this code, followed by ``+`` if files differ from it; None outside a checkout."""
    # resolve(): trace_mine/train is a link, and git looks for its folder from the real path upwards.
    here = Path(__file__).resolve().parent
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
        changed = subprocess.run(["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # no git, or an installed package
        return None
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def create(folder: Path, settings: Settings, data: TrainingData) -> None:
    """Make the folder of a new run, with ``run.json`` and ``tokenizer/``.

    Raises:
        ValueError: the folder holds a run already.
    """
    from trace_mine.tokenizer.kinds import vocabulary_hash  # these import torch, which takes seconds
    from trace_mine.train.kernels import c_ops

    # run.json, not the folder: an empty one, or one with files of the user's, may be there already.
    if (folder / "run.json").exists():
        raise ValueError(
            f"expected a new folder, got {folder}, which holds a run; give --resume {folder} or another --out"
        )
    folder.mkdir(parents=True, exist_ok=True)
    data.tokenizer.save_pretrained(folder / "tokenizer")
    record: RunRecord = {
        "settings": settings.as_json(),
        "versions": versions(),
        "commit": commit(),
        "vocabulary_hash": vocabulary_hash(data.tokenizer),
        "data_hash": data.data_hash,
        "delta_rule_on_cpu": c_ops.kernel_name(),
        "processes": num_processes(),
    }
    # last: a folder with run.json can be resumed, and for that it needs its tokenizer
    write_json(folder / "run.json", record)


def save_model(model: SequenceModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a run's model, and beside it the tokenizer once more, where transformers' classes look for it.

    ``generate`` ends at the tokenizer's end of text, if it has one.
    """
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(model.generation_config, name, getattr(tokenizer, name))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def read(folder: Path) -> RunRecord:
    """Read a run's ``run.json``.

    Raises:
        ValueError: the folder holds no run.
        DamagedFile: ``run.json`` isn't what ``create`` wrote.
    """
    if not (folder / "run.json").exists():
        raise ValueError(f"expected a run folder with run.json, got {folder}; name what --out was")
    record = read_json(folder / "run.json")
    types: dict[str, type] = {"settings": dict, "vocabulary_hash": str, "data_hash": str}
    later: dict[str, type] = {"delta_rule_on_cpu": str, "processes": int}  # absent in runs of older versions
    for name, kind in {**types, **{name: kind for name, kind in later.items() if name in record}}.items():
        if not isinstance(record.get(name), kind):
            raise DamagedFile(
                f"expected {name} in {folder / 'run.json'}, got {record.get(name)!r:.60}; train anew with another --out"
            )
    return cast(RunRecord, record)


def read_final(folder: Path) -> Final:
    """Read the ``final.json`` of a finished run, also one of an older version.

    Raises:
        DamagedFile: it isn't what a run wrote.
    """
    path = folder / "final.json"
    advice = "remove it, and trace-train --resume trains the last steps again"
    try:
        final = cast(Final, read_json(path))
        sizes = {name: final.get(name) for name in ("step", "tokens", "parameters", "seconds")}
        if not all(type(value) in (int, float) for value in sizes.values()):
            raise DamagedFile(f"expected a run's sizes in {path}, got {sizes!r:.200}")
        if "evaluations" in final:
            summary(final)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        why = error if isinstance(error, DamagedFile) else f"expected evaluations in {path}, got others ({error!r:.80})"
        raise DamagedFile(f"{why}; {advice}") from None
    return final


def check_tokenizer(folder: Path) -> None:
    """Check that a run's tokenizer can be loaded, and has the vocabulary that it was trained with.

    Raises:
        DamagedFile: it can't, or hasn't.
    """
    from trace_mine.tokenizer.kinds import load, vocabulary_hash

    path, then = folder / "tokenizer", read(folder)["vocabulary_hash"]
    if not (path / "tokenizer.json").exists():
        raise DamagedFile(f"expected a tokenizer in {path}, got none")
    now = vocabulary_hash(load(path))
    if then != now:
        raise DamagedFile(f"expected the vocabulary of {folder} ({then[:12]}) in {path}, got another ({now[:12]})")


def seal_finished(folder: Path, step: int) -> None:
    """Seal a finished run: all files that are read of it, which are written by now."""
    folders = (folder / "tokenizer", folder / "adapter")  # the second of models of others, by LoRA
    inside = [path.relative_to(folder).as_posix() for each in folders for path in each.rglob("*") if path.is_file()]
    own = ("run.json", "final.json", "config.json", "model.safetensors")
    checkpoints.seal(folder, step, [*inside, *(name for name in own if (folder / name).is_file())])


def check_files(folder: Path, *names: str) -> None:
    """Check the files of a finished run, or of a checkpoint, by its seal; with ``names`` these, or those below these.

    A folder without a seal, or with one of an older version, is told of and can't be checked.

    Raises:
        DamagedFile: a file isn't what the run wrote; or the seal is damaged.
    """
    try:
        seal = checkpoints.read_seal(folder) if checkpoints.has_seal(folder) else None
        if seal is None or seal.files is None:
            log.warning("%s has no hashes (an older version's, or cut off): its files are read unchecked", folder)
            return
        seal.check(folder, [name for name in seal.files if not names or name.startswith(names)])
    except DamagedFile as error:
        raise DamagedFile(
            f"{error}; put a copy of the file back, or remove {folder / 'final.json'} and trace-train --resume"
        ) from None


def any_settings_of(folder: Path) -> Settings:
    """Read the settings of a run, of whatever model, also one that an older version began.

    Raises:
        ValueError: the folder holds no run, or settings that this version doesn't know.
        DamagedFile: ``run.json`` isn't what a run wrote.
    """
    return from_json(read(folder)["settings"])


def settings_of(folder: Path) -> Settings:
    """Read the settings of a run of a model of ours.

    Raises:
        ValueError: as ``any_settings_of``; or the run fine-tuned a model of others.
        DamagedFile: ``run.json`` isn't what a run wrote.
    """
    settings = any_settings_of(folder)
    if settings.model == FOREIGN:
        raise ValueError(
            f"expected a run of a model of ours, got {folder}, a fine-tuned model of others; give it as --hf {folder}"
        )
    return settings


def check_data(folder: Path, data: TrainingData) -> None:
    """Check that vocabulary and data are those that the run was begun with.

    With others the ids of tokens or the rows of a step would mean something else than the checkpoint learnt.

    Raises:
        ValueError: the hash of one of the two differs from the one in ``run.json``.
    """
    from trace_mine.tokenizer.kinds import vocabulary_hash

    record = read(folder)
    for name, then, now in (
        ("vocabulary", record["vocabulary_hash"], vocabulary_hash(data.tokenizer)),
        ("data", record["data_hash"], data.data_hash),
    ):
        if then != now:
            raise ValueError(
                f"expected the {name} that {folder} was trained with ({then[:12]}), got another ({now[:12]}); "
                "give the run its own dataset and version of trace-mine back, or train anew"
            )


def num_processes() -> int:
    """Return the number of processes that train together: torchrun's ``WORLD_SIZE``, or 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def check_processes(folder: Path) -> None:
    """Check that as many processes train as began the run.

    A step has ``batch_size * processes * accumulate`` rows, and ``batches.Collator`` finds the step of a row by that
    number: with another one the steps after a resumption would have other rows.

    Raises:
        ValueError: the number differs from the one in ``run.json``.
    """
    # absent in runs of older versions, which can't be checked and go on
    began = read(folder).get("processes")
    if began is not None and began != num_processes():
        raise ValueError(
            f"expected {began} process(es), with which {folder} began, got {num_processes()}: a step would have other "
            f"rows; go on with: {children.typed_command(began)} --resume {folder}"
        )


def kernel_warning(folder: Path) -> str | None:
    """Return a warning if another kernel runs the delta rule on CPU tensors than began the run, else None.

    It is no error, because kernels differ in the last bits alone: the resumed run is as good, but not bit-equal.
    """
    from trace_mine.train.kernels import c_ops

    # Runs of before the C library existed don't name their kernel: it was torch's.
    began, now = read(folder).get("delta_rule_on_cpu", "torch"), c_ops.kernel_name()
    if began == now:
        return None
    return (
        f"expected the delta rule in {began}, with which {folder} began, got {now}; models that have it go on, but not "
        "bit for bit: install trace-mine as it was for that"
    )
