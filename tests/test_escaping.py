"""Text of a snippet or a repository acts nowhere that it is shown: one corpus of nasty texts, sent to every sink.

``SINKS`` has the sinks by medium, and each is read back as its medium is: Markdown by a Markdown parser, HTML by an
HTML parser, a terminal by what its bytes would do, JSON by its lines. ``WRITERS`` is the list of all functions that
write to people; a new one has to be put there, with the escaper that it goes through.

Over 400 lines because the texts are one corpus for all sinks.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import json
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from trace_mine.corpus import report
from trace_mine.corpus.card import dataset_card
from trace_mine.corpus.hub.configurations import configurations_of
from trace_mine.corpus.hub.croissant import croissant_json, files_of
from trace_mine.corpus.hub.datasheet import datasheet
from trace_mine.corpus.hub.plots import plots_of
from trace_mine.corpus.merge import Merged
from trace_mine.corpus.rows import printable
from trace_mine.corpus.tally import Counts
from trace_mine.corpus.verify import RowFailure, SampleReport
from trace_mine.corpus.verify_command import _print as print_sample
from trace_mine.corpus.work import Dropped
from trace_mine.errors import NoTraceError
from trace_mine.tokenizer.__main__ import visible as token_text
from trace_mine.tracer.command_line import make_app, run_app
from trace_mine.tracer.formats.repl import render
from trace_mine.tracer.run_result import page_of, print_result
from trace_mine.tracer.schema import Belief, Drop, Step, Trace
from trace_mine.tracer.show import beliefs_shown, coloured
from trace_mine.tracer.viewer import page
from trace_mine.tracer.visible import Colour, in_html, in_markdown, indented, one_line, prose_in_markdown, visible

ROOT = Path(__file__).resolve().parent.parent

NASTY = [
    "x\n\n## Licences\n\nAll of it is in the public domain.\n",
    "x\r\n\r\n## Licences\r\n",
    "<img src=x onerror=alert(1)>",
    "</pre></td></table><script>alert(1)</script>",
    "' onmouseover='alert(1)",
    '" onmouseover="alert(1)',
    "[x](javascript:alert(1))",
    "![x](http://evil.example/pixel.png)",
    "<http://evil.example>",
    "http://evil.example www.evil.example me@evil.example",
    "`code` `` ``` `",
    "```\n# heading\n```",
    "a | b | c",
    "\\| a \\` b \\\\",
    "---",
    "x\n---\nlicense: mit\n---\n",
    "- a\n- b\n1. c\n> d\n    e",
    "# heading",
    "| a |\n|---|\n",
    "**bold** _it_ ~~x~~ <b>b</b> &lt; &#60; &amp;",
    "{rows} {0} %s %(x)s ${x}",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2J\x1b[H \x9b31m",
    "safe\u202egnp.exe\u202c \u2066x\u2069 \u200b \ufeff",
    "\ud800 lone \udfff",
    "NUL \0 BEL \x07 BS \x08\x08\x08 CR \r over",
    "line\u2028separator\u2029paragraph\x85next\x0bvertical\x0cform",
    "trace-mine: nothing could be mined\ntrace-run: sandbox: level 3",
    "[red]markup[/red] [link=http://evil.example]x[/link] [/b] :smile:",
    "%0A%0D <!-- x --> <![CDATA[ ]]> <?php ?>",
    "a" * 50_000,
    "`" * 5_000,
    "\n" * 5_000,
    "",
    " ",
    "null",
    "é 漢 \U0001f600",
]
ALLOWED_TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "pre", "span", "footer", "p", "table"}
ALLOWED_TAGS |= {"thead", "tbody", "tr", "th", "td", "a", "img"}
ALLOWED_TAGS |= {"svg", "rect", "text"}
ALLOWED_TAGS |= {"header", "nav", "main", "section", "button", "input", "output", "div", "script", "details"}


def trace_of(text: str) -> Trace:
    """A trace that has the text wherever a text may stand."""
    step = Step(source="print(x)", output="y", kind="statement", state={"x": text})
    rendered = render([step])
    body = rendered.text + text
    last = rendered.segments[-1]
    segments = (*rendered.segments[:-1], type(last)(start=last.start, end=len(body), role="value", step=0))
    belief = Belief(
        segment=len(segments) - 1, outcomes=(text, "b"), probabilities=(0.5, 0.5), method="exact", stderr=(0, 0)
    )
    return Trace(
        text=body,
        segments=segments,
        steps=(step,),
        setup={"code": text},
        view={"policy": "written"},
        outcome="ok",
        exception=text,
        integrity="clean",
        sandbox={"level": 3, "layers": text},
        python=text,
        opened_calls=0,
        kept_whole={},
        doctest_passed=None,
        failed_checks={"replay_mismatch": text},
        beliefs=(belief,),
    )


def stats_of(text: str, **config: Any) -> Any:
    """Statistics that have the text wherever a text of a repository may stand."""
    stats: Any = Counts().as_json(found=0, notes={}, config={"inputs": [text], **config})
    group = {"found": 1, "rows": 1, "duplicates": 0, "drops": {"empty": 1}}
    names = {"before": group, text: group, "zlast": group}
    return stats | {
        "rows": 1,
        "found": 2,
        "drops": {"empty": 1},
        "by_repository": names,
        "by_source": {text: group},
        "by_licence": {"MIT": 1, text: 1},
        "licences_by_repository": {"before": {"MIT": 1}, text: {text: 1}, "zlast": {"MIT": 1}},
        "by_python": {text: 1},
        "histograms": {"characters": {text: 1}, "commands": {}, "bits": {}},
        "splits": {"train": 1},
        "files": {"read": 1, "unreadable": {text: 1}, "examples": [{"path": text, "reason": text}]},
        "ignored_inputs": [{"name": text, "reason": text}],
        "missing_packages": {text: [text, text]},
    }


# Markdown -------------------------------------------------------------------------------------------------------------


def card(text: str, **config: Any) -> str:
    return dataset_card(stats_of(text, **config), ["train-00000-of-00001.parquet"], "0" * 64)


def evaluation(module: str) -> Any:
    """A module of the evaluation; the test is skipped where its packages are not installed."""
    for package in ("scipy", "matplotlib", "torch"):
        pytest.importorskip(package, reason="needs the extra [eval]")
    return importlib.import_module(f"trace_mine.eval.{module}")


def a_claim(text: str) -> Any:
    claims = evaluation("claims")
    return claims.Claim(text=f"claim {text}", source=text, verdict=claims.CANNOT_TELL, seeds=0, evidence=text)


def drawings(text: str) -> Any:
    base = evaluation("figures.base")
    figure = base.Figure.__new__(base.Figure)
    for name, value in {"name": "fig", "title": "A figure", "recipe": text, "paper": text, "needs": (text,)}.items():
        object.__setattr__(figure, name, value)
    drawn = base.Drawn.__new__(base.Drawn)
    table = ("model", "KL"), [(text, "0.1")]
    for name, value in {"caption": f"caption {text}", "claims": (a_claim(text),), "table": table}.items():
        object.__setattr__(drawn, name, value)
    return [(figure, drawn, 1.0), (figure, None, 1.0)]


def eval_facts(text: str) -> Any:
    facts_class = evaluation("report").Facts
    facts = facts_class.__new__(facts_class)
    values: dict[str, Any] = {"budget": "1m", "seconds": 1.0, "training_seconds": 1.0, "jobs": 1, "cores": 1}
    values |= {"runs": {}, "skipped": (text,), "failed": (text,), "versions": {"x": text}, "commit": text}
    choice = {"name": text, "learning_rate": 0.1, "metric": "kl", "split": text, "means": {"0.1": 1.0}, "left_out": []}
    of_group = {"group": text, "rate": 0.1, "tokens": 1, "stages": (), "seeds": 1, "through": 1}
    tries = evaluation("tries").Tries(choice={**choice, "at_edge": "", "runs": [text]}, **of_group)
    for name, value in {**values, "tries": {text: tries}}.items():
        object.__setattr__(facts, name, value)
    return facts


def sheet(text: str, **config: Any) -> str:
    configurations = configurations_of(["train-00000-of-00001.parquet"])
    return datasheet(stats_of(text, **config), configurations)


def model_card(text: str) -> str:
    """The card of a run whose names are all the text."""
    from trace_mine.train.card import model_card as card_of_run

    told = text.encode("utf-8", "replace").decode() or "x"  # settings are read as JSON, and name a task
    settings_of_run: dict[str, Any] = {"recipe": told, "model": "lstm", "task": told, "dataset": told}
    settings_of_run |= {"task_parameters": {"file": told}}
    stages = [{"steps": 1, "commands": [1], "spacings": [1]}]
    record: Any = {"settings": {**settings_of_run, "stages": stages}, "versions": {text: text}, "commit": text}
    record |= {"vocabulary_hash": "0" * 64, "data_hash": "0" * 64, "delta_rule_on_cpu": text}
    scores = {"loss": 1.0, "unigram_loss": 1.0, "accuracy": 1.0, "tokens": 1}
    final: Any = {"step": 1, "tokens": 1, "parameters": 1, "seconds": 1, "evaluations": [{"by_role": {text: scores}}]}
    return card_of_run(text, record, final, {"num_hidden_layers": 1, "hidden_size": 1})


MARKDOWN: dict[str, Callable[[str], str]] = {
    "card": card,
    "card of a synthetic task": lambda text: card(text, task=text),
    "datasheet": sheet,
    "datasheet of a synthetic task": lambda text: sheet(text, task=text, parameters={"file": text}),
    "model card": model_card,
    "evaluation report": lambda text: evaluation("report").markdown(drawings(text), eval_facts(text)),
    "a name": lambda text: f"| {in_markdown(text)} | 1 |\n",
    "a sentence": lambda text: f"Said: {prose_in_markdown(text)} end.\n",
}


def shape_of(markdown: str) -> list[Any]:
    """The blocks, links, images and raw HTML of a page: all but its words and its lengths."""
    front = re.match(r"---\n.*?\n---\n", markdown, re.DOTALL)
    body = markdown[front.end() :] if front else markdown
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    shape: list[Any] = []
    for token in parser.parse(body):
        if token.type == "inline":
            inner = [child.type for child in token.children or []]
            links = [child.attrs for child in token.children or [] if child.type in ("link_open", "image")]
            # a name is code or plain words: both are words to a reader
            shape.append(([kind for kind in inner if kind not in ("text", "code_inline", "softbreak")], links))
        else:
            shape.append((token.type, token.tag))
    return shape


def headings_of(markdown: str) -> list[str]:
    tokens = MarkdownIt("commonmark").parse(markdown.split("---\n", 2)[-1])
    return [tokens[place + 1].content for place, token in enumerate(tokens) if token.type == "heading_open"]


@pytest.mark.parametrize("sink", MARKDOWN)
@pytest.mark.parametrize("text", NASTY, ids=lambda text: ascii(text[:20]))
def test_markdown_has_the_shape_that_it_has_with_a_plain_name(sink: str, text: str) -> None:
    markdown = MARKDOWN[sink](text)
    assert shape_of(markdown) == shape_of(MARKDOWN[sink]("plain"))
    assert is_harmless(markdown)
    if sink == "card":  # a renderer that makes links of addresses makes them of none in code
        assert not re.search("https?://evil", re.sub(r"`[^`\n]*`", "", markdown.split("\n---\n", 1)[1]))
        assert len(markdown) < 30_000, "long names are cut"


@settings(max_examples=200, deadline=None)
@given(st.text() | st.text("`|<>[]()!#*_~-\\\n\r &:wh/.0@"))
def test_any_text_is_words_in_markdown(text: str) -> None:
    for sink in ("a name", "a sentence"):
        assert shape_of(MARKDOWN[sink](text)) == shape_of(MARKDOWN[sink]("plain"))


def test_the_injected_card_has_one_section_of_licences() -> None:
    """faults.md, A3: a forged reason once put a second section, an image and a link into the card."""
    text = "x\n\n## Licences\n\n<img src=x onerror=alert(1)> [free](http://evil.example)"
    told = card(text)
    assert headings_of(told) == headings_of(card("plain")) and headings_of(told).count("Licences") == 1
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(told.split("---\n", 2)[-1])
    assert set(re.findall(r"""<img src="([^"]*)""", rendered)) == {"plots/characters.svg"}, "our own picture"
    assert "evil.example)" in rendered and 'href="http://evil' not in rendered


def test_a_word_of_its_own_is_no_reason() -> None:
    with pytest.raises(ValueError, match="expected the word of a Reason"):
        Dropped(reason="## Licences\n<img>", path="", name="")
    with pytest.raises(ValueError, match="expected the word of a Reason"):
        Drop(reason="## Licences\n<img>")


@pytest.mark.parametrize("text", NASTY, ids=lambda text: ascii(text[:20]))
def test_the_front_matter_is_read_as_what_it_was(text: str) -> None:
    told = card(text)
    front = re.match(r"---\n(.*?)\n---\n", told, re.DOTALL)
    assert front is not None
    data = yaml.safe_load(front[1])
    assert [*data] == [*yaml.safe_load(card("plain").split("---\n")[1])]
    assert data["license"] == "other" and "MIT" in data["license_name"].split(", ")


# HTML -----------------------------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    """The tags of a page with the names of their attributes, and its text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(sorted(name for name, _ in attrs))))

    def handle_data(self, data: str) -> None:
        self.text += data


