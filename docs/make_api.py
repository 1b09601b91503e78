"""Writes docs/api.md from the docstrings of ``trace_mine``'s public names.

    python docs/make_api.py

Run it from the repository after a change to a public docstring or signature; a test compares.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import trace_mine

PAGE = Path(__file__).resolve().parent / "api.md"

GROUPS = {
    "Run and trace": ("run", "trace", "Trace", "NoTraceError", "FunctionSourceError", "Drop"),
    "Datasets": ("mine", "load", "author_line"),
    "Synthetic tasks": ("tasks", "Stage", "Stream"),
    "Trained models": ("load_model", "load_tokenizer", "register_auto_classes"),
    "Many programs": ("Tracer", "TracerConfig", "Limits", "View", "parse_view", "Snippet", "script_snippet"),
}
"""The headings of the page, with the names below each."""

_HEAD = """\
# Python interface

<!-- Made by `python docs/make_api.py`; a test compares. -->

`import trace_mine` imports nothing else; each name below is imported when it is first asked for. `dir(trace_mine)`
lists them. What is not here may change from one version to the next. Examples are run by the tests; programs that use
the library stand in [`examples/`](../examples).
"""


def page() -> str:
    """The text of docs/api.md."""
    parts = [_HEAD]
    for title, names in GROUPS.items():
        parts.append(f"\n## {title}\n")
        parts += [entry(name) for name in names]
    return "".join(parts)


def entry(name: str) -> str:
    """One name: its signature, its docstring as Markdown, and its public methods and properties."""
    found = getattr(trace_mine, name)
    lines = [f"\n### `{name}`\n", f"\n{as_markdown(inspect.getdoc(found) or '')}\n"]
    if callable(found):
        lines.insert(1, f"\n```python\n{signature(name, found)}\n```\n")
    if inspect.isclass(found):
        for member, value in vars(found).items():
            document = inspect.getdoc(value.fget if isinstance(value, property) else value)
            is_method = inspect.isfunction(value) or isinstance(value, property)
            if not member.startswith("_") and is_method and document:
                shown = f"`{member}`" if isinstance(value, property) else f"`{signature(member, value, short=True)}`"
                lines.append(f"\n* {shown}: {' '.join(as_markdown(document.split(chr(10) * 2)[0]).split())}\n")
    return "".join(lines)


def signature(name: str, found: object, *, short: bool = False) -> str:
    """The call as it is written; one parameter a line where that is long."""
    if isinstance(found, type) and issubclass(found, BaseException):
        return f"class {name}({found.__base__.__name__ if found.__base__ else ''})"
    given = inspect.signature(found)  # type: ignore[arg-type]
    parameters = [spelt(each) for each in given.parameters.values() if each.name != "self"]
    names_only = [each.kind for each in given.parameters.values() if each.name != "self"]
    if inspect.Parameter.KEYWORD_ONLY in names_only and inspect.Parameter.VAR_POSITIONAL not in names_only:
        parameters.insert(names_only.index(inspect.Parameter.KEYWORD_ONLY), "*")
    result = given.return_annotation
    ending = "" if result is inspect.Signature.empty or inspect.isclass(found) else f" -> {result}"
    line = f"{name}({', '.join(parameters)}){ending}"
    if short or len(line) <= 100:
        return line
    return f"{name}(\n" + "".join(f"    {each},\n" for each in parameters) + f"){ending}"


def spelt(parameter: inspect.Parameter) -> str:
    """A parameter with its annotation as it stands in the source, and ``...`` for a default that names a machine."""
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    text = f"{stars}{parameter.name}: {parameter.annotation}"
    if parameter.default is inspect.Parameter.empty:
        return text
    value = repr(parameter.default)
    is_plain = re.fullmatch(r"[\w.'\"(), +:-]*", value) and "object at" not in value
    return f"{text} = {value if is_plain else '...'}"


def as_markdown(docstring: str) -> str:
    """A docstring as Markdown: double back quotes as single ones, sections as lists, examples as blocks."""
    out: list[str] = []
    in_example = in_section = False
    for line in docstring.split("\n"):
        section = re.fullmatch(r"(Args|Attributes|Raises|Returns):", line)
        if line.startswith(">>> ") and not in_example:
            out += ["```pycon"]
            in_example = True
        elif in_example and not line:
            out += ["```"]
            in_example = False
        if in_example:
            out.append(line)
            continue
        text = line.replace("``", "`")
        if section:
            out += [f"**{section.group(1)}**", ""]
            in_section = True
        elif in_section and (item := re.fullmatch(r"    ([\w., ]+?): (.*)", text)):
            out.append(f"* `{item.group(1)}`: {item.group(2)}")
        elif in_section and line.startswith("     "):
            out.append(f"  {text.strip()}")
        else:
            in_section = in_section and bool(line)
            out.append(text)
    if in_example:
        out.append("```")
    return "\n".join(out)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
