"""Whatever process of a run is killed or stopped, the same command again ends in the same bytes; nothing is left."""

from __future__ import annotations

from pathlib import Path

import pytest
from disturbances import ROLES, Disturbance, Scene, drawn, write_repositories

from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, SandboxUnavailable, Worker


def scene_of(folder: Path, num_repositories: int) -> Scene:
    try:
        Worker(Jail(), Limits(), minimum_level=3).close()
    except SandboxUnavailable as error:
        pytest.skip(f"level 3 does not work here: {error}")
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o755)  # the jail's user reads the repositories
    # without the runs for calls and the environments: as a script disturbances.py has them too
    options = ("--sources", "doctest", "--environment", "none")
    return Scene(folder, write_repositories(folder / "repositories", num_repositories, 1), *options)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return scene_of(tmp_path_factory.mktemp("disturbed"), 1)


# A trial takes two commands, some seconds each.
@pytest.mark.parametrize(
    "role", [role if role == "main" else pytest.param(role, marks=pytest.mark.slow) for role in ROLES]
)
def test_a_killed_process_costs_no_row(scene: Scene, role: str) -> None:
    trial = scene.trial(ROLES.index(role), Disturbance(how="kill", role=role, after=0.3 * scene.seconds))
    assert trial.happened and not trial.faults


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_a_hundred_disturbances_cost_no_row(tmp_path_factory: pytest.TempPathFactory) -> None:
    scene = scene_of(tmp_path_factory.mktemp("disturbed"), 2)
    trials = [scene.trial(100 + number, drawn(number, 0, 0.8 * scene.seconds)) for number in range(100)]
    assert not [(trial.disturbance, trial.faults) for trial in trials if trial.faults]
    assert sum(trial.happened for trial in trials) >= 90
