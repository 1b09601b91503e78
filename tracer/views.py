"""Views: the part of a trace that a model sees, written as text (``branch``, ``skip+every:4``) or as a ``View``.

``written``  everything: after each command, each variable that it wrote. The default.
``branch``   outcomes of draws are hidden, and the statements that depend on them: a statement is opened only where all
             that agrees with the text so far takes the same way through it.
``skip``     loops and calls are one command each: only their effect counts.
``inverse:NAME=A|B|C``  the inputs are hidden: the assignment of the constant NAME becomes a draw from the given values,
             each as likely as the others (a value may be given twice), and the last reveal asks for it.
``inverse``  the same of a repository's functions: their inputs are drawn from the calls that were found there, each
             as likely as it is frequent. ``inverse:grid`` draws them from declared values instead.

Modifiers: ``every:K`` (commands between two reveals, 0 for none but the program's own output), ``full`` or ``partial``
(all variables or one, drawn independently of the state), ``print`` or ``echo``, ``repeats`` (with ``written`` or
``partial``, also reveals that tell nothing: of a value that the text gave, under this name or another one of it, and
that can't have changed), ``uncertain`` (with a view that hides outcomes: each reveal asks what the text doesn't tell: a
variable, its length, an item, its remainder, an attribute, and there is none where all is certain). Parts are joined by
``+``.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from dataclasses import dataclass

POLICIES = ("written", "branch", "skip", "inverse")
PRIORS = ("declared", "mined", "grid")
"""Where the values of hidden inputs come from: the view itself, a repository's literal calls, a grid by annotation or
name."""
STYLES = ("echo", "print")
DEFAULT_FOLLOW = 3
"""The depth of calls whose bodies are shown, unless another is asked for: most programs' own calls are no deeper. A
session of ``Limits.commands`` opens nothing more, so that depth can take from breadth but not from the run."""


class ViewError(ValueError):
    """The text is no view; the message says what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The part of a trace that a model sees.

    Attributes:
        policies: names of POLICIES; ``written`` stands alone.
        every: commands between two reveals, 0 for none but the program's own output. None shows each variable after
            the command that wrote it (``written``).
        partial: a reveal shows one variable, drawn independently of the state; else all of them.
        style: ``echo`` reveals by an expression, ``print`` by a call of print.
        repeats: reveals that tell nothing are shown, too.
        uncertain: reveals ask what the text doesn't tell, by how uncertain the answers are.
        prior: where the values of hidden inputs come from, one of PRIORS; None without ``inverse``.
        inputs: for the prior ``declared``, variables with the values that they may have, as source text.

    Raises:
        ViewError: a policy, prior or style is unknown, or ``every`` is negative.

    >>> import trace_mine
    >>> trace_mine.View(policies=("branch",), every=2, style="print") == trace_mine.parse_view("branch+every:2+print")
    True
    """

    policies: tuple[str, ...] = ("written",)
    every: int | None = None
    partial: bool = True
    style: str = "echo"
    repeats: bool = False
    uncertain: bool = False
    prior: str | None = None
    inputs: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __post_init__(self) -> None:
        # ``written`` beside others is let through: ``parse_view`` refuses it with the words of the text
        if not self.policies or not set(self.policies) <= set(POLICIES):
            raise ViewError(f"expected View.policies of {', '.join(POLICIES)}, got {self.policies}; name one or more")
        if self.style not in STYLES or (self.prior is not None and self.prior not in PRIORS):
            raise ViewError(
                f"expected View.style in {STYLES} and View.prior in {PRIORS}, got {self.style!r} and {self.prior!r}; "
                f"use one of each"
            )
        if self.every is not None and self.every < 0:
            raise ViewError(f"expected View.every >= 0, got {self.every}; give 0 for no reveals but the program's own")
        if self.uncertain and not (self.hides and self.partial and not self.repeats):
            raise ViewError(
                "expected View.uncertain with a view that hides outcomes and partial reveals, got another; write "
                "branch+uncertain"
            )

    @property
    def hides(self) -> bool:
        """True if outcomes of draws are hidden, so that rows have choices and beliefs."""
        return "branch" in self.policies or "inverse" in self.policies

    @property
    def skips(self) -> bool:
        """True if loops and calls are one command each."""
        return "skip" in self.policies

    @property
    def is_default(self) -> bool:
        """True if this is the view of a plain run."""
        return self.policies == ("written",) and self.every is None and self.style == "echo" and not self.repeats

    def as_json(self) -> dict[str, object]:
        """The view as a JSON object: the column ``view`` of a row."""
        fields: dict[str, object] = {"policy": "+".join(self.policies), "style": self.style, "literals": False}
        if self.every is not None:
            fields |= {"every": self.every, "partial": self.partial}
        if self.repeats:
            fields["repeats"] = True
        if self.uncertain:
            fields["uncertain"] = True
        if self.prior is not None:
            fields["prior"] = self.prior
        if self.inputs:
            fields["inputs"] = {name: list(values) for name, values in self.inputs}
        return fields


def parse_view(text: str) -> View:
    """The view that a text such as ``branch+every:2`` names.

    Views other than ``written`` have a reveal every 4 commands where the text does not say how many.

    Raises:
        ViewError: a part is unknown or does not go with the others.

    >>> import trace_mine
    >>> trace_mine.parse_view("skip+every:4").skips
    True
    """
    policies: list[str] = []
    inputs: list[tuple[str, tuple[str, ...]]] = []
    priors: dict[str, None] = {}  # a set that keeps the order of the text, for the error
    every: int | None = None
    partial = True
    style = "echo"
    repeats = uncertain = False
    for part in text.split("+"):
        name, _, rest = part.strip().partition(":")
        if name == "inverse":
            policies.append(name)
            priors[{"": "mined", "grid": "grid"}.get(rest, "declared")] = None
            # any other word is an input's declaration, and is refused below where it is none
            if rest not in ("", "grid"):
                inputs.append(_inputs(rest))
        # ``not rest``: ``branch:2`` is a slip, of which nothing must be guessed
        elif name in POLICIES and not rest:
            policies.append(name)
        elif name == "every" and rest.isdigit():
            every = int(rest)
        elif part in ("full", "partial"):
            partial = part == "partial"
        elif part in STYLES:
            style = part
        elif part == "repeats":
            repeats = True
        elif part == "uncertain":
            uncertain = True
        else:
            raise ViewError(
                f"expected a view made of {', '.join(POLICIES)}, inverse:grid, inverse:NAME=A|B, every:NUMBER, "
                f"partial, full, repeats, uncertain, {', '.join(STYLES)}, joined by +, got {part!r}; "
                "write some of these"
            )
    _check_parts(text, policies, priors)
    # once each: ``inverse:n=1|2+inverse:m=3|4`` names its policy twice
    chosen = tuple(dict.fromkeys(policies)) or ("written",)
    if every is None and chosen != ("written",):
        every = 4
    return View(
        policies=chosen,
        every=every,
        partial=partial,
        style=style,
        repeats=repeats,
        uncertain=uncertain,
        prior=next(iter(priors), None),
        inputs=tuple(inputs),
    )


def _check_parts(text: str, policies: Sequence[str], priors: Collection[str]) -> None:
    """Raises ViewError where parts of a view's text don't go together."""
    if "written" in policies and len(policies) > 1:
        raise ViewError(f"expected written alone, got {text!r}; leave one of them out")
    if len(priors) > 1:
        raise ViewError(
            f"expected one prior for hidden inputs, got {', '.join(priors)} in {text!r}; choose one of them"
        )


def _inputs(text: str) -> tuple[str, tuple[str, ...]]:
    name, equals, choices = text.partition("=")
    values = tuple(value.strip() for value in choices.split("|")) if equals else ()
    if not name.strip().isidentifier() or len(values) < 2:
        raise ViewError(f"expected inverse:NAME=A|B|..., got inverse:{text}; name a variable and two values or more")
    # Literals alone: the values become a part of the program, where anything else would run as code.
    for value in values:
        try:
            ast.literal_eval(value)
        except (ValueError, SyntaxError):
            raise ViewError(f"expected literal values for {name}, got {value!r}; quote text") from None
    return name.strip(), values


def question(name: str, *, is_text: bool = False) -> str:
    """The command that asks for a hidden input.

    An input that may be a text is asked for by its ``repr``, so that the answer tells ``'1'`` from ``1``.
    """
    return f"print({name!r}, repr({name}))" if is_text else f"print({name!r}, {name})"


def with_hidden_inputs(source: str, view: View) -> str:
    """The program with each input's constant replaced by a draw from its values, and the inputs asked for at the end.

    The prior stands in the text: ``n = __import__('random').choice([1, 2, 3])``.

    Raises:
        ViewError: the program does not assign to that name at its top level.
        SyntaxError: the program does not compile.
    """
    if not view.inputs:
        return source
    # By the tree, not by the text: an assignment may stand behind a semicolon, or over several lines.
    tree = ast.parse(source)
    for name, values in view.inputs:
        for node in tree.body:
            target = node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
            if isinstance(target, ast.Name) and target.id == name and isinstance(node, ast.Assign):
                # ``__import__``, because a statement would be one more command of the session
                draw = f"__import__('random').choice([{', '.join(values)}])"
                node.value = ast.parse(draw, mode="eval").body
                break  # the first assignment is the input; a later one is what the program makes of it
        else:
            raise ViewError(f"expected {name} = CONSTANT at the program's top level, found none; name another input")
        tree.body.append(ast.parse(question(name)).body[0])
    # new nodes have no lines, without which the tree does not unparse; comments are lost, which no session shows
    return ast.unparse(ast.fix_missing_locations(tree))
