"""``trace-mine push`` against a stand-in for the Hub, and what was pushed loaded back from there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_here import command
from hub_stand_in import TOKEN, StandIn, running
from made_dataset import CONFIG, make_dataset

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.hub.own_files import kept_still, own_files
from trace_mine.corpus.ledger import Ledger

ROOT = Path(__file__).parents[2]
LOAD = """
import json, sys
from datasets import load_dataset
def loaded(name):
    found = {}
    for kind in ("default", "uncertain", "records"):
        for split, rows in load_dataset(name, kind).items():
            found[f"{kind} {split}"] = [json.dumps(row, sort_keys=True) for row in rows]
    streamed = load_dataset(name, "uncertain", split="test", streaming=True)
    assert [json.dumps(row, sort_keys=True) for row in streamed] == found["uncertain test"]
    return found
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("made") / "traces")


@pytest.fixture(scope="module")
def hub() -> Iterator[StandIn]:
    with running() as stand_in:
        yield stand_in


def done(hub: StandIn, home: Path, *arguments: object, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    """Run a program whose Hub is the stand-in: its address is read when ``huggingface_hub`` is imported."""
    names = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1"}
    names |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "0", "HF_DATASETS_OFFLINE": "0"}
    for proxy in ("http_proxy", "https_proxy", "all_proxy"):
        names |= {proxy: "", proxy.upper(): ""}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **names, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
    )


