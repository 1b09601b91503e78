"""Versions that a build makes of git's tags, read without git: held against git itself."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from packaging.version import Version

from trace_mine.corpus.mined import tag_version
from trace_mine.corpus.mined.miner import Mined, MineOptions
from trace_mine.corpus.mined.packaging_files import PackagingFiles
from trace_mine.corpus.mined.tag_version import describe, version_of_tags

SCM = '[build-system]\nrequires = ["setuptools>=64", "setuptools_scm[toml]>=8"]\n[project]\nname = "m"\n'
NEEDS_GIT = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


class Git:
    """A repository in a folder, made by git; commits are a minute apart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._minute = 0
        self("init", "-q", "-b", "main")

    def __call__(self, *arguments: str) -> str:
        date = f"2024-01-01T{self._minute // 60:02d}:{self._minute % 60:02d}:00Z"
        settings = {
            **{f"GIT_{who}_{what}": "x@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
            "GIT_AUTHOR_DATE": date,
            "GIT_COMMITTER_DATE": date,
            "HOME": "/nowhere",
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        done = subprocess.run(
            ["git", *arguments],
            cwd=self._folder,
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commit(self) -> None:
        self._minute += 1
        self("commit", "-q", "--allow-empty", "-m", "a change")

    def described(self) -> tuple[Version, int, str]:
        """What git itself says."""
        tag, distance, node = self("describe", "--tags", "--long", "--abbrev=40").rsplit("-", 2)
        return Version(tag.removeprefix("v")), int(distance), node.removeprefix("g")


@pytest.fixture
def git(tmp_path: Path) -> Git:
    (tmp_path / "pyproject.toml").write_text(SCM)
    return Git(tmp_path)


def version(folder: Path, known: str | None = None) -> str | None:
    return version_of_tags(PackagingFiles(folder), folder, known)


@NEEDS_GIT
def test_a_tagged_commit_has_the_tag_s_version_and_later_ones_the_next(tmp_path: Path, git: Git) -> None:
    git.commit()
    assert version(tmp_path) is None, "there is no tag"
    git("tag", "v1.2.3")
    git("tag", "stable")
    assert version(tmp_path) == "1.2.3"
    git.commit()
    git("tag", "-a", "v1.3rc1", "-m", "annotated")
    assert version(tmp_path) == "1.3rc1"
    for _ in range(3):
        git.commit()
    node = git("rev-parse", "HEAD")[:9]
    assert version(tmp_path) == f"1.3rc2.dev3+g{node}"
    git("gc", "-q")  # packed references and objects
    assert version(tmp_path) == f"1.3rc2.dev3+g{node}"


@NEEDS_GIT
@pytest.mark.parametrize(
    ("packaging", "wanted"),
    [
        ({"pyproject.toml": SCM + '[tool.setuptools_scm]\nlocal_scheme = "no-local-version"\n'}, "1.2.4.dev1"),
        ({"pyproject.toml": SCM + '[tool.setuptools_scm]\nversion_scheme = "post-release"\n'}, "1.2.3.post1+gNODE"),
        (
            {"pyproject.toml": SCM + '[tool.setuptools_scm]\nversion_scheme = "no-guess-dev"\n'},
            "1.2.3.post1.dev1+gNODE",
        ),
        ({"pyproject.toml": '[build-system]\nrequires = ["hatchling", "hatch-vcs"]\n'}, "1.2.4.dev1+gNODE"),
        ({"pyproject.toml": '[tool.pdm.version]\nsource = "scm"\n'}, "1.2.4.dev1+gNODE"),
        ({"pyproject.toml": '[build-system]\nrequires = ["poetry-dynamic-versioning"]\n'}, "1.2.3.post1.dev0+NODE"),
        ({"setup.py": "from setuptools import setup\nsetup(use_scm_version=True)\n"}, "1.2.4.dev1+gNODE"),
        ({"setup.py": "from setuptools import setup\nsetup(setup_requires=['pbr'], pbr=True)\n"}, "1.2.4.dev1"),
        ({"setup.cfg": "[versioneer]\nVCS = git\n"}, "1.2.3+1.gNODE"),
        ({"pyproject.toml": '[build-system]\nrequires = ["setuptools"]\n'}, None),
        ({"pyproject.toml": "[build-system]\nrequires = [3, '', '[']\n"}, None),
    ],
)
def test_each_tool_writes_it_as_it_does(
    packaging: dict[str, str], wanted: str | None, tmp_path: Path, git: Git
) -> None:
    (tmp_path / "pyproject.toml").unlink()
    for name, text in packaging.items():
        (tmp_path / name).write_text(text)
    git.commit()
    git("tag", "v1.2.3")
    git.commit()
    assert version(tmp_path) == (wanted and wanted.replace("NODE", git("rev-parse", "HEAD")[:9]))


@NEEDS_GIT
def test_a_version_that_is_written_counts_and_a_placeholder_does_not(tmp_path: Path, git: Git) -> None:
    git.commit()
    git("tag", "2.0")
    assert version(tmp_path, "1.5") == "1.5"
    assert [version(tmp_path, each) for each in ("0", "0.0.0", "0.0.0.dev0")] == ["2.0"] * 3


@NEEDS_GIT
@pytest.mark.parametrize("seed", range(8))
def test_the_nearest_tag_is_git_s(seed: int, tmp_path: Path, git: Git) -> None:
    """Histories with branches and merges, a minute between two commits."""
    source = random.Random(seed)
    git.commit()
    git("tag", "v0.1")
    branches = ["main"]
    for number in range(1, 25):
        kind = source.random()
        if kind < 0.2:
            branches.append(f"b{number}")
            git("checkout", "-q", "-b", branches[-1])
        elif kind < 0.45:
            git("checkout", "-q", source.choice(branches))
        elif kind < 0.6:
            git._minute += 1
            git("merge", "-q", "--no-ff", "-m", "m", source.choice(branches))
        elif kind < 0.7:
            git("tag", f"v1.{number}")
        git.commit()
    found = describe(tmp_path)
    assert found is not None
    assert (found.version, found.distance, found.node) == git.described()


def test_an_archive_says_what_git_said(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(SCM)
    archival = tmp_path / ".git_archival.txt"
    archival.write_text("node: 0123abcd\nnode-date: x\ndescribe-name: v1.2.3-4-g0123abcd\nref-names: \n")
    assert version(tmp_path) == "1.2.4.dev4+g0123abcd"
    archival.write_text("node: 0123abcd\ndescribe-name: v1.2.3-0-g0123abcd\nref-names: tag: v1.2.3\n")
    assert version(tmp_path) == "1.2.3"
    archival.write_text("node: 0123abcd\nref-names: HEAD -> main, tag: v1.3, tag: v1.2.3\n")
    assert version(tmp_path) == "1.3"
    # in a checkout git has filled in nothing
    archival.write_text("node: $Format:%H$\ndescribe-name: $Format:%(describe:tags=true,match=*[0-9]*)$\n")
    assert version(tmp_path) is None


def test_git_s_files_may_be_anything(tmp_path: Path) -> None:
    """A folder that is no repository, or has nothing to say, is silent; a damaged one is told."""

    def noted() -> tuple[str | None, list[str]]:
        packaging = PackagingFiles(tmp_path)
        made = version_of_tags(packaging, tmp_path, "0")
        return made, [f"{path}: {drop.reason}" for path, drop in packaging.drops.items()]

    (tmp_path / "pyproject.toml").write_text(SCM)
    assert noted() == ("0", [])
    (tmp_path / ".git").write_text("gitdir: /elsewhere\n")
    assert noted() == ("0", []), "a worktree's files are elsewhere"
    (tmp_path / ".git").unlink()
    (tmp_path / ".git").mkdir()
    assert noted() == ("0", [".git: damaged_git"])
    for name in ("objects", "refs/tags", "refs/heads"):
        (tmp_path / ".git" / name).mkdir(parents=True)
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    assert noted() == ("0", []), "it has no commit yet"
    (tmp_path / ".git" / "refs" / "heads" / "main").write_text("0" * 40)
    assert noted() == ("0", []), "it has no tag"
    (tmp_path / ".git" / "refs" / "tags" / "v1.0").write_text("not a hash")
    assert noted() == ("0", [".git: damaged_git"])


@NEEDS_GIT
@pytest.mark.parametrize("lost", ["object", "head", "config"])
def test_a_damaged_checkout_is_told(
    lost: str, tmp_path: Path, git: Git, tmp_path_factory: pytest.TempPathFactory
) -> None:
    git.commit()
    git("tag", "v1.2.3")
    git.commit()
    git.commit()
    assert version(tmp_path) == f"1.2.4.dev2+g{git('rev-parse', 'HEAD')[:9]}"
    node = git("rev-parse", "HEAD~1")
    folder = tmp_path / ".git"
    if lost == "object":
        (folder / "objects" / node[:2] / node[2:]).unlink()
    elif lost == "head":
        (folder / "HEAD").write_bytes(b"\0\xff")
    else:
        (folder / "config").write_bytes(b"[core\n\xff")
    packaging = PackagingFiles(tmp_path)
    assert version_of_tags(packaging, tmp_path, None) is None
    assert packaging.drops[".git"].reason == "damaged_git" and packaging.drops[".git"].evidence
    tmp_path.chmod(0o755)  # for the jail's user
    options = MineOptions(entries=("doctest",), environment="none")
    mined = Mined([str(tmp_path)], options, tmp_path_factory.mktemp("staging"))
    [*mined.units()]
    notes = mined.notes()
    assert notes["files"]["unreadable"] == {"damaged_git": 1}, "stats.json has it, and the report says so"
    assert notes["files"]["examples"][0]["path"] == ".git"


@NEEDS_GIT
def test_a_shallow_clone_ends_where_git_ends(tmp_path: Path) -> None:
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    (origin / "pyproject.toml").write_text(SCM)
    git = Git(origin)
    for number in range(4):
        git.commit()
        git("tag", f"v1.{number}")
    git.commit()
    git("clone", "-q", "--depth", "2", "--no-single-branch", origin.as_uri(), str(clone))
    shallow = PackagingFiles(clone)
    (clone / "pyproject.toml").write_text(SCM)
    assert version_of_tags(shallow, clone, None) == version(origin) and not shallow.drops


@pytest.mark.parametrize(
    ("tag", "wanted"),
    [
        ("1.0", "1.0"),
        ("v2024.1.5", "2024.1.5"),
        ("project-1.2.post1", "1.2.post1"),
        ("my-project_v3.0b2", "3.0b2"),
        ("V1", "1"),
        ("latest", None),
        ("1..2", None),
        ("a" * 10_000 + "1.0", None),
        ("", None),
    ],
)
def test_the_version_of_a_tag(tag: str, wanted: str | None) -> None:
    found = tag_version._version_of(tag)
    assert (found and str(found)) == wanted


@pytest.mark.parametrize(
    ("public", "following"),
    [("1.2.3", "1.2.4"), ("1.9", "1.10"), ("1.0rc1", "1.0rc2"), ("1.0.dev3", "1.0"), ("1!2", "1!3")],
)
def test_the_version_behind_a_tag(public: str, following: str) -> None:
    assert tag_version._following(public) == following
