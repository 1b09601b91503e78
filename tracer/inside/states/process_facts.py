"""Tells if what a program shows may hang on the process that runs it: on the order of a set, or on an address.

Of outcomes that were shown a replay tells that. Of those that could have been shown nothing does but to follow them in
another process, which takes as long as it took here. So it is asked first, of code objects alone, if the program can
make anything of the kind: of the commands' code, and of all code of the repository that it leads to by a name.

``order``    code makes a set, or does more with one that a module or class holds than to look for a member; texts in a
             set have another order under another hash seed
``process``  code asks for something of its process or machine (an identity, a clock, a path), or uses a package outside
             of the repository, of which nothing is known
``""``       neither

Not covered: what functions of the standard library make of sets or addresses (``available_timezones()``), unless a text
shows a set or an address.
"""

from __future__ import annotations

import dis
import functools
import os
import re
import sys
import types
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from trace_mine.tracer.inside.states.records import HangsOn

_MAKES_SETS = frozenset(("set", "frozenset"))
_ASKS = frozenset(
    re.findall(
        r"\w+",
        """
id hash getpid getppid gettempdir mkdtemp mkstemp gethostname getuser getcwd cwd uname platform node
monotonic monotonic_ns perf_counter perf_counter_ns process_time thread_time now today utcnow localtime gmtime ctime
getsizeof getrefcount environ getenv get_ident native_id stat fstat listdir scandir iterdir glob rglob walk
__file__ version_info
""",
    )
)
"""Names by which a program asks for what is, or may be, another one in another process."""
_VIEWS = frozenset(("keys", "items"))
_SET_CODES = frozenset(dis.opmap[name] for name in ("BUILD_SET", "SET_ADD", "SET_UPDATE"))
_ON_SETS = frozenset(("&", "|", "^", "-", "&=", "|=", "^=", "-="))
_STANDARD_LIBRARY = f"{os.path.dirname(os.__file__)}/"
_PACKAGES = ("/site-packages/", "/dist-packages/")
_MOST_MEMBERS = 200
"""Items of a list, tuple or dictionary that are looked at."""

# by their descriptors: a metaclass of the program's may have a say in how attributes of classes are read
_bases: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_members: Callable[[type], Mapping[str, object]] = type.__dict__["__dict__"].__get__
_dict_offset: Callable[[type], int] = type.__dict__["__dictoffset__"].__get__


def hangs_on(codes: Iterable[types.CodeType], namespace: dict[str, object], is_own: Callable[[str], bool]) -> HangsOn:
    """Tell on what of the process the outcomes of commands may hang.

    Args:
        codes: the commands, compiled.
        namespace: their globals.
        is_own: tells by a file's path if it is the repository's.
    """
    reach = _Reach(is_own)
    codes = list(codes)
    # what a command only defines runs where another one names it
    defined = Counter(name for code in codes for name in _defined(code))
    for code in codes:
        reach.add_command(code, namespace, {name for name in _defined(code) if defined[name] == 1})
    reach.follow()
    if any(_makes_order(code, reach.sets) for code in reach.codes):
        return "order"
    asks = any(_ASKS.intersection(code.co_names) - _of_its_own(code) for code in reach.codes)
    return "process" if asks or reach.is_foreign else ""


class _Reach:
    """The code that may run, found name by name.

    Attributes:
        codes: of commands, and of functions of the repository.
        sets: names under which a module or class holds a set.
        is_foreign: code of a package outside of the repository may run, or is named at least.
    """

    def __init__(self, is_own: Callable[[str], bool]) -> None:
        self.codes: list[types.CodeType] = []
        self.sets: set[str] = set()
        self.is_foreign = False
        self._is_own = is_own
        self._waiting: list[tuple[Sequence[str], Mapping[str, object]]] = []
        self._seen: dict[int, object] = {}
        """By ``id``: kept, so that no other object gets the number of one."""
        self._names: set[str] = set()
        self._tables: list[Mapping[str, object]] = []
        """The members of classes and modules that some name leads to."""

    def add(self, code: types.CodeType, namespace: Mapping[str, object]) -> None:
        """Add code, with that of the functions in it."""
        if self._is_new(code):
            self.codes.append(code)
            self._waiting.append((code.co_names, namespace))
            for constant in code.co_consts:
                if type(constant) is types.CodeType:
                    self.add(constant, namespace)

    def add_command(self, code: types.CodeType, namespace: Mapping[str, object], defines: set[str]) -> None:
        """Add a command's code. What it ``defines`` is added by its name, where the namespace has it still."""
        if not self._is_new(code):
            return
        self.codes.append(code)
        loaded = {each.argval for each in dis.get_instructions(code) if each.opname.startswith(("LOAD_", "IMPORT_"))}
        self._waiting.append(([name for name in code.co_names if name in loaded], namespace))
        for constant in code.co_consts:
            if type(constant) is types.CodeType and not (
                constant.co_name in defines and _is_definition(constant, namespace.get(constant.co_name))
            ):
                self.add(constant, namespace)

    def follow(self) -> None:
        """Add the code that the names of all this code lead to."""
        while self._waiting:
            names, namespace = self._waiting.pop()
            for name in names:
                if name in namespace:
                    self._take(name, namespace[name])
                if name in sys.modules:
                    self._take(name, sys.modules[name])
                if name not in self._names:
                    self._names.add(name)
                    for table in self._tables:
                        if name in table:
                            self._take(name, table[name])

    def _is_new(self, value: object) -> bool:
        if id(value) in self._seen:
            return False
        self._seen[id(value)] = value
        return True

    def _take(self, name: str, value: object) -> None:
        if _is_set(value):
            self.sets.add(name)
        elif self._is_new(value):
            self._reach(value)

    def _reach(self, value: object) -> None:
        """Add the code that runs where a value is used."""
        kind = type(value)
        if kind is types.FunctionType:
            self._function(value)  # type: ignore[arg-type]
        elif kind is types.ModuleType:
            self._module(value)  # type: ignore[arg-type]
        elif issubclass(kind, type):
            self._class(value)  # type: ignore[arg-type]
        else:
            for part in _parts(value):
                self._take("", part)
            # the class of an object too: operators and calls enter its methods
            self._take("", kind)

    def _function(self, function: types.FunctionType) -> None:
        file = function.__code__.co_filename
        if self._is_own(file) or file.startswith("<"):
            self.add(function.__code__, function.__globals__)
            for cell in function.__closure__ or ():
                try:
                    self._take("", cell.cell_contents)
                except ValueError:  # an empty one
                    continue
            for part in (*vars(function).values(), *(function.__defaults__ or ())):
                self._take("", part)
        elif not _is_standard(file):
            self.is_foreign = True

    def _module(self, module: types.ModuleType) -> None:
        file = vars(module).get("__file__")
        if type(file) is str and self._is_own(file):
            self._table(vars(module))
        elif type(file) is str and not _is_standard(file):
            self.is_foreign = True

    def _class(self, kind: type) -> None:
        for base in _bases(kind):
            home = _members(base).get("__module__")
            if type(home) is not str or home == "builtins":
                continue
            file = _file_of(home)
            if home == "__main__" or self._is_own(file):
                if base is kind or self._is_new(base):
                    self._table(_members(base))
            elif not _is_standard(file):
                self.is_foreign = True

    def _table(self, members: Mapping[str, object]) -> None:
        self._tables.append(members)
        for name, member in list(members.items()):
            if name in self._names or (name.startswith("__") and type(member) is types.FunctionType):
                self._take(name, member)


