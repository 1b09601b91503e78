"""The records between the reader, which runs in a sandbox, and the process that asks it.

A request is ours. An answer comes from a process that parsed hostile files, so each field has a range, a length or an
enumeration, and texts that become paths, names or licences are held to the form of these. What is right in form may
still be wrong: a reader that was taken over can invent snippets, which then run in a sandbox like any others.

Over 400 lines because all that is believed of an answer stands in one place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Literal, cast

from trace_mine.corpus.mined.environments.commit_time import MAX_TIME
from trace_mine.corpus.mined.environments.declared import MAX_REQUIREMENT_CHARS, MAX_REQUIREMENTS, Declared
from trace_mine.corpus.mined.environments.entry_points import MAX_ENTRY_POINTS, is_entry_point
from trace_mine.corpus.mined.environments.version_files import MAX_FILES, MAX_TEXT_CHARS
from trace_mine.corpus.mined.provenance import Provenance
from trace_mine.corpus.mined.snippets.candidate import Candidate, HiddenInputs
from trace_mine.corpus.mined.snippets.file_roles import ScriptRule
from trace_mine.tracer.inside.protocol.codec import (
    AtMost,
    Between,
    OneOf,
    ProtocolError,
    Record,
    record,
)
from trace_mine.tracer.inside.protocol.jobs import Count, Line, Location, Name, Piece
from trace_mine.tracer.inside.reasons import ReasonStage, reason_of
from trace_mine.tracer.schema import Drop, Snippet

MAX_LINE_BYTES = 16 << 20
"""Bytes of one line of an answer: a script of 2 MB, each character of it escaped."""
MAX_NAME_CHARS = 200
"""Characters of an imported name that is looked up among the installed packages."""
MAX_IMPORTS = 20_000
"""Different names that a repository imports; torch has some 300."""

FileName = Annotated[str, AtMost(255)]
Kind = Literal["doctest", "script", "test", "call", "docs"]
PriorKind = Literal["mined", "grid"]
ChosenBy = Literal["annotation", "call", "default", "name"]
Role = Literal["script", "notebook", "imported", "definitions", "module", "tests", "configuration", "unmatched"]
"""The values of ``FileRole``."""
LicenceRule = Literal["any", "permissive_or_none", "permissive"]
"""Which licences a snippet may have: any; a permissive one, or none that is stated; a permissive one."""
FoundKind = Literal[
    "email",
    "phone",
    "ip_address",
    "home_folder",
    "provider_key",
    "private_key",
    "json_web_token",
    "connection_password",
    "assigned_secret",
    "detect_secrets",
]
"""The values of ``cleaning.kinds.Kind``."""
Evidence = Annotated[str, AtMost(4_096)]
Short = Annotated[str, AtMost(2_000)]
RequirementText = Annotated[str, AtMost(MAX_REQUIREMENT_CHARS)]
VersionText = Annotated[str, AtMost(MAX_TEXT_CHARS)]
Hexadecimal = Annotated[str, AtMost(64)]


# what is asked


@record
class UnpackRequest(Record):
    """Unpack the members of an archive from number ``first_member`` on, as many as one answer holds."""

    archive: Location
    first_member: Count


@record
class ReadRequest(Record):
    """Read a repository: where it comes from, what it imports, and its snippets.

    Attributes:
        root: the repository's folder.
        metadata: the folder in which its packaging files are; None: the root.
        checkout: the folder in which git's files are, where the root is a copy without them; None: the root.
        fallback_name: the project's name where no file tells it.
        origin: name, version and licence where they are known without looking.
        only: the files to search; None for all of them.
        is_stdlib: the interpreter in the sandbox has the modules by itself.
        entries: names of ``snippets.ENTRIES``.
        prior: where the values of hidden inputs come from.
        limit: the number of snippets to stop after; None for all of them.
        script_rule, script_globs: the scripts to take, as ``ScriptChoice`` has them.
        licences: snippets with others than these are dropped.
        wants_commit_time: read when the commit was made, which takes a library of its own.
        ignore, ignore_prefix: patterns of a ``.trace-mine-ignore`` beside the repository, and its name there with
            ``/``.
        benchmarks: the index of benchmark problems; None: there is none.
    """

    root: Location
    metadata: Location | None
    checkout: Location | None
    fallback_name: Location
    origin: tuple[Name, Name, Name] | None
    only: tuple[Location, ...] | None
    is_stdlib: bool
    entries: tuple[Name, ...]
    prior: Name
    limit: Count | None
    script_rule: ScriptRule
    script_globs: tuple[Location, ...]
    licences: LicenceRule
    wants_commit_time: bool
    ignore: tuple[Short, ...]
    ignore_prefix: Location
    benchmarks: Location | None


@record
class CleanRequest(Record):
    """Give a repository's files that hold secrets or personal data, with fakes in their places.

    Attributes:
        root: the repository's folder.
        patterns: further patterns of secrets.
    """

    root: Location
    patterns: tuple[str, ...]


REQUESTS = OneOf(UnpackRequest, ReadRequest, CleanRequest)


# what is answered


@record
class ArchiveMember(Record):
    """A file of an archive: its bytes follow the line. The path is checked again where it is written."""

    path: Location
    num_bytes: Count


@record
class ArchivePart(Record):
    """The end of an answer: the number of the member that the next one begins with; None where all were sent."""

    next_member: Count | None


@record
class ArchiveRefusal(Record):
    """The end of an answer over an archive that is broken or not safe to unpack."""

    evidence: Evidence


PARTS = OneOf(ArchiveMember, ArchivePart, ArchiveRefusal)


@record
class FoundInputs(Record):
    """The hidden inputs of a snippet: ``candidate.HiddenInputs``, and ``values``, the source of each value of each
    outcome by draw.
    """

    prior: PriorKind
    inputs: Mapping[Short, tuple[Short, ...]]
    values: Mapping[Short, tuple[tuple[Short, ...], ...]]
    calls: Count | None
    left_out: Count | None
    chosen_by: Mapping[Name, ChosenBy] | None

    def agree(self) -> None:
        if self.values.keys() != self.inputs.keys():
            raise ProtocolError("expected the values of all inputs, got those of others; send what the record says")
        for draw, outcomes in self.inputs.items():
            if not outcomes or len(outcomes) != len(self.values[draw]):
                raise ProtocolError("expected the values of each outcome of a draw, got another number of them")
            if any(len(values) != draw.count(", ") + 1 for values in self.values[draw]):
                raise ProtocolError("expected a value for each name that a draw assigns, got another number of them")


@record
class FoundSnippet(Record):
    """A ``Candidate``."""

    kind: Kind
    name: Location
    path: Location
    line: Line
    end_line: Line
    pieces: tuple[Piece, ...]
    module: Name | None
    code: str
    opens: tuple[Name, ...]
    asks: tuple[Name, ...]
    file: Name
    continue_on_error: bool
    sys_path: tuple[Location, ...]
    source_hash: Hexadecimal
    drop: tuple[Name, Evidence] | None
    num_skipped: Count
    licence: Short | None
    hidden: FoundInputs | None

    def agree(self) -> None:
        for path in (self.path, *self.sys_path):
            check_relative(path)
        if self.module is not None and not all(part.isidentifier() for part in self.module.split(".")):
            raise ProtocolError(f"expected FoundSnippet.module to be a dotted name, got {self.module[:40]!r}")
        if self.licence is not None:
            check_licence(self.licence)
        if self.drop is not None:
            check_reason(self.drop[0], ReasonStage.DISCOVERY)
        # what else the two records promise, in one place: they raise ValueError
        self.candidate()

    @classmethod
    def of(cls, candidate: Candidate) -> FoundSnippet:
        """The record of a candidate. Raises ProtocolError where a name in it is too long."""
        snippet, prior = candidate.snippet, candidate.prior
        hidden = None
        if prior is not None:
            hidden = FoundInputs(
                prior=cast(PriorKind, prior["prior"]),
                inputs={draw: tuple(outcomes) for draw, outcomes in prior["inputs"].items()},
                values=dict(candidate.input_values),
                calls=prior.get("calls"),
                left_out=prior.get("left_out"),
                chosen_by=cast("dict[str, ChosenBy] | None", prior.get("chosen_by")),
            )
        return cls(
            kind=cast(Kind, snippet.kind),
            name=snippet.name,
            path=snippet.path,
            line=snippet.line,
            end_line=snippet.end_line,
            pieces=snippet.pieces,
            module=snippet.module,
            code=snippet.code,
            opens=snippet.opens,
            asks=snippet.asks,
            file=snippet.file,
            continue_on_error=snippet.continue_on_error,
            sys_path=candidate.sys_path,
            source_hash=candidate.source_hash,
            drop=None if candidate.drop is None else (str(candidate.drop.reason), candidate.drop.evidence[:2000]),
            num_skipped=candidate.num_skipped,
            licence=candidate.licence,
            hidden=hidden,
        )

    def candidate(self) -> Candidate:
        """The candidate of which this is the record."""
        prior: HiddenInputs | None = None
        if self.hidden is not None:
            prior = {"prior": self.hidden.prior, "inputs": {k: [*v] for k, v in self.hidden.inputs.items()}}
            if self.hidden.calls is not None and self.hidden.left_out is not None:
                prior["calls"], prior["left_out"] = self.hidden.calls, self.hidden.left_out
            if self.hidden.chosen_by is not None:
                prior["chosen_by"] = dict(self.hidden.chosen_by)
        return Candidate(
            snippet=Snippet(
                kind=self.kind,
                name=self.name,
                path=self.path,
                line=self.line,
                end_line=self.end_line,
                pieces=self.pieces,
                module=self.module,
                code=self.code,
                opens=self.opens,
                asks=self.asks,
                file=self.file,
                continue_on_error=self.continue_on_error,
            ),
            sys_path=self.sys_path,
            source_hash=self.source_hash,
            drop=None if self.drop is None else Drop(reason=self.drop[0], evidence=self.drop[1]),
            num_skipped=self.num_skipped,
            licence=self.licence,
            prior=prior,
            input_values=dict(self.hidden.values) if self.hidden is not None else {},
        )


@record
class UnsearchedFile(Record):
    """A file that was not searched, and why."""

    path: Location
    reason: Name
    evidence: Evidence


@record
class RepositorySummary(Record):
    """All that is told of a repository beside its snippets; the last line of an answer.

    Attributes:
        name, version, commit, licence: as ``Provenance`` has them.
        fingerprint: 32 hexadecimal digits, a hash of all that was read.
        commit_time: when the commit was made, in seconds since 1970; None where that was not asked, or can't be read.
        requirements, requires_python, unusable: as ``environments.declared.Declared`` has them.
        imports: top-level names that its files import.
        own_names: top-level names that its files define.
        main_roots: folders that an installation would put on ``sys.path``.
        licences: by path, the licence in a file's own header, where it has one.
        version_files: by path, the text of each file that a build would write with the version into the package, and
            that is not there.
        entry_points: group, name and object of each that it declares, as ``environments.entry_points`` has them.
        not_permissive: licences among these and the repository's own that the rule of the request refuses.
        ignored: files that are not searched, since a ``.trace-mine-ignore`` names them.
        problems: path, first and last line of each function or example that is a benchmark's, and its problem's name.
        num_read: files that were searched.
        unsearched: files that were not, by reason; ``examples`` are the first of them.
        roles: the Python files among those searched, by their ``FileRole``; ``not_scripts``: the first of those that
            are none, with their roles. Both are empty where scripts were not asked for.
        num_snippets: the lines before this one.
    """

    name: FileName
    version: FileName | None
    commit: Hexadecimal | None
    licence: Short
    fingerprint: Hexadecimal
    commit_time: Annotated[int, Between(0, MAX_TIME)] | None
    requirements: tuple[RequirementText, ...]
    requires_python: RequirementText | None
    unusable: tuple[RequirementText, ...]
    imports: tuple[Annotated[str, AtMost(MAX_NAME_CHARS)], ...]
    own_names: tuple[Name, ...]
    main_roots: tuple[Location, ...]
    licences: Mapping[Location, Short]
    version_files: Mapping[Location, VersionText]
    entry_points: tuple[tuple[Short, Short, Short], ...]
    not_permissive: tuple[Short, ...]
    ignored: tuple[Location, ...]
    problems: tuple[tuple[Location, Line, Line, Short], ...]
    num_read: Count
    unsearched: Mapping[Name, Count]
    examples: tuple[UnsearchedFile, ...]
    roles: Mapping[Role, Count]
    not_scripts: tuple[tuple[Location, Role], ...]
    num_snippets: Count

    def agree(self) -> None:
        for path in (*self.main_roots, *self.version_files):
            check_relative(path)
        if len(self.version_files) > MAX_FILES or any(
            not path.isascii() or not path.isprintable() for path in self.version_files
        ):
            raise ProtocolError(f"expected at most {MAX_FILES} version files with plain names, got others")
        if len(self.entry_points) > MAX_ENTRY_POINTS or not all(map(is_entry_point, self.entry_points)):
            raise ProtocolError(f"expected at most {MAX_ENTRY_POINTS} entry points in their form, got others")
        for text in (self.name, self.version or ""):
            if not text.isascii() or not text.isprintable() or "/" in text:
                raise ProtocolError(f"expected a name and a version of plain characters, got {text[:40]!r}")
        for licence in (self.licence, *self.licences.values(), *self.not_permissive):
            check_licence(licence)
        check_hexadecimal(self.fingerprint, 32)
        if not all(map(str.isidentifier, self.imports)) or len(self.imports) > MAX_IMPORTS:
            raise ProtocolError(f"expected at most {MAX_IMPORTS} names as RepositorySummary.imports, got others")
        if len(self.requirements) > MAX_REQUIREMENTS or len(self.unusable) > MAX_REQUIREMENTS:
            raise ProtocolError(f"expected at most {MAX_REQUIREMENTS} requirements, got more")
        self.declared()
        for reason in (*self.unsearched, *(example.reason for example in self.examples)):
            check_reason(reason, ReasonStage.FILE)
        self.provenance()

    def declared(self) -> Declared:
        """What the repository asks for. Raises ValueError where a requirement is none, or names a URL."""
        return Declared(requirements=self.requirements, requires_python=self.requires_python, unusable=self.unusable)

    def provenance(self) -> Provenance:
        """The origin of the repository's rows."""
        return Provenance(name=self.name, version=self.version, commit=self.commit, licence=self.licence)


