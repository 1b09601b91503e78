"""From a function's literal calls to a law of its inputs: as frequent there, as likely here.

Calls are bound to the function's parameters, so that ``f(1, k=2)`` and ``f(x=1, k=2)`` are one. The arguments that the
calls agree in stay in the command; the others are drawn together. A prior is thinned where it would be too long to read
or to enumerate; what it lacks is counted.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trace_mine.corpus.mined.snippets.call_index import LiteralCall, literal_text

MAX_DISTINCT = 16
MAX_DRAWS = 48
"""A uniform draw of more than 64 outcomes is sampled, not enumerated."""
MAX_PRIOR_CHARS = 640
MAX_CALL_CHARS = 160

Arguments = tuple[tuple[str, str], ...]
"""(key, source text) of each argument; ``*args`` is the key of a starred parameter, ``**name`` of a keyword that only
``**kwargs`` takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What calls are bound to. ``defaults`` has those that are literals, as source text."""

    positional: tuple[str, ...]
    keyword_only: tuple[str, ...] = ()
    num_positional_only: int = 0
    starred: str | None = None
    takes_keywords: bool = False
    required: tuple[str, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)

    @property
    def order(self) -> tuple[str, ...]:
        """The keys of arguments in the order in which a call spells them."""
        return (*self.positional, *([f"*{self.starred}"] if self.starred else []), *self.keyword_only)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """A law of a function's arguments: each of ``draws`` is as likely as the others.

    ``drawn`` are the keys of the arguments that vary, in a call's order; ``draws`` has a text for each of them;
    ``constant`` are the arguments that don't. ``num_calls`` were found, ``num_left_out`` of them are not in it.
    """

    drawn: tuple[str, ...]
    draws: tuple[tuple[str, ...], ...]
    constant: Arguments
    num_calls: int
    num_left_out: int


def signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Signature:
    """A definition's parameters, by syntax."""
    arguments = node.args
    positional = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    keyword_only = [argument.arg for argument in arguments.kwonlyargs]
    defaulted = positional[len(positional) - len(arguments.defaults) :]
    given = [*zip(defaulted, arguments.defaults, strict=True), *zip(keyword_only, arguments.kw_defaults, strict=True)]
    with_default = {name: default for name, default in given if default is not None}
    literal = {name: literal_text(default) for name, default in with_default.items()}
    return Signature(
        positional=tuple(positional),
        keyword_only=tuple(keyword_only),
        num_positional_only=len(arguments.posonlyargs),
        starred=arguments.vararg.arg if arguments.vararg else None,
        takes_keywords=arguments.kwarg is not None,
        required=tuple(name for name in (*positional, *keyword_only) if name not in with_default),
        defaults={name: text for name, text in literal.items() if text is not None},
    )


def bind(function: Signature, call: LiteralCall) -> dict[str, str] | None:
    """The call's arguments by key; None where Python would refuse the call."""
    bound = dict(zip(function.positional, call.args, strict=False))
    extra = call.args[len(function.positional) :]
    if extra and function.starred is None:
        return None
    if function.starred is not None:
        bound[f"*{function.starred}"] = f"({', '.join(extra)}{',' if len(extra) == 1 else ''})"
    nameable = {*function.positional[function.num_positional_only :], *function.keyword_only}
    for name, text in call.keywords:
        key = name if name in nameable else f"**{name}"
        if key in bound or (key != name and not function.takes_keywords):
            return None
        bound[key] = text
    return None if any(name not in bound for name in function.required) else bound


def mined_prior(function: Signature, calls: Sequence[LiteralCall]) -> Prior:
    """The law of the calls that bind the same parameters, with literal defaults filled in: of several such groups the
    largest. ``draws`` are fewer than two distinct ones where the calls don't make a prior.
    """
    order, counts = _largest_group(function, _with_defaults(function, calls))
    kept = _thinned(counts)
    drawn = [n for n in range(len(order)) if len({values[n] for values in kept}) > 1]
    draws = [tuple(values[n] for n in drawn) for values, count in kept.items() for _ in range(count)]
    some = next(iter(kept), ())
    return Prior(
        drawn=tuple(order[n] for n in drawn),
        draws=tuple(draws),
        constant=tuple((order[n], text) for n, text in enumerate(some) if n not in drawn),
        num_calls=len(calls),
        num_left_out=len(calls) - len(draws),
    )


def _largest_group(
    function: Signature, bound: Sequence[Mapping[str, str]]
) -> tuple[list[str], Counter[tuple[str, ...]]]:
    """The arguments that most calls give, in a call's order, and how often each list of their values stands there."""
    groups = Counter(frozenset(each) for each in bound)
    chosen = groups.most_common(1)[0][0] if groups else frozenset()
    known = [key for key in function.order if key in chosen]
    order = [*known, *sorted(chosen.difference(known))]
    return order, Counter(tuple(each[key] for key in order) for each in bound if frozenset(each) == chosen)


def _with_defaults(function: Signature, calls: Sequence[LiteralCall]) -> list[dict[str, str]]:
    """The calls that bind, each with the literal defaults of the arguments that only others of them give: so calls
    that leave a default out and calls that spell it are alike.
    """
    bound = [each for each in (bind(function, call) for call in calls) if each is not None]
    given = {key for each in bound for key in each}
    defaults = {key: text for key, text in function.defaults.items() if key in given}
    return [{**defaults, **each} for each in bound]


def _thinned(counts: Counter[tuple[str, ...]]) -> dict[tuple[str, ...], int]:
    """The most frequent calls that the limits allow, in the order in which they were found; counts are halved until
    there are few enough.
    """
    short = [values for values in counts if sum(map(len, values)) <= MAX_CALL_CHARS]
    chosen = sorted(short, key=lambda values: -counts[values])[:MAX_DISTINCT]
    kept = {values: counts[values] for values in short if values in chosen}
    while sum(kept.values()) > MAX_DRAWS:
        kept = {values: max(1, count // 2) for values, count in kept.items()}
    while sum(count * (sum(map(len, values)) + 2) for values, count in kept.items()) > MAX_PRIOR_CHARS:
        if max(kept.values()) > 1:
            kept = {values: max(1, count // 2) for values, count in kept.items()}
        else:
            del kept[next(values for values in reversed(chosen) if values in kept)]
    return kept
