"""Loggers: levels, handlers and filters, which the module ``logging`` keeps for the whole process.

Loggers stay the objects they are, which ``getLogger`` gives by name. Handlers, filters and formatters are part of the
state, like variables: a handler may write to a buffer that the program reads. A handler's lock is made anew.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from itertools import chain
from operator import is_, itemgetter
from typing import Any, Literal

MOST_KEPT = 1_000
"""Values without handlers that are kept, so that equal ones are one object, which a state has by number."""

Config = tuple[object, object, object, list[object], list[object], object]
"""Level, ``propagate``, ``disabled``, handlers, filters and parent of a logger."""
Parts = tuple[list[tuple[str, Any]] | None, list[tuple[Any, Config]], object, tuple[dict[Any, Any], ...] | None]
"""All names with their loggers, if others than at the start; loggers that differ, with their configurations; the level
that is disabled for all; the names of levels, if others.
"""


_levels_of, _parent_of = itemgetter("level", "propagate", "disabled"), itemgetter("parent")
_handlers_of, _filters_of = itemgetter("handlers"), itemgetter("filters")
"""Of a logger's attributes. A process may have hundreds of loggers, so they are read without a frame for each."""

_kinds: dict[type, Literal["Handler", "Logger", ""]] = {}
"""Classes that were asked about: this is asked of most objects that a state has."""


def kind_of(kind: type) -> Literal["Handler", "Logger", ""]:
    """Tell a class of handlers or of loggers of ``logging``; "" for any other class."""
    known = _kinds.get(kind)
    if known is None:
        module = sys.modules.get("logging")
        if module is None:
            return ""
        members, bases = vars(module), kind.__mro__
        known = _kinds[kind] = (
            "Handler" if members["Handler"] in bases else "Logger" if members["Logger"] in bases else ""
        )
    return known


def attributes_of_handler(handler: Any) -> dict[str, object]:
    """The attributes of a handler that are part of a state: all but its lock."""
    return {name: value for name, value in vars(handler).items() if name != "lock"}


def set_handler(handler: Any, attributes: dict[str, object]) -> None:
    """Give a handler, made without its constructor, its attributes and a lock, and have ``logging`` know it."""
    vars(handler).update(attributes)
    vars(handler)["lock"] = vars(sys.modules["threading"])["RLock"]()
    members = vars(sys.modules["logging"])
    members["_addHandlerRef"](handler)
    if name := attributes.get("_name"):
        members["_handlers"][name] = handler


@dataclass(frozen=True, slots=True)
class Remembered:
    """The levels that ``logging`` remembers of the session's own run: see ``caches``.

    Attributes:
        levels: the dictionaries of loggers, and what is in them.
        handlers: the handlers that it closes at the end, or where it is configured anew; by weak references.
        names: those that have a name.
    """

    levels: list[tuple[dict[object, bool], dict[object, bool]]]
    handlers: list[object]
    names: dict[str, object]


def caches() -> Remembered | None:
    """The levels that loggers remember as enabled or not, and the handlers that were made, which are then forgotten.

    It is no part of a state. But the session's own run gets it back (``put_caches``), as its variables are compared
    with those of the native run, and a path that configures ``logging`` anew would close its handlers.
    """
    module = sys.modules.get("logging")
    if module is None:
        return None
    members = vars(module)
    levels = [vars(logger)["_cache"] for logger in _Loggers.of(members).loggers]
    handlers, names = members["_handlerList"], members["_handlers"]
    remembered = Remembered([(cache, {**cache}) for cache in levels], [*handlers], {**names})
    handlers.clear()
    names.clear()
    return remembered


def put_caches(remembered: Remembered | None) -> None:
    """Have ``logging`` remember what ``caches`` gave."""
    if remembered is None:
        return
    for cache, contents in remembered.levels:
        cache.clear()
        cache.update(contents)
    members = vars(sys.modules["logging"])
    members["_handlerList"][:] = remembered.handlers
    members["_handlers"].clear()
    members["_handlers"].update(remembered.names)


