"""A snippet as a finder found it, with its drop where it is not to be run; its JSON form for work units.

``RepositoryContext`` is what finders may ask of the repository around a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypedDict, TypeVar

from trace_mine.corpus.mined.clock import cpu_clock
from trace_mine.corpus.mined.files import SourceText, read
from trace_mine.corpus.mined.layout import ImportPlace, Layout
from trace_mine.corpus.mined.snippets.file_roles import FileRoles
from trace_mine.corpus.mined.snippets.script_start import ScriptStart
from trace_mine.corpus.schema import EditColumns
from trace_mine.tracer.schema import Drop, Piece, Snippet

Built = TypeVar("Built")

BUILD_SECONDS = 200.0
"""CPU time for what is built once for a repository, less than the reader has."""


class PriorNotes(TypedDict, total=False):
    """The origin of a prior, in counts or by evidence.

    A mined prior has ``calls``, the number of literal calls that were found, and ``left_out``, those of them that it
    lacks; a grid has ``chosen_by``, by input, one of ``annotation call default name``.
    """

    calls: int
    left_out: int
    chosen_by: dict[str, str]


class HiddenInputs(PriorNotes):
    """The part of a row's ``view`` about hidden inputs.

    ``prior`` says where their values come from (one of ``trace_mine.tracer.views.PRIORS``); ``inputs`` maps what each
    draw assigns (``n``, or ``a, b``) to the source text of each of its outcomes, one for each draw of the law: an
    outcome that is twice as likely stands there twice.
    """

    prior: str
    inputs: dict[str, list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A snippet that was found.

    Attributes:
        snippet: what to run; with a ``drop`` its pieces may be empty.
        sys_path: folders of the repository, relative to its root, that go on ``sys.path`` of the run.
        source_hash: SHA-256 of the file, in hexadecimal.
        drop: why the snippet is counted and never run; None for one that is run.
        num_skipped: doctest examples that were left out for ``+SKIP``; of a notebook, lines and cells left out.
        licence: SPDX expression in the file's own header; None where the repository's licence holds.
        prior: of a snippet with hidden inputs, what its rows' ``view`` says of them.
        input_values: for each key of ``prior["inputs"]`` the source of each value of each outcome, in the order of the
            outcomes: an outcome that assigns to several names is a tuple, and nobody has to take it apart.
        item: pytest's name of the test, where pytest collected it; its session must end as pytest's own run.
        fallbacks: other forms of the snippet, tried in order where those before gave no session.
        warm: the module of a harvested call's function, which is imported before the call runs.
        edits: the draws that were put into its program, as rows say them (``schema.EditColumns``).
        edit_lines, author_lines: of each of them, and of each line of its pieces, the author's line; 0: of none.

    Raises:
        ValueError: there is nothing to run, and no drop that says why; or an input is asked for that has no prior.
    """

    snippet: Snippet
    sys_path: tuple[str, ...]
    source_hash: str
    drop: Drop | None = None
    num_skipped: int = 0
    licence: str | None = None
    prior: HiddenInputs | None = None
    input_values: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    item: str = ""
    fallbacks: tuple[Snippet, ...] = ()
    warm: str = ""
    edits: tuple[EditColumns, ...] = ()
    edit_lines: tuple[int, ...] = ()
    author_lines: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.drop is None and not self.snippet.pieces:
            raise ValueError(
                f"expected Candidate.snippet with pieces, got none for {self.snippet.name!r}; give a drop that says why"
            )
        if self.num_skipped < 0:
            raise ValueError(f"expected Candidate.num_skipped >= 0, got {self.num_skipped}; count the examples")
        if self.snippet.asks and self.prior is None:
            raise ValueError(
                f"expected Candidate.prior for the inputs {self.snippet.asks}, got None; say what they are drawn from"
            )

    def to_json(self) -> dict[str, object]:
        """A JSON object; ``from_json`` is its inverse."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, object]) -> Candidate:
        """The candidate whose ``to_json`` (or its copy out of a JSON file) this is.

        Raises:
            TypeError, KeyError: a key is missing, or there is one too many.
            ValueError: a value is out of its range.
        """
        # Any: a JSON object is checked by the constructors that take its values. JSON has no tuples, so those that
        # became lists are turned back: records that are compared and hashed must equal the ones that were written.
        fields: dict[str, Any] = dict(data)
        fallbacks = tuple(map(_snippet_of, fields["fallbacks"]))
        drop = None if fields["drop"] is None else Drop(**fields["drop"])
        fields.update(snippet=_snippet_of(fields["snippet"]), sys_path=tuple(fields["sys_path"]), drop=drop)
        fields["fallbacks"] = fallbacks
        fields.update({name: tuple(fields[name]) for name in ("edits", "edit_lines", "author_lines")})
        fields["input_values"] = {
            draw: tuple(tuple(values) for values in outcomes) for draw, outcomes in fields["input_values"].items()
        }
        return Candidate(**fields)


def _snippet_of(data: Mapping[str, Any]) -> Snippet:
    """The snippet of a JSON object, with tuples where JSON has lists."""
    pieces = tuple(Piece(**{**piece, "options": tuple(piece["options"])}) for piece in data["pieces"])
    focus = tuple((path, line) for path, line in data["focus"])
    tuples = {"pieces": pieces, "opens": tuple(data["opens"]), "asks": tuple(data["asks"]), "focus": focus}
    return Snippet(**{**data, **tuples})


class RepositoryContext:
    """The repository around a file, as finders may ask for it.

    Args:
        root: the repository's folder.
        layout: names of its modules.
        stdlib: True for a module of the standard library, which the interpreter in the sandbox has by itself, so that
            no folder goes on ``sys.path``.
        paths: the files that are searched.
        prior: where the values of hidden inputs come from, one of ``trace_mine.tracer.views.PRIORS``.
        roles: tells scripts from other files; None: by what each file says of itself.
        listed: the starts of scripts that the repository's manifest lists, by file.
    """

    def __init__(
        self,
        root: Path,
        layout: Layout,
        *,
        stdlib: bool = False,
        paths: Sequence[str] = (),
        prior: str = "mined",
        roles: FileRoles | None = None,
        listed: Mapping[str, Sequence[ScriptStart]] | None = None,
    ) -> None:
        self.layout = layout
        self.roles = roles or FileRoles(layout)
        self.listed = listed or {}
        self.paths = tuple(paths)
        self.prior = prior
        self._built: dict[object, object] = {}
        self._root = root
        self._stdlib = stdlib
        self._loaded: dict[str, SourceText | None] = {}

    def place(self, path: str) -> ImportPlace:
        """The ``sys.path`` and the module name with which the file is imported."""
        place = self.layout.place(path)
        # A staged copy of the standard library must not come before the interpreter's own on `sys.path`.
        return ImportPlace(sys_path=(), module=place.module) if self._stdlib else place

    def once(self, build: Callable[[RepositoryContext], Built]) -> Built:
        """The result of ``build`` for this repository, built when it is first asked for and shared by all files.

        Example:
            ``context.once(CallIndex)`` reads the whole repository once, not once for each of its files.
        """
        if build not in self._built:
            # A clock of its own, so that the file that asks first does not pay for all of them.
            with cpu_clock(BUILD_SECONDS):
                self._built[build] = build(self)
        built: Built = self._built[build]  # type: ignore[assignment]  # the value under a key is what the key built
        return built

    def read(self, path: str) -> SourceText | None:
        """A file of the repository, which this object does not keep; None when it can't be read."""
        source = read(self._root, path)
        return source if isinstance(source, SourceText) else None

    def load(self, path: str) -> SourceText | None:
        """Another file of the repository, read once and kept; None when it can't be read.

        Base classes of tests stand in a few files that all test files ask for, so these are worth their memory.
        """
        if path not in self._loaded:
            self._loaded[path] = self.read(path)
        return self._loaded[path]