def tags_of(page: str) -> Tags:
    parser = Tags()
    parser.feed(page)
    parser.close()
    return parser


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    (folder / "figures").mkdir()
    (folder / "figures" / "fig.png").write_bytes(b"png")
    return folder


HTML: dict[str, Callable[[str, Path], str]] = {
    "trace-run --html": lambda text, _: page_of(trace_of(text), title=text),
    "viewer": lambda text, _: page(trace_of(text), title=text, footer=text, sources={"p": text}),
    "notebook": lambda text, _: trace_of(text)._repr_html_(),
    "evaluation report": lambda text, folder: evaluation("report").page(folder, drawings(text), eval_facts(text)),
    "plot": lambda text, _: plots_of(stats_of(text))["characters.svg"].decode(),
    "text": lambda text, _: f"<p title='{in_html(text)}'>{in_html(text)}</p>",
}


@pytest.mark.parametrize("sink", HTML)
@pytest.mark.parametrize("text", NASTY, ids=lambda text: ascii(text[:20]))
def test_html_has_the_tags_that_it_has_with_a_plain_name(sink: str, text: str, figures: Path) -> None:
    shown = HTML[sink](text, figures)
    told = tags_of(shown)
    # a trace without text has spans less
    if text:
        assert told.tags == tags_of(HTML[sink]("plain", figures)).tags
    assert {tag for tag, _ in told.tags} <= ALLOWED_TAGS
    assert not [names for _, names in told.tags if any(name.startswith("on") for name in names)]
    assert is_harmless(shown)


