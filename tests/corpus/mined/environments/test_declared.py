"""What a repository asks for is read from every file that says it, whatever else stands there."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from trace_mine.corpus.mined.environments.declared import MAX_REQUIREMENTS, Declared, find_declared
from trace_mine.corpus.mined.environments.poetry import poetry_requirement
from trace_mine.corpus.mined.packaging_files import PackagingFiles

CASES = {
    "project, extras for tests, other extras": (
        {
            "pyproject.toml": '[project]\nname = "mine"\nrequires-python = ">=3.9"\ndependencies = ["one>=1"]\n'
            '[project.optional-dependencies]\ntest = ["two"]\ndocs = ["three"]\n'
        },
        ("one>=1", "two"),
    ),
    "an extra that asks for another one of the project": (
        {
            "pyproject.toml": '[project]\nname = "Mine"\n[project.optional-dependencies]\n'
            'dev = ["mine[speed]"]\nspeed = ["fast"]\n'
        },
        ("fast",),
    ),
    "groups that include groups, in a circle": (
        {
            "pyproject.toml": '[dependency-groups]\ntest = ["two", {include-group = "more"}]\n'
            'more = ["four", {include-group = "test"}]\nlint = ["five"]\n'
        },
        ("two", "four"),
    ),
    "setup.cfg": (
        {
            "setup.cfg": "[options]\ninstall_requires =\n    one\n    two>=2 # why\n"
            "[options.extras_require]\ntests =\n    three\nall =\n    four\n"
        },
        ("one", "two>=2", "three"),
    ),
    "setup.py": (
        {"setup.py": "import setuptools\nsetuptools.setup(install_requires=['one', X], extras_require={'dev': 'two'})"},
        ("one", "two"),
    ),
    "metadata of an sdist": (
        {
            "PKG-INFO": "Name: mine\nRequires-Dist: one>=1\nRequires-Dist: two; extra == 'test'\n"
            "Requires-Dist: three; python_version < '3' and extra == 'dev'\nRequires-Dist: four; extra == 'docs'\n"
        },
        ("one>=1", "two", 'three; python_version < "3"'),
    ),
    "requirements files that include others, hashes, options, the project itself": (
        {
            "requirements.txt": "-r requirements/base.txt\none==1 \\\n    --hash=sha256:00\n--pre\n-e .[x]\n.\n",
            "requirements/base.txt": "# what\ntwo  # why\n-r ../requirements.txt\n-r ../../outside.txt\n",
            "docs-requirements.txt": "nine\n",
            "tests/requirements.txt": "three\n",
        },
        ("one==1", "two", "three"),
    ),
    "tox": (
        {"tox.ini": "[testenv]\ndeps =\n    one\n    py27: two\n    -r more.txt\n", "more.txt": "three"},
        ("one",),
    ),
    "poetry": (
        {
            "pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.9"\none = "^1.2"\ntwo = {git = "https://x"}\n'
            '[tool.poetry.group.test.dependencies]\nthree = "*"\n[tool.poetry.group.docs.dependencies]\nfour = "*"\n'
        },
        ("one<2,>=1.2", "three"),
    ),
    "tools of other kinds": (
        {
            "pyproject.toml": '[tool.uv]\ndev-dependencies = ["one"]\n[tool.pdm.dev-dependencies]\nx = ["two"]\n'
            '[tool.hatch.envs.hatch-test]\nextra-dependencies = ["three"]\n'
            '[tool.hatch.envs.docs]\ndependencies = ["four"]\n'
        },
        ("one", "two", "three"),
    ),
    "what checks and documents is not needed": (
        {"pyproject.toml": '[dependency-groups]\ndev = ["ruff", "sphinx-rtd-theme", "Pre_Commit", "pytest"]\n'},
        ("pytest",),
    ),
}


def repository(root: Path, files: dict[str, str]) -> PackagingFiles:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return PackagingFiles(root)


@pytest.mark.parametrize("case", CASES)
def test_each_file_is_read(tmp_path: Path, case: str) -> None:
    files, expected = CASES[case]
    assert find_declared(repository(tmp_path, files)).requirements == expected


def test_a_tool_counts_where_it_is_imported(tmp_path: Path) -> None:
    files = {"pyproject.toml": '[dependency-groups]\ntest = ["coverage", "mypy"]\n'}
    assert find_declared(repository(tmp_path, files), {"coverage"}).requirements == ("coverage",)


def test_places_are_told_and_not_asked_for(tmp_path: Path) -> None:
    urls = ["a @ https://example.invalid/a.whl", "git+https://example.invalid/b", "not a requirement at all"]
    declared = find_declared(repository(tmp_path, {"requirements.txt": "\n".join([*urls, "fine"])}))
    assert declared == Declared(requirements=("fine",), unusable=tuple(urls))
    with pytest.raises(ValueError, match="without a URL"):
        Declared(requirements=(urls[0],))


@pytest.mark.parametrize(
    ("text", "python"),
    [("requires-python = '>=3.12'", ">=3.12"), ("requires-python = 'any'", None), ("requires-python = 3", None)],
)
def test_the_interpreter_that_is_asked_for(tmp_path: Path, text: str, python: str | None) -> None:
    assert find_declared(repository(tmp_path, {"pyproject.toml": f"[project]\n{text}\n"})).requires_python == python


def test_a_flood_of_requirements_is_cut(tmp_path: Path) -> None:
    text = "\n".join(f"package{number}" for number in range(10 * MAX_REQUIREMENTS))
    assert len(find_declared(repository(tmp_path, {"requirements.txt": text})).requirements) == MAX_REQUIREMENTS


_value = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", "a", "a>=1", "a[b]>1; x", "-r .", "mine[test]", "\x00é"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["test", "version", "git", "extras", "include-group", "markers"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(values=st.lists(_value, min_size=6, max_size=6))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_values_of_any_type_are_no_error(values: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three, four, five, six = values
    document = {
        "project": {"name": one, "dependencies": two, "optional-dependencies": {"test": three}},
        "dependency-groups": {"test": four},
        "tool": {"poetry": {"dependencies": {"a": five}, "group": {"test": six}}, "hatch": {"envs": {"test": one}}},
    }
    packaging = PackagingFiles(tmp_path)
    monkeypatch.setattr(PackagingFiles, "toml", lambda self, path: document)
    for text in find_declared(packaging).requirements:
        assert Requirement(text).url is None


@given(
    numbers=st.lists(st.integers(0, 30), min_size=1, max_size=3).filter(any),
    sign=st.sampled_from("^~"),
)
def test_bounds_of_poetry_hold_the_version_and_not_the_next_breaking_one(numbers: list[int], sign: str) -> None:
    text = ".".join(map(str, numbers))
    specifier = SpecifierSet(Requirement(poetry_requirement("a", f"{sign}{text}")).specifier.__str__())
    assert specifier.contains(text)
    assert specifier.contains(f"{text}.1" if len(numbers) == 3 else text)
    assert not specifier.contains(f"{numbers[0] + 1}.0")
    if sign == "^" and numbers[0]:
        assert specifier.contains(f"{numbers[0]}.99.99")
