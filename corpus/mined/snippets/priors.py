"""Makes a law of a function's inputs out of its literal calls: an input is as likely as it is frequent among them.

Calls are bound to the function's parameters, so that ``f(1, k=2)`` and ``f(x=1, k=2)`` are one. The arguments that the
calls agree in stay in the command; the others are drawn together. A prior is thinned where it would be too long to read
or to enumerate; the calls that it lacks are counted.

On four sdists and ten modules of the standard library, 344 of 512 functions with a literal call have two distinct ones
that bind alike, so that there is something to draw.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trace_mine.corpus.mined.snippets.call_index import LiteralCall, literal_text
from trace_mine.corpus.mined.snippets.class_index import Function

MAX_DISTINCT = 16
"""Distinct calls of a prior; a reader should see all of them at a glance."""
MAX_DRAWS = 48
"""Outcomes of a prior, repeated ones included. A uniform draw of more than 64 outcomes is sampled, not enumerated."""
MAX_PRIOR_CHARS = 640
"""Characters of all outcomes of a prior, which stand in one command."""
MAX_CALL_CHARS = 160
"""Characters of one call's arguments; longer ones are data, not examples."""

Arguments = tuple[tuple[str, str], ...]
"""(key, source text) of each argument; ``*args`` is the key of a starred parameter, ``**name`` of a keyword that only
``**kwargs`` takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The parameters of a function, to which calls are bound.

    Attributes:
        positional: names of the parameters that a position can give, the positional-only ones first.
        keyword_only: names of the parameters behind a star.
        num_positional_only: how many of ``positional`` no keyword can give.
        starred: the name of ``*args``; None without it.
        takes_keywords: True with ``**kwargs``.
        required: names of the parameters without a default.
        defaults: source text of the defaults that are literals.

    Raises:
        ValueError: there are more positional-only parameters than positional ones, or a required parameter is none of
            the function's.
    """

    positional: tuple[str, ...]
    keyword_only: tuple[str, ...] = ()
    num_positional_only: int = 0
    starred: str | None = None
    takes_keywords: bool = False
    required: tuple[str, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.num_positional_only <= len(self.positional):
            raise ValueError(
                f"expected 0 <= Signature.num_positional_only <= {len(self.positional)}, got "
                f"{self.num_positional_only}; count the parameters before the slash"
            )
        unknown = {*self.required, *self.defaults} - {*self.positional, *self.keyword_only}
        if unknown:
            raise ValueError(f"expected parameters of the function, got {sorted(unknown)}; name them in positional")

    @property
    def order(self) -> tuple[str, ...]:
        """The keys of arguments in the order in which a call spells them."""
        return (*self.positional, *([f"*{self.starred}"] if self.starred else []), *self.keyword_only)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """A law of a function's arguments: each of its ``outcomes`` is as likely as the others.

    Attributes:
        drawn: keys of the arguments that vary, in a call's order; empty where the calls don't make a prior.
        outcomes: a source text for each of ``drawn``; one that is twice as likely stands there twice.
        constant: the arguments that don't vary.
        num_calls: the literal calls that were found.
        num_left_out: those of them that are not in the law.

    Raises:
        ValueError: an outcome has not one text for each drawn argument.
    """

    drawn: tuple[str, ...]
    outcomes: tuple[tuple[str, ...], ...]
    constant: Arguments
    num_calls: int
    num_left_out: int

    def __post_init__(self) -> None:
        if any(len(outcome) != len(self.drawn) for outcome in self.outcomes):
            raise ValueError(
                f"expected {len(self.drawn)} texts in each of Prior.outcomes, got {self.outcomes!r:.200}; give one for "
                "each drawn argument"
            )


def signature(node: Function) -> Signature:
    """A definition's parameters, read from its syntax."""
    arguments = node.args
    positional = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    keyword_only = [argument.arg for argument in arguments.kwonlyargs]
    defaulted = positional[len(positional) - len(arguments.defaults) :]
    pairs = [*zip(defaulted, arguments.defaults, strict=True), *zip(keyword_only, arguments.kw_defaults, strict=True)]
    with_default = {name: default for name, default in pairs if default is not None}
    # A default that is no literal stays the function's own: to spell it could need names that the session lacks.
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
    """The call's arguments by key; None where Python would refuse the call.

    By text and not with ``inspect.Signature.bind``, which wants the function itself: nothing of a repository is
    imported here.

    Example:
        For ``def f(x, *rest, k=1)`` and the call ``f(1, 2, k=3)``: ``{"x": "1", "*rest": "(2,)", "k": "3"}``.
    """
    bound = dict(zip(function.positional, call.args, strict=False))
    extra = call.args[len(function.positional) :]
    if extra and function.starred is None:
        return None
    if function.starred is not None:
        # Always bound, to `()` too, so that calls with and without further arguments give the same parameters.
        bound[f"*{function.starred}"] = f"({', '.join(extra)}{',' if len(extra) == 1 else ''})"
    # A keyword that is no parameter's, or a positional-only one's, goes to **kwargs, if there is one.
    nameable = {*function.positional[function.num_positional_only :], *function.keyword_only}
    for name, text in call.keywords:
        key = name if name in nameable else f"**{name}"
        if key in bound or (key != name and not function.takes_keywords):
            return None
        bound[key] = text
    return None if any(name not in bound for name in function.required) else bound


def mined_prior(function: Signature, calls: Sequence[LiteralCall]) -> Prior:
    """The law of the calls that give the same parameters, each with literal defaults filled in.

    Calls of one command must give the same parameters, so of several such groups the largest is taken. Where no two
    distinct calls are left, nothing is drawn: ``drawn`` is empty.

    Example:
        ``f(1, 2)``, ``f(1, 3)`` and ``f(1, 3)`` of ``def f(x, y)`` draw ``y`` from ``[2, 3, 3]``, with ``x`` constant.
    """
    order, counts = _largest_group(function, _with_defaults(function, calls))
    thinned = _thinned(counts)
    drawn = [n for n in range(len(order)) if len({values[n] for values in thinned}) > 1]
    outcomes = [tuple(values[n] for n in drawn) for values, count in thinned.items() for _ in range(count)]
    first_values = next(iter(thinned), ())
    return Prior(
        drawn=tuple(order[n] for n in drawn),
        outcomes=tuple(outcomes),
        constant=tuple((order[n], text) for n, text in enumerate(first_values) if n not in drawn),
        num_calls=len(calls),
        num_left_out=len(calls) - len(outcomes),
    )


def _largest_group(
    function: Signature, bound: Sequence[Mapping[str, str]]
) -> tuple[list[str], Counter[tuple[str, ...]]]:
    """The keys of the arguments that most calls give, in a call's order, and the count of each list of their values."""
    groups = Counter(frozenset(arguments) for arguments in bound)
    group = groups.most_common(1)[0][0] if groups else frozenset()
    parameters = [key for key in function.order if key in group]
    # Keywords that only **kwargs takes are none of the parameters; any order does, if it is always the same.
    order = [*parameters, *sorted(group.difference(parameters))]
    return order, Counter(
        tuple(arguments[key] for key in order) for arguments in bound if frozenset(arguments) == group
    )


def _with_defaults(function: Signature, calls: Sequence[LiteralCall]) -> list[dict[str, str]]:
    """The calls that bind, each with the literal defaults of the arguments that only others of them give.

    So calls that leave a default out and calls that spell it are alike. A default that no call gives stays out of the
    command.
    """
    all_bound = [bound for bound in (bind(function, call) for call in calls) if bound is not None]
    keys = {key for bound in all_bound for key in bound}
    defaults = {key: text for key, text in function.defaults.items() if key in keys}
    return [{**defaults, **bound} for bound in all_bound]


def _thinned(counts: Counter[tuple[str, ...]]) -> dict[tuple[str, ...], int]:
    """The most frequent calls that the limits allow with their counts, in the order in which they were found.

    Counts are halved, which about keeps their ratios, until there are few enough outcomes of few enough characters;
    when each count is 1, the least frequent calls go.
    """
    short = [values for values in counts if sum(map(len, values)) <= MAX_CALL_CHARS]
    # The sort is stable: of equally frequent calls the one that was found first comes first.
    chosen = sorted(short, key=lambda values: -counts[values])[:MAX_DISTINCT]
    kept = {values: counts[values] for values in short if values in chosen}
    while sum(kept.values()) > MAX_DRAWS:
        kept = {values: max(1, count // 2) for values, count in kept.items()}
    # Two more characters for each outcome: the comma and the space behind it.
    while sum(count * (sum(map(len, values)) + 2) for values, count in kept.items()) > MAX_PRIOR_CHARS:
        if max(kept.values()) > 1:
            kept = {values: max(1, count // 2) for values, count in kept.items()}
        else:
            # The least frequent comes last in `chosen`; of equals, the one that was found last.
            del kept[next(values for values in reversed(chosen) if values in kept)]
    return kept
