"""The training state of a checkpoint: optimiser, schedule, random generators and counts, as safetensors and JSON.

    optimizer.safetensors     the optimiser's tensors, as KEY/NAME: KEY is a parameter's number, or its name with fsdp
    training_state.json       its groups and the schedule's state
    random_state.json         the random generators' states; random_state_R.json of process R of several
    counts.json               tokens and seconds so far, and sums since the last log
    trainer_state.json        the Trainer's own counts and logs, written and read by it

Checkpoints of versions before 0.3 have pickles instead (optimizer.pt, scheduler.pt, rng_state.pth). They are read by
``torch.load(weights_only=True)``, which runs no code of theirs, because nothing else can read them. A run on several
GPUs with fsdp of those versions can't go on: its optimiser lies in a format that only an unrestricted pickle reads.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import TrainerState

from trace_mine.tracer.atomic import write_atomically
from trace_mine.tracer.bounded import DamagedFile, open_regular, read_json
from trace_mine.train.curriculum import CurriculumState
from trace_mine.train.models.tensors import read_tensors

OPTIMIZER = "optimizer.safetensors"
STATE = "training_state.json"


class TrainerCounts(TypedDict):
    """``counts.json`` of a checkpoint; ``sums`` are over all processes, since the log before the checkpoint.

    ``curriculum`` is there if stages end by accuracy, with the hits and reveal tokens that it has not taken in yet.
    """

    tokens: int
    seconds: float
    sums: list[float]
    cpu_seconds: NotRequired[float]
    curriculum: NotRequired[CurriculumState]
    unjudged: NotRequired[list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomState:
    """The states of a process's random generators: Python's, numpy's, torch's, and those of its CUDA devices.

    Raises:
        ValueError: they are no states of these generators.
    """

    python: tuple[Any, ...]
    numpy: tuple[Any, ...]
    torch: Tensor
    cuda: list[Tensor]

    def __post_init__(self) -> None:
        # numpy itself takes any place, and would read memory beyond its 624 words
        if len(self.numpy) != 5 or type(self.numpy[2]) is not int or not 0 <= self.numpy[2] <= 624:
            raise ValueError("no state of numpy's")
        try:
            random.Random().setstate(self.python)
            np.random.RandomState().set_state(self.numpy)
            torch.Generator().set_state(self.torch)
        except (AttributeError, TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise ValueError(" ".join(str(error).split())) from None

    def restore(self) -> None:
        """Set the generators of this process."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.random.set_rng_state(self.torch)
        if torch.cuda.is_available() and len(self.cuda) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(self.cuda)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingState:
    """What a checkpoint has beside the model.

    ``optimizer`` and ``schedule`` are in the form of ``state_dict``; ``randomness`` is None where the checkpoint has
    none of this process.
    """

    optimizer: dict[str, Any]
    schedule: dict[str, Any]
    randomness: RandomState | None
    counts: TrainerCounts


def write_optimizer(folder: Path, optimizer: Mapping[str, Any], schedule: Mapping[str, Any]) -> None:
    """Write the states of optimiser and schedule, in the form of their ``state_dict``, into a checkpoint."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, object] = {}
    for key, values in optimizer["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                # a copy: safetensors refuses tensors that share memory
                tensors[f"{key}/{name}"] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
            else:
                numbers[f"{key}/{name}"] = value
    save_file(tensors, folder / OPTIMIZER)
    record = {"groups": optimizer["param_groups"], "numbers": numbers, "schedule": dict(schedule)}
    write_atomically(folder / STATE, (json.dumps(record) + "\n").encode())


def write_random_state(folder: Path, rank: int, num_processes: int) -> None:
    """Write the states of this process's random generators into a checkpoint."""
    kind, keys, *rest = np.random.get_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    record = {
        "python": random.getstate(),
        "numpy": [kind, np.asarray(keys).tolist(), *rest],
        "torch": torch.random.get_rng_state().numpy().tobytes().hex(),
        "cuda": [state.numpy().tobytes().hex() for state in cuda],
    }
    write_atomically(folder / _random_name(rank, num_processes), (json.dumps(record) + "\n").encode())


