"""Environments are installed from wheels, kept, readable for others, and nothing of them runs outside the sandbox."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from wheelhouse import make_wheel

from trace_mine.corpus.mined.environments.provision import RECORD, Environment, Provisioner, kept_environments
from trace_mine.corpus.mined.environments.uv import PackageIndex

VERSION = "3.11.0"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    make_wheel(folder, "one", requires=["two>=1"])
    make_wheel(folder, "two", "1.0")
    make_wheel(folder, "two", "2.0")
    make_wheel(folder, "old", "1.0")
    return folder


@pytest.fixture
def provisioner(tmp_path: Path, wheels: Path) -> Iterator[Provisioner]:
    with Provisioner(tmp_path / "kept", PackageIndex(find_links=(wheels,), offline=True)) as provisioner:
        yield provisioner


def made(provisioner: Provisioner, *requirements: str) -> Environment:
    return provisioner.environment(requirements, sys.executable, VERSION).result()


def test_requirements_with_all_that_they_require(provisioner: Provisioner) -> None:
    environment = made(provisioner, "one")
    assert environment.pins == ("one==1.0", "two==2.0")
    assert environment.folder is not None
    assert (environment.folder / "two.py").read_text() == "VERSION = '2.0'\n"
    assert environment.import_names() == {"one", "two"}


def test_what_can_not_be_had_is_named(provisioner: Provisioner) -> None:
    environment = made(provisioner, "one", "nowhere>=1", "old>=2")
    assert environment.pins == ("old==1.0", "one==1.0", "two==2.0")
    assert [*environment.left_out] == ["nowhere>=1"]
    assert "nowhere" in environment.left_out["nowhere>=1"]
    assert environment.relaxed == ("old>=2",)


def test_it_is_made_once(provisioner: Provisioner, tmp_path: Path, wheels: Path) -> None:
    first = made(provisioner, "two")
    make_wheel(wheels, "two", "3.0")
    assert made(provisioner, "two") is first
    with Provisioner(tmp_path / "kept", PackageIndex(find_links=(wheels,), offline=True)) as another:
        assert made(another, "two") == first
        assert made(another, "two>=1").pins == ("two==3.0",)  # another question, which is asked now


def test_where_nothing_could_be_had_it_is_asked_again(tmp_path: Path, wheels: Path) -> None:
    """A network that is down for a moment must not be remembered as packages that do not exist."""
    index = PackageIndex(find_links=(wheels,), offline=True)
    with Provisioner(tmp_path / "kept", index) as first:
        assert made(first, "late").pins == ()
    make_wheel(wheels, "late")
    with Provisioner(tmp_path / "kept", index) as second:
        assert made(second, "late").pins == ("late==1.0",)


def test_an_environment_cut_off_is_made_again(provisioner: Provisioner, tmp_path: Path) -> None:
    environment = made(provisioner, "two")
    assert environment.folder is not None
    os.unlink(environment.folder.parent / RECORD)
    with Provisioner(tmp_path / "kept", PackageIndex(find_links=(tmp_path / "wheels",), offline=True)) as another:
        assert made(another, "two") == environment
    assert json.loads((environment.folder.parent / RECORD).read_bytes())["pins"] == ["two==2.0"]


def test_others_can_read_it_whatever_the_umask(provisioner: Provisioner) -> None:
    old = os.umask(0o077)
    try:
        environment = made(provisioner, "two")
    finally:
        os.umask(old)
    assert environment.folder is not None
    for path in (environment.folder.parent, environment.folder, *environment.folder.rglob("*")):
        assert path.stat().st_mode & 0o044 == 0o044, path


def test_versions_of_a_time(tmp_path: Path) -> None:
    index = PackageIndex(before="2024-01-31")
    assert index.options() == ["--exclude-newer=2024-01-31"]
    with pytest.raises(ValueError, match="absolute"):
        PackageIndex(find_links=(Path("wheels"),))


def test_nothing_of_a_wheel_runs(provisioner: Provisioner, wheels: Path, tmp_path: Path) -> None:
    """Start-up files of all kinds, in the environment of an interpreter that is asked for more afterwards."""
    mark = tmp_path / "mark"
    write = f"open({str(mark)!r}, 'w')"
    files = {
        "evil.py": write,
        "evil.pth": f"import os; {write}\n",
        "sitecustomize.py": write,
        "usercustomize.py": write,
        "encodings/__init__.py": write,
    }
    make_wheel(wheels, "evil", files=files)
    make_wheel(wheels, "needs-evil", requires=["evil"])
    for requirements in (["evil"], ["needs-evil"], ["evil", "two"]):
        environment = made(provisioner, *requirements)
        assert "evil==1.0" in environment.pins
    assert not mark.exists()


def test_what_can_be_compiled_is(provisioner: Provisioner, wheels: Path) -> None:
    """And what can't be stops nothing: another language's syntax, and files that bring a parser to its limits."""
    files = {
        "odd/__init__.py": "print 'an older Python'\n",
        "odd/deep.py": "-" * 300_000 + "1\n",
        "odd/nested.py": "x = " + "(" * 5_000 + "1" + ")" * 5_000 + "\n",
        "odd/power.py": "x = " + "2 ** " * 5_000 + "1\n",
        "odd/zeros.py": "\0",
        "odd/good.py": "x = 1\n",
    }
    make_wheel(wheels, "odd", files=files)
    environment = made(provisioner, "odd", "two")
    assert environment.pins == ("odd==1.0", "two==2.0") and environment.folder is not None
    tag = sys.implementation.cache_tag
    assert (environment.folder / "odd" / "__pycache__" / f"good.{tag}.pyc").is_file()
    assert (environment.folder / "__pycache__" / f"two.{tag}.pyc").is_file()


def test_no_sdist_is_built(provisioner: Provisioner, wheels: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with zipfile.ZipFile(wheels / "source-1.0.zip", "w") as archive:
        archive.writestr("source-1.0/PKG-INFO", "Metadata-Version: 1.0\nName: source\nVersion: 1.0\n")
        archive.writestr("source-1.0/setup.py", f"open({str(mark)!r}, 'w')\n")
    environment = made(provisioner, "source", "two")
    assert environment.pins == ("two==2.0",)
    assert [*environment.left_out] == ["source"]
    assert not mark.exists()


def test_a_wheel_that_leads_out_of_its_folder(provisioner: Provisioner, wheels: Path, tmp_path: Path) -> None:
    above = "../" * 8 + str(tmp_path)[1:]
    make_wheel(wheels, "climber", files={"climber.py": "", f"{above}/out.py": "", f"{tmp_path}/absolute.py": ""})
    made(provisioner, "climber")
    assert {path.name for path in tmp_path.iterdir()} == {"wheels", "kept"}


def test_an_index_that_does_not_answer_is_asked_once(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with Provisioner(tmp_path / "kept", PackageIndex()) as alone:
        environment = made(alone, "one", "two")
        assert [*environment.left_out] == ["one", "two"]
        assert environment.folder is None
        assert made(alone, "old").pins == ()
    assert not any((tmp_path / "kept").glob("*"))
    # with the wheels at hand the same questions have an answer afterwards
    with Provisioner(tmp_path / "kept", PackageIndex(find_links=(wheels,), offline=True)) as with_wheels:
        assert made(with_wheels, "one", "two").pins == ("one==1.0", "two==2.0")


def test_settings_of_a_user_do_not_count(
    provisioner: Provisioner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uv.toml").write_text("index-url = 'https://example.invalid/'\n")
    (tmp_path / "pyproject.toml").write_text("[tool.uv]\nno-index = true\nfind-links = ['nowhere']\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "nowhere"))
    assert made(provisioner, "two").pins == ("two==2.0",)


MAKES = """
import sys
from pathlib import Path
from trace_mine.corpus.mined.environments import provision
from trace_mine.corpus.mined.environments.uv import PackageIndex

