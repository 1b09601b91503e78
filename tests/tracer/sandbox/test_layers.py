"""The list of layers: its records, the levels they make up, and the documents that must say the same."""

from __future__ import annotations

import dataclasses
import doctest
import os
from pathlib import Path

import pytest

import no_skips
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, SandboxUnavailable, Worker, landlock, seccomp
from trace_mine.tracer.sandbox import layer as layer_module
from trace_mine.tracer.sandbox.config import JailConfig
from trace_mine.tracer.sandbox.jail_process import Warmed
from trace_mine.tracer.sandbox.layer import Confinement, Layer, LevelClaim, Question
from trace_mine.tracer.sandbox.layers import LANDLOCK, LAYERS, LEVELS, Level, layers_text, without_missing
from trace_mine.tracer.sandbox.start_up import choose_level

PROJECT = Path(__file__).parents[3]
CLAIM = LevelClaim(level=3, layers="", host_name="h", directory="/d", environment={"TZ": "UTC"}, limits=Limits())
CONFIG = JailConfig(
    layers=("seccomp", "rlimits"),
    required=("rlimits",),
    binds=(("/usr/lib", "/usr/lib"), ("/home/x", "/repo")),
    devices=("/dev/null",),
    sys_path=("/repo",),
    scratch="/scratch",
    hostname="h",
    process_id=101,
    hash_seed=0,
    seed=0,
    pinned_clock=True,
    choices=False,
    uid=None,
    tasks=8,
    readable_by_all=True,
    zygote="recorder",
    executable="/usr/bin/python3",
    limits=Limits(forks=2),
)


def confinement(*layers: str, landlock_abi: int = 7) -> Confinement:
    return Confinement(
        layers=frozenset(layers),
        machine="x86_64",
        landlock_abi=landlock_abi,
        readable=(),
        sys_path=(),
        devices=(),
        scratch="/scratch",
        tasks=8,
        limits=Limits(),
        statm=-1,
    )


def layer_rows() -> list[str]:
    """The table of layers in docs/sandbox.md."""
    rows = ["| layer | levels | required at | it alone holds | questions of the self-test |", "|---|---|---|---|---|"]
    for layer in LAYERS:
        levels, required = (
            ", ".join(map(str, sorted(numbers, reverse=True))) for numbers in (layer.levels, layer.required_at)
        )
        asked = ", ".join(f"`{question.name}`" for question in layer.questions)
        rows.append(f"| {layer.title} | {levels} | {required} | {layer.promise} | {asked} |")
    return rows


def test_the_document_holds_the_list():
    text = (PROJECT / "docs" / "sandbox.md").read_text()
    lines = text.splitlines()
    rows = layer_rows()
    assert "\n".join(rows) in text, "put this table into docs/sandbox.md:\n" + "\n".join(rows)
    for level in LEVELS.values():
        titles = ", ".join(layer.title for layer in level.layers)
        assert any(line.startswith(f"| {level.number} | {titles} | ") for line in lines), (level.number, titles)
    assert list(LEVELS) == sorted(LEVELS, reverse=True), "strongest first"


def test_the_text_in_rows():
    assert layers_text(confinement("rlimits", "landlock", "seccomp", "namespaces")) == (
        "namespaces+seccomp+landlock7+rlimits"
    )
    assert layers_text(confinement("rlimits")) == "rlimits"


def test_a_layer_that_the_kernel_lacks():
    here = confinement("namespaces", "seccomp", "landlock", "rlimits")
    assert without_missing(here, frozenset({"landlock"})) == here.layers
    lacking = confinement("namespaces", "seccomp", "landlock", "rlimits", landlock_abi=0)
    assert without_missing(lacking, frozenset({"namespaces"})) == {"namespaces", "seccomp", "rlimits"}
    with pytest.raises(RuntimeError, match=r"no Landlock: the kernel is older than 5\.13"):
        without_missing(lacking, frozenset({"landlock"}))
    assert LANDLOCK.required_at == {2}


def test_questions_compare():
    plain = Question(name="q")
    assert plain.kept(True, CLAIM)
    assert not any(plain.kept(answer, CLAIM) for answer in (False, None, 1, "True", []))
    assert Question(name="q", expected=lambda claim: claim.host_name).kept("h", CLAIM)
    assert Question(name="q", expected=[]).kept([], CLAIM) and not Question(name="q", expected=[]).kept(["bpf"], CLAIM)
    limits = Question(name="q", bounds=True, expected={"CPU": 5, "CORE": 0})
    assert limits.kept({"CPU": 5, "CORE": 0}, CLAIM) and limits.kept({"CPU": 3, "CORE": 0}, CLAIM)
    for answer in ({"CPU": 6, "CORE": 0}, {"CPU": -1, "CORE": 0}, {"CPU": 5}, {"CPU": None, "CORE": 0}, None, True):
        assert not limits.kept(answer, CLAIM), answer