def _defined(code: types.CodeType) -> set[str]:
    """The names of the functions and classes that a command defines at its top."""
    made = {constant.co_name for constant in code.co_consts if type(constant) is types.CodeType}
    return made.intersection(code.co_names)


def _is_definition(code: types.CodeType, value: object) -> bool:
    """Return True if a value is the function, or may be the class, that this code made."""
    kind = type(value)
    return value.__code__ == code if kind is types.FunctionType else issubclass(kind, type)  # type: ignore[attr-defined]


def _parts(value: object) -> Iterable[object]:
    """The values in which an object's code may stand, found without any code of the program."""
    kind = type(value)
    if kind in (staticmethod, classmethod):
        return (value.__func__,)  # type: ignore[attr-defined]
    if kind is types.MethodType:
        return (value.__func__, value.__self__)  # type: ignore[attr-defined]
    if kind is property:
        return (value.fget, value.fset, value.fdel)  # type: ignore[attr-defined]
    if kind is functools.partial:
        return (value.func, *value.args, *value.keywords.values())  # type: ignore[attr-defined]
    if kind in (list, tuple):
        return [*value][:_MOST_MEMBERS]  # type: ignore[misc]
    if kind is dict:
        return [*value.values()][:_MOST_MEMBERS]  # type: ignore[attr-defined]
    if _dict_offset(kind):
        try:
            attributes = object.__getattribute__(value, "__dict__")
        except AttributeError:
            return ()
        return [*attributes.values()][:_MOST_MEMBERS] if type(attributes) is dict else ()
    return ()


def _file_of(name: str) -> str:
    module = sys.modules.get(name)
    file = vars(module).get("__file__") if type(module) is types.ModuleType else None
    return file if type(file) is str else "<built-in>"


def _is_standard(file: str) -> bool:
    """Return True for a file of the standard library, and for code that has no file."""
    return file.startswith("<") or (
        file.startswith(_STANDARD_LIBRARY) and not any(folder in file for folder in _PACKAGES)
    )


def _is_set(value: object) -> bool:
    return type(value) in (set, frozenset) and len(value) > 1  # type: ignore[arg-type]


def _of_its_own(code: types.CodeType) -> frozenset[str]:
    """Things that code of this name asks for without showing them: a hash gives an order to sets alone."""
    return frozenset(("hash",)) if code.co_name == "__hash__" else frozenset()


def _makes_order(code: types.CodeType, sets: set[str]) -> bool:
    """Return True if code makes a set, or does more with one of these names than to look for a member."""
    if not _MAKES_SETS.isdisjoint(code.co_names) or not _SET_CODES.isdisjoint(code.co_code[::2]):
        return True
    views = not _VIEWS.isdisjoint(code.co_names)
    if not views and sets.isdisjoint(code.co_names) and not any(map(_is_set, code.co_consts)):
        return False
    instructions = [each for each in dis.get_instructions(code) if each.opname != "CACHE"]
    for each, after in zip(instructions, [*instructions[1:], None], strict=True):
        if views and each.opname == "BINARY_OP" and each.argrepr in _ON_SETS:
            return True
        named = type(each.argval) is str and each.argval in sets and each.opname.startswith("LOAD_")
        if (named or _is_set(each.argval)) and (after is None or after.opname != "CONTAINS_OP"):
            return True
    return False
