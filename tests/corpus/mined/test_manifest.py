"""``scripts.yaml``: how scripts are started, and what is wrong in a file, hostile ones among them."""

from __future__ import annotations

from pathlib import Path

import pytest

from trace_mine.corpus.mined.discovery import Survey
from trace_mine.corpus.mined.snippets.manifest import MAX_PROBLEMS, MAX_STARTS, Manifest, read_manifest
from trace_mine.corpus.mined.snippets.script_start import ScriptStart
from trace_mine.tracer.inside.reasons import Reason

PATHS = ("a.py", "bin/b.py")


def read(root: Path, text: str | bytes) -> Manifest:
    (root / "scripts.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    return read_manifest(root, PATHS, PATHS)


def test_no_manifest_is_an_empty_one(tmp_path: Path) -> None:
    assert read_manifest(tmp_path, PATHS, PATHS) == Manifest()
    assert read(tmp_path, "# nothing yet\n") == Manifest()


def test_entries(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(b"\xff\n")
    manifest = read(
        tmp_path,
        """\
- path: ./a.py
  arguments: [01, --flag, "two words", on]
- path: a.py
  name: reads
  arguments: --n 3 'x y'
  stdin: |
    first
    second
- {path: bin/b.py, stdin_file: in.txt}
""",
    )
    assert not manifest.problems
    assert manifest.starts == {
        "a.py": (
            ScriptStart(path="a.py", name="a.py#1", arguments=("01", "--flag", "two words", "on")),
            ScriptStart(path="a.py", name="reads", arguments=("--n", "3", "x y"), stdin=b"first\nsecond\n"),
        ),
        "bin/b.py": (ScriptStart(path="bin/b.py", stdin=b"\xff\n"),),
    }


def test_entries_of_files_that_are_not_searched_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "scripts.yaml").write_text("- path: a.py\n- path: bin/b.py\n")
    manifest = read_manifest(tmp_path, PATHS, ["a.py"])
    assert ([*manifest.starts], manifest.problems) == (["a.py"], ())


BOMB = "- &a [x]\n" + "".join(f"- &b{n} [{', '.join(['*a' if n == 0 else f'*b{n - 1}'] * 9)}]\n" for n in range(12))


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("path: a.py\n", 1, "got a mapping"),
        ("- a.py\n", 1, "got a text"),
        ("- path: a.py\n- stdin: x\n", 2, "without"),
        ("- path: c.py\n", 1, "'c.py'"),
        ("- path: /etc/passwd\n", 1, "'/etc/passwd'"),
        ("- path: ../a.py\n", 1, "'../a.py'"),
        ("- path: bin/../../a.py\n", 1, "within the repository"),
        ('- path: "a.py\\0"\n', 1, "within the repository"),
        ("- path: a.py\n  path: a.py\n", 2, "twice"),
        ("- path: a.py\n  command: x\n", 2, "unknown"),
        ("- path: a.py\n  arguments: {a: b}\n", 2, "got a mapping"),
        ("- path: a.py\n  arguments: [[a]]\n", 2, "got a list"),
        ('- path: a.py\n  arguments: "\'"\n', 2, "No closing quotation"),
        ('- path: a.py\n  arguments: ["a\\0b"]\n', 1, "null"),
        ('- path: a.py\n  stdin: "\\ud800"\n', 2, "lone surrogate"),
        ("- path: a.py\n  stdin: x\n  stdin_file: y\n", 1, "got both"),
        ("- path: a.py\n  stdin_file: ../y\n", 2, "within the repository"),
        ("- path: a.py\n  stdin_file: outside\n", 2, "link_outside"),
        ("- path: a.py\n  stdin_file: pipe\n", 2, "special_file"),
        ('- path: a.py\n  name: "a\\e[31m"\n', 2, "printable"),
        ("- path: &p a.py\n- path: *p\n", 1, "aliases"),
        ("- &e {path: a.py}\n- *e\n", 1, "aliases"),
        ("- path: a.py\n  <<: {stdin: x}\n", 2, "unknown"),
        ("- !!python/object/apply:os.system [ls]\n", 1, "got a list"),
        ("- path: a.py\n\t- x\n", 2, "expected YAML"),
        ("- *nowhere\n", 1, "expected YAML"),
        (b"- path: \xff\n", 1, "expected YAML"),
        ("[" * 100_000, 1, "too_deep"),
        ("- path: a.py\n" * (MAX_STARTS + 1), 1, "at most 1,000"),
        ("#" * (300 << 10), 1, "too_large"),
        ("- path: a.py\n  arguments: [" + "x," * 2_000 + "]\n", 1, "1,000 arguments"),
    ],
)
def test_what_is_wrong_has_a_line(tmp_path: Path, text: str | bytes, line: int, message: str) -> None:
    import os

    (tmp_path / "outside").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "pipe")
    ((at, drop),) = read(tmp_path, text).problems
    assert drop.reason == Reason.BAD_MANIFEST
    assert message in drop.evidence
    assert at == line


def test_entries_behind_many_wrong_ones_are_counted(tmp_path: Path) -> None:
    entries = "- path: nowhere.py\n" * MAX_PROBLEMS
    assert len(read(tmp_path, entries).problems) == MAX_PROBLEMS, "all of them were read"
    *wrong, (line, drop) = read(tmp_path, entries + "- path: a.py\n" * 3).problems
    assert {each.reason for _, each in wrong} == {Reason.BAD_MANIFEST} and len(wrong) == MAX_PROBLEMS
    assert (line, drop.reason) == (MAX_PROBLEMS + 1, Reason.BEYOND_LIMIT)
    assert drop.evidence == f"3 entries are not read, behind {MAX_PROBLEMS} that are wrong"


def test_a_bomb_of_aliases_is_a_few_problems(tmp_path: Path) -> None:
    manifest = read(tmp_path, BOMB)
    assert not manifest.starts
    assert 0 < len(manifest.problems) <= MAX_PROBLEMS


def test_a_manifest_that_is_a_link_out_of_the_repository_is_not_read(tmp_path: Path) -> None:
    root = tmp_path / "r"
    root.mkdir()
    (tmp_path / "secret.yaml").write_text("- path: a.py\n")
    (root / "scripts.yaml").symlink_to(tmp_path / "secret.yaml")
    manifest = read_manifest(root, PATHS, PATHS)
    ((_, drop),) = manifest.problems
    assert "link_outside" in drop.evidence and not manifest.starts


def test_each_entry_is_a_snippet_with_its_arguments_and_input(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import sys\nprint(sys.argv, input())\n")
    (tmp_path / "scripts.yaml").write_text("- {path: a.py, arguments: [x], stdin: y}\n- {path: a.py}\n- {path: c.py}\n")
    problem, first, second = Survey(tmp_path).snippets(("script",))
    assert problem.drop is not None and (problem.path, problem.line) == ("scripts.yaml", 3)
    assert (first.name, second.name) == ("a.py#1", "a.py#2")
    assert "argv = ['a.py', 'x']" in first.code and "BytesIO(b'y')" in first.code
    assert "argv = ['a.py']" in second.code and "BytesIO" not in second.code


def test_whoever_names_files_hears_nothing_of_other_entries(tmp_path: Path) -> None:
    (tmp_path / "scripts.yaml").write_text("- path: nowhere.py\n- path: a.py\n- path: ../b.py\n")
    manifest = read_manifest(tmp_path, None, ["a.py"])
    assert ([*manifest.starts], [line for line, _ in manifest.problems]) == (["a.py"], [3])