def read_training_state(folder: Path, step: int, rank: int, num_processes: int) -> TrainingState:
    """Read the training state of a checkpoint of ``step``, with the random states of process ``rank``.

    Raises:
        DamagedFile: a file is missing, or isn't what was written.
    """
    _check_trainer_state(folder / "trainer_state.json", step)
    if (folder / OPTIMIZER).exists():
        optimizer, schedule = _read_optimizer(folder)
        randomness: RandomState | None = _read_random_state(folder / _random_name(rank, num_processes))
    else:
        optimizer, schedule, randomness = _read_pickles(folder, rank, num_processes)
    return TrainingState(
        optimizer=optimizer, schedule=schedule, randomness=randomness, counts=_read_counts(folder / "counts.json")
    )


def check_optimizer(state: Mapping[str, Any], shapes: Mapping[object, torch.Size]) -> None:
    """Check that an optimiser's state is of parameters of these shapes: torch would take any, and fail in a step.

    ``shapes`` has the keys of ``state``: numbers of parameters, or names.

    Raises:
        DamagedFile: a parameter is unknown, or has not the tensors of Adam, of its shape.
    """
    for key, values in state["state"].items():
        if key not in shapes:
            raise DamagedFile(f"expected an optimiser's state of {len(shapes)} parameters, got one of {key!r:.60}")
        wanted = {"step": torch.Size(), "exp_avg": shapes[key], "exp_avg_sq": shapes[key]}
        present = {
            name: value.shape if isinstance(value, Tensor) and value.is_floating_point() else value
            for name, value in values.items()
        }
        if present != wanted:
            raise DamagedFile(f"expected {wanted} of parameter {key!r:.60}, got {present!r:.200}")


