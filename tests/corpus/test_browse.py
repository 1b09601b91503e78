"""``trace-mine browse`` and ``inspect`` show what a dataset holds, and none of its text acts where it is shown."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import unicodedata
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import command_here
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_mine.corpus.browse.choice import chosen_rows
from trace_mine.corpus.browse.index import RowLine, row_files, row_lines
from trace_mine.corpus.browse.page import browse_page, session_json
from trace_mine.corpus.browse.page_server import PageHandler
from trace_mine.corpus.browse.row_trace import trace_of
from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.schema import features
from trace_mine.corpus.synthetic.__main__ import main as synth
from trace_mine.tracer.viewer import entropy_bits

VERSION_1 = Path(__file__).resolve().parents[1] / "data" / "version-1"
NASTY = "</script><script>alert(1)</script>\x1b[2J\u202e$& @@data@@ <!--"


@pytest.fixture(scope="module")
def beliefs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty synthetic sessions with hidden outcomes, and drops."""
    out = tmp_path_factory.mktemp("browse") / "beliefs"
    arguments = ["pfsa", "--set", "n=3", "--set", "p=0.3", "--rows", "12", "--held-out", "4", "--jobs", "1"]
    assert synth([*arguments, "--out", str(out)]) == 0
    drop = {"reason": "skipped", "path": "m.py", "name": NASTY, "evidence": NASTY, "repository": "r", "entry": "test"}
    (out / "errors.jsonl").write_text(json.dumps({**drop, "line": 3}) + "\nno JSON\n")
    return out


@pytest.fixture(scope="module")
def rows(beliefs: Path) -> list[dict[str, Any]]:
    return [row for file in row_files(beliefs) for row in pq.read_table(file).to_pylist()]


def written(out: Path, rows: list[dict[str, Any]]) -> Path:
    (out / "data").mkdir(parents=True)
    table = pa.Table.from_pylist(rows, schema=features().arrow_schema)
    pq.write_table(table, out / "data" / "train-00000-of-00001.parquet", row_group_size=3)
    return out


