"""A repository with planted secrets and personal data: what its rows, drops and counts hold."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import pytest

from own_process import in_own_process
from trace_mine.corpus.cleaning.repository_files import CleaningCounts, clean_files, clean_path
from trace_mine.corpus.mined.cleaned_repositories import RepositoryCleaner
from trace_mine.corpus.mined.miner import Mined, MineOptions
from trace_mine.corpus.mined.reader import RepositoryCleaning, RepositoryReader
from trace_mine.corpus.mined.reader_protocol import CleanedFile, CleaningSummary
from trace_mine.corpus.mined.repositories import Repository
from trace_mine.corpus.mined.tracing import close_tracer, trace_unit
from trace_mine.corpus.rows import Row
from trace_mine.corpus.work import Dropped, Item
from trace_mine.tracer.event_codec import unpack
from trace_mine.tracer.inside.protocol.codec import ProtocolError

PLANTED = (
    "jane.doe",
    "acme-corp.com",
    "hunter2x",
    "867-5309",
    "IOSFODNN7",
    "jdoe",
    "81.2.69",
    "901820",
    "bob.jones",
    "q8Zr2LmX9vT4bN7cK1pW",
    "jim.smith",
    "16C7e42F292c69",
)
"""None of these may stand in anything that is written."""

CORE = '''\
# written by jane.doe@acme-corp.com
API_KEY = "AKIAIOSFODNN7EXAMPLE"
password = "hunter2x"


def local(address):
    """Return the part before the @.

    >>> local("jane.doe@acme-corp.com")
    'jane.doe'
    >>> "jane.doe@acme-corp.com".split("@")
    ['jane.doe', 'acme-corp.com']
    """
    return address.split("@")[0]


def number():
    """
    >>> number()
    '(415) 867-5309'
    """
    return "(415) 867-5309"


def fails():
    """
    >>> fails()
    Traceback (most recent call last):
        ...
    ValueError: bad jane.doe@acme-corp.com
    """
    raise ValueError("bad " + "jane.doe@acme-corp.com")


def login(word):
    """
    >>> login("hunter2x")
    True
    """
    return word == password


def home():
    """
    >>> home()
    'jdoe'
    """
    return "/home/jdoe/src".split("/")[2]


def halves():
    """
    >>> len(halves())
    40
    """
    return "ghp_16C7e42F292c69" + "12E7710c838347Ae178B4a"
'''
TEST = """\
from planted.core import API_KEY, local


def test_local():
    assert local("bob.jones@acme-corp.com") == "bob.jones"
    assert API_KEY.startswith("AKIA") and len(API_KEY) == 20
