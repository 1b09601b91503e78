"""The page of a session: its data are the trace's, and no text of a stranger gets out of them."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

import trace_mine
from kept_jails import kept_jails
from trace_mine.tracer.viewer import MAX_SOURCE_BYTES, MAX_VALUE, ShownEdit, page, session_data, sources_of


@pytest.fixture(autouse=True, scope="module")
def few_jails():
    with kept_jails():
        yield


SCRIPT = """
import random

def double(n):
    m = 2 * n
    return m

x = double(3)
y = [x]
del x
if random.random() < 0.5:
    y.append(1)
print(len(y))
"""


class Elements(HTMLParser):
    """Each element's text by its id, and the content of scripts without one."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}
        self.metas: list[dict[str, str | None]] = []
        self._id = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self._id = attributes.get("id") or tag
        if tag == "meta":
            self.metas.append(attributes)

    def handle_endtag(self, tag):
        self._id = ""

    def handle_data(self, data):
        self.texts[self._id] = self.texts.get(self._id, "") + data


def data_of(text: str) -> dict:
    return json.loads(Elements(text).texts["data"])


@pytest.fixture(scope="module")
def trace():
    return trace_mine.run(SCRIPT, view="branch+every:1")


def test_the_data_are_the_trace(trace):
    steps = data_of(page(trace, title="t", footer="f"))["steps"]
    assert "".join(text for step in steps for _, text in step["text"]) == trace.text
    state = {}
    for step, wanted in zip(steps, trace.steps, strict=True):
        state.update(step["set"])
        for name in step["gone"]:
            del state[name]
        assert state == wanted.state
        assert (step["depth"], step["line"], step["path"]) == (wanted.depth, wanted.line, wanted.path)
    assert {step["depth"] for step in steps} == {0, 1}
    laws = [law for step in steps for law in step["beliefs"]]
    assert len(laws) == len([belief for belief in trace.beliefs if len(belief.outcomes) > 1]) > 0
    assert all(sum(probability for probability, *_ in law["outcomes"]) == pytest.approx(1) for law in laws)
    assert all(sum(shown for *_, shown in law["outcomes"]) == 1 for law in laws)


def test_each_call_with_steps_is_told_with_its_depth():
    source = "def add(a, b):\n    return a + b\n\ndef twice(n):\n    m = add(n, n)\n    return m\n\n"
    trace = trace_mine.run(source + "x = twice(3)\ny = add(x, 1)\nz = add(y, 1)\nprint(z)\n")
    data = data_of(page(trace, title="t", footer="f"))
    told = [(call["text"], call["depth"]) for call in data["calls"]]
    assert told == [("twice(3)", 1), ("add(n, n)", 2), ("add(x, 1)", 1), ("add(y, 1)", 1)]
    for call in data["calls"]:
        inside = data["steps"][call["first"] : call["last"] + 1]
        assert {step["depth"] for step in inside} <= {call["depth"], call["depth"] + 1}
        assert data["steps"][call["first"]]["depth"] >= call["depth"]


def test_only_the_viewers_own_program_may_run(trace):
    elements = Elements(page(trace, title="t", footer="f"))
    (policy,) = [meta["content"] for meta in elements.metas if "http-equiv" in meta]
    digest = base64.b64encode(hashlib.sha256(elements.texts["script"].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    # text nodes alone are made of the data
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(", elements.texts["script"]
    )


@pytest.mark.parametrize(
    "text", ["</script><script>alert(1)</script>", "<!--<script>", "]]>", "\u2028\x00\x1b", "__proto__"]
)
def test_hostile_text_stays_data(text, tmp_path):
    (tmp_path / "s.py").write_text("pass\n")
    trace = trace_mine.run(f"s = {text!r}\nlen(s)\n")
    shown = page(trace, title=text, footer=text, sources={"<script>": text, trace.steps[0].path: text})
    plain = page(trace, title="t", footer="f")
    assert shown.count("<script") == plain.count("<script") == 2
    assert "\x1b" not in shown and "\u2028" not in shown
    assert text in json.dumps(data_of(shown)) or not text.isprintable()


def test_uncertain_outputs_are_marked_and_reached(trace):
    steps = data_of(page(trace, title="t", footer="f"))["steps"]
    laws = [(step, law) for step in steps for law in step["beliefs"]]
    assert laws and all(law["bits"] > 0 for _, law in laws)
    assert all(step["text"][law["at"]][0] == "value" for step, law in laws)
    elements = Elements(page(trace, title="t", footer="f"))
    assert "showUncertain" in elements.texts["script"]


def test_a_program_s_edits_are_shown(trace):
    edit = ShownEdit(kind="maybe", place="at m.py:3", law=(0.5, float("nan")), before="\x1b", after="a\nb")
    data = session_data(trace, {}, [edit])
    assert data["edits"] == [
        {"kind": "maybe", "place": "at m.py:3", "law": [0.5, 0.0], "before": "\\x1b", "after": "a\nb"}
    ]
    assert data_of(page(trace, title="t", footer="f"))["edits"] == []


def test_values_are_cut(trace):
    long = dataclasses.replace(trace.steps[0], state={"s": "a" * 10_000})
    steps = data_of(page(dataclasses.replace(trace, steps=(long, *trace.steps[1:])), title="t", footer="f"))["steps"]
    (value,) = [value for step in steps for name, value in step["set"] if name == "s"]
    assert len(value) < MAX_VALUE + 50 and value.endswith("characters)")


def test_sources_stand_below_the_folder(trace, tmp_path):
    """Steps' paths come from the process that ran the snippet."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "good.py").write_text("x = 1\n")
    (root / "long.py").write_text("#" * (MAX_SOURCE_BYTES + 1))
    (root / "bytes.py").write_bytes(b"\xff")
    (root / "folder.py").mkdir()
    (tmp_path / "secret.py").write_text("secret\n")
    (root / "link.py").symlink_to(tmp_path / "secret.py")
    paths = [
        "good.py",
        "long.py",
        "bytes.py",
        "folder.py",
        "link.py",
        "../secret.py",
        str(tmp_path / "secret.py"),
        "a\0",
    ]
    steps = tuple(dataclasses.replace(trace.steps[0], path=path) for path in [*paths, "a\0"])
    assert sources_of(dataclasses.replace(trace, steps=steps), root) == {"good.py": "x = 1\n"}
