"""A snippet as it was found, with the reason for not running it where there is one; its JSON form for work units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict, TypeVar

from trace_mine.corpus.mined.files import SourceText, read
from trace_mine.corpus.mined.layout import Layout, Place
from trace_mine.tracer.schema import Piece, Snippet

Built = TypeVar("Built")


class PriorNotes(TypedDict, total=False):
    """Of a mined prior how many ``calls`` there are and how many are ``left_out``, of a grid what each input's values
    were ``chosen_by``.
    """

    calls: int
    left_out: int
    chosen_by: dict[str, str]


class HiddenInputs(PriorNotes):
    """What a row's ``view`` says of hidden inputs. ``prior``: where their values come from; ``inputs``: what each draw
    assigns (``n``, or ``a, b``) with the source of each of its outcomes.
    """

    prior: str
    inputs: dict[str, list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A snippet that was found. With a ``reason`` it is counted as a drop and never run; its pieces may then be empty.

    ``num_skipped`` counts doctest examples that were left out for ``+SKIP``. ``source_hash`` is the SHA-256 of the
    file. ``prior`` is what a row's ``view`` says of hidden inputs: where their values come from, and all of them.
    """

    snippet: Snippet
    sys_path: tuple[str, ...]
    source_hash: str
    reason: str | None = None
    evidence: str = ""
    num_skipped: int = 0
    licence: str | None = None
    prior: HiddenInputs | None = None

    def to_json(self) -> dict[str, object]:
        """A JSON object; ``from_json`` is its inverse."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Candidate:
        """The candidate whose ``to_json`` (or its copy out of a JSON file) this is."""
        snippet = dict(data["snippet"])
        pieces = tuple(Piece(**{**piece, "options": tuple(piece["options"])}) for piece in snippet["pieces"])
        snippet.update(pieces=pieces, opens=tuple(snippet["opens"]), asks=tuple(snippet["asks"]))
        return Candidate(**{**data, "snippet": Snippet(**snippet), "sys_path": tuple(data["sys_path"])})


class Context:
    """What a finder may ask of the repository around a file.

    Args:
        root: the repository's folder.
        layout: names of its modules.
        stdlib: a module of the standard library: the interpreter has it, no folder goes on ``sys.path``.
        paths: the files that are searched.
        prior: where the values of hidden inputs come from (see ``trace_mine.tracer.views.PRIORS``).
    """

    def __init__(
        self,
        root: Path,
        layout: Layout,
        *,
        stdlib: bool = False,
        paths: Sequence[str] = (),
        prior: str = "mined",
    ) -> None:
        self.layout = layout
        self.paths = tuple(paths)
        self.prior = prior
        self._built: dict[Callable[[Context], Any], Any] = {}
        self._root = root
        self._stdlib = stdlib
        self._loaded: dict[str, SourceText | None] = {}

    def place(self, path: str) -> Place:
        """How the file is imported."""
        place = self.layout.place(path)
        return Place(sys_path=(), module=place.module) if self._stdlib else place

    def once(self, build: Callable[[Context], Built]) -> Built:
        """What ``build`` makes of the whole repository; made when it is first asked for."""
        if build not in self._built:
            self._built[build] = build(self)
        built: Built = self._built[build]
        return built

    def read(self, path: str) -> SourceText | None:
        """A file of the repository, read and let go of; None when it can't be read."""
        source = read(self._root, path)
        return source if isinstance(source, SourceText) else None

    def load(self, path: str) -> SourceText | None:
        """Another file of the repository, read once; None when it can't be read."""
        if path not in self._loaded:
            self._loaded[path] = self.read(path)
        return self._loaded[path]
