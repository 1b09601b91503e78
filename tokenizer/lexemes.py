"""The ``python`` kind: a token for each lexeme of Python, with byte fallback, so that no text loses anything.

A regular expression splits a text into lexemes, and each is looked up as one word. A lexeme that the vocabulary lacks
becomes its UTF-8 bytes, a token each. Outside names every digit is a token, so that a model sees a digit's place in its
number.

The tokenizer is made of parts of ``tokenizers`` (a BPE without merges is a dictionary with byte fallback). So it is as
fast as they are, and AutoTokenizer reads it without our code.
"""

from __future__ import annotations

import collections
import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trace_mine.tokenizer.names import BUILTINS, KEYWORDS, SYMBOLS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

# The longest alternatives first, since the first one that matches is taken; the last one takes any character, so that
# every text is split without a gap. Stored in tokenizer.json: a change makes texts of old tokenizers other ids.
LEXEME = (
    r"(?:>>> |\.\.\. )|\r?\n|\d|[^\W\d]\w*|\*\*=|//=|>>=|<<=|!=|==|<=|>=|->|:=|\*\*|//|<<|>>|[+\-*/%&|^@]=|\.\.\."
    r"| {8}| {4}| {2}|[^\S\r\n]|[^\w\s]"
)
SPECIALS = ("<pad>", "<bos>", "<eos>")
"""Ids 0, 1, 2. In a text these strings are text: they never become these ids."""
LEAST_ROOM = 200
"""Words beyond those that are always in, for which a vocabulary must have room: about the keywords and builtins."""

_lexeme = re.compile(LEXEME)
# Only where Python's \w, \d and \s mean what they mean to tokenizers' own engine: beyond ASCII the two disagree.
_plain = re.compile(r"[\x20-\x7e\n]*")


def fit_python(texts: Iterable[str], *, vocab_size: int = 8_192, min_count: int = 3) -> PreTrainedTokenizerFast:
    """Fit a tokenizer of at most ``vocab_size`` tokens on texts.

    Special tokens, bytes and digits are always in. Keywords, builtins and operators come next, then the lexemes of the
    texts that occur at least ``min_count`` times, the most frequent first. The same texts give the same ids in any
    order: lexemes of one frequency go by the alphabet.

    Raises:
        ValueError: ``vocab_size`` has no room for what is always in, or a text has a lone surrogate.
    """
    counts: collections.Counter[str] = collections.Counter()
    for text in texts:
        refuse_surrogates(text)
        counts.update(_lexeme.findall(text))
    ranked = sorted((word for word, count in counts.items() if count >= min_count), key=lambda w: (-counts[w], w))
    return python_tokenizer([*SYMBOLS, *KEYWORDS, *BUILTINS, *ranked], vocab_size)


def refuse_surrogates(text: str) -> None:
    """Raise ValueError where the text has a lone surrogate: it has no UTF-8, hence no bytes to fall back to."""
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"expected text without lone surrogates, got one at {error.start}; replace it") from None


def fallen_to_bytes(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> int:
    """Count the tokens of the texts that are single bytes of lexemes which the vocabulary lacks.

    Their share of all tokens says if a vocabulary is large enough for a dataset.
    """
    from tokenizers import pre_tokenizers

    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    vocabulary = tokenizer.get_vocab()
    counts: collections.Counter[str] = collections.Counter()
    for text in texts:
        counts.update(_lexeme.findall(text))
    return sum(
        count * len(word.encode())
        for word, count in counts.items()
        if "".join(piece for piece, _ in as_bytes.pre_tokenize_str(word)) not in vocabulary
    )


def python_tokenizer(words: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Make a tokenizer whose vocabulary is what is always in and then these words, in this order, until it is full.

    Raises:
        ValueError: ``vocab_size`` has no room for what is always in.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False, trim_offsets=False)
    vocabulary: dict[str, int] = {}
    # sorted, for the alphabet is a set, whose order changes from process to process
    always = [*SPECIALS, *sorted(pre_tokenizers.ByteLevel.alphabet()), *"0123456789"]
    for token in always:
        vocabulary.setdefault(token, len(vocabulary))
    if vocab_size < len(vocabulary) + LEAST_ROOM:
        raise ValueError(f"expected vocab_size of at least {len(vocabulary) + LEAST_ROOM}, got {vocab_size}")
    for word in words:
        if len(vocabulary) >= vocab_size:
            break
        # spelt in the alphabet of bytes, as the pre-tokenizer will spell the lexemes that are looked up
        vocabulary.setdefault("".join(piece for piece, _ in as_bytes.pre_tokenize_str(word)), len(vocabulary))
    # ignore_merges: a lexeme that is in the vocabulary is taken as it is; there are no merges that would build it
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True, unk_token=None))
    raw.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LEXEME), "isolated"), as_bytes])
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIALS])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token=SPECIALS[0],
        bos_token=SPECIALS[1],
        eos_token=SPECIALS[2],
        split_special_tokens=True,  # "<eos>" in a program is text
        clean_up_tokenization_spaces=False,  # decoding would else take out spaces before punctuation
        model_max_length=1 << 30,
    )


class PlainTable:
    """The vocabulary as a table for plain texts, that is printable ASCII and line ends.

    There Python's own regular expressions split as those of ``tokenizers`` do, which a test holds to the library. One
    dictionary look-up a lexeme is four times as fast.
    """

    def __init__(self, vocabulary: dict[str, int], letters: dict[str, int]) -> None:
        """Keep the tokens of ``vocabulary`` that are ASCII, under the text that they stand for.

        ``letters`` maps a letter of the alphabet of bytes to its byte: a space, for one, is spelt "\u0120" in a token.
        """
        self.ids: dict[str, int] = {}
        for token, number in vocabulary.items():
            ascii_bytes = bytes(letters[letter] for letter in token if letter in letters)
            if len(ascii_bytes) == len(token) and ascii_bytes.isascii():
                self.ids[ascii_bytes.decode()] = number

    def encode(self, text: str) -> NDArray[np.int32] | None:
        """Give the ids of a text, or None where the text isn't plain."""
        if _plain.fullmatch(text) is None:
            return None
        lexemes = _lexeme.findall(text)
        # most texts have every lexeme in the vocabulary: ``map`` runs in C, the loop only where one is missing
        ids = list(map(self.ids.get, lexemes))
        if None in ids:
            ids = []
            for lexeme in lexemes:
                number = self.ids.get(lexeme)
                ids += [self.ids[letter] for letter in lexeme] if number is None else [number]
        return np.array(ids, dtype=np.int32)


def plain_table(tokenizer: PreTrainedTokenizerBase) -> PlainTable | None:
    """Give the tokenizer's table, made at the first call and kept on it; None where it isn't of the ``python`` kind."""
    if not hasattr(tokenizer, "_plain_table"):
        from tokenizers import pre_tokenizers

        # a tokenizer from disk doesn't say its kind; that it splits by our expression does
        state = json.loads(tokenizer.backend_tokenizer.to_str())
        split = [part.get("pattern") for part in (state["pre_tokenizer"] or {}).get("pretokenizers", ())]
        table = None
        if split[:1] == [{"Regex": LEXEME}]:
            as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
            letters = {as_bytes.pre_tokenize_str(chr(code))[0][0]: code for code in range(128)}
            special = set(tokenizer.all_special_ids)  # "<eos>" in a text must be looked up in vain
            words = {token: n for token, n in tokenizer.get_vocab().items() if n not in special}
            table = PlainTable(words, letters)
        tokenizer._plain_table = table
    return tokenizer._plain_table  # type: ignore[no-any-return]
