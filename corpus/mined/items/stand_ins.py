"""What stands in sessions for fixtures of pytest and of its plugins: commands, and small classes in the set-up."""

from __future__ import annotations

from dataclasses import dataclass

PLAIN = """\
def _plain(made):
    made = getattr(made, "_get_wrapped_function", lambda: made)()
    return getattr(getattr(made, "__pytest_wrapped__", None), "obj", made)
"""
"""The function below ``pytest.fixture``, in its versions from 7 on."""

ASYNC = """\
import asyncio, contextlib


class Runner:
    def __init__(self):
        # in no attribute: what a loop keeps of its generators goes when the collector runs
        made = asyncio.Runner()
        self.run, self.close = made.run, made.close


async def _next(steps):
    return await anext(steps, None)


async def in_loop(make):
    return await make()


@contextlib.contextmanager
def entered(manager):
    value = runner.run(in_loop(manager.__aenter__))
    try:
        yield value
    except BaseException as error:
        if not runner.run(in_loop(lambda: manager.__aexit__(type(error), error, error.__traceback__))):
            raise
    else:
        runner.run(in_loop(lambda: manager.__aexit__(None, None, None)))


def stepped(iterable):
    steps = aiter(iterable)
    while True:
        try:
            value = runner.run(in_loop(lambda: anext(steps)))
        except StopAsyncIteration:
            return
        yield value
"""
"""What a session with coroutines needs: fixtures that yield are stepped in the event loop, ``async with`` and ``async
for`` are a manager and an iterator whose coroutines run there."""

STAND_INS = {
    "request": """\
class FixtureRequest:
    def __init__(self, param=None, cls=None, instance=None, name="", fixtures=()):
        self._fixtures = dict(fixtures)
        self.param, self.cls, self.instance, self.fixturename = param, cls, instance, name
        self.node = self.function = self
        self.name = self.__name__ = name
        self._ends = []

    def getfixturevalue(self, name):
        return self._fixtures[name]

    def addfinalizer(self, end):
        self._ends.append(end)

    def close(self):
        while self._ends:
            self._ends.pop()()
""",
    "capsys": """\
import collections, contextlib, io, sys
CaptureResult = collections.namedtuple("CaptureResult", "out err")


class CaptureFixture:
    def __init__(self):
        self._before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
        self._made = sys.stdout, sys.stderr

    def readouterr(self):
        texts = []
        for stream in self._made:
            texts.append(stream.getvalue())
            stream.seek(0)
            stream.truncate()
        return CaptureResult(*texts)

    @contextlib.contextmanager
    def disabled(self):
        now, (sys.stdout, sys.stderr) = (sys.stdout, sys.stderr), self._before
        try:
            yield
        finally:
            sys.stdout, sys.stderr = now

    def close(self):
        sys.stdout, sys.stderr = self._before
""",
    "capsysbinary": """\
class BinaryCaptureFixture(CaptureFixture):
    def __init__(self):
        self._before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in "oe")
        self._made = sys.stdout.buffer, sys.stderr.buffer
""",
    "caplog": """\
import contextlib, logging


class LogCaptureFixture(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records, self._levels = [], {}
        self.setFormatter(logging.Formatter("%(levelname)-8s %(name)s:%(filename)s:%(lineno)d %(message)s"))
        logging.getLogger().addHandler(self)

    def emit(self, record):
        self.records.append(record)
        record.message = record.getMessage()

    handler = property(lambda self: self)
    messages = property(lambda self: [self.format(r).partition(" ")[2] and r.getMessage() for r in self.records])
    text = property(lambda self: "".join(f"{self.format(record)}\\n" for record in self.records))
    record_tuples = property(lambda self: [(r.name, r.levelno, r.getMessage()) for r in self.records])

    def clear(self):
        self.records.clear()

    def get_records(self, when):
        return self.records if when == "call" else []

    @contextlib.contextmanager
    def filtering(self, filter_):
        self.addFilter(filter_)
        try:
            yield
        finally:
            self.removeFilter(filter_)

    def set_level(self, level, logger=None):
        for found in (self, logging.getLogger(logger)):
            self._levels.setdefault(found, found.level)
            found.setLevel(level)

    @contextlib.contextmanager
    def at_level(self, level, logger=None):
        before = [(found, found.level) for found in (self, logging.getLogger(logger))]
        for found, _ in before:
            found.setLevel(level)
        try:
            yield
        finally:
            for found, level_before in before:
                found.setLevel(level_before)

    def close(self):
        for found, level in self._levels.items():
            found.setLevel(level)
        logging.getLogger().removeHandler(self)
""",
    "recwarn": """\
import warnings


class WarningsRecorder:
    def __init__(self):
        # in no attribute: what it keeps is of the interpreter, and differs from run to run
        catcher = warnings.catch_warnings(record=True)
        self.list = catcher.__enter__()
        self.close = lambda: catcher.__exit__(None, None, None)
        warnings.simplefilter("default")

    def __len__(self):
        return len(self.list)

    def __iter__(self):
        return iter(self.list)

    def __getitem__(self, index):
        return self.list[index]

    def pop(self, cls=Warning):
        for index, warning in enumerate(self.list):
            if issubclass(warning.category, cls):
                return self.list.pop(index)
        raise AssertionError(f"{cls!r} not found in warning list")

    def clear(self):
        self.list[:] = []
""",
    "benchmark": """\
class BenchmarkFixture:
    def __call__(self, function, *args, **kwargs):
        return function(*args, **kwargs)

    def pedantic(self, target, args=(), kwargs=None, setup=None, **how_often):
        if setup is not None:
            args, kwargs = setup() or (args, kwargs)
        return target(*args, **(kwargs or {}))
""",
    "subtests": """\
import contextlib


class SubTests:
    def test(self, msg=None, **kwargs):
        return contextlib.nullcontext()
""",
    "mocker": """\
import types
from pytest_mock import MockerFixture
mocker = MockerFixture(types.SimpleNamespace(getini=lambda name: "false"))
""",
    "datadir": """\
import pathlib


def _source(name):
    own = pathlib.Path(__file__).absolute()
    return own.with_suffix("") if name is None else own.parent / name


def _copied(folder, name):
    import shutil
    source, target = _source(name), pathlib.Path(folder)
    shutil.copytree(source, target) if source.is_dir() else target.mkdir()
    return target


class _Copying:
    def __init__(self, folder, name):
        self._folder, self._name = pathlib.Path(folder), name
        self._folder.mkdir()

    def __truediv__(self, path):
        import shutil
        source, target = _source(self._name) / path, self._folder / path
        if source.exists() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, target)
        return target

    joinpath = __truediv__
""",
    "tmpdir_factory": """\
from py.path import local


class TempdirFactory:
    def __init__(self, base):
        self._base = local(base).ensure(dir=True)

    def mktemp(self, basename, numbered=True):
        number = 0
        while (made := self._base.join(f"{basename}{number}" if numbered else basename)).check() and numbered:
            number += 1
        return made.ensure(dir=True)

    def getbasetemp(self):
        return self._base
""",
    "tmp_path_factory": """\
import pathlib


class TempPathFactory:
    def __init__(self, base):
        self._base = base

    def mktemp(self, basename, numbered=True):
        number = 0
        while (made := self._base / (f"{basename}{number}" if numbered else basename)).exists() and numbered:
            number += 1
        made.mkdir(parents=True)
        return made

    def getbasetemp(self):
        self._base.mkdir(exist_ok=True)
        return self._base
""",
}
"""Classes with what tests ask of pytest's, by fixture. They are source of sessions' set-up, so they import for
themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltIn:
    """The set-up, and the commands before and after the test, of one of pytest's fixtures."""

    setup: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.before or self.setup):
            raise ValueError("expected a command that makes the fixture, got none")