"""
SCRIPT = """\
ip = "81.2.69.142"
print(ip.split("."), "call +49 30 901820")
"""
NOTEBOOK = {
    "cells": [
        {
            "cell_type": "code",
            "execution_count": None,
            "metadata": {},
            "outputs": [],
            "source": [
                'who = "jane.doe@acme-corp.com"\n',
                'token = "q8Zr2LmX9vT4bN7cK1pW"\n',
                "print(who, len(token))",
            ],
        }
    ],
    "metadata": {"kernelspec": {"language": "python", "name": "python3", "display_name": "x"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}
PACKAGING = '[project]\nname = "planted"\nversion = "1.0"\nlicense = "MIT"\n'


def planted(root: Path) -> Path:
    repository = root / "planted"
    for name, text in {
        "pyproject.toml": PACKAGING + 'authors = [{name = "Jane Doe", email = "jane.doe@acme-corp.com"}]\n',
        "planted/__init__.py": "",
        "planted/core.py": CORE,
        "tests/test_core.py": TEST,
        "run_for_jane.doe@acme-corp.com.py": SCRIPT,
        "notes.ipynb": json.dumps(NOTEBOOK),
    }.items():
        path = repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return repository


def mined(*inputs: Path, staging: Path, **options: Any) -> tuple[list[Item], Mined]:
    entries = {"entries": ("doctest", "script", "test"), "environment": "none"}
    try:
        with in_own_process():
            origin = Mined([str(path) for path in inputs], MineOptions(**{**entries, **options}), staging)
            return [item for unit in origin.units() for item in trace_unit(unit.payload)], origin
    finally:
        close_tracer()


def written(items: list[Item]) -> Iterator[str]:
    for item in items:
        if isinstance(item, Dropped):
            yield json.dumps(asdict(item))
        else:
            yield json.dumps(dict(item.columns), ensure_ascii=False)
            yield repr(unpack(item.columns["events"])) if item.columns["events"] else ""


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Item], Mined]:
    root = tmp_path_factory.mktemp("clean")
    return mined(planted(root), staging=root / "staging")


def test_nothing_planted_is_written(clean: tuple[list[Item], Mined]) -> None:
    items, origin = clean
    for text in (*written(items), json.dumps(origin.notes()), json.dumps(origin.input_names)):
        assert [value for value in PLANTED if value in text] == []


def test_sessions_are_true_and_pass_still(clean: tuple[list[Item], Mined]) -> None:
    rows = {item.columns["name"]: item.columns for item in clean[0] if isinstance(item, Row)}
    assert {name.rpartition(".")[2] for name in rows} >= {"local", "number", "fails", "login", "home", "test_local"}
    for name, columns in rows.items():
        assert columns["printed_by"], name
        assert columns["doctest_passed"] is not False, (name, columns["text"])
    (test,) = [columns for name, columns in rows.items() if name.endswith("test_local")]
    assert test["outcome"] == "ok"


def test_what_a_run_puts_together_drops_its_row(clean: tuple[list[Item], Mined]) -> None:
    drops = [item for item in clean[0] if isinstance(item, Dropped)]
    assert [(drop.name, drop.reason) for drop in drops] == [("planted.core.halves", "secret")]
    assert "keys of providers in text, line" in drops[0].evidence


def test_the_counts_say_where_and_what_kind(clean: tuple[list[Item], Mined]) -> None:
    note = clean[1].notes()["cleaning"]
    assert {"email", "phone", "ip_address", "home_folder", "provider_key", "assigned_secret"} <= note["replaced"].keys()
    assert note["repositories"] == {"planted": note["replaced"]} and not note["not_replaced"]
    assert {"repository": "planted", "path": "planted/core.py", "line": 2, "kind": "provider_key"} in note["examples"]
    # the name of its folder and of its file stay findable
    assert any(str(each["path"]).endswith("@example.com.py") and each["kind"] == "name" for each in note["examples"])


def test_an_archive_and_a_file_give_the_same_fakes(tmp_path: Path, clean: tuple[list[Item], Mined]) -> None:
    repository = planted(tmp_path)
    archive = tmp_path / "planted-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(repository, "planted-1.0")
    items, _ = mined(archive, repository / "notes.ipynb", staging=tmp_path / "staging")
    texts = {item.columns["text"] for item in items if isinstance(item, Row)}
    assert texts == {item.columns["text"] for item in clean[0] if isinstance(item, Row)}


def test_all_is_kept_on_request(tmp_path: Path) -> None:
    items, origin = mined(planted(tmp_path), staging=tmp_path / "staging", keep_personal=True, entries=("doctest",))
    text = "".join(written(items))
    assert "jane.doe@acme-corp.com" in text and "hunter2x" in text and "cleaning" not in origin.notes()
    assert not [item for item in items if isinstance(item, Dropped)]


def test_a_commit_is_known_of_a_clean_copy(tmp_path: Path) -> None:
    repository = planted(tmp_path)
    (repository / ".git").mkdir()
    (repository / ".git" / "HEAD").write_text("0123456789abcdef0123456789abcdef01234567\n")
    items, _ = mined(repository, staging=tmp_path / "staging", entries=("script",))
    commits = {item.columns["commit"] for item in items if isinstance(item, Row)}
    assert commits == {"0123456789abcdef0123456789abcdef01234567"}


def test_the_head_of_a_library_module_costs_no_row(tmp_path: Path) -> None:
    """textwrap names its author in a comment, which the events' sources alone have."""
    items, _ = mined(Path("module:textwrap"), staging=tmp_path / "staging", entries=("script",), limit=1)
    (row,) = items
    assert isinstance(row, Row), row
    text = "".join(source.text for source in unpack(row.columns["events"]).sources)
    assert "Written by Greg Ward <" in text and "gward@" not in text and "@example.net>" in text


def test_an_option_is_a_part_of_the_datasets_identity() -> None:
    assert MineOptions().as_config() != MineOptions(keep_personal=True).as_config()
    assert "keep_personal" not in MineOptions().as_config()


