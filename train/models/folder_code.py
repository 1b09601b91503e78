"""``modeling_trace_mine.py``, the file in a model's folder by which transformers opens it with ``trust_remote_code``.

It has no code of the model: it imports the installed package, so that a folder doesn't keep an old version of it. A
reader that doesn't trust it loses nothing, as ``load_model`` reads the folder without it.
"""

from __future__ import annotations

from pathlib import Path

MODULE = "modeling_trace_mine"

_TEXT = '''"""Opens this folder's model in transformers: {model}, of the installed package trace-mine."""

try:
    from trace_mine.train.models.config import {config}
    from trace_mine.train.models.registry import {model}
except ImportError as missing:
    raise ImportError(
        f"expected trace-mine with its extra [train], got: {{missing}}; pip install 'trace-mine[train]'"
    ) from missing

__all__ = ["{config}", "{model}"]
'''


def auto_map(config: type, model: type) -> dict[str, str]:
    """Return what ``config.json`` says of the two classes: transformers' name -> file and class."""
    return {
        "AutoConfig": f"{MODULE}.{config.__name__}",
        "AutoModelForCausalLM": f"{MODULE}.{model.__name__}",
    }


def write_module(folder: Path, config: type, model: type) -> None:
    """Write ``modeling_trace_mine.py`` into the folder."""
    text = _TEXT.format(config=config.__name__, model=model.__name__)
    (folder / f"{MODULE}.py").write_text(text, encoding="utf-8")
