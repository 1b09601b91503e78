"""The reasons for which a dataset has less than was asked for: a word each, with a sentence for whoever meets it.

Every reason that is counted anywhere is a member of ``Reason``: why a file was not searched, why a snippet became no
row, why a construct of a session is one command. The members are texts, and equal the words in ``stats.json``,
``errors.jsonl`` and the column ``kept_whole``. A word that is met at two stages (``skipped``) is one member with a
``Meaning`` for each of them. ``docs/reasons.md`` is written from here.

The corpus's reasons stand here too, above what this folder may import, so that there is one list.
Over 400 lines because a list is not cut.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, StrEnum


class ReasonStage(Enum):
    """The stages of the pipeline at which a reason may be met: a title each, and where a dataset counts it."""

    def __init__(self, title: str, where: str) -> None:
        self.title = title
        self.where = where

    FILE = (
        "Files that were not searched",
        "Counted in `stats.json` under `files`, by file: what snippets such a file has is not known.",
    )
    DISCOVERY = (
        "Snippets that were found and not run",
        "Counted in `stats.json` under `drops`, with a line each in `errors.jsonl`.",
    )
    TRACING = (
        "Snippets that were run and gave no session",
        "Counted in `stats.json` under `drops`, with a line each in `errors.jsonl`; `trace-run` prints them. Where "
        "one of them stands in `kept_whole`, a first session failed for it, and one that keeps more whole held.",
    )
    ROW = (
        "Snippets whose session became no row",
        "Counted in `stats.json` under `drops`, with a line each in `errors.jsonl`.",
    )
    WHOLE = (
        "Constructs that were kept as one command",
        "Counted in each row's `kept_whole`, and summed up in `stats.json`. Such a row is true; it only shows less.",
    )
    LESS = (
        "Sessions that show less than they could",
        "Counted in each row's `kept_whole`, and summed up in `stats.json`.",
    )
    FRAME = (
        "Frames of the program's own functions that were not opened",
        "Counted in each row's `unopened_frames`, by the number of times that such frames were entered, and summed up "
        "in `stats.json`. Calls that stayed calls are counted there under their reasons above.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """The sense of a reason at one stage: ``why`` it is met and, where something can be done about it, the ``cure``.

    Raises:
        ValueError: ``why`` or ``cure`` is not a sentence.
    """

    stage: ReasonStage
    why: str
    cure: str = ""

    def __post_init__(self) -> None:
        for name, text in (("why", self.why), ("cure", self.cure)):
            if (text or name == "why") and not (text[:1].isupper() and text.endswith(".")):
                raise ValueError(f"expected Meaning.{name} to be a sentence, got {text!r}; begin it and end it as one")


def _file(why: str, cure: str = "") -> Meaning:
    return Meaning(stage=ReasonStage.FILE, why=why, cure=cure)


def _discovery(why: str, cure: str = "") -> Meaning:
    return Meaning(stage=ReasonStage.DISCOVERY, why=why, cure=cure)


def _tracing(why: str, cure: str = "") -> Meaning:
    return Meaning(stage=ReasonStage.TRACING, why=why, cure=cure)


def _row(why: str, cure: str = "") -> Meaning:
    return Meaning(stage=ReasonStage.ROW, why=why, cure=cure)


def _whole(why: str, cure: str = "") -> Meaning:
    return Meaning(stage=ReasonStage.WHOLE, why=why, cure=cure)


def _less(why: str, cure: str = "") -> Meaning:
    return Meaning(stage=ReasonStage.LESS, why=why, cure=cure)


def _frame(why: str, cure: str = "") -> Meaning:
    return Meaning(stage=ReasonStage.FRAME, why=why, cure=cure)


class Reason(StrEnum):
    """The reasons, each with its ``meanings`` in the order of the stages.

    Example:
        >>> reason_of("needs_fixture").meanings[0].why
        'The test takes arguments, or uses fixtures or generated inputs, which only its test runner supplies.'
    """

    meanings: tuple[Meaning, ...]

    def __new__(cls, word: str, *meanings: Meaning) -> Reason:
        # the word alone is the text and the value: a sentence may be mended, and words on disk stay what they are
        member = str.__new__(cls, word)
        member._value_ = word
        member.meanings = meanings
        return member

    # files that were not searched

    UNREADABLE = (
        "unreadable",
        _file("The file or folder could not be opened or read.", "Make it readable to the user that mines."),
    )
    SPECIAL_FILE = "special_file", _file("The path leads to a pipe, a socket or a device, not to a file.")
    LINK_OUTSIDE = (
        "link_outside",
        _file("The symbolic link leaves the repository.", "Put a copy of what it leads to in its place."),
    )
    LINK_LOOP = "link_loop", _file("The symbolic link leads back to itself.")
    # the two numbers are those of ``corpus.mined.files``, which this room may not import
    TOO_LARGE = "too_large", _file("The file has more than 2 MB, as generated tables do and written source does not.")
    TOO_MANY_FILES = (
        "too_many_files",
        _file("The folder holds more than 100,000 files; those after them were not searched.", "Give smaller folders."),
    )
    IGNORED = (
        "ignored",
        _file("A `.trace-mine-ignore` names the file or its folder.", "Take the line out of that file."),
    )
    BINARY = "binary", _file("The text file holds a null byte, so it is no text.")
    NULL_BYTES = "null_bytes", _file("The Python file holds a null byte, which Python refuses.")
    BAD_ENCODING = "bad_encoding", _file("The file is not text in the encoding that it declares (without one: UTF-8).")
    TOO_DEEP = "too_deep", _file("The source nests more deeply than the parser can follow.")
    # seconds of CPU time, so that load does not decide what a dataset has; those of ``corpus.mined.discovery``
    TOO_SLOW = "too_slow", _file("Reading the file took 20 s of CPU time, a thousand times what written source takes.")
    DAMAGED_GIT = (
        "damaged_git",
        _file(
            "The files of `.git` can't be read, or lack objects, so that the version is not known which a build would "
            "make of tags; rows have none, or the one that the packaging files say.",
            "Make the checkout anew (`git fsck` says what is wrong).",
        ),
    )
    SYNTAX_ERROR = (
        "syntax_error",
        _file(
            "The interpreter that runs the snippets can't parse the file.",
            "Name one that is as new as the source by --python.",
        ),
        _tracing("The snippet's source, or every one of its examples, does not compile."),
    )

    BAD_NOTEBOOK = (
        "bad_notebook",
        _file("The notebook is no JSON of nbformat 3 or 4, or one of another language.", "Save it again."),
        _discovery(
            "A cell of the notebook is no Python of a plain interpreter: a shell command or a magic that does "
            "something, an await at its top, or a mistake.",
            "The evidence has the cell; write it as Python.",
        ),
    )

    # found and not run

    UNREADABLE_REPOSITORY = (
        "unreadable_repository",
        _discovery(
            "Reading the repository broke off: its archive is damaged or unsafe, or the reader, which runs in a "
            "sandbox, crashed or reached a limit. It counts as one snippet; the other repositories are mined.",
            "The evidence says how reading ended; unpack an archive yourself, or give smaller folders.",
        ),
    )
    ALL_SKIPPED = "all_skipped", _discovery("Every example of the docstring has the directive +SKIP.")
    BAD_DOCTEST = (
        "bad_doctest",
        _discovery(
            "The docstring is no dialect of doctest's, mostly for its indentation or an example that does not compile."
        ),
    )
    BAD_BLOCK = "bad_block", _discovery("The documentation's block of code is no program, mostly for an ellipsis.")
    NO_STATEMENT_RUNS = (
        "no_statement_runs",
        _discovery(
            "No statement of the documentation's section runs to its end, but for imports: it needs what is not there.",
            "Install the missing package beside trace-mine, or bind it with --packages DIR.",
        ),
    )
    NOT_IMPORTABLE = (
        "not_importable",
        _discovery("No module name leads to the file (a name that is no identifier, a folder outside any package)."),
    )
    TEST_RUNNER = (
        "test_runner",
        _discovery("The script's __main__ block only starts a test runner; its tests are found one by one."),
    )
    BAD_MANIFEST = (
        "bad_manifest",
        _discovery(
            "The repository's scripts.yaml, or an entry of it, says nothing that could be run.",
            "The evidence has the line and what was expected there.",
        ),
    )
    BEYOND_LIMIT = (
        "beyond_limit",
        _discovery(
            "A limit ended the reading of a page of documentation, of a section of it, or of scripts.yaml. What stands "
            "behind it counts as one snippet.",
            "The evidence says how much that is; cut the page in parts, or correct the first entries.",
        ),
    )
    NEEDS_FIXTURE = (
        "needs_fixture",
        _discovery(
            "The test takes arguments, or uses fixtures or generated inputs, which only its test runner supplies."
        ),
    )
    ASYNC_TEST = "async_test", _discovery("The test is a coroutine, which needs an event loop.")
    GENERATOR_TEST = (
        "generator_test",
        _discovery("The test is a generator: its tests are the functions that it yields."),
    )
    SKIPPED = (
        "skipped",
        _discovery("The test, or its class, is marked to be skipped."),
        _whole(
            "The view `skip` shows a loop as one command, of which only the effect counts.",
            "Use another view to see the loop's statements.",
        ),
    )
    NEEDS_INIT = "needs_init", _discovery("The test's class has __init__, so that pytest would not collect it.")
    THIN_PRIOR = (
        "thin_prior",
        _discovery(
            "The repository has no two distinct literal calls of the function from which to draw its inputs.",
            "Use --view inverse:grid, which declares values instead.",
        ),
    )
    NO_GRID = (
        "no_grid",
        _discovery(
            "Nothing tells what kind of value a parameter takes, or there are too many parameters for a grid.",
            "Annotate the parameters with built-in types.",
        ),
    )
    ASYNC_FUNCTION = "async_function", _discovery("The function is a coroutine function: calling it gives no result.")
    NOT_PERMISSIVE = (
        "not_permissive",
        _discovery(
            "The licence of the file or of its repository is not permissive, or an archive states none.",
            "Mine it with --licenses all, where its terms allow what you want to do.",
        ),
    )

    # run, and no session: how the run ended

    WALL = (
        "wall",
        _tracing(
            "The run took more seconds than it may, most of which it waited (not counting waits for a busy processor).",
            "Raise --timeout.",
        ),
    )
    CPU = (
        "cpu",
        _tracing("The run took more seconds of processor time than it may.", "Raise --timeout."),
    )
    MEMORY = "memory", _tracing("The run took more memory than it may.", "Raise --memory.")
    OUTPUT_LIMIT = (
        "output_limit",
        _tracing("The run printed more than it may.", "Raise --output of trace-run; trace-mine keeps to 1 MB."),
    )
    DISK_LIMIT = (
        "disk_limit",
        _tracing("The run wrote more into its scratch folder than it may.", "Raise --disk of trace-run."),
    )
    TRACE_LIMIT = (
        "trace_limit",
        _tracing(
            "The run went through more lines, or sent more about itself, than may be recorded.",
            "Raise --events of trace-run, or run less: trace-mine keeps to 200,000 lines.",
        ),
        _less(
            "The run went through more lines than are recorded; what it did after that has its result compared alone.",
            "Raise --events of trace-run.",
        ),
    )
    NO_END = (
        "no_end",
        _tracing("The process was gone before it said how it ended: the snippet ended it or closed its descriptors."),
    )
    JAIL_DIED = (
        "jail_died",
        _tracing(
            "The sandbox ended while it ran the snippet: somebody killed it, or the machine was short of memory.",
            "Start the same command again: it tries such snippets once more.",
        ),
    )
    # one member for all signals: the word on disk has the number (``reason_of``)
    SIGNAL = "signal:N", _tracing("The process was ended by the signal with the number N (11: a crash in C code).")
    TRACER_ERROR = (
        "tracer_error",
        _tracing("The code that runs the snippet failed itself.", "Report it with the evidence: it is a bug of ours."),
    )
    INTEGRITY_SUSPECT = (
        "integrity_suspect",
        _tracing("The snippet did something with which it could have falsified its own record (ctypes, a debugger)."),
        _row("The trace is of a run whose record the snippet could have falsified."),
    )
    INTEGRITY_TRUNCATED = (
        "integrity_truncated",
        _tracing("The record of the run is incomplete."),
        _row("The trace is of a run whose record is incomplete."),
    )
    INTEGRITY_FORGED = (
        "integrity_forged",
        _tracing("The record of the run has parts that the sandbox did not sign."),
        _row("The trace is of a run whose record has parts that the sandbox did not sign."),
    )

    # run, and no session: what the snippet is

    IMPORT_ERROR = (
        "import_error",
        _tracing(
            "The snippet's module can't be imported in the sandbox.",
            "Install the packages that it imports beside trace-mine, or bind them with --packages DIR.",
        ),
    )
    SETUP_ERROR = "setup_error", _tracing("The commands that run silently before the session raised an exception.")
    MISSING_CONTEXT = (
        "missing_context",
        _tracing(
            "An example or test needs a name or module that is not there, and does not promise the error.",
            "Install the missing package beside trace-mine, or bind it with --packages DIR.",
        ),
    )
    TEST_SKIPPED = "test_skipped", _tracing("The test skipped itself while it ran.")
    NEEDS_INPUT = (
        "needs_input",
        _row(
            "The script asked for more standard input than there is, and ended for it.",
            "Give its input in scripts.yaml at the repository's root.",
        ),
    )
    NEEDS_ARGUMENTS = (
        "needs_arguments",
        _row(
            "The script ended for want of arguments: a usage message, or an argument that is not there.",
            "Give its arguments in scripts.yaml at the repository's root.",
        ),
    )
    SPELT_OTHERWISE = (
        "spelt_otherwise",
        _row("As commands the test ends otherwise than under pytest: it passes there and raises here, or the reverse."),
    )
    UNJUDGED = (
        "unjudged",
        _row(
            "Pytest's own run of the test came to no end within the limits of a session, so that nothing says how the "
            "test should end.",
            "Give more time with --timeout.",
        ),
    )
    NO_CHOICES = (
        "no_choices",
        _tracing(
            "The run, or that of the snippet's first session, drew nothing at random.", "Leave --only-choices out."
        ),
    )
    EMPTY = "empty", _tracing("No statement of the snippet is a command: it only passes, or is a docstring.")
    FOCUS_MISSED = (
        "focus_missed",
        _tracing(
            "The session was to open the calls that lead to one function, and one of them stayed a call. The evidence "
            "says which, and why."
        ),
    )
    SANDBOX_DENIED = (
        "sandbox_denied",
        _tracing(
            "The session shows an error that only the sandbox made: a call that it refuses, no network, a file of this "
            "machine, or a package that is not installed.",
            "Read the evidence, which has the cure.",
        ),
    )

    # run, and no session: a check failed, and keeping everything whole did not help

    RESULT_DIFFERS = (
        "result_differs",
        _tracing("The session's output, exception or final variables are not those of the native run."),
    )
    PATH_DIFFERS = (
        "path_differs",
        _tracing("The statements that the session ran, or their variables, are not those that sys.settrace recorded."),
        _whole("The statements of a followed call were not those that sys.settrace recorded, so the call stays whole."),
    )
    REPLAY_MISMATCH = (
        "replay_mismatch",
        _tracing(
            "A fresh interpreter printed something else than the session says, in a command that can't be left unshown."
        ),
    )
    DRAWS_DIFFER = (
        "draws_differ",
        _tracing("The session's commands don't ask for the random draws that were recorded of the run."),
    )
    UNFAITHFUL = (
        "unfaithful",
        _tracing("After ten sessions, each with one construct more kept whole, there was still one to keep."),
        _whole("The construct was found to have no faithful open form only after a part of it had been shown."),
    )

    # a session, and no row

    SECRET = (
        "secret",
        _row(
            "The snippet's run shows a secret (a key, a token, a password) that was not in its source as such.",
            "Take the secret out of the source, and revoke it; --keep-personal keeps such rows.",
        ),
    )
    PERSONAL_DATA = (
        "personal_data",
        _row(
            "The snippet's run shows an e-mail address, a phone number, a public IP address or a home folder.",
            "Mine with --keep-personal to keep such rows.",
        ),
    )
    BENCHMARK = (
        "benchmark",
        _discovery("The snippet's lines are those of a benchmark's problem: its function, or its example."),
        _row("The run enters a function that is a benchmark's problem, or shows thirteen words of one."),
    )
    LONE_SURROGATE = "lone_surrogate", _row("The session has half a surrogate pair, which can't be written as UTF-8.")
    ROW_TOO_LARGE = "row_too_large", _row("The row has more than 8 MB, as loops that got out of hand do.")
    BAD_ROW = (
        "bad_row",
        _row("A value of the row is not what its column takes (a number of more than 64 bits, half a surrogate pair)."),
    )
    DAMAGED_RESULT = (
        "damaged_result",
        _row(
            "What a unit of snippets gave was damaged on disk.",
            "Start the same command again, which runs that unit once more.",
        ),
    )
    SHOWS_PATH = (
        "shows_path",
        _row(
            "The session shows a folder of this machine, so it would not replay elsewhere.",
            "Allow user namespaces: at sandbox level 3 the snippet sees no folder of this machine.",
        ),
    )
    NO_BELIEF = (
        "no_belief",
        _row(
            "The law of the hidden input could not be found where the session asks for it.",
            "Raise --timeout, or --forks where the way to the draw is long.",
        ),
    )
    NOTHING_TOLD = "nothing_told", _row("After all outputs each hidden input is as likely as it was before them.")
    NO_SEQUENCE = (
        "no_sequence",
        _row(
            "The synthetic task has no further sequence of commands of this length in this split.",
            "Take longer sessions.",
        ),
    )
    INTERNAL_ERROR = (
        "internal_error",
        _row("The tracer raised an exception over this snippet.", "Report it with the evidence: it is a bug of ours."),
    )
    WORKER_DIED = (
        "worker_died",
        _row(
            "Three worker processes died over the 32 snippets of which this is one.",
            "Use fewer --jobs where memory is short.",
        ),
    )

    # one command: statements

    BUDGET = (
        "budget",
        _whole(
            "The session had as many commands as it may, so the rest of a loop, or a later construct, stays whole.",
            "Raise --commands of trace-run; trace-mine keeps to 400.",
        ),
    )
    ROUNDS = (
        "rounds",
        _whole(
            "Sessions that keep more and more whole took four times the CPU time that one run may take, so each "
            "statement of the snippet is one command.",
            "Raise --cpu.",
        ),
    )
    CLOSED = "closed", _whole("A check failed with constructs open, so each statement of the snippet is one command.")
    RUN_AS_FILE = (
        "run_as_file",
        _whole(
            "No session command by command holds (a script that reads its own source or line numbers has other ones "
            "there), so one command runs the script's file."
        ),
    )
    HIDDEN = (
        "hidden",
        _whole("To open the construct would tell a hidden outcome; the view keeps it as one command."),
    )
    EXCEPTION_CONTEXT = (
        "exception_context",
        _whole("A handler of the `try` reads the frames of the exception being handled (traceback)."),
    )
    HANDLER_TYPE = (
        "handler_type",
        _whole("The classes that a handler catches are given by a call, or by an expression that raises."),
    )
    WITH_YIELD = "with_yield", _whole("A `yield` stands in a `with` statement of a generator.")
    REDIRECTS_OUTPUT = "redirects_output", _whole("The `with` statement sends the program's output elsewhere.")
    # the name of the syntax tree's class, as rows have had it from the start; so is ``Await`` below
    TRY_STAR = "TryStar", _whole("A `try` has `except*`, which handles groups of exceptions.")
    UNPARSE = (
        "unparse",
        _whole("The statement can't be written out again: it nests too deeply, or quotes within quotes."),
    )

    # one command: calls that are not followed

    ASYNC = "async", _whole("The function is a coroutine function.")
    AWAIT_EXPRESSION = "Await", _whole("The function awaits something in a generator expression.")
    NO_SOURCE = "no_source", _whole("The function's definition is not found in its file (generated code).")
    SEES_FRAME = "sees_frame", _whole("The function looks at its own frame or names (locals, eval, sys._getframe).")
    CLOSURE = (
        "closure",
        _whole(
            "The function rebinds a variable of the function around it, which can't be written as the attribute of a "
            "cell, or reads one that is not bound yet."
        ),
    )
    GLOBAL = (
        "global",
        _whole(
            "The function rebinds a global variable of a module other than the snippet's, which can't be written as an "
            "attribute of the module."
        ),
    )
    GLOBAL_UNREACHABLE = (
        "global_unreachable",
        _whole("The function reads a global variable that no import of its module would give."),
    )
    CLASS_CELL = "class_cell", _whole("The method reads `__class__`, which only its own frame has.")
    SUPER = "super", _whole("The method calls `super()`, and the session does not know its class by its name.")
    REBINDS_SELF = "rebinds_self", _whole("The `__init__` rebinds its first parameter, or takes none.")
    YIELD_EXPRESSION = "yield_expression", _whole("A `yield` of the generator is a part of an expression.")
    RELATIVE_IMPORT = "relative_import", _whole("A relative import in the function leads out of its package.")
    IMPORT_RENAME = (
        "import_rename",
        _whole("The function imports `a.b` under a name that the session holds for something else."),
    )
    NAME_SHOWN = (
        "name_shown",
        _whole(
            "The function shows a name that the session holds for something else: that of a `type` alias, or in a "
            "template string."
        ),
    )
    CLASS_REBINDS_LOCAL = (
        "class_rebinds_local",
        _whole("A class in the function binds a name that had to be renamed for the session."),
    )
    UNBOUND_LOCAL = (
        "unbound_local",
        _whole("A statement of the function ran something before it read a variable that was not bound."),
    )
    REBOUND = (
        "rebound",
        _whole("Code that an opened call ran rebound a name which the session had read, as only a run could tell."),
    )
    BAD_ARGUMENTS = "bad_arguments", _whole("The call's arguments don't fit the function, so the call raises.")
    STAR_ARGUMENTS = "star_arguments", _whole("The call spreads (`*`, `**`) what is no list, tuple or dictionary.")
    ARGUMENT_ORDER = (
        "argument_order",
        _whole("Arguments that run something are gathered into `*args` or `**kwargs`, so their order could change."),
    )

    # less than could be shown

    SYNTAX_ERROR_EXAMPLE = "syntax_error_example", _less("An example does not compile, so it is not in the session.")
    # Two words for one sight, told apart by a second native run: the first is our fault, the second the program's own.
    # Of 1,124 opened traces, 28 were unstable by themselves and 3 replayed otherwise.
    REPLAY_DIFFERS = (
        "replay_differs",
        _less("In replay a command printed something else, though two native runs agree; its output is not shown."),
    )
    UNSTABLE = (
        "unstable",
        _less(
            "The program itself prints something else when it is run again (a clock, a path, the order of a set); "
            "that output is not shown."
        ),
    )
    SUPPORT_LOST = (
        "support_lost",
        _less(
            "The states that the session may be in don't explain what it showed (a cache, state of C code), or could "
            "not be had: nothing more was opened, and no belief is called exact.",
        ),
    )
    OPENING_SPENT = (
        "opening_spent",
        _less(
            "The session may be in more states than there was time to follow, so nothing more was opened.",
            "Raise --timeout.",
        ),
    )
    OUTCOMES_DIFFER = (
        "outcomes_differ",
        _tracing("An output hangs on the process that runs it, whatever was drawn, and can't be left out."),
        _less(
            "What a command could show hangs on the process that runs it (an address, the order of a set of texts), "
            "whether or not what it did show does: that output is not shown, or there is no belief of it."
        ),
    )
    TELLS_OUTCOME = (
        "tells_outcome",
        _tracing(
            "Where a draw had come out otherwise the session would be written in another way, which would tell an "
            "outcome that it hides."
        ),
    )
    TRACING_ENDED = (
        "tracing_ended",
        _less(
            "Debuggers or tracers of the standard library, which the snippet runs (`bdb`), ended the recording: "
            "what the functions that ran then did after that has its result compared alone."
        ),
    )
    BELIEFS_END_EARLY = (
        "beliefs_end_early",
        _less("Beliefs could be found for the first of the session's outputs only.", "Raise --timeout."),
    )

    # frames that were not opened, by the way in which they were entered

    ASIDE = (
        "aside",
        _frame("The session opens the calls that lead to one function, and this call is none of them."),
    )
    DEEPER = "deeper", _frame("The frame lay deeper than calls are followed.", "Raise --follow.")
    WITHIN_COMMAND = (
        "within_command",
        _frame(
            "The call ran inside one command: in a construct or call that stayed whole, or in an expression whose "
            "parts are evaluated on a condition only."
        ),
    )
    OPERATOR = (
        "operator",
        _frame("An operator, a built-in or the interpreter itself entered a special method (`__add__`, `__len__`)."),
    )
    PROPERTY = "property", _frame("Reading or setting an attribute entered a property or another descriptor.")
    GENERATOR = (
        "generator",
        _frame("A generator was resumed. Its body stays whole, or a built-in or library keeps it and asks for values."),
    )
    COMPREHENSION = (
        "comprehension",
        _frame("A comprehension was evaluated, which has a frame up to Python 3.11.", "Give --open-comprehensions."),
    )
    LAMBDA = "lambda", _frame("A lambda was called.")
    CALLBACK = "callback", _frame("A built-in or a function of a library called the function back.")
    CONTEXT_MANAGER = "context_manager", _frame("A `with` statement entered or left a context manager.")
    CLASS_BODY = "class_body", _frame("A `class` statement ran its body.")
    MODULE_BODY = "module_body", _frame("An import ran a module of the program's own.")


_DROP_STAGES = (ReasonStage.DISCOVERY, ReasonStage.TRACING, ReasonStage.ROW)
_signal = re.compile(r"signal:\d+")


def reason_of(word: str) -> Reason:
    """The reason that a word on disk names; ``signal:11`` is ``Reason.SIGNAL``.

    Raises:
        ValueError: no reason has this word.
    """
    # ``fullmatch``: a word of the snippet's own that only begins so must not pass
    if _signal.fullmatch(word):
        return Reason.SIGNAL
    try:
        return Reason(word)
    except ValueError:
        raise ValueError(f"expected the word of a Reason, got {word!r}; add it to the enumeration") from None


def drop_sentence(word: str) -> str:
    """Say why a snippet was dropped under this word, and the cure where there is one.

    Example:
        >>> drop_sentence("skipped")
        'The test, or its class, is marked to be skipped.'

    Raises:
        ValueError: no reason has this word.
    """
    meanings = reason_of(word).meanings
    # A word that is met at several stages counts files or constructs at the others, which a drop is not.
    meaning = next((each for each in meanings if each.stage in _DROP_STAGES), meanings[0])
    return f"{meaning.why} {meaning.cure}".strip()


def ended_with(status: str) -> str:
    """The word for a run that ended with this status of the sandbox (``schema.STATUSES``), other than ``ok``.

    Raises:
        ValueError: no reason has this word.
    """
    # The snippet's own exceptions are part of a result, so that an exception is one of the code around it. Only a plain
    # job ends with ``exit`` or ``syntax``; of another run, the snippet has sent its own end record.
    if status in ("exception", "exit", "syntax"):
        return Reason.TRACER_ERROR.value
    word = status.replace("-", "_")
    # a signal keeps its number: 11 is a crash in C code, 9 mostly memory
    return word if reason_of(word) is Reason.SIGNAL else reason_of(word).value


def integrity_of(integrity: str) -> Reason:
    """The reason for not using a record of this integrity (``schema.INTEGRITIES``), other than ``clean``.

    Raises:
        ValueError: no reason has this word.
    """
    return reason_of(f"integrity_{integrity}")
