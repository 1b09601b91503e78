"""The command ``trace-mine merge``: one dataset from several, without running any code.

The datasets are the shards of one command, or datasets of other inputs that were mined with the same options. Their
units are taken over, so that duplicates are looked for among all rows, and splits, card and counts are those of the
whole; merged shards are to the byte what one command gives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from trace_mine.corpus.engine_arguments import LedgerArgument, OutArgument
from trace_mine.corpus.errors import CorpusError
from trace_mine.tracer.command_line import ExitCode
from trace_mine.tracer.visible import one_line

EPILOG = """\
Example: trace-mine merge part-1 part-2 part-3 --out traces

The parts are datasets of trace-mine, made with --shard 1/3, 2/3 and 3/3, or from other inputs with the same options.
"""


def merge_datasets(
    parts_named: Annotated[
        list[str],
        typer.Argument(metavar="DIR|URL...", help="Finished datasets of trace-mine; at URLs, those made with --shard."),
    ],
    out: OutArgument,
    ledger_folder: LedgerArgument = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start afresh in --out, whatever was begun there.")
    ] = False,
) -> None:
    """Makes one dataset of several: duplicates, splits, card and counts are those of all rows together.

    The parts stay as they are. Shards of one command give the bytes that it would have given without shards.
    """
    from trace_mine.corpus.ledger import FOLDER, Ledger
    from trace_mine.corpus.merge import merge
    from trace_mine.corpus.mined.miner import rule_of
    from trace_mine.corpus.mined.notes import joined_notes
    from trace_mine.corpus.plan import joined_plan
    from trace_mine.corpus.produce import open_ledger
    from trace_mine.corpus.remote_dataset import DatasetPlace, local_dataset
    from trace_mine.corpus.report import Progress, print_dataset, why_nothing

    place = DatasetPlace(out, ledger_folder)
    place.check_free(overwrite=overwrite)
    datasets = [local_dataset(name) for name in parts_named]
    for name, folder in zip(parts_named, datasets, strict=True):
        if not (folder / FOLDER).is_dir():
            raise CorpusError(
                f"expected a dataset that trace-mine wrote, with its {FOLDER} folder, got {name!r}; mine it",
                exit_code=ExitCode.WRONG_USAGE,
            )
    if len({folder.resolve() for folder in datasets}) < len(datasets):
        raise CorpusError("expected each dataset once, got one twice; name it once", exit_code=ExitCode.WRONG_USAGE)
    if place.folder.resolve() in {folder.resolve() for folder in datasets} or out in parts_named:
        raise CorpusError(f"expected another --out than the parts, got {out}", exit_code=ExitCode.WRONG_USAGE)
    with ExitStack() as stack:
        parts = [Ledger(folder) for folder in datasets]
        for part in parts:
            stack.enter_context(part.locked())  # a run that goes on there would change what is read
        config = common_config([part.config() for part in parts], datasets)
        plan = joined_plan([part.plan() for part in parts], same_inputs="shard" in parts[0].config())
        ledger = stack.enter_context(open_ledger(place.folder, overwrite=overwrite))
        progress = stack.enter_context(Progress())
        ledger.check_config(config)
        owner = {key: part for part in parts for key in part.plan().keys}
        for key in plan.keys:
            ledger.adopt(owner[key], key)
        ledger.write_plan(plan)
        merged = merge(
            ledger,
            plan.keys,
            notes=joined_notes([notes for _, notes in plan.by_place], plan.overall),
            config=config,
            rule=rule_of(config.get("split_by")),
            keeps_copies=bool(config.get("keep_duplicates")),
            on_row=progress.merged,
        )
        ledger.tidy(plan.keys)
        if merged.first_text is not None:
            place.publish()
    if not print_dataset(merged, out):
        raise CorpusError(
            f"nothing was mined: {why_nothing(merged.stats)}; see {place.folder}/stats.json and errors.jsonl"
        )


def common_config(configs: Sequence[Mapping[str, object]], datasets: Sequence[Path]) -> dict[str, object]:
    """Return the configuration of the whole: the parts' own, with the inputs of all of them.

    Raises:
        CorpusError: the parts were made with different options, of a task, or not all shards are there.
    """
    names = [one_line(str(folder)) for folder in datasets]
    for name, config in zip(names, configs, strict=True):
        if "task" in config:
            raise CorpusError(
                f"expected datasets of trace-mine, got {name}, which is of a task; give trace-synth more --rows",
                exit_code=ExitCode.WRONG_USAGE,
            )
        others = {key: value for key, value in config.items() if key not in ("shard", "inputs")}
        first = {key: value for key, value in configs[0].items() if key not in ("shard", "inputs")}
        differing = sorted(key for key in {*others, *first} if others.get(key) != first.get(key))
        if differing:
            key = differing[0]
            raise CorpusError(
                f"expected datasets of the same options, got {key} {json.dumps(first.get(key))} in {names[0]} and "
                f"{json.dumps(others.get(key))} in {name}; mine one of them again",
                exit_code=ExitCode.WRONG_USAGE,
            )
    shards = [str(config.get("shard", "")) for config in configs]
    whole = {key: value for key, value in configs[0].items() if key != "shard"}
    if not any(shards):
        inputs = [name for config in configs for name in _inputs(config)]
        return {**whole, "inputs": inputs}
    total = shards[0].partition("/")[2]
    expected = [f"{number}/{total}" for number in range(1, int(total or 0) + 1)]
    if sorted(shards) != sorted(expected) or any(_inputs(config) != _inputs(configs[0]) for config in configs):
        raise CorpusError(
            f"expected each of the shards 1/{total} to {total}/{total} of one command once, got "
            f"{', '.join(one_line(shard) or 'none' for shard in shards)}; name all of them, and no others",
            exit_code=ExitCode.WRONG_USAGE,
        )
    return whole


def _inputs(config: Mapping[str, object]) -> list[str]:
    inputs = config.get("inputs")
    return [str(name) for name in inputs] if isinstance(inputs, list) else []
