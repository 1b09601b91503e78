"""The shape of ``stats.json``: all counts of a dataset, and the configuration that two runs into it must share.

The names are those on disk; scripts read ``found``, ``rows``, ``duplicates`` and ``drops``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NotRequired, TypedDict

from trace_mine.corpus.cleaning.kinds import Kind
from trace_mine.tracer.inside.reasons import Reason


class GroupStats(TypedDict):
    """Counts of a group of snippets: ``found`` = ``rows`` + ``duplicates`` + the sum of ``drops`` (reason to number of
    snippets, the most frequent first) + ``records``, which is there where snippets without a session that replays were
    kept as records.
    """

    found: int
    rows: int
    duplicates: int
    drops: dict[str, int]
    records: NotRequired[int]


class BeliefStats(TypedDict):
    """Numbers of beliefs: all (``reveals``), by method, and those with one outcome (``certain``).

    ``mean_entropy_bits`` is the mean over all beliefs; None where there are none.
    """

    reveals: int
    exact: int
    bounded: int
    sampled: int
    certain: int
    mean_entropy_bits: float | None


class VerificationStats(TypedDict):
    """Counts of what was verified of the rows from outside the processes that ran the snippets.

    ``printed`` maps each reader to the number of rows whose text it printed again, ``unprinted`` are the rows of none.
    ``states_verified`` of ``states_total`` changes of variables have the value that a replay gave when it was asked.
    """

    printed: dict[str, int]
    unprinted: int
    states_verified: int
    states_total: int


class FileStats(TypedDict):
    """Numbers of files: ``read``, and ``unreadable`` by reason, with the first few of those as ``examples``.

    Where scripts were asked for, ``roles`` are the Python files that were read by the part that they have in their
    repository (``script``, ``imported``, ...), and ``not_scripts`` the first few of those that are no scripts. These
    are files and not snippets: ``found`` counts the scripts among them.
    """

    read: int
    unreadable: dict[str, int]
    examples: list[dict[str, str]]
    roles: NotRequired[dict[str, int]]
    not_scripts: NotRequired[list[dict[str, str]]]


class EnvironmentNote(TypedDict):
    """The environment of a repository: its interpreter's version, the number of its packages, by requirement why it
    could not be had (``left_out``), and requirements that another version meets (``relaxed``).
    """

    python: str
    packages: int
    left_out: dict[str, str]
    relaxed: list[str]


class ItemNote(TypedDict, total=False):
    """What became of the tests that pytest collected in a repository: their number, the siblings that are alike and
    were left out, by what they need those without commands, files with errors, and the number of
    those that were traced and dropped because pytest's own run of them came to no end (``unjudged``). ``failure``: why
    pytest collected none, where that is so.
    """

    collected: int
    siblings_left_out: int
    not_spelt: dict[str, int]
    errors: list[str]
    unjudged: int
    failure: str


class CallNote(TypedDict, total=False):
    """What became of the calls that a repository's tests, examples and scripts made.

    ``functions_reached``: functions that were called and have a name to be imported by, and by why those without one.
    ``calls_seen``: their calls; of those that were looked at ``calls_spelt`` have a text, the others have none by
    ``not_spelt``. Of the ``distinct`` ones, some gave no session when they were tried (``not_shown``), some are like
    others or are all that a snippet does (``alike``), and the rest are the snippets (``taken``), of ``functions_taken``
    functions. No call with a text was seen of ``led_to`` of these: a call of another function leads to them.
    ``led_to_by_tests``: further snippets, tests or examples whose sessions open the way to one function alone.
    ``failures``: what ended runs before their time.
    """

    functions_reached: int
    functions_without_a_name: dict[str, int]
    calls_seen: int
    calls_spelt: int
    not_spelt: dict[str, int]
    distinct: int
    not_shown: dict[str, int]
    alike: int
    taken: int
    functions_taken: int
    led_to: int
    led_to_by_tests: int
    failures: list[str]


class CleaningNote(TypedDict):
    """What was replaced before repositories were mined: the files that were looked at, findings by ``cleaning.kinds``
    in all and by repository, the first places (path, line and kind, never the value), and files that stayed as they
    are.
    """

    files: int
    replaced: dict[str, int]
    repositories: dict[str, dict[str, int]]
    examples: list[dict[str, str | int]]
    not_replaced: list[str]


class Notes(TypedDict, total=False):
    """Entries that the mined origin adds; the synthetic origin adds none.

    ``ignored_inputs``: ``name`` and ``reason`` of each input that is no repository; ``missing_packages``: for each
    repository, the packages that it imports and that are not installed; ``environments``: what was made for each;
    ``tests``: what pytest collected in it; ``calls``: what was harvested there; ``cleaning``: what was replaced, where
    personal data isn't kept; ``left_out_by_licence``: repositories whose own licence is refused; ``sampled_out``: of
    each repository, the snippets of each kind that ``--per-repository`` left out, which ``found`` doesn't count;
    ``not_edited``: of each repository, the snippets into which ``--inject`` put no draws, by reason, which ``found``
    doesn't count, and ``not_edited_snippets`` the first ones of each reason as ``PATH:LINE NAME``; ``unfinished``: of a
    dataset that is still being made, the ``units`` whose rows stand in it, and those ``planned`` by then.
    """

    files: FileStats
    ignored_inputs: list[dict[str, str]]
    environments: dict[str, EnvironmentNote]
    tests: dict[str, ItemNote]
    calls: dict[str, CallNote]
    missing_packages: dict[str, list[str]]
    cleaning: CleaningNote
    left_out_by_licence: list[dict[str, str]]
    sampled_out: dict[str, dict[str, int]]
    unfinished: dict[str, int]
    not_edited: dict[str, dict[str, int]]
    not_edited_snippets: dict[str, dict[str, list[str]]]


class Stats(GroupStats, Notes):
    """All of ``stats.json``. ``by_source`` groups by how snippets are entered (the rows' column ``entry``): the key is
    older than the column.

    ``duplicates_by_kind`` are the numbers of duplicates by ``thinning.CopyKind``. ``worth`` has for each measure of
    ``worth`` the share below which a tenth, a half and nine tenths of the rows are.

    ``uncertain`` has for each split the number of rows in which more than one outcome of an output could be.
    ``histograms`` counts rows by their ``characters`` and ``commands``, each bin named by its upper end, a power of
    two; and uncertain rows by ``bits``, the entropy of their most uncertain output, in bins of half a bit.
    """

    duplicates_by_kind: dict[str, int]
    worth: dict[str, dict[str, float]]
    histograms: dict[str, dict[str, int]]
    by_source: dict[str, GroupStats]
    by_repository: dict[str, GroupStats]
    splits: dict[str, int]
    uncertain: dict[str, int]
    by_licence: dict[str, int]
    licences_by_repository: dict[str, dict[str, int]]
    by_outcome: dict[str, int]
    by_python: dict[str, int]
    by_sandbox_level: dict[str, int]
    doctests: dict[str, int]
    kept_whole: dict[str, int]
    own_frames: int
    opened_frames: int
    unopened_frames: dict[str, int]
    steps: int
    characters: int
    opened_calls: int
    rows_with_opened_calls: int
    skipped_examples: int
    choices: int
    beliefs: BeliefStats
    verification: VerificationStats
    config: Mapping[str, object]
    schema_version: int


def cleaning_sentence(stats: Stats) -> str:
    """The counts of ``cleaning`` and of the rows dropped for what remained, for people: in the card, on the terminal.

    >>> cleaning = {"files": 7, "replaced": {"email": 2}, "repositories": {"a": {"email": 2}}}
    >>> cleaning_sentence({"cleaning": cleaning, "drops": {"secret": 1}})
    'replaced by fakes in 1 of the repositories: e-mail addresses 2; dropped for what a run showed: secret 1.'
    """
    cleaning = stats.get("cleaning")
    if cleaning is None:
        return "secrets and personal data: kept as they are (--keep-personal)."
    counts = ", ".join(f"{Kind(kind).words} {number}" for kind, number in cleaning["replaced"].items()) or "nothing"
    number = len(cleaning["repositories"])
    drops = [
        f"{word} {stats['drops'][word]}" for word in (Reason.SECRET, Reason.PERSONAL_DATA) if word in stats["drops"]
    ]
    return (
        f"replaced by fakes in {number} of the repositories: {counts}; dropped for what a run showed: "
        f"{', '.join(drops) or 'none'}."
    )


def frames_sentence(stats: Stats) -> str:
    """The counts of frames for people: in the card, and on the terminal.

    >>> frames_sentence({"own_frames": 10, "opened_frames": 8, "unopened_frames": {"operator": 2}})
    'frames of own functions: 10 entered, 8 opened; not opened: operator 2.'
    """
    others = ", ".join(f"{reason} {number}" for reason, number in stats["unopened_frames"].items()) or "none"
    entered, opened = stats["own_frames"], stats["opened_frames"]
    return f"frames of own functions: {entered} entered, {opened} opened; not opened: {others}."


def verification_sentence(stats: Stats) -> str:
    """The counts of ``verification`` for people: in the card, and on the terminal.

    >>> counts = {"printed": {"doc": 3, "stock": 2}, "unprinted": 0, "states_verified": 5, "states_total": 9}
    >>> verification_sentence({"rows": 3, "verification": counts})
    'printed: verified by doc 3, stock 2 of 3 rows; states: verified 5 of 9, the rest self-reported.'
    """
    counts = stats["verification"]
    readers = ", ".join(f"{reader} {number}" for reader, number in counts["printed"].items()) or "no reader, 0"
    return (
        f"printed: verified by {readers} of {stats['rows']} rows; states: verified {counts['states_verified']} of "
        f"{counts['states_total']}, the rest self-reported."
    )
