"""The dataset card: the YAML that ``datasets`` reads, and strangers' names in it that stay names."""

from __future__ import annotations

import copy
import doctest
import json
import re
from typing import Any

import pytest
import yaml
from huggingface_hub import DatasetCard
from hypothesis import given
from hypothesis import strategies as st

from trace_mine.corpus import card
from trace_mine.corpus.card import dataset_card
from trace_mine.corpus.report import print_summary, why_nothing
from trace_mine.corpus.schema import COLUMNS
from trace_mine.corpus.tally import Counts
from trace_mine.tracer.inside.reasons import Reason, ReasonStage, drop_sentence
from trace_mine.tracer.visible import in_markdown

NASTY = (
    "a | b",
    "](http://evil.example) [x",
    "<img src=x onerror=alert(1)>",
    "---",
    "x\n---\ny",
    "x\r\n# heading\n\n```\n",
    "`code` ``",
    "{rows} {0} %s",
    "name: value # comment",
    "'quote\" \\",
    "\\",
    "\\|",
    "_it_ **bold** ~x~",
    "www.evil.example",
    "\x1b[31mred\x07\u202e",
    "  spaces  ",
    "&lt;",
    "é 漢",
    "",
    "null",
    "@someone #1",
)


def stats_of(*names: str, **changes: Any) -> Any:
    stats: Any = Counts().as_json(found=0, notes={}, config={"inputs": list(names)})
    group = {"found": 1, "rows": 1, "duplicates": 0, "drops": {}}
    stats |= {"by_repository": dict.fromkeys(names, group), "by_licence": dict.fromkeys(names, 1), "rows": len(names)}
    stats |= {"found": len(names), "by_source": {"doctest": group}, "splits": {"train": len(names)}, **changes}
    return copy.deepcopy(stats)


SHARDS = ["test-00000-of-00001.parquet", "train-00000-of-00001.parquet"]


def test_the_header_is_what_datasets_reads() -> None:
    text = dataset_card(stats_of("MIT"), SHARDS, "0" * 64)
    data = DatasetCard(text).data.to_dict()
    assert data == {
        "configs": [
            {
                "config_name": "default",
                "version": "0.0.0",
                "data_files": [
                    {"split": "train", "path": "data/train-*.parquet"},
                    {"split": "test", "path": "data/test-*.parquet"},
                ],
            }
        ],
        "tags": ["code", "execution-traces", "python", "state-tracking"],
        "pretty_name": "Execution traces that replay",
        "task_categories": ["text-generation"],
        "annotations_creators": ["machine-generated"],
        "source_datasets": ["original"],
        "size_categories": ["n<1K"],
        "license": "mit",
    }
    assert yaml.safe_load(text.split("---\n")[1]) == data


@pytest.mark.parametrize(
    ("rows", "size"), [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (999_999, "100K<n<1M"), (10**6, "n>1M")]
)
def test_the_size_category(rows: int, size: str) -> None:
    assert DatasetCard(dataset_card(stats_of(rows=rows), SHARDS, "0" * 64)).data.size_categories == [size]


@pytest.mark.parametrize("name", NASTY)
def test_a_nasty_name_stays_a_name(name: str) -> None:
    text = dataset_card(stats_of("before", name, "zlast"), SHARDS, "0" * 64)
    read = DatasetCard(text)
    assert read.data.license == "other" and {"before", "zlast"} <= {*read.data.license_name.split(", ")}
    # Around the name the card is the one of a plain name: same lines, same cells.
    plain = DatasetCard(dataset_card(stats_of("before", "plain", "zlast"), SHARDS, "0" * 64)).text
    lines, expected = read.text.split("\n"), plain.split("\n")
    assert len(lines) == len(expected)
    others = [(line, other) for line, other in zip(lines, expected, strict=True) if line != other]
    assert len(others) == 3, "the table's line, the list of licences and the command that makes it again"
    (row,) = [line for line, other in others if other.startswith("| plain")]
    assert row.count("|") == 6 and row.endswith(" | 1 | 1 | 0 | 0 |")
    assert re.match(r"\| (`[^`|]+`|[\w .+/()-]+) \|", row)


@given(st.text())
def test_any_text_is_one_cell(text: str) -> None:
    shown = in_markdown(text)
    assert re.fullmatch(r"`[^`|\n\r]+`|[A-Za-z0-9 ._+/()-]+", shown)
    shown.encode("utf-8")


def test_a_hostile_configuration_stays_in_its_block() -> None:
    nasty = {"task": "pfsa", "file": "```\n# heading\n{rows}"}
    text = dataset_card(stats_of("r", config=nasty), SHARDS, "0" * 64)
    (block,) = re.findall(r"^```json\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert json.loads(block) == nasty


def test_the_columns_are_in_the_card() -> None:
    for config in ({}, {"task": "pfsa"}):
        text = dataset_card(stats_of(config=config), SHARDS, "0" * 64)
        assert all(f"| `{column.name}` |" in text for column in COLUMNS)


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(card).failed == 0


def test_every_reason_for_a_drop_is_explained_in_the_card_and_on_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stages = (ReasonStage.DISCOVERY, ReasonStage.TRACING, ReasonStage.ROW)
    reasons = [reason for reason in Reason if any(meaning.stage in stages for meaning in reason.meanings)]
    words = [reason.value for reason in reasons if reason is not Reason.SIGNAL]
    stats = stats_of("repository", drops=dict.fromkeys(words, 1) | {"signal:11": 2})
    text = dataset_card(stats, SHARDS, "0" * 64)
    assert all(f"* `{word}`: 1. {drop_sentence(word)}\n" in text for word in words) and len(words) > 40
    print_summary(stats)
    assert "signal:11: The process was ended by" in capsys.readouterr().out


@pytest.mark.parametrize("name", NASTY)
def test_the_card_is_written_as_the_hubs_own_library_writes_it(name: str) -> None:
    text = dataset_card(stats_of(name), SHARDS, "0" * 64)
    assert str(DatasetCard(text)) == text


def test_snippets_without_a_place_for_draws_are_why_nothing_was_found() -> None:
    files = {"read": 3, "roles": {"script": 1}, "unreadable": {}}
    told = why_nothing(
        stats_of(found=0, files=files, not_edited={"a": {"raises": 1}, "b": {"no_place": 2, "raises": 1}})
    )
    assert told == "draws could be put into none of 4 snippets (raises 2, no_place 2); see docs/choices.md"


def test_inputs_that_cannot_be_read_are_why_nothing_was_found() -> None:
    closed = {"name": "p\x1b", "reason": "others may not read it, and root's runs are others: chmod -R o+rX it"}
    files = {"read": 0, "unreadable": {}, "examples": []}
    assert "there is no Python file" in why_nothing(stats_of(found=0, files=files))
    said = why_nothing(stats_of(found=0, files=files, ignored_inputs=[closed]))
    assert "chmod -R o+rX" in said and "\x1b" not in said and "Python file" not in said
    said = why_nothing(stats_of(found=0, files=files, ignored_inputs=[closed] * 30))
    assert said.endswith(" more")
    # one that was read says more
    read = {**files, "read": 3}
    assert "chmod" not in why_nothing(stats_of(found=0, files=read, ignored_inputs=[closed]))
