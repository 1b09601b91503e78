"""Automata as YAML files: keys ``Q Sigma delta rho q0``, and ``name`` and ``emissions`` if wanted.

``delta`` maps symbol -> state -> {next state: probability} (a bare state name is probability 1; a symbol that is left
out, or a state of it, stays where it is). ``rho`` maps symbol -> states in which it may be emitted (left out: all).
``q0`` is a state or {state: probability}. ``emissions`` maps state -> {symbol: probability}. A probability is a number
or a fraction such as ``1/3``. Reading checks everything and says where what is wrong; writing is its inverse.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from corpus.synthetic.automaton import Automaton, Floats

KEYS = ("name", "Q", "Sigma", "delta", "rho", "q0", "emissions")
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


class AutomatonError(ValueError):
    """The file is no automaton; the message says where and why."""


class _Loader(yaml.SafeLoader):
    """Safe, and refuses a key that is given twice."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise AutomatonError(f"expected each key once, got {key!r} twice (line {node.start_mark.line + 1})")
    return {key: loader.construct_object(value, deep=True) for key, (_, value) in zip(keys, node.value, strict=True)}


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
# YAML 1.1 reads on, off, yes and no as booleans: here they are names like any other
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


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
        told = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise AutomatonError(f"expected YAML, got {' '.join(str(error).split())}; correct the file") from error
    if not isinstance(told, Mapping):
        raise AutomatonError(f"expected a mapping with {', '.join(KEYS[1:6])}, got {type(told).__name__}")
    unknown = [str(key) for key in told if key not in KEYS]
    missing = [key for key in ("Q", "Sigma", "q0") if key not in told]
    if unknown or missing:
        raise AutomatonError(f"expected the keys {', '.join(KEYS)}, got unknown {unknown}, missing {missing}")
    states, symbols = _names(told["Q"], "Q"), _names(told["Sigma"], "Sigma")
    try:
        return Automaton(
            name=str(told.get("name", name)),
            states=states,
            symbols=symbols,
            transitions=_transitions(told.get("delta") or {}, states, symbols),
            reveals=_reveals(told.get("rho") or {}, states, symbols),
            start=_law(told["q0"], states, "q0"),
            emissions=_emissions(told.get("emissions"), states, symbols),
        )
    except AutomatonError:
        raise
    except ValueError as error:
        raise AutomatonError(str(error)) from error


def _names(told: Any, where: str) -> tuple[str, ...]:
    if not isinstance(told, list) or not told:
        raise AutomatonError(f"expected {where} to be a list of names, got {told!r}")
    names = tuple(str(name) for name in told)
    if len(set(names)) != len(names):
        raise AutomatonError(f"expected distinct names in {where}, got {list(names)}")
    return names


def _table(told: Any, known: tuple[str, ...], where: str) -> dict[str, Any]:
    if not isinstance(told, Mapping):
        raise AutomatonError(f"expected {where} to be a mapping, got {told!r}")
    table = {str(key): value for key, value in told.items()}
    for key in table:
        if key not in known:
            raise AutomatonError(f"expected {where} to speak of {', '.join(known)}, got {key!r}")
    return table


def _number(told: Any, where: str) -> float:
    if isinstance(told, (int, float)) and not isinstance(told, bool):
        return float(told)
    try:
        return float(Fraction(told)) if isinstance(told, str) and "/" in told else float("not a number")
    except (ValueError, ZeroDivisionError):
        raise AutomatonError(f"expected a number or a fraction like 1/3 in {where}, got {told!r}") from None


def _law(told: Any, names: tuple[str, ...], where: str) -> Floats:
    law = np.zeros(len(names))
    table = _table(told, names, where) if isinstance(told, Mapping) else _table({str(told): 1.0}, names, where)
    for name, value in table.items():
        law[names.index(name)] = _number(value, where)
    if abs(law.sum() - 1.0) > 1e-9:
        raise AutomatonError(f"expected {where} to sum to 1, got {law.sum():.12g}; correct the numbers")
    return law


def _transitions(told: Any, states: tuple[str, ...], symbols: tuple[str, ...]) -> Floats:
    matrices = np.stack([np.eye(len(states))] * len(symbols))
    for symbol, columns in _table(told, symbols, "delta").items():
        for state, law in _table(columns, states, f"delta of {symbol}").items():
            where = f"delta of {symbol} in {state}"
            matrices[symbols.index(symbol), :, states.index(state)] = _law(law, states, where)
    return matrices


def _reveals(told: Any, states: tuple[str, ...], symbols: tuple[str, ...]) -> Any:
    allowed = np.ones((len(symbols), len(states)), dtype=bool)
    for symbol, members in _table(told, symbols, "rho").items():
        if not isinstance(members, list) or not members:
            raise AutomatonError(f"expected rho of {symbol} to be a list of states, got {members!r}")
        names = _table({str(member): 1 for member in members}, states, f"rho of {symbol}")
        allowed[symbols.index(symbol)] = [state in names for state in states]
    return allowed


def _emissions(told: Any, states: tuple[str, ...], symbols: tuple[str, ...]) -> Floats | None:
    if told is None:
        return None
    law = np.zeros((len(symbols), len(states)))
    table = _table(told, states, "emissions")
    for state in states:
        if state not in table:
            raise AutomatonError(f"expected emissions for every state, got none for {state}")
        law[:, states.index(state)] = _law(table[state], symbols, f"emissions in {state}")
    return law


def write_automaton(automaton: Automaton) -> str:
    """The YAML text that ``parse_automaton`` reads back bit for bit."""
    states, symbols = automaton.states, automaton.symbols

    def law(column: Floats, names: tuple[str, ...]) -> dict[str, float]:
        return {name: float(p) for name, p in zip(names, column, strict=True) if p}

    told: dict[str, Any] = {
        "name": automaton.name,
        "Q": list(states),
        "Sigma": list(symbols),
        "delta": {
            symbol: {state: law(automaton.transitions[s, :, q], states) for q, state in enumerate(states)}
            for s, symbol in enumerate(symbols)
        },
        "rho": {
            symbol: [state for state, allowed in zip(states, automaton.reveals[s], strict=True) if allowed]
            for s, symbol in enumerate(symbols)
        },
        "q0": law(automaton.start, states),
    }
    if automaton.emissions is not None:
        told["emissions"] = {state: law(automaton.emissions[:, q], symbols) for q, state in enumerate(states)}
    return str(yaml.safe_dump(told, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120))