kept, wheels, log = map(Path, sys.argv[1:])
fill = provision._fill

def noted(*arguments):
    with open(log, "a") as file:
        file.write("made\\n")
    fill(*arguments)

provision._fill = noted
with provision.Provisioner(kept, PackageIndex(find_links=(wheels,), offline=True)) as provisioner:
    print(provisioner.environment(["one"], sys.executable, "3.11.0").result().pins)
"""


def test_commands_that_start_together_make_it_once(tmp_path: Path, wheels: Path) -> None:
    """Shards of one dataset on one machine, say."""
    arguments = [str(tmp_path / name) for name in ("kept", "wheels", "log")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    started = [
        subprocess.Popen([sys.executable, "-c", MAKES, *arguments], env=environment, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    answers = [process.communicate()[0] for process in started]
    assert answers == [b"('one==1.0', 'two==2.0')\n"] * 4
    assert (tmp_path / "log").read_text() == "made\n"
    assert len([*(tmp_path / "kept").iterdir()]) == 1, "no lock is left"


def test_where_environments_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    otherwise = tmp_path / "otherwise"
    monkeypatch.setenv("TRACE_MINE_CACHE", str(tmp_path / "cache"))
    folder = kept_environments(otherwise)
    assert folder == tmp_path / "cache" / "environments"
    assert folder.stat().st_mode & 0o777 == 0o755
    # whoever may write there could put packages into datasets
    folder.chmod(0o777)
    monkeypatch.setattr(os, "chmod", lambda path, mode: None)
    assert kept_environments(otherwise) == otherwise
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TRACE_MINE_CACHE", str(tmp_path / "file"))
    assert kept_environments(otherwise) == otherwise
