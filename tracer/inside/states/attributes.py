"""All that can change in an object or a class, as a dictionary: attributes and slots. And how it is set again."""

from __future__ import annotations

import contextlib
import sys
import types

from trace_mine.tracer.inside.states.call_caches import CACHE

Attributes = dict[str, object]

SLOT = "<slot> "
"""How the keys of slots begin among those of attributes: no program's attribute does."""

HOOKS = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getnewargs__", "__getnewargs_ex__")
"""Methods by which a class says how its objects are pickled."""

METHODS = "<methods>"
"""The key of a class's ``methods_with_state`` among its attributes."""
ATOMS = frozenset((int, float, str, bytes, bool, type(None), complex, types.ModuleType, types.CodeType))
"""Types of values in which nothing can change."""

_absent = object()


def state_of(value: object) -> Attributes:
    """All that can change in a class or an object, by name."""
    if isinstance(value, type):
        return {key: member for key, member in vars(value).items() if is_data(key, member)}
    attributes = dict(vars(value)) if type(value).__dictoffset__ else {}
    for name, slot in _slots_of(type(value)):
        try:
            attributes[f"{SLOT}{name}"] = slot.__get__(value)
        except AttributeError:
            continue  # a slot without a value
    return attributes


def _slots_of(kind: type) -> list[tuple[str, types.MemberDescriptorType]]:
    """The slots of a class and its bases, by number of the base and name: two bases may have slots of one name."""
    return [
        (f"{number}.{name}", member)
        for number, base in enumerate(kind.__mro__[:-1])
        for name, member in vars(base).items()
        if type(member) is types.MemberDescriptorType
    ]


def set_attributes(value: object, state: Attributes) -> None:
    """Make attributes and slots of an object those of ``state_of``."""
    if type(value).__dictoffset__:
        vars(value).clear()
        vars(value).update({name: member for name, member in state.items() if not name.startswith(SLOT)})
    for name, slot in _slots_of(type(value)):
        if f"{SLOT}{name}" in state:
            slot.__set__(value, state[f"{SLOT}{name}"])
        else:
            with contextlib.suppress(AttributeError):  # it is empty already
                slot.__delete__(value)


def is_of_session(kind: type) -> bool:
    """Return True for a class that the session's commands made."""
    # From the class's dictionary: ``kind.__module__`` may be a property of the program's metaclass.
    return bool(kind.__dict__.get("__module__") == "__main__")


def methods_with_state(kind: type) -> list[types.FunctionType]:
    """Return the functions among a class's own members in which something may change: a default, an attribute, or a
    variable of the function around them.
    """
    return [function for function in functions_of(kind) if _holds_state(function)]


def functions_of(kind: type) -> list[types.FunctionType]:
    """Return the functions among a class's own members, those of properties, static and class methods included."""
    return [part for part in _parts_of(kind) if type(part) is types.FunctionType]


def caches_of(kind: type) -> list[object]:
    """Return the cached functions among a class's own members, as ``functions_of``."""
    return [part for part in _parts_of(kind) if type(part) is CACHE]


def _parts_of(kind: type) -> list[object]:
    parts: list[object] = []
    for member in vars(kind).values():
        if type(member) is property:
            parts += member.fget, member.fset, member.fdel
        elif type(member) in (staticmethod, classmethod):
            parts.append(member.__func__)
        else:
            parts.append(member)
    return parts


def _holds_state(function: types.FunctionType) -> bool:
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    # the cell of ``super()``, which is never bound anew, is one of every class that asks for it
    is_closure = not {*function.__code__.co_freevars} <= {"__class__"}
    return is_closure or bool(function.__dict__) or any(map(_may_change, defaults))


def _may_change(value: object) -> bool:
    kind = type(value)
    return any(map(_may_change, value)) if kind is tuple else kind not in ATOMS  # type: ignore[call-overload]


def set_class(kind: type, state: Attributes) -> None:
    """Make the data of a class that of ``state_of``; its methods stay, in a class of the session without attributes
    where the state names none of them.
    """
    if is_of_session(kind):
        with_state = [*map(id, state.get(METHODS, ()))]  # type: ignore[call-overload]
        for function in functions_of(kind):
            if function.__dict__ and id(function) not in with_state:
                function.__dict__.clear()
    for key in [key for key, member in vars(kind).items() if is_data(key, member) and key not in state]:
        delattr(kind, key)
    for key, member in state.items():
        if key == METHODS:
            continue  # they are the class's own, and were given their states
        # Setting an equal member again would invalidate the type's method cache, for every state.
        if vars(kind).get(key, _absent) is not member:
            setattr(kind, key, member)


# By descriptor and name, since a class's dictionary holds methods and Python's own bookkeeping beside its data.
def is_data(key: str, member: object) -> bool:
    """Return True if a member of a class is data that may change: no method, property or name of Python's own."""
    reserved = key.startswith("_") and key.endswith("_")  # dunder names, and those of enumerations
    return not reserved and not key.startswith("_abc") and not hasattr(member, "__get__")


def has_own_hooks(kind: type) -> bool:
    """Return True if the class's author says how it is pickled.

    Hooks that the standard library puts on a class (``dataclass(slots=True)`` makes two) do not count.
    """
    for base in kind.__mro__[:-1]:
        for hook in HOOKS:
            member = vars(base).get(hook)
            home = getattr(member, "__module__", None)
            if isinstance(member, types.FunctionType) and home not in sys.stdlib_module_names - {"__main__"}:
                return True
    return False
