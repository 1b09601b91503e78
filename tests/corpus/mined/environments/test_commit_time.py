"""The time of a commit is read from git's files, loose or packed, without git; other bytes give none."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from dulwich import porcelain
from dulwich.repo import Repo

from trace_mine.corpus.mined.environments.commit_time import commit_time

TIME = 1_600_000_000


@pytest.fixture
def checkout(tmp_path: Path) -> tuple[Path, str]:
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "a.py").write_text("a = 1\n")
    with Repo.init(str(root)):
        pass
    porcelain.add(str(root), [str(root / "a.py")])
    commit = porcelain.commit(
        str(root),
        b"first",
        author=b"A <a@example.invalid>",
        committer=b"A <a@example.invalid>",
        commit_timestamp=TIME,
        author_timestamp=TIME,
        commit_timezone=0,
        author_timezone=0,
    )
    return root, commit.decode()


def test_a_loose_object(checkout: tuple[Path, str]) -> None:
    assert commit_time(*checkout) == TIME


def test_a_packed_object(checkout: tuple[Path, str]) -> None:
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not installed, which packs objects")
    subprocess.run([git, "-c", "safe.directory=*", "gc", "-q"], cwd=checkout[0], check=True)
    assert not [*(checkout[0] / ".git/objects").glob("[0-9a-f][0-9a-f]")]
    assert commit_time(*checkout) == TIME


def test_what_is_no_commit(checkout: tuple[Path, str], tmp_path: Path) -> None:
    root, commit = checkout
    assert commit_time(root, "0" * 40) is None
    assert commit_time(tmp_path, commit) is None
    with Repo(str(root)) as repository:
        tree = repository[commit.encode()].tree.decode()
    assert commit_time(root, tree) is None
    damaged = next((root / ".git/objects").glob(f"{commit[:2]}/{commit[2:]}"))
    damaged.chmod(0o644)
    damaged.write_bytes(b"not zlib")
    assert commit_time(root, commit) is None