class LoggersDiffer:
    """How loggers differ from the start.

    Attributes:
        parts: see ``Parts``.
        is_plain: there are no handlers and filters, so that nothing in it can change.
    """

    __slots__ = ("is_plain", "parts")

    def __init__(self, parts: Parts, is_plain: bool) -> None:
        self.parts, self.is_plain = parts, is_plain

    def __reduce__(self) -> tuple[type[LoggersDiffer], tuple[Parts, bool]]:
        return LoggersDiffer, (self.parts, self.is_plain)


@dataclass(slots=True)
class LoggingSettings:
    """The setting: which loggers there are, how they differ from the start, and what holds for all of them.

    A logger that has handlers or filters always counts as one that differs: these objects change with the program.
    """

    module: str = "logging"
    _first: _First | None = None
    _loggers: _Loggers | None = None
    _last: tuple[object, LoggersDiffer | None] = None, None
    _plain: dict[object, LoggersDiffer] = field(default_factory=dict)

    def changed(self) -> LoggersDiffer | None:
        """See ``settings.ProcessSetting``."""
        members = vars(sys.modules[self.module])
        names: dict[str, Any] = members["root"].manager.loggerDict
        levels = members["_levelToName"], members["_nameToLevel"]
        disable = members["root"].manager.disable
        held = self._loggers
        if held is None or not held.is_all(members):
            held = self._loggers = _Loggers.of(members)
        look = held.look()
        if self._first is None:
            self._first = _First({**names}, held, look, [*map(_config_of, held.loggers)], disable, _copied(levels))
        # by identity, in one comparison: this is asked at each snapshot
        key = (held.ids, disable, *levels[0].values(), *levels[1].values(), look.key())
        if key == self._last[0]:
            return self._last[1]
        differing = self._first.differing(names, held, look, disable, levels)
        if differing is not None and differing.is_plain and len(self._plain) < MOST_KEPT:
            differing = self._plain.setdefault(key, differing)
        self._last = key, differing
        return differing

    def put(self, value: object | None) -> None:
        """See ``settings.ProcessSetting``."""
        first, present = self._first, self.changed()
        if first is None or present is value:
            return
        names, others, disable, levels = (
            value.parts if isinstance(value, LoggersDiffer) else (None, [], first.disable, None)
        )
        differ_now = present.parts[1] if isinstance(present, LoggersDiffer) else []
        members = vars(sys.modules[self.module])
        manager = members["root"].manager
        wanted_names = first.names if names is None else dict(names)
        if [*manager.loggerDict.items()] != [*wanted_names.items()]:
            manager.loggerDict.clear()
            manager.loggerDict.update(wanted_names)
        forgets = manager.disable != disable
        manager.disable = disable
        for held, kept in zip((members["_levelToName"], members["_nameToLevel"]), levels or first.levels, strict=True):
            held.clear()
            held.update(kept)
        configs = {id(logger): config for logger, config in others}
        # all that differ neither now nor then are as at the start
        for logger in [*[logger for logger, _ in others], *[each for each, _ in differ_now if id(each) not in configs]]:
            wanted = configs.get(id(logger)) or first.config_of(logger)
            present_config = _config_of(logger)
            if wanted is not None and not _is_same(present_config, wanted):
                forgets = forgets or present_config[:3] != wanted[:3] or present_config[5] is not wanted[5]
                held = vars(logger)
                held["level"], held["propagate"], held["disabled"] = wanted[:3]
                held["handlers"][:], held["filters"][:], held["parent"] = wanted[3:]
        if forgets:
            manager._clear_cache()  # of which levels are enabled


@dataclass(frozen=True, slots=True)
class _Loggers:
    """The root and all other loggers of the process.

    Attributes:
        ids: the identities of the root, and of what ``loggerDict`` holds.
        held: what they are identities of, so that no other object gets one of them.
        loggers: those of them that are loggers, and no stand-ins for the parent of one.
        attributes: the attributes of each.
    """

    ids: tuple[int, ...]
    held: list[Any]
    loggers: list[Any]
    attributes: list[dict[str, Any]]

    @classmethod
    def of(cls, members: dict[str, Any]) -> _Loggers:
        """Those of a process, from the attributes of its module ``logging``."""
        held = [members["root"], *members["root"].manager.loggerDict.values()]
        loggers = [each for each in held if isinstance(each, members["Logger"])]
        return cls((*map(id, held),), held, loggers, [vars(each) for each in loggers])

    def is_all(self, members: dict[str, Any]) -> bool:
        """Return True if the process has these loggers still, and no other."""
        root = members["root"]
        return self.ids == (id(root), *map(id, root.manager.loggerDict.values()))

    def look(self) -> _Look:
        """Read what the loggers are like now."""
        held = self.attributes
        return _Look(
            [*map(_levels_of, held)],
            [*map(id, map(_parent_of, held))],
            [*map(_handlers_of, held)],
            [*map(_filters_of, held)],
        )


