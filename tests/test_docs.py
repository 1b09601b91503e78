"""The documents say what is so: links lead somewhere, options exist, sessions replay, nothing names a machine."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MODULES = {
    "trace-run": "trace_mine.tracer",
    "trace-mine": "trace_mine.corpus",
    "trace-synth": "trace_mine.corpus.synthetic",
    "trace-train": "trace_mine.train",
}


def tracked_files():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def help_of(module, *inner):
    done = subprocess.run(
        [sys.executable, "-m", module, *inner, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout


def options_of(module):
    """The options of a command, and of each command within it that its help lists: name ("" for it) -> options."""
    own = help_of(module)
    listed = own.partition("\nCommands:\n")[2].partition("\n\n")[0]
    inner = re.findall(r"^  ([a-z][a-z-]*)  ", listed, re.MULTILINE)
    texts = {"": own, **{name: help_of(module, name) for name in inner}}
    return {name: set(re.findall(r"--[a-z][a-z-]*", text)) for name, text in texts.items()}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    prose = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\((?!https://)([^)#]+)", prose):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


@pytest.mark.parametrize("command", MODULES)
def test_options_in_documents_exist(command):
    options = options_of(MODULES[command])
    for document in DOCUMENTS:
        for line in document.read_text(encoding="utf-8").splitlines():
            if re.match(rf"(\S+/)?{command} ", line.strip()):
                used = set(re.findall(r"(?<!\S)--[a-z][a-z-]*", line.split("#")[0]))
                known = options.get(line.split(maxsplit=2)[1], options[""])
                assert used <= known, f"{document.name}: {used - known}"


def test_sessions_in_the_readme_replay():
    sessions = re.findall(r"```pycon\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert sessions
    for session in sessions:
        test = doctest.DocTestParser().get_doctest(session, {"__name__": "__main__"}, "README", None, 0)
        assert test.examples and doctest.DocTestRunner(verbose=False).run(test).failed == 0


def test_the_readme_shows_a_real_run():
    made = subprocess.run(
        [sys.executable, "-m", "trace_mine.tracer", "docs/examples/sharing.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if made.returncode:
        pytest.skip(f"no sandbox here: {made.stderr.strip()}")
    assert made.stdout in (ROOT / "README.md").read_text(encoding="utf-8")


def test_both_commands_stand_in_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for marker in ("main", "test"):
        assert re.search(rf"<!-- {marker} -->\n```console\n(.+?)\n```", text), marker


def test_long_files_say_why():
    for path in tracked_files():
        if path.suffix == ".py" and path.parts[len(ROOT.parts)] in ("tracer", "corpus", "tokenizer", "train", "eval"):
            text = path.read_text(encoding="utf-8")
            if text.count("\n") > 400:
                assert "400 lines" in text.split('"""')[1], f"{path.relative_to(ROOT)} does not say why it is so long"


def test_nothing_names_a_machine_or_a_registry():
    hosts = ["pythonhosted" + ".org", "pypi" + ".org/simple", "registry.npmjs" + ".org", "deb.debian" + ".org"]
    forbidden = [str(ROOT) + "/", *hosts]
    for path in tracked_files():
        text = path.read_text(encoding="utf-8", errors="replace")
        assert not [name for name in forbidden if name in text], path.relative_to(ROOT)