def _read_optimizer(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    record = read_json(folder / STATE)
    groups, numbers, schedule = (record.get(name) for name in ("groups", "numbers", "schedule"))
    if not isinstance(groups, list) or not isinstance(numbers, dict) or not isinstance(schedule, dict):
        raise DamagedFile(f"expected groups, numbers and schedule in {folder / STATE}, got {sorted(record)!r:.80}")
    if not all(isinstance(group, dict) and isinstance(group.get("params"), list) for group in groups):
        raise DamagedFile(f"expected groups with params in {folder / STATE}, got others")
    # numbers of parameters are strings in the names of tensors
    known = {str(key): key for group in groups for key in group["params"]}
    state: dict[object, dict[str, object]] = {}
    for place, value in {**numbers, **read_tensors(folder / OPTIMIZER)}.items():
        key, _, name = place.rpartition("/")
        if key not in known:
            raise DamagedFile(f"expected parameters of {folder / STATE} in {folder / OPTIMIZER}, got {place!r:.60}")
        state.setdefault(known[key], {})[name] = value
    for group in groups:
        # JSON has no tuples; betas are one
        group.update({key: tuple(value) for key, value in group.items() if isinstance(value, list) and key != "params"})
    return {"state": state, "param_groups": groups}, schedule


def _read_random_state(path: Path) -> RandomState:
    record = read_json(path)
    try:
        version, words, gauss = _list(record["python"])
        kind, keys, *rest = _list(record["numpy"])
        return RandomState(
            python=(version, tuple(_list(words)), gauss),
            numpy=(kind, np.array(keys, dtype=np.uint32), *rest),
            torch=_bytes(record["torch"]),
            cuda=[_bytes(state) for state in _list(record["cuda"])],
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DamagedFile(f"expected states of random generators in {path}, got: {error!r:.200}") from None


def _list(value: object) -> Sequence[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{type(value).__name__} for a list")
    return value


def _bytes(value: object) -> Tensor:
    return torch.frombuffer(bytearray.fromhex(str(value)), dtype=torch.uint8)


def _read_counts(path: Path) -> TrainerCounts:
    record = read_json(path)
    tokens, seconds, sums = (record.get(name) for name in ("tokens", "seconds", "sums"))
    numbers = sums if isinstance(sums, list) else [None]
    if type(tokens) is not int or not all(type(each) in (int, float) for each in (seconds, *numbers)):
        raise DamagedFile(f"expected tokens, seconds and sums in {path}, got {record!r:.200}")
    counts: TrainerCounts = {
        "tokens": tokens,
        "seconds": cast(float, seconds),
        "sums": [float(cast(float, each)) for each in numbers],
    }
    cpu_seconds = record.get("cpu_seconds")
    if type(cpu_seconds) in (int, float):
        counts["cpu_seconds"] = cast(float, cpu_seconds)
    if "curriculum" in record:
        counts["curriculum"], counts["unjudged"] = _curriculum_of(record, path)
    return counts


def _curriculum_of(record: Mapping[str, object], path: Path) -> tuple[CurriculumState, list[float]]:
    """Read a checkpoint's state of the curriculum.

    Raises:
        DamagedFile: it isn't one.
    """
    state, unjudged = record["curriculum"], record.get("unjudged")
    ends, recent = (state.get("ends"), state.get("recent")) if isinstance(state, dict) else (None, None)
    pairs = [*recent, unjudged] if isinstance(recent, list) else [None]
    if not (isinstance(ends, list) and all(type(end) is int for end in ends)) or not all(map(_is_pair, pairs)):
        raise DamagedFile(f"expected a curriculum's state in {path}, got {state!r:.100} and {unjudged!r:.60}")
    assert isinstance(recent, list) and isinstance(unjudged, list)
    return {"ends": ends, "recent": recent}, unjudged


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(each) in (int, float) for each in value)


def _check_trainer_state(path: Path, step: int) -> None:
    """Check that the Trainer can read its own file, as it will: by its fields' names and types.

    Raises:
        DamagedFile: it can't, or the file is of another step.
    """
    record, usual = read_json(path), vars(TrainerState())
    for name, value in record.items():
        if name not in usual:
            raise DamagedFile(f"expected fields of a TrainerState in {path}, got {name!r:.60}")
        kinds = (int, float) if type(usual[name]) in (int, float) else type(usual[name])
        if usual[name] is not None and not isinstance(value, kinds):
            raise DamagedFile(f"expected {name} in {path} like {usual[name]!r}, got {value!r:.60}")
    if record.get("global_step") != step:
        raise DamagedFile(f"expected step {step} in {path}, got {record.get('global_step')!r:.60}")


def _read_pickles(
    folder: Path, rank: int, num_processes: int
) -> tuple[dict[str, Any], dict[str, Any], RandomState | None]:
    """Read the states as versions before 0.3 wrote them."""
    from transformers.trainer_pt_utils import safe_globals  # numpy's types, for its random state

    if (folder / "optimizer_0").is_dir():
        raise DamagedFile(
            f"expected {folder / OPTIMIZER}, got the optimiser of a run with fsdp in an older version's format, "
            "which can't be read safely"
        )
    name = "rng_state.pth" if num_processes == 1 else f"rng_state_{rank}.pth"
    with safe_globals():
        optimizer, schedule = (_read_pickle(folder / each) for each in ("optimizer.pt", "scheduler.pt"))
        states = _read_pickle(folder / name) if (folder / name).exists() else None
    if not isinstance(optimizer.get("state"), dict) or not isinstance(optimizer.get("param_groups"), list):
        raise DamagedFile(f"expected an optimiser's state in {folder / 'optimizer.pt'}, got others")
    if states is None:
        return optimizer, schedule, None
    cuda = states.get("cuda", [])
    try:
        randomness = RandomState(
            python=states["python"],
            numpy=states["numpy"],
            torch=states["cpu"],
            cuda=list(cuda) if isinstance(cuda, list | tuple) else [cuda],
        )
    except (KeyError, ValueError) as error:
        raise DamagedFile(f"expected states of random generators in {folder / name}, got: {error!r:.200}") from None
    return optimizer, schedule, randomness


def _read_pickle(path: Path) -> dict[str, Any]:
    open_regular(path).close()
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and zipfile raise many kinds
        why = " ".join(str(error).split())
        raise DamagedFile(f"expected a state in {path}, got: {why:.200}") from None
    if not isinstance(value, dict):
        raise DamagedFile(f"expected a state in {path}, got {type(value).__name__}")
    return value


def _random_name(rank: int, num_processes: int) -> str:
    return "random_state.json" if num_processes == 1 else f"random_state_{rank}.json"
