"""The model card of a fine-tuned model: of what, on what, and how well."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from trace_mine.tracer.atomic import write_atomically
from trace_mine.tracer.visible import in_markdown, visible
from trace_mine.train.card import CARD
from trace_mine.train.models.keys import ForeignKeys
from trace_mine.train.settings import Settings
from trace_mine.train.summary import Final, summary


def write_foreign_card(folder: Path, settings: Settings, final: Mapping[str, object]) -> None:
    """Write the card, unless the folder has one. Folders of the machine are named by their last part alone."""
    path = folder / CARD
    if path.exists():
        return
    keys = ForeignKeys(**settings.model_keys)
    names = ", ".join(Path(name.strip()).name for name in settings.dataset.split(","))
    data = f"the dataset {in_markdown(names)}" if settings.dataset else f"the task {in_markdown(settings.task)}"
    how = f"by LoRA of rank {keys.lora_rank}" if keys.lora_rank else "in all its weights"
    measured = "\n".join(f"    {visible(line)}" for line in summary(cast(Final, final)))
    text = f"""---
library_name: transformers
pipeline_tag: text-generation
tags:
- trace-mine
---
# {in_markdown(folder.resolve().name)}

{in_markdown(Path(keys.path).resolve().name)}, fine-tuned {how} on REPL sessions: {data}.

Made by trace-mine. The licence is that of the model that it began with.

{measured}
"""
    write_atomically(path, text.encode())
