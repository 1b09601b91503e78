"""Which files of a repository are scripts: as people mean it, and as patterns say."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_mine.corpus.mined.discovery import Survey
from trace_mine.corpus.mined.snippets.file_roles import FileRole, ScriptChoice, does_something, imports_of

MAIN = "if __name__ == '__main__':\n    print(1)\n"


def roles_of(root: Path, files: Mapping[str, str], choice: ScriptChoice | None = None) -> dict[str, str]:
    """The role of each file, by a survey's counts; ``script`` for those that are not among its others."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    survey = Survey(root)
    found = [*survey.snippets(("script",), choice=choice)]
    roles = {path: "script" for path in files if path.endswith(".py")}
    roles |= {path: str(role) for path, role in survey.counts.not_scripts}
    assert survey.counts.roles.total() == len(roles)
    assert {each.path for each in found} == {path for path, role in roles.items() if role == "script"}
    return roles


def test_a_folder_of_loose_scripts(tmp_path: Path) -> None:
    files = {
        "prints.py": "print(1)\n",
        "uses.py": "from helpers import f\nimport package.part\nf()\n",
        "helpers.py": "def f(): ...\nprint('loaded')\n",
        "package/__init__.py": "",
        "package/part.py": "import sys\n",
        "package/plugin.py": "register('x')\n",
        "package/tool.py": MAIN,
        "package/__main__.py": "from .part import x\n",
        "package/hello.py": "print('hello')\n",
        "only-functions.py": "import os\nLIMIT = 3\ndef f(): ...\nclass A: ...\n",
        "straight.py": "x = 3\ny = x + 1\n",
        "setup.py": "import setuptools\nsetuptools.setup()\n",
        "test.py": "for i in range(3):\n    print(i)\n",
        "test_a.py": "def test_a(): ...\nprint(2)\n",
        "tests/helper.py": "print(3)\n",
        "bin/start.py": "import straggler\n",
        "bin/main.py": "import straggler; straggler.f()\n",
        "bin/straggler.py": "print(5)\n",
        "README.md": "import prints\n",
    }
    assert roles_of(tmp_path, files) == {
        "prints.py": "script",
        "uses.py": "script",
        "helpers.py": "imported",
        "package/__init__.py": "module",
        "package/part.py": "imported",
        "package/plugin.py": "module",
        "package/tool.py": "script",
        "package/__main__.py": "script",
        "package/hello.py": "script",
        "only-functions.py": "definitions",
        "straight.py": "script",
        "setup.py": "configuration",
        "test.py": "script",
        "test_a.py": "tests",
        "tests/helper.py": "tests",
        "bin/start.py": "definitions",
        "bin/main.py": "script",
        "bin/straggler.py": "imported",
    }


@pytest.mark.parametrize(
    ("importing", "path"),
    [
        ("from . import other\n", "pkg/other.py"),
        ("from .other import x\n", "pkg/other.py"),
        ("def f():\n    try:\n        from ..other import x\n    finally:\n        pass\n", "pkg/other.py"),
        ("import pkg.other as o\n", "pkg/other.py"),
        ("from pkg import (\n    a,\n    other,\n)\n", "pkg/other.py"),
        ("match 1:\n    case 1:\n        import other\n", "pkg/inner/other.py"),  # as a script it finds it beside
    ],
)
def test_what_an_import_leads_to(tmp_path: Path, importing: str, path: str) -> None:
    inner = "pkg/inner/" if "inner" in path or ".." in importing else "pkg/"
    files = {"pkg/__init__.py": "", "pkg/inner/__init__.py": "", f"{inner}user.py": importing, path: "print(1)\n"}
    assert roles_of(tmp_path, files)[path] == "imported"