# the terminal ---------------------------------------------------------------------------------------------------------


def is_harmless(shown: str) -> bool:
    """True if no character acts on a terminal or on the direction of a line, and UTF-8 has all of them."""
    shown.encode("utf-8")
    return not [
        char
        for char in shown
        if char not in "\n\t" and unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    ]


def printed(act: Callable[[], object]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), contextlib.suppress(SystemExit):
        act()
    return out.getvalue()


def run_error(text: str, error: type[Exception]) -> int:
    app = make_app()

    @app.command()
    def fail() -> None:
        raise error(f"expected a name, got {text}")

    return run_app(app, "trace-test", [], wrong_usage=(ValueError,), failed=(OSError,))


def finished(text: str) -> Merged:
    return Merged(stats=stats_of(text), first_text=f">>> x\n{text}\n")


def sample_of(text: str) -> SampleReport:
    failure = RowFailure(
        number=1, trace_id=text, repository=text, name=text, path=text, line=1, failures={"literal": text}
    )
    return SampleReport(num_rows=2, sampled=2, failures=[failure], not_checkable=Counter({text: 1}))


NAMES: dict[str, Callable[[str], object]] = {
    "summary": lambda text: report.print_summary(stats_of(text)),
    "wrong usage": lambda text: run_error(text, ValueError),
    "evaluation table": lambda text: evaluation("__main__").show(("a", "b"), [(text, text)]),
    "trace-mine verify": lambda text: print_sample(sample_of(text)),
    "one line": lambda text: print(one_line(text)),
    "token": lambda text: print(token_text(text)),
}
"""Sinks in which a text is a name: it takes one line whatever it holds."""
TEXTS: dict[str, Callable[[str], object]] = {
    "session": report.print_session,
    "dataset": lambda text: report.print_dataset(finished(text), Path(f"/x/{text.replace(chr(0), '')[:50]}")),
    "failure": lambda text: run_error(text, OSError),
    "trace": lambda text: print(trace_of(text)),
    "repr of a trace": lambda text: print(repr(trace_of(text))),
    "trace-run": lambda text: print_result(trace_of(text), beliefs=False, color=Colour.never),
    "trace-run --beliefs": lambda text: print_result(trace_of(text), beliefs=True, color=Colour.never),
    "trace-run of a drop": lambda text: print_result(
        Drop(reason="empty", evidence=text), beliefs=False, color=Colour.never
    ),
    "NoTraceError": lambda text: print(NoTraceError(text, Drop(reason="empty", evidence=text))),
    "beliefs": lambda text: print(beliefs_shown(trace_of(text), colour=False)),
    "below a line of ours": lambda text: print(indented(f"trace-test: {text}")),
    "visible": lambda text: print(visible(text)),
}


