"""Automata as YAML files: keys ``Q Sigma delta rho q0``, and ``name``, ``emissions`` and ``commands`` if wanted.

``delta`` maps symbol -> state -> {next state: probability} (a bare state name is probability 1; a symbol that is left
out, or a state of it, stays where it is). ``rho`` maps symbol -> states in which it may be emitted (left out: all).
``q0`` is a state or {state: probability}. ``emissions`` maps state -> {symbol: probability}. ``commands`` maps every
symbol -> {source: what is typed, output: what is shown}. A probability is a number or a fraction such as ``1/3``.

Names are the text that stands there: ``on``, ``01`` and ``null`` are names like any other. Reading checks everything
and says with its line what is wrong; nothing in a file is ever run or constructed. Writing is the inverse: what is read
back equals bit for bit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from trace_mine.corpus.synthetic.automaton import SUM_ERROR, Automaton, Command, Floats

KEYS = ("name", "Q", "Sigma", "delta", "rho", "q0", "emissions", "commands")
EXAMPLE = """\
name: leaky switch
Q: [on, off]
Sigma: [tick, see-on]
delta:
  tick:
    on: {on: 9/10, off: 1/10}
    off: off
rho:
  see-on: [on]
q0: on
"""
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
FRACTION = re.compile(r"\d{1,300}/\d{1,300}")
NAMED_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")}


class AutomatonError(ValueError):
    """The file is no automaton; the message says where and why."""


def read_automaton(path: Path) -> Automaton:
    """The automaton of a file.

    Raises:
        AutomatonError: it can't be read, or is none.
    """
    try:
        return parse_automaton(path.read_text(encoding="utf-8"), path.stem)
    except (OSError, UnicodeDecodeError) as error:
        raise AutomatonError(f"expected a YAML file, got {str(path)!r}: {error}; give an existing file") from error


def parse_automaton(text: str, name: str = "automaton") -> Automaton:
    """The automaton that a YAML text describes; ``name`` where it has none.

    Raises:
        AutomatonError: see the module's docstring.
    """
    try:
        # the base loader only: scalars stay the text that they are, tags construct nothing
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        message = " ".join(str(error).split())
        raise AutomatonError(f"expected YAML, got {message}; correct the file") from error
    if root is None or not isinstance(root, yaml.MappingNode):
        raise AutomatonError(f"expected a mapping with {', '.join(KEYS[1:6])}, got {_shown(root)}; write `Q: [..]` ..")
    told_of = _pairs(root, "the file")
    unknown = [key for key in told_of if key not in KEYS]
    missing = [key for key in ("Q", "Sigma", "q0") if key not in told_of]
    if unknown or missing:
        raise AutomatonError(
            f"expected the keys {', '.join(KEYS)}, got unknown {unknown}, missing {missing}; correct the keys"
        )
    states, symbols = _names(told_of["Q"], "Q"), _names(told_of["Sigma"], "Sigma")

    def table(key: str, known: Sequence[str]) -> dict[str, yaml.Node]:
        node = told_of.get(key)
        return {} if node is None or _is_empty(node) else _table(node, known, key)

    try:
        return Automaton(
            name=_text(told_of["name"], "name") if "name" in told_of else name,
            states=states,
            symbols=symbols,
            transitions=_transitions(table("delta", symbols), states, symbols),
            reveals=_reveals(table("rho", symbols), states, symbols),
            start=_law(told_of["q0"], states, "q0"),
            emissions=_emissions(table("emissions", states), states, symbols),
            commands=_commands(table("commands", symbols), symbols),
        )
    except AutomatonError:
        raise
    except ValueError as error:
        raise AutomatonError(str(error)) from error


def _transitions(by_symbol: dict[str, yaml.Node], states: Sequence[str], symbols: Sequence[str]) -> Floats:
    matrices = np.stack([np.eye(len(states))] * len(symbols))
    for symbol, columns in by_symbol.items():
        for state, law in _table(columns, states, f"delta of {symbol}").items():
            where = f"delta of {symbol} in {state}"
            matrices[symbols.index(symbol), :, states.index(state)] = _law(law, states, where)
    return matrices


def _reveals(by_symbol: dict[str, yaml.Node], states: Sequence[str], symbols: Sequence[str]) -> NDArray[np.bool_]:
    allowed = np.ones((len(symbols), len(states)), dtype=bool)
    for symbol, node in by_symbol.items():
        where = f"rho of {symbol}"
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            raise _wrong(f"{where} to be a list of states", node, "name at least one, or leave the symbol out")
        members = [_text(member, where) for member in node.value]
        for member, at in zip(members, node.value, strict=True):
            _is_known(member, states, where, at)
        allowed[symbols.index(symbol)] = [state in members for state in states]
    return allowed


def _emissions(by_state: dict[str, yaml.Node], states: Sequence[str], symbols: Sequence[str]) -> Floats | None:
    if not by_state:
        return None
    law = np.zeros((len(symbols), len(states)))
    for column, state in enumerate(states):
        if state not in by_state:
            raise AutomatonError(f"expected emissions for every state, got none for {state}; add {state}")
        law[:, column] = _law(by_state[state], symbols, f"emissions in {state}")
    return law


def _commands(by_symbol: dict[str, yaml.Node], symbols: Sequence[str]) -> tuple[Command, ...] | None:
    if not by_symbol:
        return None
    commands = []
    for symbol in symbols:
        if symbol not in by_symbol:
            raise AutomatonError(f"expected commands for every symbol, got none for {symbol}; add {symbol}")
        where = f"commands of {symbol}"
        parts = _table(by_symbol[symbol], ("source", "output"), where)
        if "source" not in parts:
            raise _wrong(f"{where} to have a source", by_symbol[symbol], "add `source: ...`")
        texts = {key: _text(node, f"{where}, {key}") for key, node in parts.items()}
        try:
            commands.append(Command(**texts))
        except ValueError as error:
            raise AutomatonError(f"{where}: {error}") from error
    return tuple(commands)


def _law(node: yaml.Node, names: Sequence[str], where: str) -> Floats:
    law = np.zeros(len(names))
    if isinstance(node, yaml.MappingNode):
        for name, value in _table(node, names, where).items():
            law[names.index(name)] = _probability(value, f"{where} for {name}")
    else:
        name = _text(node, where)
        _is_known(name, names, where, node)
        law[names.index(name)] = 1.0
    if abs(law.sum() - 1.0) > SUM_ERROR:
        raise _wrong(f"{where} to sum to 1", node, "correct the numbers", f"{law.sum():.12g}")
    return law


def _probability(node: yaml.Node, where: str) -> float:
    is_plain = isinstance(node, yaml.ScalarNode) and node.style is None
    text = _text(node, where) if is_plain else ""
    if NUMBER.fullmatch(text):
        value = float(text)
    elif FRACTION.fullmatch(text) and int(text.partition("/")[2]):
        value = float(Fraction(text))
    else:
        fix = "write it without quotes" if isinstance(node, yaml.ScalarNode) and not is_plain else "correct it"
        raise _wrong(f"a number or a fraction like 1/3 in {where}", node, fix)
    if not 0.0 <= value <= 1.0:
        raise _wrong(f"{where} to be between 0 and 1, as parts that sum to 1 are", node, "correct the number")
    return value


def _names(node: yaml.Node, where: str) -> tuple[str, ...]:
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        raise _wrong(f"{where} to be a list of names", node, "write [first, second, ...]")
    names = tuple(_text(each, where) for each in node.value)
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise _wrong(f"distinct names in {where}", node, "rename", f"{', '.join(twice)} more than once")
    return names


def _table(node: yaml.Node, known: Sequence[str], where: str) -> dict[str, yaml.Node]:
    table = _pairs(node, where)
    for key, value in table.items():
        _is_known(key, known, where, value)
    return table


def _pairs(node: yaml.Node, where: str) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode) or node.tag not in NAMED_TAGS:
        raise _wrong(f"{where} to be a mapping", node, "write {name: value, ...}")
    pairs: dict[str, yaml.Node] = {}
    for key_node, value in node.value:
        key = _text(key_node, where)
        if key in pairs:
            raise _wrong(f"each key of {where} once", key_node, "join the two", f"{key!r} twice")
        pairs[key] = value
    return pairs


def _text(node: yaml.Node, where: str) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag not in NAMED_TAGS:
        raise _wrong(f"text in {where}", node, "write a plain word, or text in quotes")
    return str(node.value)


def _is_known(name: str, known: Sequence[str], where: str, node: yaml.Node) -> None:
    if name not in known:
        raise _wrong(f"{where} to speak of {', '.join(known)}", node, "correct the name", repr(name))


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value == "" and node.style is None


def _shown(node: yaml.Node | None) -> str:
    if node is None:
        return "nothing"
    kind = {yaml.ScalarNode: "", yaml.SequenceNode: "a list", yaml.MappingNode: "a mapping"}[type(node)]
    tag = "" if node.tag in NAMED_TAGS else f" with the tag {node.tag}"
    return (kind or repr(node.value)) + (tag or (" (empty)" if not node.value and kind else ""))


def _wrong(expected: str, node: yaml.Node, fix: str, got: str = "") -> AutomatonError:
    return AutomatonError(f"expected {expected}, got {got or _shown(node)} (line {node.start_mark.line + 1}); {fix}")


def write_automaton(automaton: Automaton) -> str:
    """The YAML text that ``parse_automaton`` reads back bit for bit; what goes without saying is left out."""
    states, symbols = automaton.states, automaton.symbols

    def law(column: Floats, names: Sequence[str]) -> Any:
        by_name = {name: float(p) for name, p in zip(names, column, strict=True) if p}
        return next(iter(by_name)) if list(by_name.values()) == [1.0] else by_name

    delta, rho = {}, {}
    for s, symbol in enumerate(symbols):
        columns = {state: law(automaton.transitions[s, :, q], states) for q, state in enumerate(states)}
        if moves := {state: column for state, column in columns.items() if column != state}:
            delta[symbol] = moves
        if not automaton.reveals[s].all():
            rho[symbol] = [state for q, state in enumerate(states) if automaton.reveals[s, q]]
    document: dict[str, Any] = {"name": automaton.name, "Q": list(states), "Sigma": list(symbols), "delta": delta}
    document |= {"rho": rho, "q0": law(automaton.start, states)}
    if automaton.emissions is not None:
        document["emissions"] = {state: law(automaton.emissions[:, q], symbols) for q, state in enumerate(states)}
    if automaton.commands is not None:
        pairs = zip(symbols, automaton.commands, strict=True)
        document["commands"] = {symbol: {"source": c.source, "output": c.output} for symbol, c in pairs}
    return str(
        yaml.dump(document, Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120)
    )


class _Dumper(yaml.SafeDumper):
    """Spells an equal list out again: a reader of the file need not follow anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
