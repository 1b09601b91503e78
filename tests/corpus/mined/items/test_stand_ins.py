"""What stands in for pytest's fixtures gives a test what pytest's own give it, and each has commands."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from trace_mine.corpus.mined.items.inside.collector import BUILT_IN, OF_PLUGINS
from trace_mine.corpus.mined.items.stand_ins import ASYNC, built_in

LOGGING = "import logging\nlog = logging.getLogger('stand_ins')\n"
CASES = {
    "capsys": """\
print('one')
with capsys.disabled():
    pass
first = capsys.readouterr().out
print('two')
given = first, tuple(capsys.readouterr())
""",
    "capsysbinary": "print('one')\ngiven = tuple(capsysbinary.readouterr())",
    "capfd": "print('one', flush=True)\ngiven = tuple(capfd.readouterr())",
    "capfdbinary": "print('one', flush=True)\ngiven = tuple(capfdbinary.readouterr())",
    "caplog": f"""{LOGGING}
log.warning('one')
with caplog.at_level('DEBUG', logger='stand_ins'):
    log.debug('two %s', 2)
log.debug('not seen')
caplog.set_level('INFO')
log.info('three')
class No(logging.Filter):
    def filter(self, record):
        return record.levelno > logging.INFO
with caplog.filtering(No()):
    log.info('filtered')
given = caplog.record_tuples, caplog.messages, len(caplog.get_records('call')), caplog.get_records('setup')
caplog.clear()
given += (list(caplog.records),)
""",
    "recwarn": """\
import warnings
warnings.warn('one', UserWarning)
warnings.warn('two', DeprecationWarning)
warning = recwarn.pop(DeprecationWarning)
given = str(warning.message), len(recwarn), [each.category for each in recwarn], str(recwarn[0].message)
recwarn.clear()
given += (len(recwarn),)
""",
    "tmp_path_factory": """\
made = [tmp_path_factory.mktemp('a'), tmp_path_factory.mktemp('a'), tmp_path_factory.mktemp('b', numbered=False)]
given = [(path.name, path.is_dir()) for path in made], tmp_path_factory.getbasetemp().is_dir()
""",
    "tmpdir_factory": """\
made = [tmpdir_factory.mktemp('c'), tmpdir_factory.mktemp('c')]
given = [(path.basename, path.check(dir=True)) for path in made]
""",
    "tmp_path": "(tmp_path / 'a').write_text('one')\ngiven = [each.name for each in tmp_path.iterdir()]",
    "tmpdir": "tmpdir.join('a').write('one')\ngiven = [each.basename for each in tmpdir.listdir()]",
    "monkeypatch": "import os\nmonkeypatch.setenv('STAND_IN', 'one')\ngiven = os.environ['STAND_IN']",
    "doctest_namespace": "doctest_namespace['stand_in'] = 1\ngiven = doctest_namespace['stand_in']",
    "record_property": "given = record_property('name', 1)",
    "record_testsuite_property": "given = record_testsuite_property('name', 1)",
    "subtests": "with subtests.test(msg='one', number=1):\n    given = 1",
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_commands_give_the_same(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        own = request.getfixturevalue(name)
    except pytest.FixtureLookupError:
        pytest.skip(f"this version of pytest has no {name}")
    expected: dict[str, object] = {name: own, "__name__": "stand_ins"}
    exec(CASES[name], expected)
    monkeypatch.chdir(tmp_path)
    spelt = built_in(name, "folder0", is_absolute=False)
    namespace: dict[str, object] = {"__name__": "stand_ins"}
    for source in (*spelt.setup, *spelt.before):
        exec(source, namespace)
    try:
        exec(CASES[name], namespace)
    finally:
        for source in spelt.after:
            exec(source, namespace)
    assert namespace["given"] == expected["given"]


@pytest.mark.parametrize("name", sorted((BUILT_IN | OF_PLUGINS.keys()) - {"request"}))
def test_each_fixture_that_is_let_pass_has_commands(name: str) -> None:
    spelt = built_in(name, "folder0", is_absolute=True)
    for source in (*spelt.setup, *spelt.before, *spelt.after):
        ast.parse(source)
    assert name in " ".join((*spelt.setup, *spelt.before))


COROUTINES = """\
class Manager:
    async def __aenter__(self):
        return 'entered'

    async def __aexit__(self, kind, *rest):
        done.append(kind)
        return kind is ValueError


async def numbers():
    yield 1
    yield 2


done = []
runner = Runner()
with entered(Manager()) as value:
    done.append(value)
    raise ValueError
with entered(Manager()):
    pass
try:
    with entered(Manager()):
        raise KeyError
except KeyError:
    done.append('raised')
done += stepped(numbers())
done.append(runner.run(in_loop(lambda: asyncio.sleep(0, 3))))
runner.close()
"""


def test_statements_of_coroutines() -> None:
    namespace: dict[str, object] = {}
    exec(ASYNC, namespace)
    exec(COROUTINES, namespace)
    assert namespace["done"] == ["entered", ValueError, None, KeyError, "raised", 1, 2, 3]
    # what a session shows of it is the same in every run
    assert "loop" not in "".join(vars(namespace["runner"]))