def push(hub: StandIn, home: Path, *arguments: object, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    return done(hub, home, "-m", "trace_mine.corpus", "push", *arguments, token=token)


def test_what_is_pushed_is_loaded_back_as_it_was(
    made: Path, hub: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = push(hub, tmp_path, made, "me/traces")
    assert told.returncode == 0, told.stderr
    assert hub.repositories["me/traces"]["private"] and TOKEN not in told.stdout + told.stderr
    files = hub.files("me/traces")
    own = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file() and ".ledger" not in path.parts}
    assert {*files} == own and not any("ledger" in path for path in files)
    changed = [path for path, data in files.items() if data != (made / path).read_bytes()]
    assert changed == ["README.md"] and b'load_dataset("me/traces"' in files["README.md"]
    assert len(hub.commits) == 1, "all of it at once"
    back = done(hub, tmp_path, "-c", f"{LOAD}\nprint(json.dumps(loaded('me/traces')))")
    assert back.returncode == 0, back.stderr[-2000:]
    here: dict[str, Any] = {}
    exec(LOAD, here)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    assert json.loads(back.stdout) == here["loaded"](str(made)) and len(json.loads(back.stdout)) == 9


def test_an_upload_goes_on_where_it_was_cut_off(made: Path, hub: StandIn, tmp_path: Path) -> None:
    more = make_dataset(tmp_path / "more", certain=9, records=0)
    hub.requests.clear()
    hub.failing_uploads = 1
    told = push(hub, tmp_path, more, "me/again")
    assert told.returncode == 1 and "start the same command again" in " ".join(told.stderr.split())
    assert TOKEN not in told.stderr and "secretsignature" not in told.stderr and "Traceback" not in told.stderr
    num_shards = len([*(more / "data").iterdir()])
    assert hub.uploads() <= num_shards and not hub.files("me/again"), "nothing of it is there before all of it is"
    known = len(hub.objects)
    hub.requests.clear()
    assert push(hub, tmp_path, more, "me/again").returncode == 0
    assert len(hub.objects) == known + hub.uploads()
    hub.requests.clear()
    assert push(hub, tmp_path, more, "me/again").returncode == 0
    assert hub.uploads() == 0
    # a smaller dataset in its place: files of rows that it lacks go, other files of the repository stay
    hub.repositories["me/again"]["files"]["mine.txt"] = (b"x", False)
    smaller = make_dataset(tmp_path / "smaller", splits=["train"], uncertain=0, records=0)
    assert push(hub, tmp_path, smaller, "me/again").returncode == 0
    left = [path for path in hub.files("me/again") if path.endswith((".parquet", ".txt"))]
    assert sorted(left) == ["data/train-00000-of-00001.parquet", "mine.txt"]


def test_public_is_asked_for(made: Path, hub: StandIn, tmp_path: Path) -> None:
    assert push(hub, tmp_path, made, "open", "--public").returncode == 0
    assert hub.repositories["me/open"]["private"] is False
    before = len(hub.commits)
    told = push(hub, tmp_path, made, "open")
    assert told.returncode == 2 and "which is public; give --public" in " ".join(told.stderr.split())
    assert len(hub.commits) == before


def test_a_wrong_token_is_one_line_without_it(made: Path, hub: StandIn, tmp_path: Path) -> None:
    secret = "hf_" + "w" * 34
    told = push(hub, tmp_path, made, "me/closed", token=secret)
    assert told.returncode == 1 and "hf auth login" in told.stderr and secret not in told.stdout + told.stderr
    assert "Traceback" not in told.stderr and "me/closed" not in hub.repositories


def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(made: Path, hub: StandIn, tmp_path: Path) -> None:
    hub.requests.clear()
    (tmp_path / "secret.txt").write_text("x")
    told = push(hub, tmp_path, made, "me/dry", "--dry-run", token="")
    assert told.returncode == 0 and hub.requests == []
    assert "data/train-00000-of-00002.parquet" in told.stdout and "private dataset me/dry" in told.stdout
    assert "ledger" not in told.stdout


# what is refused, before anything is sent -----------------------------------------------------------------------------


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def with_a_row_less(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)


def linked(path: Path) -> None:
    target = path.with_name("elsewhere")
    path.rename(target)
    path.symlink_to(target)


def other_json(path: Path) -> None:
    path.write_text("[]")


def more_rows(path: Path) -> None:
    stats = json.loads(path.read_text())
    path.write_text(json.dumps({**stats, "rows": stats["rows"] + 1}))


FIRST = "data/train-00000-of-00002.parquet"
DAMAGES: list[tuple[str, Callable[[Path], object], str]] = [
    (FIRST, Path.unlink, "is not there"),
    (FIRST, truncated, "damaged"),
    (FIRST, with_a_row_less, "damaged"),
    (FIRST, linked, "regular file"),
    ("README.md", linked, "regular file"),
    ("README.md", lambda path: path.write_text("# no header"), "expected a card of the version"),
    ("README.md", lambda path: path.write_text("---\n[\n---\n"), "damaged"),
    ("data/train-00002-of-00003.parquet", lambda path: pq.write_table(pa.table({"a": [1]}), path), "is none of those"),
    ("stats.json", Path.unlink, "without stats.json"),
    ("stats.json", truncated, "expected rows, records and drops|damaged"),
    ("stats.json", other_json, "JSON object"),
    ("stats.json", more_rows, "expected rows, records and drops"),
    ("errors.jsonl", lambda path: path.write_text(""), "expected rows, records and drops"),
    ("croissant.json", Path.unlink, "without croissant.json"),
    ("croissant.json", other_json, "JSON object"),
    ("croissant.json", lambda path: path.write_text("{}"), "damaged"),
    (".ledger/units/abc.json", lambda path: path.write_text("{}"), "where units wait to be run"),
]


@pytest.mark.parametrize(("name", "damage", "why"), DAMAGES, ids=[f"{each[0]}-{each[2]}" for each in DAMAGES])
def test_a_damaged_or_unfinished_dataset_is_refused(
    name: str, damage: Callable[[Path], object], why: str, made: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    Ledger(copy)  # makes the folders that a finished dataset has no more
    with kept_still(copy):
        assert len(own_files(copy)) > 10
    damage(copy / name)
    told = command("push", copy, "me/traces", "--dry-run")
    if why == "expected rows, records and drops|damaged":  # the last character of stats.json is a line end
        assert told.returncode == 0
        return
    assert told.returncode == 1 and why in " ".join(told.stderr.split()), told.stderr
    assert "nothing was sent" not in told.stdout


def test_a_run_that_goes_on_is_waited_for(made: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    with Ledger(copy).locked():
        told = command("push", copy, "me/traces", "--dry-run")
    assert told.returncode == 1 and "another trace-mine is writing" in " ".join(told.stderr.split())


def test_wrong_usage(made: Path, tmp_path: Path) -> None:
    for name in ("a b", "../x", "a/b/c", "-x-", "\x1b[31m", ""):
        told = command("push", made, name) if name != "-x-" else command("push", "--", made, name)
        assert told.returncode == 2 and "\x1b[31m" not in told.stderr, name
    assert command("push", tmp_path / "nowhere", "me/traces", "--dry-run").returncode == 2
    with pytest.raises(CorpusError, match="with rows"):
        own_files(make_dataset(tmp_path / "empty", splits=[], config=CONFIG))


def test_a_dataset_without_its_ledger_and_with_a_page_is_whole(made: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    shutil.rmtree(copy / ".ledger")
    (copy / "browse.html").write_text("<p>")
    (copy / "notes.txt").write_text("mine")
    with kept_still(copy):
        names = [each.path for each in own_files(copy)]
    assert "browse.html" in names and "notes.txt" not in names and not (copy / ".ledger").exists()
