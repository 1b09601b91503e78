"""The run folder: how a run was made, its measurements, and which of its checkpoints are whole.

run.json        settings, versions, commit, hashes of vocabulary and data, what ran the delta rule on the CPU, processes
tokenizer/      the tokenizer
metrics.jsonl   one line each ``log_every`` steps
evals.jsonl     one line an evaluation
checkpoints/    checkpoint-N, whole where complete.json says so
model.safetensors, config.json, final.json   at the end
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, Protocol, TypedDict

from trace_mine.train import children
from trace_mine.train.settings import Settings, from_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

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


class TrainingData(Protocol):
    """The part of what a run is trained on that its folder keeps: the tokenizer, and a hash of the data's identity."""

    tokenizer: PreTrainedTokenizerFast
    data_hash: str


class RunRecord(TypedDict):
    """``run.json``. Older versions have no ``delta_rule_on_cpu`` and no ``processes``."""

    settings: dict[str, object]
    versions: dict[str, str | None]
    commit: str | None
    vocabulary_hash: str
    data_hash: str
    delta_rule_on_cpu: NotRequired[str]
    processes: NotRequired[int]


class Line(TypedDict):
    """A line of ``metrics.jsonl`` or ``evals.jsonl``: the step, and beside it what was measured there."""

    step: int


def write_json(path: Path, told: Mapping[str, object]) -> None:
    """A JSON object into a file, whole or not at all: written beside and renamed."""
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(told, indent=2, default=str) + "\n", encoding="utf-8")
    os.replace(beside, path)


def append_line(path: Path, told: Mapping[str, object]) -> None:
    """One line of JSON at the end of the file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(told) + "\n")


def read_lines(path: Path) -> list[Line]:
    """The file's whole lines; one that a killed process left half-written at the end is not among them."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        found.append(json.loads(line))
    return found


def keep_lines_up_to(path: Path, step: int) -> None:
    """Takes away the lines of steps after ``step``: a resumed run makes them again."""
    kept = [line for line in read_lines(path) if line["step"] <= step]
    beside = path.with_name(path.name + ".part")
    beside.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
    os.replace(beside, path)


def versions() -> dict[str, str | None]:
    """Python's and the packages' versions; None where one is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def commit() -> str | None:
    """The git commit of this code, with ``+`` where files differ from it; None outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
        changed = subprocess.run(["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def create(folder: Path, settings: Settings, data: TrainingData) -> None:
    """A new run folder, with ``run.json`` and ``tokenizer/``.

    Raises:
        ValueError: the folder holds a run already.
    """
    from trace_mine.tokenizer.kinds import vocabulary_hash
    from trace_mine.train.kernels import c_ops

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
        "delta_rule_on_cpu": c_ops.told(),
        "processes": num_processes(),
    }
    write_json(folder / "run.json", record)


def read(folder: Path) -> RunRecord:
    """The run's ``run.json``.

    Raises:
        ValueError: the folder holds no run.
    """
    if not (folder / "run.json").is_file():
        raise ValueError(f"expected a run folder with run.json, got {folder}; name what --out was")
    record: RunRecord = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return record


def settings_of(folder: Path) -> Settings:
    """The settings of a run."""
    return from_json(read(folder)["settings"])


def check(folder: Path, data: TrainingData) -> None:
    """Raises ValueError where vocabulary or data are no longer what the run was made of."""
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
    """Processes of this torchrun; 1 without."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def check_processes(folder: Path) -> None:
    """Raises ValueError where another number of processes began the run: a step would have other rows."""
    began = read(folder).get("processes")  # not told by older versions
    if began is not None and began != num_processes():
        raise ValueError(
            f"expected {began} process(es), with which {folder} began, got {num_processes()}: a step would have other "
            f"rows; go on with: {children.typed(began)} --resume {folder}"
        )


def other_kernel(folder: Path) -> str | None:
    """The warning where the delta rule now runs on another kernel than the run began with, else None."""
    from trace_mine.train.kernels import c_ops

    began, now = read(folder).get("delta_rule_on_cpu", "torch"), c_ops.told()
    if began == now:
        return None
    return (
        f"expected the delta rule in {began}, with which {folder} began, got {now}; models that have it go on, but not "
        "bit for bit: install trace-mine as it was for that"
    )


def complete(checkpoint: Path, step: int) -> None:
    """Marks a checkpoint as whole."""
    write_json(checkpoint / "complete.json", {"step": step})


def last_checkpoint(folder: Path) -> tuple[Path, int] | None:
    """The latest whole checkpoint and its step, or None."""
    found = []
    for marker in (folder / "checkpoints").glob("checkpoint-*/complete.json"):
        found.append((json.loads(marker.read_text(encoding="utf-8"))["step"], marker.parent))
    if not found:
        return None
    step, path = max(found)
    return path, step


def drop_old(folder: Path, keep: int) -> None:
    """Removes whole checkpoints but the latest ``keep``, and broken ones older than those.

    A broken one that is newer stays: another process may be writing it.
    """
    steps = {path: int(path.name.partition("-")[2]) for path in (folder / "checkpoints").glob("checkpoint-*")}
    whole = sorted((step for path, step in steps.items() if (path / "complete.json").is_file()), reverse=True)
    if not whole:
        return
    kept = whole[:keep]
    for path, step in steps.items():
        if step < kept[-1]:
            shutil.rmtree(path)
