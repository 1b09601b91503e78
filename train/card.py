"""A run's model card, README.md: what was trained, on what, how well it does, and how to load it.

The card has no dates and no folders of the machine. Names that a user gives are set as words of Markdown, whatever they
hold, and in the YAML block ``huggingface_hub`` quotes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from trace_mine.tracer.visible import in_markdown, one_line, visible
from trace_mine.train.run_folder import RunRecord
from trace_mine.train.settings import Settings, as_yaml, from_json
from trace_mine.train.summary import Evaluation, Final

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

CARD = "README.md"

PLACEHOLDER = "PATH/OF/THIS/FOLDER"
"""The card's word for the folder; ``hub.push_run`` puts the repository's name in its place."""

METRICS = {
    "accuracy_reveal": ("accuracy of reveals", "accuracy"),
    "accuracy_last_reveal": ("accuracy of the last reveal", "accuracy"),
    "kl": ("KL to the exact belief, nats", "kl_divergence"),
    "kl_last_quarter": ("the same, last quarter, nats", "kl_divergence"),
}
"""Key of an evaluation on a task -> its name for people, and its type for the Hub."""

_BODY = """
# {title}
{sentence}

## To load it
```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("PATH/OF/THIS/FOLDER", trust_remote_code=True)
model = AutoModelForCausalLM.from_pretrained("PATH/OF/THIS/FOLDER", trust_remote_code=True)
ids = tokenizer(">>> ", return_tensors="pt")
print(tokenizer.decode(model.generate(**ids, max_new_tokens=20)[0]))
```

The model's code is the package trace-mine (`pip install 'trace-mine[train]'`), which `modeling_trace_mine.py` imports.
Without trusting that file: `trace_mine.load_model(FOLDER)`, or `trace_mine.register_auto_classes()` before these lines.

## How well it does
{metrics}

## How it was trained
{training}

```yaml
{settings}
```

## What it is not for
It was trained to say what execution traces show next, on the data named above and nothing else. It follows no
instructions, and what it says of a program is no proof.
"""


def model_card(name: str, record: RunRecord, final: Final, config: Mapping[str, object]) -> str:
    """Return the text of a finished run's card.

    Args:
        name: the run's, for the title.
        record: its ``run.json``.
        final: its ``final.json``.
        config: its ``config.json``.
    """
    # here, for it takes half a second
    from huggingface_hub import ModelCardData

    settings = from_json(record["settings"])
    data = ModelCardData(
        model_name=one_line(name) or "run",
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["trace-mine", "state-tracking", "execution-traces", one_line(settings.model)],
        eval_results=list(_results(settings, final)) or None,
    )
    body = _BODY.format(
        title=in_markdown(name),
        sentence=_sentence(settings, final, config),
        metrics=_metrics(final),
        training=_training(record, final),
        settings=_in_fence(as_yaml(_without_folders(settings))),
    )
    return f"---\n{data.to_yaml()}\n---\n{body}"


def write_card(folder: Path, record: RunRecord, final: Final, config: Mapping[str, object]) -> None:
    """Write a finished run's card, unless its folder has one already, which may be a person's."""
    if not (folder / CARD).exists():
        text = model_card(folder.resolve().name, record, final, config)
        (folder / CARD).write_text(text, encoding="utf-8")


def _sentence(settings: Settings, final: Final, config: Mapping[str, object]) -> str:
    """Return what the model is and what it was trained on, as one paragraph."""
    sizes = f"{config.get('num_hidden_layers')} layer(s) of width {config.get('hidden_size')}"
    return (
        f"{in_markdown(settings.model)}, {final['parameters']:,} parameters ({sizes}), trained by trace-mine on "
        f"{_data(settings)}: {final['step']:,} steps, {final['tokens']:,} tokens"
        + (f" (it ended at its budget of {final['max_tokens']:,} tokens)." if "max_tokens" in final else ".")
    )


def _data(settings: Settings) -> str:
    """Return the data's name, as words of Markdown."""
    names = [PurePath(each).name for each in settings.dataset.split(",") if each]
    datasets = "the dataset " + ", ".join(map(in_markdown, names)) if names else ""
    task = f"the task {in_markdown(settings.task)}" if settings.task else ""
    return " and ".join(each for each in (datasets, task) if each) or "no data"


def _without_folders(settings: Settings) -> Settings:
    """Return the settings with the names of datasets alone: folders are those of a machine."""
    names = ",".join(PurePath(each).name for each in settings.dataset.split(","))
    parameters = {
        key: PurePath(value).name if isinstance(value, str) and "/" in value else value
        for key, value in settings.task_parameters.items()
    }
    return replace(settings, dataset=names, task_parameters=parameters)