@record
class ReadingRefusal(Record):
    """The last line of an answer over a repository that the reader itself gave up."""

    evidence: Evidence


READINGS = OneOf(FoundSnippet, RepositorySummary, ReadingRefusal)


@record
class CleanedFile(Record):
    """A file with fakes in it: ``cleaning.repository_files.CleanedText``."""

    path: Location
    new_path: Location
    encoding: Literal["utf-8", "iso-8859-1"]
    text: str

    def agree(self) -> None:
        check_relative(self.path)
        check_relative(self.new_path)
        if not all(self.new_path.split("/")):
            raise ProtocolError(f"expected the path of a file, got {self.new_path[:40]!r}; send each part of it")


@record
class CleaningSummary(Record):
    """The last line of an answer: what was replaced in a repository (``CleaningCounts``), and files that stay."""

    num_files: Count
    replaced: Mapping[FoundKind, Count]
    examples: tuple[tuple[Location, Count, Name], ...]
    kept: tuple[Location, ...]

    def agree(self) -> None:
        for path in (*self.kept, *(path for path, _, _ in self.examples)):
            check_relative(path)


CLEANINGS = OneOf(CleanedFile, CleaningSummary)


# checks that several records share


def check_relative(path: str) -> None:
    """Raises ProtocolError where a path could lead out of the repository."""
    if path.startswith("/") or "\0" in path or ".." in path.split("/"):
        raise ProtocolError(f"expected a path within the repository, got {path[:40]!r}; send one relative to its root")


