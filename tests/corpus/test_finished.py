"""A second command on a finished dataset does nothing, and sees whatever could make it another one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_here import Told, command
from disturbances import files_of

from own_process import OwnProcess
from trace_mine.corpus.ledger import Ledger
from trace_mine.corpus.mined import miner, options
from trace_mine.corpus.mined.environments.provision import Provisioner
from trace_mine.corpus.mined.input_signature import folder_state

NOTHING = "nothing to do"


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(miner, "code_hash", lambda: "pinned")
    monkeypatch.setitem(options.MineOptions.__init__.__kwdefaults__, "tracer_factory", "corpus_fakes:start_fake")


def module(*sources: str) -> str:
    return "".join(
        f'def f{number}():\n    """\n    >>> {source}\n    1\n    """\n\n' for number, source in enumerate(sources)
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "toolz"
    (root / "pkg").mkdir(parents=True)
    (root / "pyproject.toml").write_text('[project]\nname = "toolz"\nversion = "1.0"\nlicense = "MIT"\n')
    (root / "pkg" / "m.py").write_text(module("a", "b"))
    (root / ".git").mkdir()
    (root / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    return root


def mine(root: Path, *more: object) -> Told:
    arguments = ("--sources", "doctest", "--environment", "none", "--jobs", "1", "--out", root.parent / "out")
    return command(root, *arguments, *more)


def test_nothing_is_opened_and_the_answer_is_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = mine(root)
    before = files_of(root.parent / "out")

    def nothing(*arguments: object, **more: object) -> None:
        raise AssertionError("a repository was read, or a worker started")

    monkeypatch.setattr("trace_mine.corpus.mined.miner.RepositoryReader", nothing)
    monkeypatch.setattr(OwnProcess, "run", nothing)
    second = mine(root)
    assert second.returncode == 0 and NOTHING in second.stdout
    table = first.stdout[first.stdout.index("┏") :]
    assert table and second.stdout.endswith(table)
    assert files_of(root.parent / "out") == before
    assert NOTHING in mine(root, "--engine", "loky", "--jobs", "2").stdout, "however it would be run"


def edit(root: Path) -> None:
    (root / "pkg" / "m.py").write_text(module("a", "c"))  # as many bytes


def edit_and_set_back(root: Path) -> None:
    status = (root / "pkg" / "m.py").stat()
    edit(root)
    os.utime(root / "pkg" / "m.py", ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {
    "an edit": edit,
    "an edit with its time set back": edit_and_set_back,
    "a new file": lambda root: (root / "pkg" / "new.py").write_text(module("d")),
    "a file less": lambda root: (root / "pyproject.toml").unlink(),
    "another commit": lambda root: (root / ".git" / "HEAD").write_text("ref: refs/heads/next\n"),
    "rules beside it": lambda root: (root.parent / ".trace-mine-ignore").write_text("other\n"),
    "a lost row file": lambda root: shutil.rmtree(root.parent / "out" / "data"),
    "an edited card": lambda root: (root.parent / "out" / "README.md").write_text("mine"),
    "a damaged result": lambda root: next((root.parent / "out/.ledger/results").iterdir()).write_bytes(b""),
    "a damaged memory": lambda root: (root.parent / "out/.ledger/finished.json").write_text("[1"),
}


QUICK = ("an edit with its time set back", "a lost row file", "a damaged result")


@pytest.mark.parametrize(
    "change", [change if change in QUICK else pytest.param(change, marks=pytest.mark.slow) for change in CHANGES]
)
def test_a_change_is_seen(change: str, root: Path) -> None:
    assert mine(root).returncode == 0
    CHANGES[change](root)
    again = mine(root)
    assert again.returncode == 0 and NOTHING not in again.stdout
    assert NOTHING in mine(root).stdout
    stats = json.loads((root.parent / "out" / "stats.json").read_text())
    assert (root.parent / "out" / "data").is_dir() and stats["rows"] >= 2


@pytest.mark.parametrize(
    "touch",
    [
        lambda root: (root / "pkg" / "__pycache__").mkdir(),
        lambda root: (root / ".git" / "index").write_text("status"),
        lambda root: os.utime(root),
    ],
)
def test_what_changes_no_row_is_no_change(touch: Callable[[Path], object], root: Path) -> None:
    mine(root)
    touch(root)
    assert NOTHING in mine(root).stdout


def test_modules_and_scripts_are_known_again_and_leave_no_copy(root: Path) -> None:
    script = root.parent / "scripts" / "s.py"
    script.parent.mkdir()
    script.write_text("print(1)\n")
    for _ in range(2):
        told = mine(root, "module:bisect", script, "--sources", "doctest,script")
        assert told.returncode == 0
    assert NOTHING in told.stdout
    assert not any((root.parent / "out" / ".ledger").glob("sources/*"))
    (script.parent / "beside.txt").write_text("it may read this")
    script.write_text("print(2)\n")
    assert NOTHING not in mine(root, "module:bisect", script, "--sources", "doctest,script").stdout


def test_what_another_run_may_mend_is_not_finished(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that does not answer, and a sandbox that died."""
    real = Provisioner.__init__

    def unreachable(self: Provisioner, *arguments: object) -> None:
        real(self, *arguments)  # type: ignore[arg-type]
        self.was_unreachable = True

    with monkeypatch.context() as patch:
        patch.setattr(Provisioner, "__init__", unreachable)
        mine(root)
    assert NOTHING not in mine(root).stdout
    assert NOTHING in mine(root).stdout
    (root / "pkg" / "m.py").write_text(module("a", "JAIL"))
    monkeypatch.setenv("FAKE_JAIL_DIES", "1")
    for _ in range(2):
        assert NOTHING not in mine(root).stdout


def test_a_dataset_in_its_own_repository_is_no_part_of_it(root: Path) -> None:
    state = folder_state(root)
    for name in ("traces", "a/b"):
        Ledger(root / name)
    assert folder_state(root / "traces") != state
    shutil.rmtree(root / "a")
    assert folder_state(root) == state


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COLUMNS", "120")
    yield
