"""The ``symbols`` kind: the closed vocabulary of a synthetic task, with a token for each word or each whole command.

A whole command as one token makes sessions short, and leaves nothing to learn but what commands do to the state.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from trace_mine.tokenizer.encoded import Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN = "<pad>", "<unk>"
MOST_WORDS = 4_096
"""A vocabulary with more words than this is not closed: rows still to come would have others."""

WORD = re.compile(r">>> |\.\.\. |\n|[A-Za-z_]\w*|\d+(?:\.\d+)?(?:e-?\d+)?|[^\w\s]| +")
"""Names, whole numbers, prompts, line ends, runs of spaces: joined they are a synthetic session's text."""
NAME = re.compile(r">>> |\.\.\. |\n|[A-Za-z_]\w*(?:, )?|\d+(?:\.\d+)?(?:e-?\d+)?| = |, |[^\w\s]| +")
"""The same, but a name has the comma and space after it, and ``=`` the spaces around it."""
PER = ("word", "name", "command")
"""The piece of text that a token can be: see ``fit_symbols``."""


def symbols_tokenizer(vocabulary: Sequence[str]) -> PreTrainedTokenizerFast:
    """Make a tokenizer whose ids are places in ``vocabulary``.

    Place 0 must be "" and becomes the padding; ``<unk>`` is added at the end. A text is cut from the left into the
    longest words that fit.

    Raises:
        ValueError: place 0 isn't "", a word stands there twice or is a special token, or there are too many words for a
            closed vocabulary.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    if not vocabulary or vocabulary[0] != "" or len(set(vocabulary)) != len(vocabulary):
        raise ValueError('expected words that differ, the first of them "" for padding, got another list')
    # as a word of the task it would become the special token, and a session's text would read as padding
    if PAD in vocabulary or UNKNOWN in vocabulary:
        raise ValueError(f"expected words other than {PAD} and {UNKNOWN}, got one of them")
    if len(vocabulary) > MOST_WORDS:
        raise ValueError(
            f"expected a closed vocabulary of at most {MOST_WORDS} words, got {len(vocabulary)}; use the kind python"
        )
    # ids as a task's ``TokenStream`` numbers its words, so that its batches need no encoding
    ids = {PAD: 0, **{word: n for n, word in enumerate(vocabulary) if n}, UNKNOWN: len(vocabulary)}
    raw = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    # the first alternative that matches is taken, so a word must come before its own beginnings
    longest_first = sorted(vocabulary[1:], key=lambda word: (-len(word), word))
    pattern = "|".join(map(alone, longest_first))
    raw.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "isolated")
    raw.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token=PAD,
        unk_token=UNKNOWN,
        split_special_tokens=True,
        clean_up_tokenization_spaces=False,
        model_max_length=1 << 30,
    )


def alone(word: str) -> str:
    """Make a pattern that matches the word, but not within another name or number: 10 is not in 100."""
    before = r"(?<!\w)" if re.match(r"\w", word) else ""
    after = r"(?!\w)" if re.search(r"\w\Z", word) else ""
    # re.escape puts a backslash before a line end, which the engine of ``tokenizers`` doesn't take for one
    return before + re.escape(word).replace("\\\n", "\n") + after


def fit_symbols(rows: Iterable[Row], *, per: str = "word") -> PreTrainedTokenizerFast:
    """Fit a tokenizer on the closed vocabulary of a dataset's rows, whose words are numbered as they first occur.

    With ``per="word"`` tokens are words, with ``per="name"`` a name has the separator after it. With ``per="command"``
    a command is one token with its prompt and line end; of a value, the last word with its line end is one token, and
    the text before it another.

    Raises:
        ValueError: ``per`` is something else, or the rows have too many words for a closed vocabulary.
    """
    if per not in PER:
        raise ValueError(f"expected per to be {' or '.join(PER)}, got {per!r}")
    numbers: dict[str, int] = {"": 0}
    for row in rows:
        for word in command_words(row) if per == "command" else (NAME if per == "name" else WORD).findall(row["text"]):
            numbers.setdefault(word, len(numbers))
        # within the loop: a mined dataset has millions of words, and would fill the memory first
        if len(numbers) > MOST_WORDS:
            raise ValueError(
                f"expected a closed vocabulary of at most {MOST_WORDS} words, got more; use the kind python"
            )
    return symbols_tokenizer(list(numbers))


_assignment = re.compile(r"(>>> [A-Za-z_]\w* = )(\S+\n)\Z")


def command_words(row: Row) -> list[str]:
    """Cut a row's text into words that are whole commands and parts of values; joined they are the text.

    A command of several lines has a prompt segment (``... ``) within it, which doesn't end it.
    """
    words: list[str] = []
    pending = ""
    for segment in row["segments"]:
        start, end, role = segment["start"], segment["end"], segment["role"]
        text = row["text"][start:end]
        if role == "prompt":
            words += whole_command(pending) if text.startswith(">>>") else []
            pending = ("" if text.startswith(">>>") else pending) + text
        elif role in ("command", "reveal"):
            pending += text
        else:
            words += whole_command(pending)
            pending = ""
            # the value itself apart from the name that a print shows before it: values are what is predicted
            cut = text.rfind(" ", 0, -1) + 1
            words += [part for part in (text[:cut], text[cut:]) if part]
    return [*words, *whole_command(pending)]


def whole_command(text: str) -> list[str]:
    r"""Give a command as one word, an assignment of a single value as two; no word for an empty text.

    >>> whole_command(">>> a, b = b, a\n")
    ['>>> a, b = b, a\n']
    >>> whole_command(">>> a = 1\n")
    ['>>> a = ', '1\n']
    """
    assignment = _assignment.fullmatch(text)
    return list(assignment.groups()) if assignment else [text] if text else []
