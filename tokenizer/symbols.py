"""The ``symbols`` kind: the closed vocabulary of a synthetic task, a token a word or a token a whole command."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

PAD, UNKNOWN = "<pad>", "<unk>"
MOST_WORDS = 4_096
"""A vocabulary with more words than this is not closed: rows still to come would have others."""

WORD = re.compile(r">>> |\.\.\. |\n|[A-Za-z_]\w*|\d+(?:\.\d+)?(?:e-?\d+)?|[^\w\s]| +")
"""Names, whole numbers, prompts, line ends, runs of spaces: joined they are a synthetic session's text."""


def symbols_tokenizer(vocabulary: Sequence[str]) -> Any:
    """A ``PreTrainedTokenizerFast`` whose ids are places in ``vocabulary``; place 0 is "" and becomes the padding,
    ``<unk>`` comes last. Texts are cut into the longest words that fit, from the left.

    Raises:
        ValueError: place 0 isn't "", or a word stands there twice.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    if not vocabulary or vocabulary[0] != "" or len(set(vocabulary)) != len(vocabulary):
        raise ValueError('expected words that differ, the first of them "" for padding, got another list')
    if PAD in vocabulary or UNKNOWN in vocabulary:
        raise ValueError(f"expected words other than {PAD} and {UNKNOWN}, got one of them")
    if len(vocabulary) > MOST_WORDS:
        raise ValueError(
            f"expected a closed vocabulary of at most {MOST_WORDS} words, got {len(vocabulary)}; use the kind python"
        )
    ids = {PAD: 0, **{word: n for n, word in enumerate(vocabulary) if n}, UNKNOWN: len(vocabulary)}
    raw = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
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
    """The word as a pattern that doesn't match inside another name or number: 10 is not in 100."""
    before = r"(?<!\w)" if re.match(r"\w", word) else ""
    after = r"(?!\w)" if re.search(r"\w\Z", word) else ""
    return before + re.escape(word).replace("\\\n", "\n") + after


def fit_symbols(rows: Iterable[Any], *, per: str = "word") -> Any:
    """The closed vocabulary of a dataset's rows (mappings with ``text`` and ``segments``).

    ``per="command"``: a command is one token with its prompt and line end; a value's last word and its line end are
    one, what stands before it another.

    Raises:
        ValueError: the rows have too many words for a closed vocabulary.
    """
    if per not in ("word", "command"):
        raise ValueError(f"expected per to be word or command, got {per!r}")
    found: dict[str, int] = {"": 0}
    for row in rows:
        for word in WORD.findall(row["text"]) if per == "word" else command_words(row):
            found.setdefault(word, len(found))
        if len(found) > MOST_WORDS:
            raise ValueError(
                f"expected a closed vocabulary of at most {MOST_WORDS} words, got more; use the kind python"
            )
    return symbols_tokenizer(list(found))


_assignment = re.compile(r"(>>> [A-Za-z_]\w* = )(\S+\n)\Z")


def command_words(row: Any) -> list[str]:
    """A row's text as few words as may be; joined they are the text."""
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
            cut = text.rfind(" ", 0, -1) + 1
            words += [part for part in (text[:cut], text[cut:]) if part]
    return [*words, *whole_command(pending)]


def whole_command(text: str) -> list[str]:
    """A command as one word; an assignment of a single value as two."""
    assignment = _assignment.fullmatch(text)
    return list(assignment.groups()) if assignment else [text] if text else []