def test_a_file_that_imports_itself_is_a_script(tmp_path: Path) -> None:
    assert roles_of(tmp_path, {"a.py": "import a\nprint(a)\n"})["a.py"] == "script"
    assert roles_of(tmp_path / "b", {"b.py": "from ...x import y\nprint(1)\n"})["b.py"] == "script"


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("", False),
        ("'''Doc.'''\n...\n", False),
        ("import sys\nsys.path.insert(0, 'x')\nwarnings.simplefilter('ignore')\n", False),
        ("try:\n    import a\nexcept ImportError:\n    a = None\n", False),
        ("if TYPE_CHECKING:\n    print(1)\n", False),
        ("def f():\n    print(1)\n", False),
        ("import re\nWORD = re.compile('x')\ndef f(): ...\n", False),
        ("def f(): ...\nx = f()\n", True),
        ("class A: ...\nprint(A)\n", True),
        ("if True:\n    f()\n", True),
        ("try:\n    main()\nfinally:\n    pass\n", True),
        ("while x:\n    x -= 1\n", True),
        ("with open('x') as file:\n    pass\n", True),
        ("await f()\n", True),
        ("match x:\n    case 1:\n        print(1)\n", True),
    ],
)
def test_what_does_something(text: str, does: bool) -> None:
    assert does_something(ast.parse(text)) is does


@pytest.mark.parametrize(
    ("rule", "text", "role"),
    [
        ("named", "print(1)\n", "script"),
        ("named", "def f(): ...\n", "definitions"),
        ("blocks", "print(1)\n", "module"),
        ("blocks", MAIN, "script"),
    ],
)
def test_rules(tmp_path: Path, rule: str, text: str, role: str) -> None:
    choice = ScriptChoice(rule=rule)  # type: ignore[arg-type]
    assert roles_of(tmp_path, {"conf.py": text, "other.py": "import conf\n"}, choice)["conf.py"] == role


def test_patterns_take_what_matches_and_nothing_else(tmp_path: Path) -> None:
    files = {"bin/a.py": "def f(): ...\n", "bin/deep/b.py": "x = 1\n", "main.py": MAIN, "setup.py": "print(1)\n"}
    choice = ScriptChoice(globs=("bin/**/*.py", "setup.py"))
    expected = {"bin/a.py": "script", "bin/deep/b.py": "script", "main.py": "unmatched", "setup.py": "script"}
    assert roles_of(tmp_path, files, choice) == expected


@pytest.mark.parametrize("glob", ["", "/", "/etc/*.py", "../*.py", "a/../b.py"])
def test_patterns_stay_in_the_repository(glob: str) -> None:
    with pytest.raises(ValueError, match="expected a pattern of paths"):
        ScriptChoice(globs=(glob,))


parts = st.sampled_from(["a", "b", "ab", "*", "a*", "?"])


@given(st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=5), st.lists(parts, min_size=2, max_size=5))
def test_patterns_without_two_stars_match_part_by_part(path: list[str], pattern: list[str]) -> None:
    expected = len(path) == len(pattern) and all(map(fnmatchcase, path, pattern))
    assert ScriptChoice(globs=("/".join(pattern),)).matches("/".join(path)) is expected
    assert ScriptChoice(globs=("**/" + "/".join(pattern),)).matches("x/y/" + "/".join(path)) is (
        len(path) + 2 >= len(pattern) and all(map(fnmatchcase, ["x", "y", *path][-len(pattern) :], pattern))
    )


def test_many_stars_take_no_time() -> None:
    assert not ScriptChoice(globs=("**/" * 200 + "x",)).matches("/".join("a" * 2000))


def test_imports_are_read_without_their_expressions() -> None:
    tree = ast.parse("import a, b.c\nfrom . import d\nfrom __future__ import annotations\nif x:\n    import e\n")
    assert imports_of(tree) == {(0, "a", ()), (0, "b.c", ()), (1, "", ("d",)), (0, "e", ())}


def test_roles_are_those_that_the_reader_may_answer() -> None:
    from typing import get_args

    from trace_mine.corpus.mined.reader_protocol import Role
    from trace_mine.corpus.report import ROLE_WORDS

    assert {*get_args(Role)} == {str(role) for role in FileRole} == {*ROLE_WORDS}
