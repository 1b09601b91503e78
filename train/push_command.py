"""The command ``trace-train push``: a finished run to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trace_mine.tracer.visible import one_line

EPILOG = """\
Example: trace-train push runs/quick me/shell-game --dry-run, then the same without --dry-run

The repository is private until --public is given. The token is that of hf auth login, or HF_TOKEN.
"""


def push(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run.")],
    repository: Annotated[str, typer.Argument(metavar="REPO", help="NAME or OWNER/NAME; made where there is none.")],
    public: Annotated[bool, typer.Option("--public", help="Make the repository public.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")] = False,
) -> None:
    """Uploads a run to the Hugging Face Hub, where AutoModelForCausalLM.from_pretrained(REPO) opens it.

    Sent are its weights, tokenizer, card and measurements; neither checkpoints nor run.json, which names folders of the
    machine. A run that is unfinished or damaged is refused.
    """
    from trace_mine.corpus.hub.upload import check_repository
    from trace_mine.train.hub import files_to_send, push_run

    check_repository(repository)
    files = files_to_send(run)
    total = 0
    for name, path in files.items():
        size = path.stat().st_size
        total += size
        print(f"{size:>12,} {one_line(name)}")
    kind = "public" if public else "private"
    print(f"{total:>12,} bytes in {len(files)} files, to the {kind} model {one_line(repository)}", flush=True)
    if dry_run:
        print("nothing was sent (--dry-run)")
        return
    print(f"done: {one_line(push_run(run, repository, is_public=public))}")