def _metrics(final: Final) -> str:
    """Return the tables of all evaluations."""
    parts = list(_tables(final))
    rescaled = final.get("rescaled")
    if rescaled:
        parts.append("With each head's state held at its norm in training (a switch, `trace_mine.train.rescaling`):")
        parts += _tables(rescaled)
    return "\n\n".join(parts) or "Not measured."


def _tables(scores: Mapping[str, object]) -> Iterator[str]:
    """Yield the tables of one set of evaluations."""
    evaluations: list[Evaluation] = scores.get("evaluations", [])  # type: ignore[assignment]
    at_length = [each for each in evaluations if "times" in each]
    if at_length:
        keys = [key for key in METRICS if key in at_length[0]]
        yield _table(
            [
                f"{in_markdown(at_length[0].get('split', 'test'))} sessions",
                *(METRICS[key][0] for key in keys),
                "chance",
                "the last shown value",
            ],
            [
                [
                    f"{each['times']:g}x the training length ({each['commands']} commands, a reveal every "
                    f"{each['spacing']})",
                    *(_number(each.get(key)) for key in keys),
                    _number(each.get("chance")),
                    _number(each.get("last_shown")),
                ]
                for each in at_length
            ],
        )
    for each in evaluations:
        if "by_role" in each:
            yield _table(
                ["tokens of held-out rows", "loss, nats", "unigram loss", "accuracy", "tokens"],
                [
                    [
                        in_markdown(role),
                        _number(by_role["loss"]),
                        _number(by_role["unigram_loss"]),
                        _number(by_role["accuracy"]),
                        str(by_role["tokens"]),
                    ]
                    for role, by_role in each["by_role"].items()
                ],
            )
        beliefs = each.get("beliefs", {})
        if beliefs.get("num_beliefs"):
            yield (
                f"KL to the exact belief: {_number(beliefs['kl'])} nats, at {beliefs['num_beliefs']} reveals whose "
                f"entropy is {_number(beliefs['entropy'])} nats."
            )
    retention: list[Mapping[str, float]] = scores.get("retention", [])  # type: ignore[assignment]
    if retention:
        yield _table(
            ["a variable left alone for", "KL to the exact belief, nats"],
            [[f"{each['hold']} commands", _number(each["kl"])] for each in retention],
        )


def _table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: object) -> str:
    """Return a number with three decimals; a dash for what was not measured."""
    return f"{value:.3f}" if isinstance(value, int | float) else "-"


def _training(record: RunRecord, final: Final) -> str:
    """Return how the run was made: versions, commit, seconds."""
    versions = ", ".join(
        f"{in_markdown(name)} {in_markdown(str(version))}" for name, version in record["versions"].items()
    )
    kernel = record.get("delta_rule_on_cpu")
    return (
        f"{final['seconds']:,.0f} seconds with {versions}; commit {in_markdown(str(record.get('commit')))}"
        + (f"; the delta rule on the CPU in {in_markdown(kernel)}" if kernel else "")
        + f". Hashes: vocabulary `{record['vocabulary_hash'][:12]}`, data `{record['data_hash'][:12]}`. "
        "On the CPU, the same settings and versions make the same weights bit for bit. All settings:"
    )


def _results(settings: Settings, final: Final) -> Iterator[EvalResult]:
    """Yield the measurements as the Hub's model index has them."""
    from huggingface_hub import EvalResult

    name = one_line(settings.task or ",".join(PurePath(each).name for each in settings.dataset.split(",")))
    for each in final.get("evaluations", []):
        named: dict[str, tuple[str, str, object]] = {}
        if "times" in each:
            size = f"{each['commands']} commands, a reveal every {each['spacing']}"
            for key, (title, kind) in METRICS.items():
                if each.get(key) is not None:
                    named[f"{title}, {each['times']:g}x the training length"] = (kind, size, each.get(key))
        for role, scores in each.get("by_role", {}).items():
            named[f"accuracy on tokens of {one_line(role)}"] = ("accuracy", "held-out rows", scores["accuracy"])
        for title, (kind, config, value) in named.items():
            yield EvalResult(
                task_type="text-generation",
                task_name="State tracking",
                dataset_type=name or "data",
                dataset_name=name or "data",
                dataset_config=config,
                dataset_split=one_line(each.get("split", "test")),
                metric_type=kind,
                metric_name=title,
                metric_value=value,
            )


def _in_fence(text: str) -> str:
    """Return text for a fenced block: no line of it ends the block or acts on a terminal."""
    return visible(text).replace("```", "\\x60\\x60\\x60").rstrip("\n")
