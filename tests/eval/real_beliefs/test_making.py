"""The benchmark is made by commands from wheels of known hashes; its task files hold the same questions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from trace_mine.corpus import __main__ as mining
from trace_mine.corpus.synthetic.__main__ import main as synthesize
from trace_mine.eval.mined import rows_of
from trace_mine.eval.real_beliefs import making
from trace_mine.eval.real_beliefs.draws import SCRIPTS
from trace_mine.eval.real_beliefs.game_windows import with_windows
from trace_mine.eval.real_beliefs.ladder import RUNGS, SIZES, WINDOWS, Package
from trace_mine.eval.real_beliefs.making import FACTS, TRAINING, make
from trace_mine.eval.real_beliefs.packages import DRAWN, SEEN, UNSEEN
from trace_mine.eval.real_beliefs.questions import read_questions
from trace_mine.eval.real_beliefs.tasks import write_tasks

GAME = "permutations --rows 12 --held-out 6 --set n=3 --set p=0.25 --commands 6 --spacing 2"


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a wheel of each of two packages, which the ladder is made of."""
    folder = tmp_path / "archives"
    folder.mkdir()
    made: list[Package] = []
    for name in ("near-by", "far"):
        wheel = folder / f"{name.replace('-', '_')}-1.0-py3-none-any.whl"
        wheel.write_bytes(name.encode())
        made.append(Package(name, "1.0", hashlib.sha256(name.encode()).hexdigest()))
    monkeypatch.setattr(making, "SEEN", made[:1])
    monkeypatch.setattr(making, "UNSEEN", made[1:])
    return folder


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """The commands that are run; each leaves a small synthetic dataset where its own would be.

    What mines is taken by the command line, with all that it checks, up to the mining.
    """
    commands: list[Sequence[str]] = []
    monkeypatch.setattr(mining, "_mine", lambda *arguments, **options: None)

    def run(command: Sequence[str]) -> None:
        commands.append(command)
        if command[1] == "trace_mine.corpus":
            assert mining.main([*command[2:]]) == 0, command
        out = command[command.index("--out") + 1]
        assert synthesize([*GAME.split(), "--seed", str(len(commands)), "--out", out]) == 0

    monkeypatch.setattr(making, "_run", run)
    return commands


def test_each_rung_has_a_dataset_and_questions_and_the_facts_say_of_what(
    tmp_path: Path, wheels: Path, ran: list[Sequence[str]]
) -> None:
    out = tmp_path / "benchmark"
    facts = make(out, size="tiny", archives=wheels, jobs=1)
    assert [Path(command[command.index("--out") + 1]).name for command in ran] == [*RUNGS]
    seen, unseen = ran[1], ran[2]
    assert str(wheels / "near_by-1.0-py3-none-any.whl") in seen and "--split-by" in seen
    assert str(wheels / "far-1.0-py3-none-any.whl") in unseen and "--split-by" not in unseen
    for command in (seen, unseen):
        assert command[command.index("--inject") + 1].startswith("maybe") and "--as-of" in command
    scripts = sorted((out / "scripts").glob("*.py"))
    assert [each.read_text() for each in scripts] == [*SCRIPTS.values()]
    assert (out / "scripts" / "requirements.txt").read_text().split() == [*DRAWN]
    assert json.loads((out / FACTS).read_text()) == facts
    assert str(out) not in (out / FACTS).read_text(), "the facts hold on any machine"
    for name in (*RUNGS, TRAINING):
        path = out / "questions" / f"{name}.jsonl"
        assert len(read_questions(path)) == facts["questions"][name] > 0
        assert hashlib.sha256(path.read_bytes()).hexdigest() == facts["hashes"][name]
    for question in read_questions(out / "questions" / "games.jsonl"):
        assert [each.commands for each in question.windows] == [*WINDOWS]
        assert all(sum(each.law) <= 1 + 1e-9 for each in question.windows)
    for command in ran[1:]:
        assert command[command.index("--windows") + 1] == ",".join(map(str, WINDOWS))
    # by row, since the first commands of two games may be the same
    trained = {each.name for each in read_questions(out / "questions" / f"{TRAINING}.jsonl")}
    for name in ("games", "seen"):
        asked = read_questions(out / "questions" / f"{name}.jsonl")
        assert {each.rung for each in asked} == {name}
        assert not trained & {each.name for each in asked}, "what is trained on is not asked"