@dataclass(frozen=True, slots=True)
class _Look:
    """Facts of the loggers of a ``_Loggers``, in their order: (level, propagate, disabled), the parent's identity, the
    lists of handlers and of filters.
    """

    levels: list[tuple[object, ...]]
    parents: list[int]
    handlers: list[list[object]]
    filters: list[list[object]]

    def key(self) -> tuple[object, ...]:
        """A value that is equal as long as no logger is changed."""
        return (
            *self.levels,
            *self.parents,
            *map(len, self.handlers),
            *map(len, self.filters),
            *map(id, chain.from_iterable(self.handlers)),
            *map(id, chain.from_iterable(self.filters)),
        )


@dataclass(slots=True)
class _First:
    """How all stood at the start.

    Attributes:
        names: ``loggerDict``.
        held, look, configs: the loggers, what they were like, and their configurations.
        disable, levels: what holds for all loggers.
    """

    names: dict[str, Any]
    held: _Loggers
    look: _Look
    configs: list[Config]
    disable: object
    levels: tuple[dict[Any, Any], ...]
    _places: dict[int, int] = field(init=False)
    _aligned: tuple[object, list[object]] = (None, [])

    def __post_init__(self) -> None:
        self._places = {id(logger): place for place, logger in enumerate(self.held.loggers)}

    def config_of(self, logger: object) -> Config | None:
        """The configuration of a logger at the start; None of one that was not there."""
        place = self._places.get(id(logger))
        return None if place is None else self.configs[place]

    def differing(
        self, names: dict[str, Any], held: _Loggers, look: _Look, disable: object, levels: tuple[dict[Any, Any], ...]
    ) -> LoggersDiffer | None:
        """How the loggers differ from the start, and what holds for all of them; None where nothing does."""
        now = zip(
            held.loggers, self._plain_ones(held), look.levels, look.parents, look.handlers, look.filters, strict=True
        )
        others = [
            (logger, _config_of(logger))
            for logger, plain, level, parent, handlers, filters in now
            if handlers or filters or plain != (level, parent)
        ]
        has_names = [*names.items()] != [*self.names.items()]
        has_levels = levels != self.levels
        if not others and not has_names and not has_levels and disable == self.disable:
            return None
        parts = [*names.items()] if has_names else None, others, disable, _copied(levels) if has_levels else None
        return LoggersDiffer(parts, not any(config[3] or config[4] for _, config in others))

    def _plain_ones(self, held: _Loggers) -> list[object]:
        """For each logger its levels and its parent's identity at the start; None of one that was not there then, or
        had handlers or filters.
        """
        if self._aligned[0] is not held:
            known: list[object] = []
            for logger in held.loggers:
                place = self._places.get(id(logger))
                is_plain = place is not None and not self.configs[place][3] and not self.configs[place][4]
                known.append(
                    (self.look.levels[place], self.look.parents[place]) if place is not None and is_plain else None
                )
            self._aligned = held, known
        return self._aligned[1]


def _copied(levels: tuple[dict[Any, Any], ...]) -> tuple[dict[Any, Any], ...]:
    return tuple({**table} for table in levels)


def _config_of(logger: Any) -> Config:
    members = vars(logger)
    return (
        members["level"],
        members["propagate"],
        members["disabled"],
        [*members["handlers"]],
        [*members["filters"]],
        members["parent"],
    )


def _is_same(one: Config, other: Config) -> bool:
    if one[:3] != other[:3] or one[5] is not other[5]:
        return False
    pairs = zip(one[3:5], other[3:5], strict=True)
    return all(len(mine) == len(others) and all(map(is_, mine, others)) for mine, others in pairs)