class Elements(HTMLParser):
    """The scripts of a page, and the content of its policy."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.policy = ""
        self._in_script = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")
        if tag == "meta" and dict(attrs).get("http-equiv"):
            self.policy = dict(attrs)["content"] or ""

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data


def data_of(html: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(Elements(html).scripts[0])
    return data


def session_of(packed: str) -> dict[str, Any]:
    session: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed)))
    return session


def inspect(*arguments: object) -> str:
    told = command_here.command("inspect", *arguments)
    assert told.returncode == 0, told.stderr
    return told.stdout


def test_the_page_holds_the_rows_and_their_sessions(beliefs: Path, rows: list[dict[str, Any]]) -> None:
    page = browse_page(beliefs, most=100)
    data = data_of(page.html)
    assert (page.num_rows, page.num_sessions, page.num_damaged) == (len(rows), len(rows), 0)
    assert [line[0] for line in data["rows"]] == [*range(len(rows))]
    assert [line[4] for line in data["rows"]] == [row["name"] for row in rows]
    for number, row in enumerate(rows):
        session = session_of(data["sessions"][str(number)])
        text = "".join(part for step in session["data"]["steps"] for _, part in step["text"])
        assert text == row["text"]
        # variables after the last step, from the changes
        after: dict[str, str] = {}
        for step in session["data"]["steps"]:
            after.update(step["set"])
            for name in step["gone"]:
                del after[name]
        assert after == json.loads(row["states"][-1])
        shown = [belief for step in session["data"]["steps"] for belief in step["beliefs"]]
        assert len(shown) == sum(len(belief["outcomes"]) > 1 for belief in row["beliefs"])
    assert data["num_drops"] == 2 and data["drops"][1][0] == "damaged"
    assert data["reasons"] == {"skipped": "The test, or its class, is marked to be skipped."}


def test_the_same_dataset_gives_the_same_page(beliefs: Path) -> None:
    assert browse_page(beliefs, most=5).html == browse_page(beliefs, most=5).html


def test_two_programs_may_run_and_no_others(beliefs: Path) -> None:
    page = Elements(browse_page(beliefs, most=3).html)
    data, program = page.scripts
    viewer = Elements(json.loads(data)["viewer"])
    digests = {
        f"'sha256-{base64.b64encode(hashlib.sha256(each.encode()).digest()).decode()}'"
        for each in (program, viewer.scripts[1])
    }
    policies = dict(part.strip().split(" ", 1) for part in page.policy.split(";"))
    assert policies["default-src"] == "'none'"
    assert {*policies["script-src"].split()} == digests
    assert "connect-src" not in policies


def test_texts_of_strangers_act_nowhere(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    names = dict.fromkeys(("repository", "name", "path", "licence", "version", "entry", "outcome"), NASTY)
    dataset = written(tmp_path / "nasty", [{**row, **names} for row in rows[:3]])
    (dataset / "stats.json").write_text(json.dumps({"rows": 3, "drops": {NASTY: 1}}))
    html = browse_page(dataset, most=3).html
    assert len(Elements(html).scripts) == 2 and "alert(1)</script>" not in html and "<!--" not in html
    data = data_of(html)
    for text in [html, *json.dumps(data).split(), inspect(dataset), inspect(dataset, "--row", 1)]:
        assert not [char for char in text if char not in "\n\t" and unicodedata.category(char) in ("Cc", "Cf", "Cs")]
    assert session_of(data["sessions"]["0"])["title"].startswith("</script>")  # as text: the program escapes it


def test_rows_that_are_damaged_cost_themselves_alone(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    bad = [{**rows[0], "kept_whole": "no JSON"}, {**rows[1], "states": rows[1]["states"][:-1]}, rows[2]]
    dataset = written(tmp_path / "damaged", bad)
    page = browse_page(dataset, most=10)
    assert (page.num_rows, page.num_sessions, page.num_damaged) == (2, 1, 1)
    told = command_here.command("inspect", dataset, "--row", 1)
    assert told.returncode == 1 and "damaged" in told.stderr


def test_rows_of_version_1_are_shown() -> None:
    page = browse_page(VERSION_1, most=10)
    assert page.num_rows == page.num_sessions > 0


def test_what_is_no_dataset_is_refused(tmp_path: Path) -> None:
    for command in ("browse", "inspect"):
        assert "expected a dataset" in command_here.command(command, tmp_path / "nowhere").stderr
        assert "expected a dataset" in command_here.command(command, tmp_path).stderr
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train-0.parquet").write_bytes(b"PAR1")
    with pytest.raises(CorpusError, match="damaged"):
        browse_page(tmp_path, most=1)
    assert "both" in command_here.command("browse", tmp_path, "--out", "x", "--serve", 1).stderr


def test_inspect_finds_sorts_and_shows(beliefs: Path, rows: list[dict[str, Any]]) -> None:
    lines = [line for line in row_lines(row_files(beliefs)) if line is not None]
    table = inspect(beliefs, "--sort", "uncertain", "--limit", 3).splitlines()
    assert table[0].startswith(f"{len(rows)} of {len(rows)} rows, the first 3")
    best = sorted(lines, key=lambda line: (-line.entropy, line.number))[:3]
    assert [int(line.split()[0]) for line in table[2:]] == [line.number for line in best]
    assert inspect(beliefs, "--find", "no such thing").startswith("0 of ")
    assert inspect(beliefs, "--bits", 99).startswith("0 of ")
    shown = inspect(beliefs, "--row", best[0].number)
    assert rows[best[0].number]["text"].splitlines()[0] in shown and "# could be (exact): " in shown
    told = command_here.command("inspect", beliefs, "--row", 10**6)
    assert told.returncode == 2 and "expected a row from 0 to" in told.stderr
    drops = inspect(beliefs, "--drops", "--find", "m.py:3")
    assert drops.startswith("1 of 2 drops") and "skipped: The test, or its class" in drops


EDITS = [
    {
        "kind": "maybe",
        "line": 3,
        "law": [0.25, 0.75],
        "before": "n += 1",
        "after": f"if random() < 0.25:\n    n += 1{NASTY}",
    },
    {"kind": "reveal", "line": 9, "law": [], "before": "", "after": "print('n', n)", "author_line": 0},
]


def test_a_row_s_edits_are_in_the_page_and_the_list(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    number = next(n for n, row in enumerate(rows) if row["beliefs"])
    dataset = written(
        tmp_path / "edits", [{**rows[number], "path": "m.py", "edits": EDITS, "edit_lines": [17, 0]}, rows[0]]
    )
    html = browse_page(dataset, most=2).html
    data = data_of(html)
    assert [line[-1] for line in data["rows"]] == [["maybe", "reveal"], []]
    (one, other) = (session_of(data["sessions"][each])["data"]["edits"] for each in "01")
    assert other == []
    assert [each["place"] for each in one] == ["at m.py:17", "at line 9 of the text that ran"]
    assert [each["law"] for each in one] == [[0.25, 0.75], []] and one[0]["before"] == "n += 1"
    assert "\x1b" not in one[0]["after"] and one[0]["after"].startswith("if random() < 0.25:\n    n += 1</script>")
    told = inspect(dataset, "--row", 0)
    assert "edit:       maybe at m.py:17 with 0.25, 0.75\n            - n += 1\n" in told
    assert "edit:       reveal at line 9 of the text that ran\n            + print('n', n)\n" in told


def test_uncertain_outputs_are_told_with_their_place(beliefs: Path, rows: list[dict[str, Any]]) -> None:
    data = data_of(browse_page(beliefs, most=100).html)
    num_open = 0
    for number, row in enumerate(rows):
        steps = session_of(data["sessions"][str(number)])["data"]["steps"]
        laws = {belief["segment"]: belief for belief in row["beliefs"]}
        segments: dict[int, list[int]] = {}
        for index, segment in enumerate(row["segments"]):
            segments.setdefault(segment["step"], []).append(index)
        for place, step in enumerate(steps):
            for belief in step["beliefs"]:
                law = laws[segments[place][belief["at"]]]
                assert belief["bits"] == pytest.approx(entropy_bits(law["probabilities"]), abs=1e-4)
                num_open += belief["bits"] > 0
    assert num_open > 10


def test_the_most_uncertain_session_is_found_by_sorting(beliefs: Path, rows: list[dict[str, Any]]) -> None:
    """The order is the page's program's; the numbers that it sorts by are the rows'."""
    lines = data_of(browse_page(beliefs, most=2).html)["rows"]
    best = [max((entropy_bits(each["probabilities"]) for each in row["beliefs"]), default=0.0) for row in rows]
    assert [line[11] for line in lines] == pytest.approx(best, abs=1e-4)
    assert best.index(max(best)) in chosen_rows([line for line in row_lines(row_files(beliefs)) if line], 10)


