"""Files that a build writes with the version, and versions that stand in another file than the packaging files."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from command_here import main_here
from test_mined_environments import mine, rows_of

from trace_mine.corpus.mined.dynamic_version import version_elsewhere
from trace_mine.corpus.mined.environments.version_files import MAX_FILES, missing_version_files
from trace_mine.corpus.mined.packaging_files import PackagingFiles

Make = Callable[..., Path]
SCM = '[project]\nname = "mine"\nlicense = "MIT"\ndynamic = ["version"]\n[tool.setuptools_scm]\n'

NAMED = {
    "setuptools-scm": ("pyproject.toml", '[tool.setuptools_scm]\nversion_file = "mine/_version.py"\n'),
    "setuptools-scm of old": ("pyproject.toml", '[tool.setuptools_scm]\nwrite_to = "mine/_version.py"\n'),
    "hatch-vcs": ("pyproject.toml", '[tool.hatch.build.hooks.vcs]\nversion-file = "mine/_version.py"\n'),
    "hatch's version": ("pyproject.toml", '[tool.hatch.build.hooks.version]\npath = "mine/_version.py"\n'),
    "pdm": ("pyproject.toml", '[tool.pdm.version]\nsource = "scm"\nwrite_to = "mine/_version.py"\n'),
    "versioningit": ("pyproject.toml", '[tool.versioningit.write]\nfile = "mine/_version.py"\n'),
    "setup.py": ("setup.py", 'setup(use_scm_version={"write_to": "mine/_version.py", "local_scheme": f})\n'),
}


@pytest.mark.parametrize("tool", [*NAMED])
def test_the_file_that_a_tool_would_write(tool: str, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").touch()
    name, text = NAMED[tool]
    (tmp_path / name).write_text(text)
    made = missing_version_files(PackagingFiles(tmp_path), "1.02.post3")
    assert [*made] == ["mine/_version.py"]
    values = {
        target.id: ast.literal_eval(node.value)
        for node in ast.parse(made["mine/_version.py"]).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert values["__version__"] == values["version"] == "1.02.post3"
    assert values["version_tuple"] == (1, "02", "post3")
    (tmp_path / "mine" / "_version.py").touch()
    assert missing_version_files(PackagingFiles(tmp_path), "1") == {}, "what is there stays as it is"


@pytest.mark.parametrize(
    ("path", "is_made"),
    [
        ("mine/v.txt", True),
        ("v.py", True),
        ("../v.py", False),
        ("/tmp/v.py", False),  # a path that a repository names
        ("mine/../../v.py", False),
        ("nowhere/v.py", False),
        ("mine/a\\nb.py", False),
        ("", False),
        ("mine/" + "v" * 300, False),
    ],
)
def test_only_files_in_folders_of_the_repository(path: str, is_made: bool, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text(f'[tool.setuptools_scm]\nversion_file = "{path}"\n')
    assert [*missing_version_files(PackagingFiles(tmp_path), "1")] == ([path] if is_made else [])


def test_templates(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").touch()
    for template, text in [
        ("VERSION = '{version}'", "VERSION = '1.2'"),
        ("{version.__class__}", None),
        ("v" * 9_999, None),
    ]:
        (tmp_path / "pyproject.toml").write_text(
            f'[tool.setuptools_scm]\nversion_file = "mine/v.py"\nversion_file_template = "{template}"\n'
        )
        made = missing_version_files(PackagingFiles(tmp_path), "1.2")["mine/v.py"]
        assert made == text if text else made.startswith("__version__ = ")
    tables = "".join(f"[tool.setuptools_scm.x{n}]\n" for n in range(3))
    (tmp_path / "pyproject.toml").write_text(f"{tables}[tool.setuptools_scm]\nversion_file = 3\n")
    assert missing_version_files(PackagingFiles(tmp_path), "1.2") == {}
    assert len(NAMED) <= MAX_FILES


ELSEWHERE = {
    "attr": {
        "pyproject.toml": '[tool.setuptools.dynamic]\nversion = {attr = "mine.about.NUMBER"}\n',
        "src/mine/about.py": 'NUMBER = "4.5"\n',
    },
    "setup.cfg": {
        "setup.cfg": "[metadata]\nversion = attr: mine.__version__\n",
        "mine.py": '__version__: str = "4.5"\n',
    },
    "file": {"setup.cfg": "[metadata]\nversion = file: VERSION\n", "VERSION": "\n4.5\n"},
    "hatch": {"pyproject.toml": '[tool.hatch.version]\npath = "mine/a.py"\n', "mine/a.py": '__version__ = "4.5"\n'},
    "flit": {
        "pyproject.toml": '[build-system]\nbuild-backend = "flit_core.buildapi"\n[project]\nname = "mi-ne"\n',
        "mi_ne/__init__.py": '"""Doc."""\n__version__ = "4.5"\n',
    },
}


@pytest.mark.parametrize("kind", [*ELSEWHERE])
def test_a_version_in_another_file(kind: str, tmp_path: Path) -> None:
    for name, text in ELSEWHERE[kind].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert version_elsewhere(PackagingFiles(tmp_path)) == "4.5"


@pytest.mark.parametrize(
    "told",
    ['{attr = "..x"}', '{file = "/etc/hostname"}', '{file = "../../secret"}', "{file = []}", '{attr = "os"}', "3"],
)
def test_no_version_from_outside(told: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.setuptools.dynamic]\nversion = {told}\n")
    assert version_elsewhere(PackagingFiles(tmp_path)) is None


def test_a_checkout_is_mined_with_the_file_that_its_build_would_write(
    make_repository: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = '"""\n>>> twice(2)\n4\n"""\nfrom mine._version import version\n\n\ndef twice(n):\n    return 2 * n\n'
    root = make_repository("mine", {"src/mine/__init__.py": source, ".venv/pyvenv.cfg": "", ".git/HEAD": "x"})
    (root / "pyproject.toml").write_text(SCM + 'version_file = "src/mine/_version.py"\n')
    before = sorted(root.rglob("*"))
    out = tmp_path / "out"
    assert mine(root, "--out", out, "--environment", "none", "--sources", "doctest") == 0
    assert "mine: added src/mine/_version.py, which its build would write" in capsys.readouterr().out
    (row,) = rows_of(out).values()
    assert row["doctest_passed"] and row["path"] == "src/mine/__init__.py"
    assert sorted(root.rglob("*")) == before, "the checkout itself is left alone"
    assert main_here(["verify", str(out), "--repository", str(root), "--sample", "1"]) == 0