def test_records_that_cannot_be():
    with pytest.raises(ValueError, match="alone_at"):
        Question(name="q", levels=frozenset({2}), alone_at=frozenset({3}))
    base = {"name": "x", "title": "x", "promise": "x", "required_at": frozenset()}
    asked = Question(name="q", alone_at=frozenset({2, 3}))
    Layer(**base, levels=frozenset({2, 3}), questions=(asked,))
    with pytest.raises(ValueError, match="levels within"):
        Layer(**base, levels=frozenset({2}), questions=(asked,))
    with pytest.raises(ValueError, match="not tested"):
        Layer(**base, levels=frozenset({2, 3}), questions=(Question(name="q", alone_at=frozenset({2})),))
    with pytest.raises(ValueError, match="required"):
        dataclasses.replace(CONFIG, required=("namespaces",))
    with pytest.raises(ValueError, match="uid other than 0"):
        dataclasses.replace(CONFIG, uid=0)
    with pytest.raises(ValueError, match=r"Level\.number"):
        Level(number=1, promise="not built")
    for half in ({"stuck": "module"}, {"why": "it hangs"}):
        with pytest.raises(ValueError, match="together"):
            Warmed(failures={}, **half)


def test_a_configuration_crosses_the_boundary():
    import json

    assert JailConfig.from_json(json.loads(json.dumps(CONFIG.to_json()))) == CONFIG
    data = json.loads(json.dumps(CONFIG.to_json()))
    for wrong in ({"binds": 5}, {"limits": None}, {"limits": {"forks": -1}}, {"unknown": 1}):
        with pytest.raises((TypeError, ValueError)):
            JailConfig.from_json(data | wrong)


def test_the_strongest_level_that_works_is_chosen():
    tried = []

    def attempt_that_works_at(*numbers: int):
        def attempt(level):
            tried.append(level.number)
            if level.number == 2 and 2 not in numbers:
                raise SandboxUnavailable("no Landlock")
            return [] if level.number in numbers else [f"question: wrong at {level.number}"]

        return attempt

    for works, minimum, maximum, chosen, order in (
        ((3, 2, 0), 0, 3, 3, [3]),
        ((2, 0), 0, 3, 2, [3, 3, 2]),
        ((0,), 0, 3, 0, [3, 3, 2, 2, 0]),
        ((3, 2, 0), 0, 2, 2, [2]),
        ((3, 2, 0), 3, 3, 3, [3]),
    ):
        tried.clear()
        assert choose_level(minimum, maximum, attempt_that_works_at(*works)).number == chosen
        assert tried == order
    with pytest.raises(SandboxUnavailable, match=r"level 3: .*question: wrong at 3 \| level 2: no Landlock\..*unsafe"):
        choose_level(2, 3, attempt_that_works_at(0))


@pytest.mark.parametrize("dies", [True, False])
def test_a_start_that_was_killed_makes_no_level_weaker(dies):
    starts = iter([True, False])

    def attempt(level):
        if not next(starts):
            return []
        if dies:
            raise SandboxUnavailable("Hangup: the other end is closed")
        return ["the questions did not run to their end"]

    assert choose_level(2, 3, attempt).number == 3


@pytest.mark.parametrize(
    ("layers", "abi", "signals", "metadata"),
    [
        (("landlock", "seccomp"), 5, False, False),
        (("landlock", "seccomp"), 6, True, False),
        (("seccomp",), 7, False, False),
        (("namespaces", "seccomp"), 0, True, True),
    ],
)
def test_signals_pass_the_first_filter_only_where_another_layer_holds_them(monkeypatch, layers, abi, signals, metadata):
    installed = []
    monkeypatch.setattr(seccomp, "install_filter", installed.append)
    seccomp.at_zygote(confinement(*layers, landlock_abi=abi))
    assert installed == [seccomp.zygote_filter("x86_64", signals=signals, metadata=metadata)]


def test_no_rule_of_landlock_lets_a_program_be_executed(tmp_path):
    """An attack does not show it: the interpreter that a script names may not be executed either."""
    rules = landlock.rules_for(7, read=["/usr"], write=[str(tmp_path)], devices=["/dev/null"])
    rights = [landlock._PATH_BENEATH.unpack(rule)[0] for rule in rules]
    for rule in rules:
        os.close(landlock._PATH_BENEATH.unpack(rule)[1])
    assert len(rights) == 3 and all(rights) and not any(right & landlock.EXECUTE for right in rights)


@pytest.mark.parametrize("forks", [0, 2])
@pytest.mark.parametrize("level", [3, 2])
def test_a_level_that_the_kernel_offers_works(level, forks):
    """Other tests skip where a level does not work; this one asks the kernel first."""
    if not no_skips.offers(level):
        pytest.skip(f"the kernel, or a container's filter, does not offer what level {level} needs")
    try:
        Worker(Jail(), Limits(forks=forks), minimum_level=level, maximum_level=level).close()
    except SandboxUnavailable as error:
        if level == 2 and os.geteuid() == 0 and "can't read the interpreter" in str(error):
            pytest.skip(f"root without CAP_DAC_READ_SEARCH: {error}")
        raise


def test_examples_in_the_records_docstrings_run():
    assert doctest.testmod(layer_module) == (0, 2)
