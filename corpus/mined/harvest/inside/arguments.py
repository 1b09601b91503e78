"""The arguments of a call as they stand in its text: by position, by name, or left out where they are defaults."""

from __future__ import annotations

import inspect
import keyword
import types
from collections.abc import Callable
from dataclasses import dataclass

from trace_mine_harvest.spelling import CallSpeller, is_changing
from trace_mine_harvest.texts import Unspelt

_NOT_NAMES = frozenset(("_", "self", "cls"))


@dataclass(frozen=True)
class _Kinds:
    """The names of a function's parameters by their kind; ``starred`` and ``double`` are None where it has none."""

    positional_only: frozenset[str]
    keyword_only: frozenset[str]
    starred: str | None
    double: str | None

    @classmethod
    def of(cls, code: types.CodeType) -> _Kinds:
        names = [*code.co_varnames]
        num_named = code.co_argcount + code.co_kwonlyargcount
        rest = names[num_named:]
        return cls(
            positional_only=frozenset(names[: code.co_posonlyargcount]),
            keyword_only=frozenset(names[code.co_argcount : num_named]),
            starred=rest.pop(0) if code.co_flags & inspect.CO_VARARGS else None,
            double=rest[0] if code.co_flags & inspect.CO_VARKEYWORDS else None,
        )

    def is_by_position(self, name: str) -> bool:
        """Return True for a parameter that an argument can be given to by its place."""
        return name not in self.keyword_only and name not in (self.starred, self.double)


def arguments_of(frame: types.FrameType, code: types.CodeType) -> list[tuple[str, object]]:
    """Return the arguments of a frame that has run nothing yet, by parameter."""
    stars = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    number = code.co_argcount + code.co_kwonlyargcount + stars
    variables = frame.f_locals
    return [(name, variables[name]) for name in code.co_varnames[:number] if name in variables]


def argument_texts(
    speller: CallSpeller,
    code: types.CodeType,
    values: list[tuple[str, object]],
    defaults: dict[str, object],
    given: dict[str, str] | None = None,
) -> list[str]:
    """Return the texts of arguments, by position as long as none is left out, by name after that.

    Args:
        speller: gives the texts.
        code: the function's, by which the parameters' kinds are known.
        values: by parameter.
        defaults: what parameters have by default: an argument that is its parameter's default is left out.
        given: gets the texts of arguments that may be changed, by parameter, whose names then stand in the call.

    Raises:
        Unspelt: an argument has no text, or none in its place.
    """
    kinds = _Kinds.of(code)
    by_name = dict(values)
    more = by_name.get(kinds.starred) if kinds.starred is not None else ()
    named = by_name.get(kinds.double) if kinds.double is not None else {}

    def text_of(name: str, value: object) -> str:
        text = speller.spell(value)
        if given is None or not is_changing(value):
            return text
        variable = name if name.isidentifier() and name not in _NOT_NAMES else "argument"
        while variable in given:
            variable += "_"
        given[variable] = text
        return variable

    # with a further argument by position behind them, all before it are given
    left_out = {} if more else defaults
    by_position = [(name, value) for name, value in values if kinds.is_by_position(name)]
    parts = _by_position(kinds, by_position, left_out, text_of)
    if type(more) is tuple:
        parts += [text_of(f"{kinds.starred}_{number}", value) for number, value in enumerate(more)]
    for name, value in values:
        if name in kinds.keyword_only and not _is_default(name, value, defaults):
            parts.append(f"{name}={text_of(name, value)}")
    if type(named) is dict:
        for name, value in named.items():
            if type(name) is not str or not name.isidentifier() or keyword.iskeyword(name):
                raise Unspelt("keyword_name")
            parts.append(f"{name}={text_of(name, value)}")
    return parts


def _by_position(
    kinds: _Kinds, values: list[tuple[str, object]], defaults: dict[str, object], text_of: Callable[[str, object], str]
) -> list[str]:
    """The texts of arguments that can be given by position: by name from the first one that is left out."""
    parts: list[str] = []
    is_behind = False
    for name, value in values:
        if _is_default(name, value, defaults):
            is_behind = True
        elif not is_behind:
            parts.append(text_of(name, value))
        elif name in kinds.positional_only:
            raise Unspelt("positional_only")
        else:
            parts.append(f"{name}={text_of(name, value)}")
    return parts


def _is_default(name: str, value: object, defaults: dict[str, object]) -> bool:
    return name in defaults and defaults[name] is value
