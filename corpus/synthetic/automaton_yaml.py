"""Automata as YAML files: keys ``Q Sigma delta rho q0``, and optionally ``name``, ``emissions`` and ``commands``.

``delta`` maps symbol -> state -> {next state: probability} (a bare state name is probability 1; a symbol that is left
out, or a state of it, stays where it is). ``rho`` maps symbol -> states in which it may be emitted (left out: all).
``q0`` is a state or {state: probability}. ``emissions`` maps state -> {symbol: probability}. ``commands`` maps every
symbol -> {source: what is typed, output: what is shown}. A probability is a number or a fraction such as ``1/3``.

Names are the text in the file: ``on``, ``01`` and ``null`` are names like any other, although YAML would read a bool, a
number and a null. Reading checks everything and reports a mistake with its line; nothing in a file is run or
constructed. Writing is the inverse: the automaton that is read back equals the written one bit for bit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from trace_mine.corpus.synthetic.automaton import SUM_ERROR, Automaton, AutomatonCommand, Floats

KEYS = ("name", "Q", "Sigma", "delta", "rho", "q0", "emissions", "commands")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
# Python refuses to turn texts of more than 4,300 digits into int, by an error that has no line; no fraction needs 300.
FRACTION = re.compile(r"\d{1,300}/\d{1,300}")
# The tags of plain scalars, lists and mappings; every other tag (`!!python/object`, ...) is refused.
NAMED_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")}


class AutomatonError(ValueError):
    """A file describes no automaton; the message says where in it and why."""


def read_automaton(path: Path) -> Automaton:
    """Read the automaton of a file; its name is the file's, where the file gives none.

    Raises:
        AutomatonError: the file can't be read, or describes no automaton.
    """
    try:
        return parse_automaton(path.read_text(encoding="utf-8"), path.stem)
    except (OSError, UnicodeDecodeError) as error:
        raise AutomatonError(f"expected a YAML file, got {str(path)!r}: {error}; give an existing file") from error


def parse_automaton(text: str, name: str = "automaton") -> Automaton:
    """Parse the automaton that a YAML text describes.

    The text is composed to YAML nodes only, which keep their lines and their texts; each key then has a function that
    checks its node and turns it into an array.

    Args:
        text: YAML, as the module's docstring describes it.
        name: the automaton's name where the text gives none.

    Raises:
        AutomatonError: the text is no YAML, or describes no automaton; the message has the line.
    """
    try:
        # The base loader: scalars stay the text that they are, tags construct nothing.
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:  # the composer recurses: a thousand brackets are enough
        message = " ".join(str(error).split())
        raise AutomatonError(f"expected YAML, got {message}; correct the file") from error
    if root is None or not isinstance(root, yaml.MappingNode):  # an empty file has no root
        raise AutomatonError(f"expected a mapping with {', '.join(KEYS[1:6])}, got {_shown(root)}; write `Q: [..]` ..")
    nodes = _pairs(root, "the file")
    unknown = [key for key in nodes if key not in KEYS]
    missing = [key for key in ("Q", "Sigma", "q0") if key not in nodes]
    if unknown or missing:
        raise AutomatonError(
            f"expected the keys {', '.join(KEYS)}, got unknown {unknown}, missing {missing}; correct the keys"
        )
    states, symbols = _names(nodes["Q"], "Q"), _names(nodes["Sigma"], "Sigma")

    def table(key: str, allowed: Sequence[str]) -> dict[str, yaml.Node]:
        node = nodes.get(key)
        return {} if node is None or _is_empty(node) else _table(node, allowed, key)

    try:
        return Automaton(
            name=_text(nodes["name"], "name") if "name" in nodes else name,
            states=states,
            symbols=symbols,
            transitions=_transitions(table("delta", symbols), states, symbols),
            reveals=_reveals(table("rho", symbols), states, symbols),
            start=_law(nodes["q0"], states, "q0"),
            emissions=_emissions(table("emissions", states), states, symbols),
            commands=_commands(table("commands", symbols), symbols),
        )
    except AutomatonError:
        raise
    except ValueError as error:
        # Of Automaton: a mistake that no single node shows, such as a state in which no symbol is allowed.
        raise AutomatonError(str(error)) from error


def _transitions(by_symbol: dict[str, yaml.Node], states: Sequence[str], symbols: Sequence[str]) -> Floats:
    """Return T [symbols, states, states] of ``delta``; what is left out is a column of the identity."""
    matrices = np.stack([np.eye(len(states))] * len(symbols))
    for symbol, columns in by_symbol.items():
        for state, law in _table(columns, states, f"delta of {symbol}").items():
            where = f"delta of {symbol} in {state}"
            matrices[symbols.index(symbol), :, states.index(state)] = _law(law, states, where)
    return matrices


def _reveals(by_symbol: dict[str, yaml.Node], states: Sequence[str], symbols: Sequence[str]) -> NDArray[np.bool_]:
    """Return the array [symbols, states] of ``rho``; a symbol that is left out is allowed everywhere."""
    allowed = np.ones((len(symbols), len(states)), dtype=bool)
    for symbol, node in by_symbol.items():
        where = f"rho of {symbol}"
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            raise _wrong(f"{where} to be a list of states", node, "name at least one, or leave the symbol out")
        members = [_text(member, where) for member in node.value]
        for member, at in zip(members, node.value, strict=True):
            _check_known(member, states, where, at)
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


def _commands(by_symbol: dict[str, yaml.Node], symbols: Sequence[str]) -> tuple[AutomatonCommand, ...] | None:
    if not by_symbol:
        return None
    commands = []
    for symbol in symbols:
        if symbol not in by_symbol:
            raise AutomatonError(f"expected commands for every symbol, got none for {symbol}; add {symbol}")
        where = f"commands of {symbol}"
        parts = _table(by_symbol[symbol], ("source", "output"), where)  # `output` may be left out: it shows nothing
        if "source" not in parts:
            raise _wrong(f"{where} to have a source", by_symbol[symbol], "add `source: ...`")
        texts = {key: _text(node, f"{where}, {key}") for key, node in parts.items()}
        try:
            commands.append(AutomatonCommand(**texts))
        except ValueError as error:
            raise AutomatonError(f"{where}: {error}") from error
    return tuple(commands)


def _law(node: yaml.Node, names: Sequence[str], where: str) -> Floats:
    """Return the law over ``names`` of a node: {name: probability}, or one name, which is certain.

    The sum is checked here and not left to Automaton, since only the node has a line for the message.
    """
    law = np.zeros(len(names))
    if isinstance(node, yaml.MappingNode):
        for name, value in _table(node, names, where).items():
            law[names.index(name)] = _probability(value, f"{where} for {name}")
    else:
        name = _text(node, where)
        _check_known(name, names, where, node)
        law[names.index(name)] = 1.0
    if abs(law.sum() - 1.0) > SUM_ERROR:
        raise _wrong(f"{where} to sum to 1", node, "correct the numbers", f"{law.sum():.12g}")
    return law


def _probability(node: yaml.Node, where: str) -> float:
    """Return the number or fraction of a node. In quotes it is a text, as everywhere in YAML, and refused."""
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
    # Counting is quadratic, so it is done only where there is something to find: a file may have thousands of states.
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise _wrong(f"distinct names in {where}", node, "rename", f"{', '.join(twice)} more than once")
    return names


def _table(node: yaml.Node, allowed: Sequence[str], where: str) -> dict[str, yaml.Node]:
    table = _pairs(node, where)
    for key, value in table.items():
        _check_known(key, allowed, where, value)
    return table


def _pairs(node: yaml.Node, where: str) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode) or node.tag not in NAMED_TAGS:
        raise _wrong(f"{where} to be a mapping", node, "write {name: value, ...}")
    pairs: dict[str, yaml.Node] = {}
    for key_node, value in node.value:
        key = _text(key_node, where)
        # YAML forbids a key twice, but PyYAML takes the last one silently.
        if key in pairs:
            raise _wrong(f"each key of {where} once", key_node, "join the two", f"{key!r} twice")
        pairs[key] = value
    return pairs


def _text(node: yaml.Node, where: str) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag not in NAMED_TAGS:
        raise _wrong(f"text in {where}", node, "write a plain word, or text in quotes")
    return str(node.value)


def _check_known(name: str, allowed: Sequence[str], where: str, node: yaml.Node) -> None:
    if name not in allowed:
        raise _wrong(f"{where} to speak of {', '.join(allowed)}", node, "correct the name", repr(name))


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value == "" and node.style is None


def _shown(node: yaml.Node | None) -> str:
    """Return a node as a message names it: a text in quotes, ``a list``, ``a mapping``."""
    if node is None:
        return "nothing"
    kind = {yaml.ScalarNode: "", yaml.SequenceNode: "a list", yaml.MappingNode: "a mapping"}[type(node)]
    tag = "" if node.tag in NAMED_TAGS else f" with the tag {node.tag}"
    return (kind or repr(node.value)) + (tag or (" (empty)" if not node.value and kind else ""))


def _wrong(expected: str, node: yaml.Node, fix: str, got: str = "") -> AutomatonError:
    return AutomatonError(f"expected {expected}, got {got or _shown(node)} (line {node.start_mark.line + 1}); {fix}")


def write_automaton(automaton: Automaton) -> str:
    """Return the YAML text of an automaton; ``parse_automaton`` reads it back bit for bit.

    Columns of the identity, and a ``rho`` that allows all states, are left out. A float is written as its ``repr``, the
    shortest decimal that reads back as the same number.
    """
    states, symbols = automaton.states, automaton.symbols

    def law(column: Floats, names: Sequence[str]) -> str | dict[str, float]:
        by_name = {name: float(p) for name, p in zip(names, column, strict=True) if p}
        return next(iter(by_name)) if list(by_name.values()) == [1.0] else by_name

    delta, rho = {}, {}
    for s, symbol in enumerate(symbols):
        columns = {state: law(automaton.transitions[s, :, q], states) for q, state in enumerate(states)}
        # A column that is its own state stays: the identity, which reading fills in.
        if moves := {state: column for state, column in columns.items() if column != state}:
            delta[symbol] = moves
        if not automaton.reveals[s].all():
            rho[symbol] = [state for q, state in enumerate(states) if automaton.reveals[s, q]]
    document: dict[str, object] = {"name": automaton.name, "Q": list(states), "Sigma": list(symbols), "delta": delta}
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
    """Writes an equal list again in full, where YAML's default is an anchor that a reader would have to follow."""

    def ignore_aliases(self, data: object) -> bool:
        return True