@pytest.mark.parametrize("sink", NAMES)
@pytest.mark.parametrize("text", NASTY, ids=lambda text: ascii(text[:20]))
def test_a_name_takes_one_line_of_a_terminal(sink: str, text: str) -> None:
    shown = printed(lambda: NAMES[sink](text))
    assert is_harmless(shown)
    assert not re.search(r"^trace-run: sandbox", shown, re.MULTILINE), "no line looks like one of ours"
    if sink in ("one line", "token", "evaluation table", "trace-mine verify"):
        assert shown.count("\n") == printed(lambda: NAMES[sink]("plain")).count("\n")


@pytest.mark.parametrize("sink", TEXTS)
@pytest.mark.parametrize("text", NASTY, ids=lambda text: ascii(text[:20]))
def test_no_text_acts_on_a_terminal(sink: str, text: str) -> None:
    shown = printed(lambda: TEXTS[sink](text))
    assert is_harmless(shown)
    if sink in ("failure", "trace-run of a drop", "NoTraceError", "below a line of ours"):
        assert not re.search(r"^trace-run: sandbox", shown, re.MULTILINE), "no line looks like one of ours"


@pytest.mark.parametrize("text", NASTY, ids=lambda text: ascii(text[:20]))
def test_colours_are_ours_alone(text: str) -> None:
    trace = trace_of(text)
    for shown in (coloured(trace.text, trace.segments), beliefs_shown(trace, colour=True)):
        assert is_harmless(re.sub(r"\x1b\[(?:[0-9]{1,2})m", "", shown))
        assert shown.count("\x1b[0m") * 2 == shown.count("\x1b[")


