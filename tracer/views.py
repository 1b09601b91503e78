"""Views: what of a trace a model sees, spelt as text (``branch``, ``skip+every:4``) and as data.

``written``  everything: after each command, each variable that it wrote. The default.
``branch``   outcomes of draws are hidden, and the statements that depend on them: a statement is opened only where all
             that agrees with the text so far takes the same way through it.
``skip``     loops and calls are one command each: only their effect counts.
``inverse:NAME=A|B|C``  the inputs are hidden: the assignment of the constant NAME becomes a draw from the given values,
             each as likely as the others (a value may be given twice), and the last reveal asks for it.
``inverse``  the same of a repository's functions: their inputs are drawn from the calls that were found there, each
             as likely as it is frequent. ``inverse:grid`` draws them from declared values instead.

Modifiers: ``every:K`` (commands between two reveals, 0 for none but the program's own output), ``full`` or ``partial``
(all variables or one, drawn independently of the state), ``print`` or ``echo``. Parts are joined by ``+``.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

POLICIES = ("written", "branch", "skip", "inverse")
PRIORS = ("declared", "mined", "grid")
"""Where the values of hidden inputs come from: the view itself, a repository's literal calls, a grid by annotation or
name."""
STYLES = ("echo", "print")


class ViewError(ValueError):
    """The text is no view; the message says what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A view. ``prior`` is one of PRIORS for ``inverse``, None for others; for a declared one, ``inputs`` has the
    variable names with the values that they may have (as source text).

    ``every`` is None where each command's variables are shown (``written``).

    >>> import trace_mine
    >>> trace_mine.View(policies=("branch",), every=2, style="print") == trace_mine.parse_view("branch+every:2+print")
    True
    """

    policies: tuple[str, ...] = ("written",)
    every: int | None = None
    partial: bool = True
    style: str = "echo"
    prior: str | None = None
    inputs: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def hides(self) -> bool:
        """Whether outcomes of draws are hidden, so that its rows have choices and beliefs."""
        return "branch" in self.policies or "inverse" in self.policies

    @property
    def skips(self) -> bool:
        """Whether loops and calls are one command."""
        return "skip" in self.policies

    @property
    def is_default(self) -> bool:
        """Whether this is the view of a plain run."""
        return self.policies == ("written",) and self.every is None and self.style == "echo"

    def as_json(self) -> dict[str, Any]:
        """What a row's ``view`` says."""
        told: dict[str, Any] = {"policy": "+".join(self.policies), "style": self.style, "literals": False}
        if self.every is not None:
            told |= {"every": self.every, "partial": self.partial}
        if self.prior is not None:
            told["prior"] = self.prior
        if self.inputs:
            told["inputs"] = {name: list(values) for name, values in self.inputs}
        return told


def parse_view(text: str) -> View:
    """The view that a command line names.

    Raises:
        ViewError: a part is unknown or does not go with the others.

    >>> import trace_mine
    >>> trace_mine.parse_view("skip+every:4").skips
    True
    """
    policies: list[str] = []
    inputs: list[tuple[str, tuple[str, ...]]] = []
    priors: dict[str, None] = {}
    every: int | None = None
    partial = True
    style = "echo"
    for part in text.split("+"):
        name, _, rest = part.strip().partition(":")
        if name == "inverse":
            policies.append(name)
            priors[{"": "mined", "grid": "grid"}.get(rest, "declared")] = None
            if rest not in ("", "grid"):
                inputs.append(_inputs(rest))
        elif name in POLICIES and not rest:
            policies.append(name)
        elif name == "every" and rest.isdigit():
            every = int(rest)
        elif part in ("full", "partial"):
            partial = part == "partial"
        elif part in STYLES:
            style = part
        else:
            raise ViewError(
                f"expected a view such as branch, skip, inverse:n=1|2|3, every:4, full, print, joined by +, "
                f"got {part!r}; see --help"
            )
    if "written" in policies and len(policies) > 1:
        raise ViewError(f"expected written alone, got {text!r}; leave one of them out")
    if len(priors) > 1:
        raise ViewError(
            f"expected one prior for hidden inputs, got {', '.join(priors)} in {text!r}; choose one of them"
        )
    chosen = tuple(dict.fromkeys(policies)) or ("written",)
    if every is None and chosen != ("written",):
        every = 4
    return View(
        policies=chosen, every=every, partial=partial, style=style, prior=next(iter(priors), None), inputs=tuple(inputs)
    )


def _inputs(text: str) -> tuple[str, tuple[str, ...]]:
    name, equals, spelt = text.partition("=")
    values = tuple(value.strip() for value in spelt.split("|")) if equals else ()
    if not name.strip().isidentifier() or len(values) < 2:
        raise ViewError(f"expected inverse:NAME=A|B|..., got inverse:{text}; name a variable and two values or more")
    for value in values:
        try:
            ast.literal_eval(value)
        except (ValueError, SyntaxError):
            raise ViewError(f"expected literal values for {name}, got {value!r}; quote text") from None
    return name.strip(), values


def question(name: str, *, is_text: bool = False) -> str:
    """The command that asks for a hidden input; one that may be a text is asked for as it is spelt."""
    return f"print({name!r}, repr({name}))" if is_text else f"print({name!r}, {name})"


def with_hidden_inputs(source: str, view: View) -> str:
    """The program with each input's constant replaced by a draw from its values, and the inputs asked for at the end.

    The prior stands in the text: ``n = __import__('random').choice([1, 2, 3])``.

    Raises:
        ViewError: the program assigns no constant to that name at its top level.
    """
    if not view.inputs:
        return source
    tree = ast.parse(source)
    for name, values in view.inputs:
        for node in tree.body:
            target = node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
            if isinstance(target, ast.Name) and target.id == name and isinstance(node, ast.Assign):
                spelt = f"__import__('random').choice([{', '.join(values)}])"
                node.value = ast.parse(spelt, mode="eval").body
                break
        else:
            raise ViewError(f"expected {name} = CONSTANT at the program's top level, found none; name another input")
        tree.body.append(ast.parse(question(name)).body[0])
    return ast.unparse(ast.fix_missing_locations(tree))