def built_in(name: str, folder: str, *, is_absolute: bool) -> BuiltIn:
    """Spell one of pytest's fixtures.

    Args:
        name: the fixture, one of those that ``inside.collector`` lets pass.
        folder: the name of the test's own temporary folder.
        is_absolute: the folder's path is to be absolute, since the test changes the working folder. A relative one is
            the same in every replay.

    Raises:
        KeyError: there are no commands for it.
    """
    place = f"pathlib.Path({folder!r})" + (".absolute()" if is_absolute else "")
    import_path = "import pathlib"
    spelt = {
        "tmp_path": BuiltIn(setup=(import_path,), before=(f"tmp_path = {place}", "tmp_path.mkdir()")),
        "tmp_path_factory": BuiltIn(
            setup=(STAND_INS["tmp_path_factory"],), before=(f"tmp_path_factory = TempPathFactory({place})",)
        ),
        "monkeypatch": BuiltIn(
            setup=("from pytest import MonkeyPatch",),
            before=("monkeypatch = MonkeyPatch()",),
            after=("monkeypatch.undo()",),
        ),
        "capsys": BuiltIn(
            setup=(STAND_INS["capsys"],), before=("capsys = CaptureFixture()",), after=("capsys.close()",)
        ),
        "capfd": BuiltIn(setup=(STAND_INS["capsys"],), before=("capfd = CaptureFixture()",), after=("capfd.close()",)),
        **{
            each: BuiltIn(
                setup=(STAND_INS["capsys"], STAND_INS["capsysbinary"]),
                before=(f"{each} = BinaryCaptureFixture()",),
                after=(f"{each}.close()",),
            )
            for each in ("capsysbinary", "capfdbinary")
        },
        "doctest_namespace": BuiltIn(setup=(), before=("doctest_namespace = {}",)),
        **{
            each: BuiltIn(setup=(f"{each} = lambda name, value: None",), before=())
            for each in ("record_property", "record_testsuite_property", "record_xml_attribute")
        },
        "caplog": BuiltIn(
            setup=(STAND_INS["caplog"],), before=("caplog = LogCaptureFixture()",), after=("caplog.close()",)
        ),
        "recwarn": BuiltIn(
            setup=(STAND_INS["recwarn"],), before=("recwarn = WarningsRecorder()",), after=("recwarn.close()",)
        ),
        "benchmark": BuiltIn(setup=(STAND_INS["benchmark"],), before=("benchmark = BenchmarkFixture()",)),
        "subtests": BuiltIn(setup=(STAND_INS["subtests"],), before=("subtests = SubTests()",)),
        "mocker": BuiltIn(setup=(STAND_INS["mocker"],), before=(), after=("mocker.stopall()",)),
        "datadir": BuiltIn(setup=(STAND_INS["datadir"], f"datadir = _copied({folder + '_files'!r}, None)"), before=()),
        "shared_datadir": BuiltIn(
            setup=(STAND_INS["datadir"], f"shared_datadir = _copied({folder + '_data'!r}, 'data')"), before=()
        ),
        **{
            each: BuiltIn(setup=(STAND_INS["datadir"], f"{each} = _Copying({folder + end!r}, {source!r})"), before=())
            for each, end, source in (("lazy_datadir", "_files", None), ("lazy_shared_datadir", "_data", "data"))
        },
        "tmpdir_factory": BuiltIn(
            setup=(STAND_INS["tmpdir_factory"],), before=(f"tmpdir_factory = TempdirFactory({folder!r})",)
        ),
        "tmpdir": BuiltIn(
            setup=(import_path, "from py.path import local"),
            before=(f"tmpdir = local({folder!r}).ensure(dir=True)",),
        ),
    }
    return spelt[name]