class Terminal(io.StringIO):
    """What rich and ``report`` take for a terminal."""

    def isatty(self) -> bool:
        return True


TABLES: dict[str, Callable[[str], object]] = {
    "evaluation": lambda text: evaluation("__main__").show(("a", "b"), [(text, text)]),
    "summary of mining": lambda text: report.print_summary(stats_of(text)),
    "session": report.print_session,
}


@pytest.mark.parametrize("text", [text for text in NASTY if len(text) < 1000], ids=lambda text: ascii(text[:20]))
@pytest.mark.parametrize("table", TABLES)
def test_a_table_on_a_terminal_holds_the_text_and_no_markup(
    table: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    TABLES[table]("plain")  # imports what it needs, before there is another standard output
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("TERM", "xterm-256color")
    TABLES[table](text)
    monkeypatch.undo()
    shown = out.getvalue()
    assert is_harmless(re.sub(r"\x1b\[[0-9;]*m", "", shown))
    assert "\x1b]8" not in shown, "no link"


# files of lines -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", NASTY, ids=lambda text: ascii(text[:20]))
def test_a_drop_is_one_line_of_json(text: str) -> None:
    entry: Any = {"path": text, "name": text, "repository": text, "entry": text, "line": 1}
    drop = Dropped.at(entry, reason="empty", evidence=text)
    line = json.dumps(asdict(drop))
    assert line.isascii() and "\n" not in line and is_harmless(line)
    again = json.loads(line)
    assert Dropped.from_json(again) == drop
    assert again["name"] == printable(text)[:1000] and len(again["evidence"]) <= 2000


@pytest.mark.parametrize("text", NASTY, ids=lambda text: ascii(text[:20]))
def test_croissant_metadata_keeps_its_structure(text: str) -> None:
    configurations = configurations_of(["train-00000-of-00001.parquet"])
    told = croissant_json(stats_of(text), configurations, [], version="0.1.2", citation=text)
    assert told.isascii() and is_harmless(told.decode())
    metadata = json.loads(told)
    assert text in metadata["license"] and metadata["citeAs"] == text and files_of(metadata) == []


@pytest.mark.parametrize("text", NASTY, ids=lambda text: ascii(text[:20]))
def test_statistics_keep_their_structure(text: str) -> None:
    line = json.dumps(stats_of(text), indent=2)
    assert is_harmless(line)
    assert [*json.loads(line)] == [*json.loads(json.dumps(stats_of("plain")))]


# all who write to people ----------------------------------------------------------------------------------------------


def writers() -> dict[str, set[str]]:
    """Every function of the rooms that writes to people, with the names of the escapers that it or its file calls."""
    found: dict[str, set[str]] = {}
    for folder in ("tracer", "corpus", "tokenizer", "train", "eval", "trace_mine"):
        for path in (
            sorted((ROOT / folder).rglob("*.py")) if folder != "trace_mine" else sorted((ROOT / folder).glob("*.py"))
        ):
            name = str(path.relative_to(ROOT))
            if name.startswith(("tracer/inside/", "tracer/sandbox/")):
                continue  # what runs inside writes to its pipes, which the supervisor reads
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and any(map(_writes, ast.walk(node))):
                    used = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
                    found[f"{name}:{node.name}"] = used
    return found


def _writes(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name):
        return node.func.id in ("print", "dataset_card")
    if not isinstance(node.func, ast.Attribute):
        return False
    owner = ast.unparse(node.func.value)
    if node.func.attr == "write":
        return owner in ("sys.stdout", "sys.stderr")
    return node.func.attr in ("print", "echo", "secho") or (node.func.attr == "add_row" and "table" in owner)


ESCAPED = {"visible", "one_line", "indented", "in_html", "in_markdown", "prose_in_markdown", "escaped"}
ELSEWHERE = {
    # function: why nothing of a stranger's text gets to people through it unescaped
    "corpus/__main__.py:mine": "a sentence of ours",
    "corpus/hub/pages.py:write_pages": "the card, by which it is escaped",
    "corpus/report.py:_show": "numbers",
    "corpus/synthetic/__main__.py:synth": "a sentence of ours",
    "corpus/synthetic/__main__.py:list_tasks": "names and docstrings of ours",
    "corpus/synthetic/__main__.py:_show": "beliefs_shown",
    "corpus/inspect_command.py:inspect": "lines of ``browse.index``, which makes their text visible",
    "corpus/inspect_command.py:_print_drops": "lines of ``browse.index``, and our own sentences",
    "corpus/verify_command.py:__call__": "numbers",
    "corpus/verify_command.py:verify": "JSON",
    "eval/__main__.py:evaluate": "a number and --out",
    "eval/__main__.py:figures": "paths of --out",
    "eval/__main__.py:reproduce": "a path of --out",
    "eval/__main__.py:s5": "a number and --out",
    "eval/__main__.py:tasks": "a path of --out",
    "eval/real_beliefs_command.py:commands": "through the table of trace-eval",
    "eval/real_beliefs_command.py:report": "paths of --out",
    "eval/real_beliefs_command.py:score": "a number and --out",
    "eval/real_beliefs_command.py:tasks": "a path of --out",
    "tokenizer/__main__.py:fit": "JSON",
    "tokenizer/__main__.py:encode": "names of splits, and numbers",
    "trace_mine/__main__.py:main": "names of commands",
    "tracer/__main__.py:command": "JSON",
    "tracer/command_line.py:tell_sandbox": "layers of ours",
    "tracer/command_line.py:show": "the version",
    "tracer/command_line.py:_version_parameter": "the version",
    "train/__main__.py:command": "settings as YAML, which escapes",
    "train/__main__.py:_train": "the command as it was typed",
    "train/finetune_command.py:finetune": "settings as YAML, which escapes",
    "train/finetune_command.py:finetune_command": "settings as YAML, which escapes",
    "train/progress.py:on_log": "numbers",
    "train/sweeps.py:_run_in_a_process": "a run's name, of --out",
}


def test_all_who_write_to_people_are_known() -> None:
    unknown = {name for name, calls in writers().items() if not calls & ESCAPED and name not in ELSEWHERE}
    assert not unknown, "send text of others through trace_mine.tracer.visible, or say here why there is none"
    assert not {*ELSEWHERE} - writers().keys(), "gone"
