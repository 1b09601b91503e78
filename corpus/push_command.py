"""The command ``trace-mine push``: a finished dataset to the Hugging Face Hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from trace_mine.tracer.visible import one_line

EPILOG = """\
Example: trace-mine push traces me/toolz-traces --dry-run, then the same without --dry-run

The repository is private until --public is given. The token is that of hf auth login, or HF_TOKEN.
"""


def push(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A finished dataset.")],
    repository: Annotated[str, typer.Argument(metavar="REPO", help="NAME or OWNER/NAME; made where there is none.")],
    public: Annotated[bool, typer.Option("--public", help="Make the repository public.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")] = False,
) -> None:
    """Uploads a dataset to the Hugging Face Hub, where datasets.load_dataset(REPO) reads it.

    Sent are its Parquet files, card, datasheet, metadata, plots, counts and drops, and browse.html; never the ledger. A
    dataset that is unfinished or damaged is refused. An upload that is cut off goes on with the same command.
    """
    from trace_mine.corpus.hub.own_files import kept_still, own_files
    from trace_mine.corpus.hub.upload import check_repository, upload

    check_repository(repository)
    with kept_still(dataset):
        files = own_files(dataset)
        total = sum(each.num_bytes for each in files)
        for each in files:
            print(f"{each.num_bytes:>12,} {one_line(each.path)}")
        kind = "public" if public else "private"
        print(f"{total:>12,} bytes in {len(files)} files, to the {kind} dataset {one_line(repository)}", flush=True)
        if dry_run:
            print("nothing was sent (--dry-run)")
            return
        version = json.loads((dataset / "croissant.json").read_bytes())["version"]
        address = upload(
            files,
            repository,
            is_public=public,
            version=one_line(str(version)),
            tell=lambda line: print(line, flush=True),
        )
    print(f"done: {one_line(address)}")
