"""What the command line can name, and what is known of it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.mined import reader_batches
from trace_mine.corpus.mined.archives import archive_part
from trace_mine.corpus.mined.dependencies import find_dependencies, imported_names
from trace_mine.corpus.mined.packaging_files import PackagingFiles
from trace_mine.corpus.mined.provenance import Provenance, find_commit, find_provenance, normalised_name
from trace_mine.corpus.mined.repositories import IgnoredInput, NamedInput, Repository, find_targets, open_target
from trace_mine.corpus.mined.staging import stage_archive
from trace_mine.tracer.schema import Drop

Make = Callable[..., Path]


class HereUnpacker:
    """Unpacks in this process what the reader unpacks in its sandbox."""

    def __init__(self, staging: Path) -> None:
        self.staging = staging

    def unpack(self, archive: Path) -> Path | Drop:
        return stage_archive(archive, self.staging, lambda first: b"".join(archive_part(archive, first)))


def opened(tmp_path: Path, *inputs: object) -> list[Repository | IgnoredInput | Drop]:
    staging = tmp_path / "staging"
    staging.mkdir(exist_ok=True)
    found = [*find_targets([str(item) for item in inputs])]
    return [
        item if isinstance(item, IgnoredInput) else open_target(item, HereUnpacker(staging), staging) for item in found
    ]


def provenance_of(repository: Repository) -> Provenance:
    return find_provenance(repository.metadata or repository.root, fallback_name=repository.fallback_name)


def commit_of(root: Path) -> str | None:
    return find_commit(PackagingFiles(root))


def test_a_folder_of_repositories(tmp_path: Path, make_repository: Make) -> None:
    make_repository("one", {"a.py": ""})
    make_repository("two", {"a.py": ""})
    folder = tmp_path / "repositories"
    (folder / "notes").mkdir()
    (folder / ".hidden").mkdir()
    (folder / "broken-1.0.tar.gz").write_bytes(b"?")
    with zipfile.ZipFile(folder / "wheel-1.0-py3-none-any.whl", "w") as file:
        file.writestr("wheel.py", "x = 1\n")
        file.writestr("wheel-1.0.dist-info/METADATA", "Name: Wheel_Name\nVersion: 1.0\nLicense-Expression: MIT\n")
    (folder / "link").symlink_to(tmp_path)
    (folder / "link-1.0.zip").symlink_to(folder / "wheel-1.0-py3-none-any.whl")
    found = opened(tmp_path, folder)
    repositories = [item for item in found if isinstance(item, Repository)]
    assert [provenance_of(repository).name for repository in repositories] == ["one", "two", "wheel-name"]
    ignored = {item.name: item.explanation for item in found if isinstance(item, IgnoredInput)}
    assert set(ignored) == {"notes", "link-1.0.zip"}
    assert "symbolic link" in ignored["link-1.0.zip"]
    (drop,) = (item for item in found if isinstance(item, Drop))
    assert drop.reason == "unreadable_repository" and "can't be unpacked" in drop.evidence


def test_a_marked_or_plain_folder_is_one_repository(tmp_path: Path, make_repository: Make) -> None:
    outer = make_repository("outer", {"a.py": ""})
    make_repository("inner", {"b.py": ""}, parent=outer)
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "c.py").write_text("")
    assert [item.root for item in opened(tmp_path, outer, plain) if isinstance(item, Repository)] == [outer, plain]


def test_a_script_brings_what_lies_beside_it(tmp_path: Path) -> None:
    for path in ("one.py", "two.py", "data/a.csv", ".env", ".git/config", "venv/pyvenv.cfg", "traces/.ledger/x"):
        (tmp_path / "folder" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / path).write_text("x = 1\n")
    (tmp_path / "folder" / "out.txt").symlink_to("/etc/hostname")
    (tmp_path / "above.py").write_text("x = 2\n")
    (found,) = opened(tmp_path, tmp_path / "folder" / "one.py")
    assert isinstance(found, Repository)
    files = {path.relative_to(found.root).as_posix() for path in found.root.rglob("*") if path.is_file()}
    assert files == {"one.py", "two.py", "data/a.csv"}
    assert (found.only, found.fallback_name, found.script_rule) == (("one.py",), "one", "named")


def test_scripts_of_one_folder_share_its_copy(tmp_path: Path) -> None:
    for name in ("one.py", "two.py", "test_three.py"):
        (tmp_path / name).write_text("x = 1\n")
    found = opened(tmp_path, *(tmp_path / name for name in ("two.py", "test_three.py", "one.py", "two.py")))
    repositories = [each for each in found if isinstance(each, Repository)]
    assert [each.only for each in repositories] == [("two.py", "one.py"), ("test_three.py",)]
    assert repositories[0].fallback_name == tmp_path.name
    # of a test pytest would collect the folder: nothing beside it is shown
    assert [path.name for path in repositories[1].root.iterdir()] == ["test_three.py"]


def test_a_file_of_a_package_brings_the_package(tmp_path: Path) -> None:
    for path in ("pkg/__init__.py", "pkg/inner/__init__.py", "pkg/inner/a.py", "beside.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    (found,) = opened(tmp_path, tmp_path / "pkg" / "inner" / "a.py")
    assert isinstance(found, Repository)
    assert found.only == ("pkg/inner/a.py",)
    assert sorted(p.name for p in found.root.rglob("*.py")) == ["__init__.py", "__init__.py", "a.py"]


def test_modules_by_name(tmp_path: Path) -> None:
    stdlib, dotted, installed = opened(tmp_path, "module:heapq", "module:json.decoder", "module:pluggy")
    assert isinstance(stdlib, Repository)
    assert isinstance(dotted, Repository)
    assert isinstance(installed, Repository)
    assert stdlib.stdlib
    assert stdlib.origin is not None and stdlib.origin[2] == "PSF-2.0"
    assert [path.name for path in stdlib.root.iterdir()] == ["heapq.py"]
    assert dotted.only == ("json/decoder.py",)
    assert not installed.stdlib
    assert provenance_of(installed).name == "pluggy"
    assert provenance_of(installed).licence == "MIT"
    assert (installed.root / "pluggy" / "__init__.py").exists()


def test_looking_up_a_module_imports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "hostile_pkg"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "inner.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    (found,) = opened(tmp_path, "module:hostile_pkg.inner")
    assert isinstance(found, Repository)
    assert "hostile_pkg" not in sys.modules


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("module:sys", "built-in or compiled"),
        ("module:no_such_module", "not installed"),
        ("module:json.nothing", "has no Python file"),
        ("module:a/b", "dotted name"),
        ("nowhere", "write module:NAME"),
        ("./no where", "check the spelling"),
        ("picture.png", "expected a folder"),
    ],
)
def test_wrong_inputs_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "picture.png").write_bytes(b"")
    with pytest.raises(CorpusError, match=message) as caught:
        opened(tmp_path, text)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "files",
    [
        {"PKG-INFO": "Metadata-Version: 2.1\nName: The.Name\nVersion: 2.0\nLicense-Expression: MIT\n\nprose\n"},
        {"pyproject.toml": '[project]\nname = "the_name"\nversion = "2.0"\nlicense = "MIT"\n'},
        {"pyproject.toml": '[tool.poetry]\nname = "the_name"\nversion = "2.0"\nlicense = "MIT"\n'},
        {"setup.cfg": "[metadata]\nname = the-name\nversion = 2.0\nlicense = MIT\n"},
        {"setup.py": "import setuptools\nsetuptools.setup(name='the_name', version='2.0', license='MIT License')\n"},
    ],
    ids=["pkg-info", "pyproject", "poetry", "setup.cfg", "setup.py"],
)
def test_provenance_from_every_kind_of_metadata(tmp_path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    found = find_provenance(tmp_path, fallback_name="fallback")
    assert (found.name, found.version, found.licence) == ("the-name", "2.0", "MIT")


def test_hostile_metadata_is_tamed(tmp_path: Path) -> None:
    (tmp_path / "PKG-INFO").write_text("Name: ../../\x1b[31m\nVersion: " + "9" * 10_000 + "\n")
    found = find_provenance(tmp_path, fallback_name="x")
    assert "/" not in found.name
    assert found.name.isprintable()
    assert len(found.version or "") <= 100
    assert normalised_name("///") == "unnamed"


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=trunk"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_commit_is_gits_own_however_it_is_stored(tmp_path: Path) -> None:
    assert commit_of(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert commit_of(tmp_path) is None, "no commit yet"
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "first")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert commit_of(tmp_path) == head
    git(tmp_path, "pack-refs", "--all")
    assert commit_of(tmp_path) == head
    git(tmp_path, "worktree", "add", "-q", str(tmp_path / "tree"), "-b", "other")
    assert commit_of(tmp_path / "tree") is None, "its files are elsewhere"
    git(tmp_path, "checkout", "-q", "--detach")
    assert commit_of(tmp_path) == head


def test_a_forged_head_reads_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a" * 40)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref: ../secret\n")
    assert commit_of(tmp_path) is None


def test_imports_are_seen_in_code_and_in_examples() -> None:
    text = "import a.b, c as d  # why\nfrom e.f import g\n>>> import h\n    ... from i import (\n"
    text += "from . import j\nimport this one\n"
    assert imported_names(text) == {"a", "c", "e", "h", "i"}


def test_dependencies_come_with_what_they_require() -> None:
    found = find_dependencies(["pytest", "os", "mine", "no_such_package", "trace_mine"], own=["mine"])
    names = {path.name for path in found.packages}
    assert {"pytest", "_pytest", "pluggy"} <= names
    assert not names & {"mine", "trace_mine", "os", "pip"}
    assert any(line.startswith("pluggy==") for line in found.requires)
    assert found.missing == ("no_such_package",)


def test_a_repositorys_own_package_is_never_bound() -> None:
    assert find_dependencies(["pytest"], own=["pluggy", "pytest"]).packages == ()


def test_a_folder_of_packages_is_bound_whole(tmp_path: Path) -> None:
    (tmp_path / "extra").mkdir()
    (tmp_path / "single.py").write_text("")
    (tmp_path / "bin").mkdir()
    (tmp_path / "extra-2.0.dist-info").mkdir()
    (tmp_path / "extra-2.0.dist-info" / "METADATA").write_text("Name: extra\nVersion: 2.0\n")
    found = find_dependencies(["extra", "single"], own=[], extra=[tmp_path])
    assert [path.name for path in found.packages] == ["extra", "single.py"]
    assert found.requires == ("extra==2.0",)
    assert found.missing == ()


def test_a_reader_is_shown_a_bounded_number_of_mounts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_batches, "MAX_SHOWN", 2)
    folder = [NamedInput(kind="folder", path=Path(f"/f/{n}"), shown=Path("/f")) for n in range(5)]
    single = [NamedInput(kind="folder", path=Path(f"/g/{n}"), shown=Path(f"/g/{n}")) for n in range(3)]
    staged = NamedInput(kind="module", path=Path("heapq"))
    targets = [*enumerate([*folder, *single, staged])]
    batches = [*reader_batches.reader_batches(targets)]
    assert [len(batch) for batch in batches] == [6, 3]
    assert [target for batch in batches for target in batch] == targets
    assert [*reader_batches.reader_batches([])] == []