def check_licence(text: str) -> None:
    """Raises ProtocolError where a text has other characters than SPDX expressions."""
    if not text or text.strip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .+-()"):
        raise ProtocolError(f"expected an SPDX expression, got {text[:40]!r}; send NOASSERTION where there is none")


def check_hexadecimal(text: str, length: int) -> None:
    """Raises ProtocolError where a text is not so many hexadecimal digits."""
    if len(text) != length or text.strip("0123456789abcdef"):
        raise ProtocolError(f"expected {length} hexadecimal digits, got {text[:40]!r}")


def check_reason(word: str, stage: ReasonStage) -> None:
    """Raises ProtocolError where a word is no reason of this stage."""
    try:
        stages = [meaning.stage for meaning in reason_of(word).meanings]
    except ValueError as error:
        raise ProtocolError(str(error)[:200]) from None
    if stage not in stages:
        raise ProtocolError(f"expected a reason for {stage.name.lower()}, got {word}")


# lines


def line_of(choice: OneOf, value: Record) -> bytes:
    """The line in which one of several records is sent: JSON in ASCII."""
    return json.dumps(choice.to_json(value)).encode("ascii") + b"\n"


def from_line(choice: OneOf, line: bytes) -> Record:
    """The record of a line.

    Raises:
        ProtocolError: it is too long, is no JSON, or is none of the records.
    """
    if len(line) > MAX_LINE_BYTES:
        raise ProtocolError(f"expected a line of at most {MAX_LINE_BYTES} bytes, got {len(line)}")
    try:
        return choice.from_json(json.loads(line))
    except RecursionError:
        raise ProtocolError("expected JSON of a few levels, got more") from None
    except ValueError as error:  # ProtocolError among them
        raise ProtocolError(str(error)[:300]) from None


def request_text(request: Record) -> str:
    """A request as a text, which ``request_of`` reads."""
    return json.dumps(REQUESTS.to_json(request))


def request_of(text: str) -> Record:
    """The request of a text. Raises ProtocolError."""
    return REQUESTS.from_json(json.loads(text))