def test_long_outcomes_are_wrapped(rows: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number = next(n for n, row in enumerate(rows) if row["beliefs"])
    first, *others = rows[number]["beliefs"]
    outcomes = [f"{mark}{'0123456789 ' * 40}{mark}" for mark in "ab"] + ["short"]
    law = {**first, "outcomes": outcomes, "probabilities": [0.5, 0.25, 0.25], "stderr": [0.0] * 3}
    dataset = written(tmp_path / "long", [{**rows[number], "beliefs": [law, *others]}])
    for columns in (80, 120):
        monkeypatch.setenv("COLUMNS", str(columns))
        told = inspect(dataset, "--row", 0).splitlines()
        start = next(place for place, line in enumerate(told) if "could be (" in line)
        end = next(place for place, line in enumerate(told) if "0.25 short" in line)
        shown = told[start + 1 : end + 1]
        assert max(map(len, shown)) <= columns
        # taken together again they are the outcomes
        whole = "".join(
            line.removeprefix("    # ")[6:] if "0." not in line[:12] else f"|{line.removeprefix('    # ')[2:]}"
            for line in shown
        )
        assert "0123456789 " * 5 in whole and whole.count("0123456789") >= 75


def test_a_law_without_a_form_has_no_entropy(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    number = next(n for n, row in enumerate(rows) if row["beliefs"])
    laws = [{**belief, "probabilities": [float("nan"), -1.0]} for belief in rows[number]["beliefs"]]
    dataset = written(tmp_path / "laws", [{**rows[number], "beliefs": laws}])
    (line,) = row_lines(row_files(dataset))
    assert line is not None and line.entropy == 0
    assert "NaN" not in browse_page(dataset, most=1).html


lines_of_rows = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.floats(0, 5)), max_size=40).map(
    lambda drawn: [
        RowLine(
            number=number,
            where=("train", entry, repository, f"n{number}", "m.py:1", "ok"),
            num_steps=1,
            num_characters=1,
            own_frames=0,
            opened_frames=0,
            entropy=entropy,
            num_open=int(entropy > 0),
            worth=(None, None, None),
            functions=(),
            kept=(),
        )
        for number, (repository, entry, entropy) in enumerate(drawn)
    ]
)


@given(lines_of_rows, st.integers(0, 30))
def test_as_many_rows_are_chosen_as_may_be_and_some_of_each_kind(lines: list[RowLine], most: int) -> None:
    chosen = chosen_rows(lines, most)
    assert chosen == sorted({*chosen}) and len(chosen) == min(most, len(lines))
    kinds = {line.where[1:3] for line in lines}
    if most >= 2 * len(kinds) + 2:
        assert {line.where[1:3] for line in lines if line.number in {*chosen}} == kinds


@pytest.fixture
def server(beliefs: Path) -> Iterator[str]:
    page = browse_page(beliefs, most=0, is_served=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(PageHandler, beliefs, page.html.encode())) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def test_the_served_page_has_every_session(server: str, beliefs: Path) -> None:
    with urllib.request.urlopen(server) as answer:
        html = answer.read().decode()
    data = data_of(html)
    assert data["is_served"] and data["sessions"] == {} and "connect-src 'self'" in Elements(html).policy
    with urllib.request.urlopen(f"{server}/session/3") as answer:
        assert json.load(answer) == session_json(beliefs, 3)


@pytest.mark.parametrize("path", ["/session/999", "/session/-1", "/session/../stats.json", "/stats.json", "/%2e%2e/x"])
def test_the_server_has_nothing_else(path: str, server: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{server}{path}")
    assert caught.value.code == 404


def test_the_server_answers_its_own_name_alone(server: str) -> None:
    """A page of another site can reach a server of this machine under a name of its own, and read what it answers."""
    request = urllib.request.Request(server, headers={"Host": "evil.example:80"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 403


def test_a_row_is_the_trace_that_it_was_made_of(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        trace = trace_of(row)
        assert trace.text == row["text"] and len(trace.states) == len(row["steps"])
        assert [dict(state) for state in trace.states] == [json.loads(state) for state in row["states"]]
