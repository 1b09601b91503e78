"""Reads from a repository's files which packages its code and tests need. Runs in the reader's sandbox.

Requirements are taken as text and held to PEP 508; nothing is resolved and nothing is installed here. Besides what the
code needs, the extras and groups for tests and for development count, since a repository's tests are mined too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from trace_mine.corpus.mined.environments.poetry import poetry_requirement
from trace_mine.corpus.mined.environments.requirement_files import Lines, lines_of, requirement_files
from trace_mine.corpus.mined.packaging_files import METADATA_BYTES, PackagingFiles, dig, setup_call

FOR_TESTS = frozenset(("test", "tests", "testing", "dev", "develop", "development", "developer", "default"))
"""Extras and groups that are asked for besides what the code needs. ``default`` is what networkx and others call that
without which most of their tests are skipped."""
MAX_REQUIREMENTS = 400
"""Requirements of a repository that are kept; a lock file of an application has some 200."""
MAX_REQUIREMENT_CHARS = 300
"""Longer ones are left out."""
MAX_GROUPS = 200
"""Groups and extras that are looked into, those that others name among them."""

TOOLS = frozenset(
    """
    bandit black build bump2version bumpversion cibuildwheel codecov commitizen coverage coveralls django-stubs flake8
    flit flit-core furo griffe hatch hatchling interrogate invoke ipdb isort jupyter jupyterlab maturin mkdocs
    mkdocs-material mkdocstrings mypy myst-parser nox numpydoc pdm pip pip-tools poetry pre-commit pycodestyle
    pydocstyle pyflakes pylint pyright pytest-mypy-testing python-semantic-release rstcheck ruff sphinx sphinxemoji
    test2ref towncrier tox tox-uv twine uv vermin virtualenv wheel zest-releaser
    """.split()  # noqa: SIM905  # forty lines as a list
)
"""Distributions that check, document, build or release: nothing of a repository needs them to run unless it imports
them. Those that begin with a name of TOOL_FAMILIES are left out as well."""
TOOL_FAMILIES = ("sphinx-", "sphinxcontrib-", "flake8-", "mkdocs-", "types-", "tox-", "mypy-")

_extra = re.compile(r"""\bextra *+== *+["']([\w.-]++)["']""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The packages and the interpreter that a repository asks for.

    Attributes:
        requirements: each as PEP 508 has it, without a URL: those of the code first, then those of its tests.
        requires_python: the interpreters that it supports, as a specifier (``>=3.11``); None where it does not say.
        unusable: requirements that no index can be asked for (a URL, a path, a text that is none), as they stand there.

    Raises:
        ValueError: a requirement names a URL.
    """

    requirements: tuple[str, ...] = ()
    requires_python: str | None = None
    unusable: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for text in self.requirements:
            if Requirement(text).url is not None:  # InvalidRequirement is a ValueError
                raise ValueError(f"expected a requirement without a URL, got {text!r}; put it among the unusable")


def find_declared(packaging: PackagingFiles, imports: Container[str] = ()) -> Declared:
    """Read pyproject.toml, setup.cfg, setup.py, PKG-INFO, tox.ini and requirements files; all of them count.

    A repository often says the same in several of these, and what an sdist's metadata leave out stands in another.

    Args:
        packaging: the repository's files.
        imports: top-level names that it imports: of TOOLS it needs those alone.
    """
    reading = _Found(packaging, imports)
    reading.of_project()
    reading.of_metadata()
    reading.of_setuptools()
    reading.of_tools()
    reading.of_tox()
    reading.of_files()
    return reading.declared()


@dataclass(slots=True)
class _Found:
    """The requirements that were found so far; the dictionaries keep the order in which they were."""

    packaging: PackagingFiles
    imports: Container[str]
    requirements: dict[str, None] = field(default_factory=dict)
    unusable: dict[str, None] = field(default_factory=dict)
    requires_python: list[object] = field(default_factory=list)
    own: str = ""
    num_groups: int = 0
    extras: dict[str, object] = field(default_factory=dict)
    """The extras of pyproject.toml that were not taken yet, by canonical name."""
    asked_extras: list[str] = field(default_factory=list)
    """Extras that a requirement names (``project[test]``), and that are to be taken."""

    def declared(self) -> Declared:
        texts = [text for text in self.requires_python if isinstance(text, str)]
        return Declared(
            requirements=tuple(self.requirements)[:MAX_REQUIREMENTS],
            requires_python=next((text for text in texts if _is_specifier(text)), None),
            unusable=tuple(self.unusable)[:MAX_REQUIREMENTS],
        )

    # one file, or table of a file, each

    def of_project(self) -> None:
        """``[project]`` and ``[dependency-groups]``."""
        document = self.packaging.toml("pyproject.toml")
        self.own = canonicalize_name(str(dig(document, "project", "name") or ""))
        self.requires_python.append(dig(document, "project", "requires-python"))
        self._take(dig(document, "project", "dependencies"))
        extras = dig(document, "project", "optional-dependencies")
        if isinstance(extras, Mapping):
            self.extras = {canonicalize_name(str(name)): listed for name, listed in extras.items()}
        self._take_extras(filter(_is_for_tests, tuple(self.extras)))
        groups = dig(document, "dependency-groups")
        if isinstance(groups, Mapping):
            for name in filter(_is_for_tests, map(str, groups)):
                self._take_group(groups, name)
        self._take_extras(())

    def of_metadata(self) -> None:
        """The metadata that a build left."""
        headers = self.packaging.headers()
        self.requires_python.append(headers.get("Requires-Python"))
        self._take([_without_extra(str(line)) for line in headers.get_all("Requires-Dist") or []])

    def of_setuptools(self) -> None:
        """setup.cfg, and the literals of setup.py."""
        config = self.packaging.config("setup.cfg")
        self.requires_python.append(config.get("options", "python_requires", fallback=None))
        self._take(config.get("options", "install_requires", fallback="").splitlines())
        self._take(config.get("options", "tests_require", fallback="").splitlines())
        if config.has_section("options.extras_require"):
            for name, text in config.items("options.extras_require"):
                if _is_for_tests(name):
                    self._take((text or "").splitlines())
        call = setup_call(self.packaging.read("setup.py", METADATA_BYTES) or b"")
        keywords = {each.arg: _literal(each.value) for each in (call.keywords if call is not None else [])}
        self.requires_python.append(keywords.get("python_requires"))
        self._take(keywords.get("install_requires"))
        self._take(keywords.get("tests_require"))
        extras = keywords.get("extras_require")
        for name, listed in extras.items() if isinstance(extras, Mapping) else ():
            if _is_for_tests(str(name)):
                self._take(listed)

    def of_tools(self) -> None:
        """Tables of pyproject.toml that are one tool's own."""
        tools = dig(self.packaging.toml("pyproject.toml"), "tool")
        self._take(dig(tools, "uv", "dev-dependencies"))
        development = dig(tools, "pdm", "dev-dependencies")
        for listed in development.values() if isinstance(development, Mapping) else ():
            self._take(listed)
        environments = dig(tools, "hatch", "envs")
        for name, table in environments.items() if isinstance(environments, Mapping) else ():
            if _is_for_tests(str(name).removeprefix("hatch-")):
                self._take(dig(table, "dependencies"))
                self._take(dig(table, "extra-dependencies"))
        tables = [dig(tools, "poetry", "dependencies"), dig(tools, "poetry", "dev-dependencies")]
        groups = dig(tools, "poetry", "group")
        for name, group in groups.items() if isinstance(groups, Mapping) else ():
            if _is_for_tests(str(name)):
                tables.append(dig(group, "dependencies"))
        for table in tables:
            for name, wanted in table.items() if isinstance(table, Mapping) else ():
                if str(name).lower() == "python":
                    # ``^3.9`` is another notation than that of a requirement
                    self.requires_python.append(poetry_requirement("python", wanted).removeprefix("python"))
                else:
                    self._take([poetry_requirement(str(name), wanted)])

    def of_tox(self) -> None:
        """The packages of tox's environment for tests, but for those of single factors (``py27: mock``)."""
        config = self.packaging.config("tox.ini")
        for line in config.get("testenv", "deps", fallback="").splitlines():
            if re.match(r"\s*+[\w.{},!-]++\s*+:", line) is None:
                self._take_lines([line])
        self._take_extras(re.split(r"[\s,]++", config.get("testenv", "extras", fallback="")))

    def of_files(self) -> None:
        """``requirements.txt`` and its like, in the root and beside the tests."""
        for path in requirement_files(self.packaging):
            self._take_lines(lines_of(self.packaging, path))

    # requirements

    def _take_group(self, groups: Mapping[object, object], name: str) -> None:
        """A group of PEP 735, with those that it includes."""
        pending, seen = [name], set[str]()
        while pending and self.num_groups < MAX_GROUPS:
            current = canonicalize_name(pending.pop())
            listed = next((value for key, value in groups.items() if canonicalize_name(str(key)) == current), None)
            if current in seen or not isinstance(listed, list):
                continue
            seen.add(current)
            self.num_groups += 1
            self._take([item for item in listed if isinstance(item, str)])
            pending += [included for item in listed if isinstance(included := dig(item, "include-group"), str)]

    def _take_extras(self, names: Iterable[str]) -> None:
        """Extras of the project itself, with those that they ask for (``project[speed]``), each once."""
        self.asked_extras += names
        while self.asked_extras:
            self._take(self.extras.pop(canonicalize_name(self.asked_extras.pop(0)), None))

    def _take_lines(self, lines: Lines) -> None:
        """Lines of a requirements file, in which options and paths may stand."""
        for line in lines:
            # an editable installation, and ``.[test]``, mean the repository itself
            if line.startswith(("-", ".", "/")):
                own = re.search(r"\[([\w,\s.-]++)\]", line) if re.match(r"(?:-e\s++|--editable[ =])?\.", line) else None
                self._take_extras(re.split(r"[\s,]++", own[1]) if own is not None else ())
                continue
            # hashes and options of one requirement stand behind it
            self._take([line.partition(" --")[0]])

    def _take(self, listed: object) -> None:
        """Keep the requirements of a list, or of text with one in each line, whatever else may be in a hostile file."""
        if isinstance(listed, str):
            listed = listed.splitlines()
        for text in listed if isinstance(listed, (list, tuple)) else ():
            if isinstance(text, str) and (stripped := text.partition(" #")[0].strip()) and stripped[0] != "#":
                self._keep(stripped)

    def _keep(self, text: str) -> None:
        if len(self.requirements) + len(self.unusable) >= 2 * MAX_REQUIREMENTS:
            return
        requirement = _parsed(text)
        if requirement is None or requirement.url is not None:
            self.unusable[text[:MAX_REQUIREMENT_CHARS]] = None
        elif self.own and canonicalize_name(requirement.name) == self.own:
            self.asked_extras += sorted(requirement.extras)
        elif not _is_tool(requirement.name) or canonicalize_name(requirement.name).replace("-", "_") in self.imports:
            self.requirements[str(requirement)] = None


def _is_for_tests(name: str) -> bool:
    return canonicalize_name(name) in FOR_TESTS


def _is_tool(name: str) -> bool:
    canonical = canonicalize_name(name)
    return canonical in TOOLS or canonical.startswith(TOOL_FAMILIES)


def _parsed(text: str) -> Requirement | None:
    if len(text) > MAX_REQUIREMENT_CHARS or not text.isascii() or not text.isprintable():
        return None
    try:
        return Requirement(text)
    except (InvalidRequirement, RecursionError):
        return None


def _without_extra(line: str) -> str:
    """A requirement of an extra for tests without the condition that names the extra; nothing for another extra's."""
    extra = _extra.search(line)
    if extra is None:
        return line
    if not _is_for_tests(extra[1]):
        return ""
    requirement, _, marker = _extra.sub("", line, count=1).partition(";")
    marker = marker.strip().removesuffix("and").removeprefix("and").strip()
    return f"{requirement.strip()}; {marker}" if marker and marker != "()" else requirement.strip()


def _is_specifier(text: str) -> bool:
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        return False
    return len(text) <= MAX_REQUIREMENT_CHARS


def _literal(node: ast.expr) -> object:
    """The value of a literal of texts, lists and dictionaries; None for any other expression."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_literal(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        pairs: Iterator[tuple[ast.expr | None, ast.expr]] = zip(node.keys, node.values, strict=True)
        return {str(_literal(key)): _literal(value) for key, value in pairs if key is not None}
    return None