def test_games_whose_beliefs_are_not_those_of_a_run_are_refused(tmp_path: Path) -> None:
    assert synthesize([*GAME.split(), "--out", str(tmp_path / "games")]) == 0
    row = next(each for each in rows_of(tmp_path / "games") if any(len(b["outcomes"]) > 1 for b in each["beliefs"]))
    belief = next(each for each in row["beliefs"] if len(each["outcomes"]) > 1)
    assert len(with_windows([row], (2,))[0]["windows"]) > 0
    belief["probabilities"] = belief["probabilities"][::-1]
    if belief["probabilities"] == belief["probabilities"][::-1]:
        belief["probabilities"] = [1.0, *[0.0] * (len(belief["outcomes"]) - 1)]
    with pytest.raises(ValueError, match="the two filters disagree"):
        with_windows([row], (2,))
    row["steps"][-1]["output"] = "nothing of the kind"
    with pytest.raises(ValueError, match=r"expected beliefs of the session .*Impossible"):
        with_windows([row], (2,))


def test_a_wheel_that_is_missing_or_another_is_refused(tmp_path: Path, wheels: Path, ran: list[Sequence[str]]) -> None:
    (wheels / "far-1.0-py3-none-any.whl").write_bytes(b"another")
    with pytest.raises(ValueError, match=r"expected SHA-256 [0-9a-f]{64} of .*far-1\.0"):
        make(tmp_path / "out", size="tiny", archives=wheels, jobs=1)
    (wheels / "far-1.0-py3-none-any.whl").unlink()
    with pytest.raises(ValueError, match=r"expected the wheel of far 1\.0"):
        make(tmp_path / "out", size="tiny", archives=wheels, jobs=1)
    with pytest.raises(ValueError, match="expected a size among tiny, full"):
        make(tmp_path / "out", size="huge", archives=wheels, jobs=1)
    assert not ran, "nothing is mined before the wheels are known"


def test_a_command_that_fails_ends_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exit code 3"):
        making._run(["python", "-c", "raise SystemExit(3)"])


def test_the_packages_are_pinned_and_apart() -> None:
    assert not {each.name for each in SEEN} & {each.name for each in UNSEEN}
    for package in (*SEEN, *UNSEEN):
        assert package.requirement.startswith(f"{package.name}=={package.version} --hash=sha256:")
    assert SIZES["tiny"].questions < SIZES["full"].questions


def test_task_files_hold_the_questions(tmp_path: Path, wheels: Path, ran: list[Sequence[str]]) -> None:
    make(tmp_path / "benchmark", size="tiny", archives=wheels, jobs=1)
    written = write_tasks(tmp_path / "benchmark", tmp_path / "tasks")
    assert [path.name for path in written] == [*(f"real_beliefs_{rung}.yaml" for rung in RUNGS), "real_beliefs.yaml"]
    for rung in RUNGS:
        asked = read_questions(tmp_path / "benchmark" / "questions" / f"{rung}.jsonl")
        lines = (tmp_path / "tasks" / f"real_beliefs_{rung}.jsonl").read_text().splitlines()
        for line, question in zip(lines, asked, strict=True):
            doc = json.loads(line)
            assert doc["text"] == question.text and tuple(doc["law"]) == question.law
            assert doc["choices"][doc["target"]] == question.outcomes[question.shown] + question.ending
        text = (tmp_path / "tasks" / f"real_beliefs_{rung}.yaml").read_text()
        assert "process_belief" in text and f"file: real_beliefs_{rung}.jsonl" in text
