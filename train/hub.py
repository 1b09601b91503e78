"""A finished run as a model repository of the Hugging Face Hub: weights, tokenizer, card and measurements.

The token is whatever ``huggingface_hub`` finds (``HF_TOKEN``, ``hf auth login``); nothing here reads it. Checkpoints
stay where they are, and so does ``run.json``, which names folders of the machine: the card has its settings.
"""

from __future__ import annotations

from pathlib import Path

from trace_mine.train import run_folder
from trace_mine.train.card import CARD, PLACEHOLDER
from trace_mine.train.models.keys import FOREIGN

OWN_FILES = (
    CARD,
    "config.json",
    "evals.jsonl",
    "final.json",
    "generation_config.json",
    "metrics.jsonl",
    "model.safetensors",
    "modeling_trace_mine.py",
    "tokenizer.json",
    "tokenizer_config.json",
)
"""Files of a run's folder that are sent, those of them that are there."""

MODULE = "modeling_trace_mine.py"
NEEDED = (CARD, "config.json", "final.json", "model.safetensors", MODULE, "tokenizer.json")
"""Those without which the repository would be no model that opens."""
OF_THE_MACHINE = ("run.json", "complete.json")
"""Files at a run's root that name folders of the machine, or hash such files."""


def files_to_send(folder: Path) -> dict[str, Path]:
    """Return the files of a finished run that ``push_run`` sends, by their names there, checked by the run's hashes.

    Of a fine-tuned model of others these are the files that transformers wrote, which differ by model, and LoRA's.

    Raises:
        ValueError: the run is not finished or lacks a file.
        DamagedFile: a file isn't what the run wrote.
    """
    is_foreign = (folder / "run.json").is_file() and run_folder.any_settings_of(folder).model == FOREIGN
    needed = [name for name in NEEDED if not is_foreign or name != MODULE]
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"expected a finished run in {folder}, got one without {', '.join(missing)}; let it finish "
            "(trace-train --resume), or train it anew if an older version did"
        )
    run_folder.check_files(folder)
    if not is_foreign:
        return {name: folder / name for name in OWN_FILES if (folder / name).is_file()}
    paths = [path for path in (*folder.iterdir(), *folder.glob("adapter/*")) if path.is_file()]
    kept = sorted(path for path in paths if path.name not in OF_THE_MACHINE)
    return {path.relative_to(folder).as_posix(): path for path in kept}


def push_run(folder: Path, repository: str, *, is_public: bool = False) -> str:
    """Make a repository hold a finished run, by one commit, and return its address. Other files of it stay.

    ``AutoModelForCausalLM.from_pretrained(REPOSITORY, trust_remote_code=True)`` opens it.

    Args:
        folder: the run.
        repository: ``NAME`` or ``OWNER/NAME``; it is made where there is none.
        is_public: make it public; else it is private, and a repository that is public is refused.

    Raises:
        ValueError: the run is not finished or lacks a file, or the repository is public and should not be.
        DamagedFile: a file isn't what the run wrote.
        CorpusError: the Hub can't be reached, or refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    from trace_mine.corpus.hub.upload import plain_errors

    files = files_to_send(folder)
    api = HfApi()
    with plain_errors():
        made = api.create_repo(repository, private=not is_public, exist_ok=True)
        name = made.repo_id
        is_private = is_public or api.repo_info(name).private
    if not is_private:
        raise ValueError(f"expected a private repository, got {name}, which is public; give --public, or another name")
    operations = []
    for own, path in files.items():
        content = path.read_bytes().replace(PLACEHOLDER.encode(), name.encode()) if own == CARD else str(path)
        operations.append(CommitOperationAdd(path_in_repo=own, path_or_fileobj=content))
    with plain_errors():
        api.create_commit(name, operations, commit_message=f"Run {folder.resolve().name} by trace-mine")
    return str(made)
