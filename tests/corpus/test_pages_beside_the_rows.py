"""Card, datasheet, Croissant metadata and plots: what they say is so, and programs read them."""

from __future__ import annotations

import doctest
import hashlib
import json
import re
import shlex
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from command_here import mine
from huggingface_hub import DatasetCard
from made_dataset import CONFIG, make_dataset

from trace_mine.corpus.hub import plots, reproduction
from trace_mine.corpus.hub.croissant import DataFile, files_of
from trace_mine.corpus.hub.datasheet import datasheet
from trace_mine.corpus.hub.reproduction import citation, command_of
from trace_mine.corpus.schema import COLUMNS
from trace_mine.corpus.synthetic.__main__ import main as synth

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("made") / "traces")


def croissant_of(folder: Path) -> Any:
    return json.loads((folder / "croissant.json").read_bytes())


def test_the_metadata_names_every_file_as_it_is(made: Path) -> None:
    files = files_of(croissant_of(made))
    assert [each.path for each in files] == sorted(str(path.relative_to(made)) for path in made.rglob("*.parquet"))
    for each in files:
        data = (made / each.path).read_bytes()
        assert (each.num_bytes, each.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_the_metadata_has_a_field_for_each_column(made: Path) -> None:
    for record_set in croissant_of(made)["recordSet"]:
        fields = {field["name"].rpartition("/")[2]: field for field in record_set["field"]}
        assert [*fields] == [column.name for column in COLUMNS]
        for column in COLUMNS:
            inner = [each["name"].rpartition("/")[2] for each in fields[column.name].get("subField", [])]
            assert inner == [field.name for field in column.fields]
            assert fields[column.name].get("repeated", False) == column.is_list


@pytest.mark.parametrize(
    "damaged", [None, [], {}, {"distribution": 1}, {"distribution": [{"@type": "cr:FileObject", "contentUrl": 1}]}]
)
def test_metadata_that_names_no_files_is_refused(damaged: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        files_of(damaged)
    with pytest.raises(ValueError, match="SHA-256"):
        DataFile(path="x", num_bytes=1, sha256="abc")


def test_mlcroissant_takes_the_metadata_and_reads_the_rows_by_it(made: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="needs mlcroissant, the reference reader")
    found = mlcroissant.Dataset(jsonld=str(made / "croissant.json"))
    assert not found.metadata.ctx.issues.errors
    for name, number in (("default", 21), ("uncertain", 9), ("records", 6)):
        records = list(found.records(name))
        assert len(records) == number
        rows = [row for path in sorted(made.glob("*/*.parquet")) for row in pq.read_table(path).to_pylist()]
        by_id = {row["trace_id"]: row for row in rows}
        for record in records:
            row = by_id[record[f"{name}/trace_id"].decode()]
            assert record[f"{name}/text"].decode() == row["text"] and record[f"{name}/line"] == row["line"]
            told = record[f"{name}/segments"]
            roles = [each[f"{name}/segments/role"] for each in told or ()]
            assert [role.decode() for role in roles] == [each["role"] for each in row["segments"]]


def test_the_card_says_what_there_is(made: Path) -> None:
    card = DatasetCard.load(made / "README.md")
    assert card.data.task_categories == ["text-generation"] and card.data.size_categories == ["n<1K"]
    text = card.text
    assert "| `uncertain` | the sessions of `default`" in text and "| 9 | train, validation, test |" in text
    assert "| toolz | MIT 7 |" in text and "* `empty`: 1. " in text
    assert citation() in text and f"`{command_of(CONFIG)}`" in text
    linked = {name for name in re.findall(r"\]\(([^)]*)\)", text) if "://" not in name}
    assert linked - {"browse.html"} == {
        "DATASHEET.md", "croissant.json", "stats.json", "errors.jsonl",
        "plots/characters.svg", "plots/commands.svg", "plots/bits.svg",
    }  # fmt: skip
    assert all((made / name).is_file() for name in linked - {"browse.html"})


def test_plots_are_pictures_of_the_counts(made: Path) -> None:
    stats = json.loads((made / "stats.json").read_text())
    assert stats["histograms"]["bits"] == {"1": 9}, "0.81 bits: of a quarter and three quarters"
    for name, bins in stats["histograms"].items():
        root = ET.parse(made / "plots" / f"{name}.svg").getroot()
        texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        assert all(str(count) in texts and end in texts for end, count in bins.items())
        # a bar for each bin, and what is behind them
        assert len([*root.iter("{http://www.w3.org/2000/svg}rect")]) == len(bins) + 1


def test_a_plot_that_is_no_more_is_taken_away(tmp_path: Path) -> None:
    make_dataset(tmp_path / "made")
    assert (tmp_path / "made" / "plots" / "bits.svg").is_file()
    make_dataset(tmp_path / "other", uncertain=0)
    stats = json.loads((tmp_path / "other" / "stats.json").read_text())
    from trace_mine.corpus.hub.pages import write_pages

    write_pages(tmp_path / "made", stats, "0" * 64, [], shards=["train-0"], uncertain=[], records=[])
    assert sorted(path.name for path in (tmp_path / "made" / "plots").iterdir()) == ["characters.svg", "commands.svg"]


def test_the_datasheet_answers_from_the_counts(made: Path) -> None:
    told = (made / "DATASHEET.md").read_text()
    for title in ("Motivation", "Composition", "Collection", "Uses", "Distribution", "Maintenance"):
        assert f"\n## {title}\n" in told
    assert "**How many are there?** 21 (doctest 21)" in told and "9 rows have such an output" in told
    assert f"`{command_of(CONFIG)}`" in told and "MIT 21" in told and "`empty` 1: " in told
    assert told.isprintable() or "\n" in told


def test_how_to_cite_is_what_the_projects_file_says() -> None:
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert f"version = {{{told['version']}}}" in citation() and told["title"] in citation()
    assert told["authors"][0]["name"] in citation() and told["license"] in citation()
    assert f"year = {{{told['date-released'][:4]}}}" in citation()


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(reproduction).failed == 0 and doctest.testmod(plots).failed == 0


def files_of_dataset(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and ".ledger" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_command_of_a_task_makes_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = ["permutations", "--rows", "6", "--held-out", "2", "--set", "n=3", "--set", "p=0.5", "--seed", "3"]
    assert synth([*first, "--commands", "2-5", "--jobs", "2", "--out", "first"]) == 0
    command = re.findall(r"^`(trace-synth .*)`$", (tmp_path / "first" / "README.md").read_text(), re.MULTILINE)[0]
    assert synth([*shlex.split(command)[1:], "--jobs", "1"]) == 0
    made = files_of_dataset(tmp_path / "first")
    assert files_of_dataset(tmp_path / "synthetic") == made
    assert {"croissant.json", "DATASHEET.md", "plots/bits.svg"} <= set(made)
    assert b"Synthetic execution traces" in made["README.md"] and b"is known exactly" in made["DATASHEET.md"]


FUNCTION = '''
def total(xs):
    """
    >>> total([1, 2])
    3
    """
    return sum(xs)
'''


def test_the_command_of_a_mined_dataset_makes_it_again(
    tmp_path: Path, make_repository: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options that are no defaults stand in it; inputs are named without their folders."""
    root = make_repository("my kit", {"kit/__init__.py": FUNCTION, "setup.cfg": ""})
    monkeypatch.chdir(root.parent)
    options = ["--sources", "doctest,script", "--view", "branch+every:2", "--environment", "none", "--follow", "2"]
    options += ["--keep-duplicates", "--split-by", "function", "--seed", "4", "--timeout", "9.5", "--memory", "512M"]
    options += ["--licenses", "all", "--siblings", "3", "--sessions", "2", "--scripts", "*.none", "--keep", "records"]
    mine(tmp_path / "first", "my kit", "module:bisect", "--jobs", "1", *options)
    command = re.findall(r"^`(trace-mine .*)`$", (tmp_path / "first" / "README.md").read_text(), re.MULTILINE)[0]
    words = shlex.split(command)
    assert words[:3] == ["trace-mine", "my kit", "module:bisect"]
    monkeypatch.chdir(root.parent)
    rows, _ = mine(tmp_path / "again", *words[1 : words.index("--out")], "--jobs", "1")
    assert rows and files_of_dataset(tmp_path / "again") == files_of_dataset(tmp_path / "first")


def test_a_hostile_name_is_one_word_of_one_line() -> None:
    for name in ("a b", "$(touch x)", "`touch x`", "x\ny", "-o", "'", "\x1b[31m", "x" * 1000):
        command = command_of({"inputs": [name], "sources": ["doctest"]})
        assert "\n" not in command and "\x1b" not in command
        if name.isprintable() and len(name) < 100:
            assert shlex.split(command)[1] == name
    assert command_of({"inputs": [f"r{number}" for number in range(500)]}).count(" r") == 100


def test_no_plotting_library_is_asked_for(made: Path) -> None:
    assert "matplotlib" not in Path(plots.__file__).read_text()
    stats = json.loads((made / "stats.json").read_text())
    before = "matplotlib" in sys.modules
    plots.plots_of(stats)
    assert ("matplotlib" in sys.modules) == before and datasheet(stats, [])