# files of a repository, without a jail


def cleaned(root: Path, **files: str | bytes) -> tuple[dict[str, str], CleaningCounts]:
    for name, data in files.items():
        (root / name.replace("__", ".")).write_bytes(data.encode() if isinstance(data, str) else data)
    counts = CleaningCounts()
    return {file.new_path: file.text for file in clean_files(root, (), counts)}, counts


def test_a_secret_is_replaced_wherever_the_repository_has_it(tmp_path: Path) -> None:
    files, _ = cleaned(tmp_path, a__py='password = "hunter2x"\n', b__py="assert check('hunter2x')\n", c__py="x = 1\n")
    assert files.keys() == {"a.py", "b.py"} and "hunter2x" not in "".join(files.values())
    (fake,) = {text.split(quote)[1] for text, quote in zip(files.values(), "\"'", strict=True)}
    assert len(fake) == 8


def test_encodings_and_line_ends_stay(tmp_path: Path) -> None:
    latin = "# coding: latin-1\nx = '\xe9 jane.doe@acme-corp.com'\n".encode("latin-1")
    files, counts = cleaned(
        tmp_path, a__py=latin, b__csv="a,b\r\njane.doe@acme-corp.com,1\r\n", c__py="\0jane@gmail.com"
    )
    assert "\xe9 " in files["a.py"] and files["b.csv"].count("\r\n") == 2 and files.keys() == {"a.py", "b.csv"}
    assert counts.num_files == 2


def test_a_file_that_would_be_another_program_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trace_mine.corpus.cleaning.python_source.is_same_program", lambda text, other: False)
    files, counts = cleaned(tmp_path, a__py="x = 'jane.doe@acme-corp.com'\n")
    assert not files and counts.kept == ["a.py"]


def test_what_says_who_made_it_is_no_reason_to_copy(tmp_path: Path) -> None:
    files, _ = cleaned(
        tmp_path, LICENSE__txt="by jane.doe@acme-corp.com", pyproject__toml="a = 'jane.doe@acme-corp.com'"
    )
    assert not files


def test_names_of_files_keep_their_suffixes() -> None:
    assert clean_path("a/b.py") == "a/b.py"
    path = clean_path("for_jane.doe@acme-corp.com/jane.doe@acme-corp.com.py")
    assert path.endswith("@example.com.py") and "acme" not in path


def test_a_file_with_something_in_its_name_alone_gets_another_name(tmp_path: Path) -> None:
    data = b"print(1)\n"
    archive = tmp_path / "named-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in {"pyproject.toml": PACKAGING.encode(), "call_212-736-5000.py": data}.items():
            member = tarfile.TarInfo(f"named-1.0/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    items, _ = mined(archive, staging=tmp_path / "staging", entries=("script",))
    (row,) = items
    assert isinstance(row, Row) and "736-5000" not in row.columns["path"] and row.columns["path"].endswith(".py")


# a reader that a repository took over


@pytest.mark.parametrize("path", ["../a.py", "/a.py", "a/../../b.py", "", "a//b.py", "a/"])
def test_a_clean_file_stays_in_the_repository(path: str) -> None:
    with pytest.raises(ProtocolError):
        CleanedFile(path="a.py", new_path=path, encoding="utf-8", text="")


@pytest.mark.parametrize("path", ["x" * 300, "a.py/b.py", ".", "planted"])
def test_a_name_that_cannot_be_written_costs_the_copy_alone(tmp_path: Path, path: str) -> None:
    said: list[str] = []

    class Lying:
        def clean(self, root: Path) -> RepositoryCleaning:
            file = CleanedFile(path="pyproject.toml", new_path=path, encoding="utf-8", text="")
            summary = CleaningSummary(num_files=1, replaced={}, examples=(), kept=())
            return RepositoryCleaning(files=(file,), summary=summary)

    folder = planted(tmp_path)
    (folder / "a.py").write_text("")
    repository = Repository(root=folder, fallback_name="planted")
    cleaner = RepositoryCleaner(tmp_path / "staging", said.append)
    same, _ = cleaner.clean(cast("RepositoryReader", Lying()), repository)
    assert same == repository and "could not be copied clean" in said[0]
