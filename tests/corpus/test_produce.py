"""From repositories to a dataset with a tracer that runs nothing: invariants of engine, ledger and merge.

Over 400 lines because one fake tracer and one driver process serve all of its tests.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from own_process import OwnProcess, in_own_process
from trace_mine.corpus import splits
from trace_mine.corpus.engines import ENGINES
from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.ledger import Ledger
from trace_mine.corpus.merge import Merged, merge
from trace_mine.corpus.mined import miner
from trace_mine.corpus.mined.miner import Mined, MineOptions
from trace_mine.corpus.produce import open_ledger, produce
from trace_mine.corpus.work import Dropped

Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def pinned_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Someone may be editing the tracer while this runs; here as in DRIVER."""
    monkeypatch.setattr(miner, "code_hash", lambda: "pinned")


class Silent:
    """A watcher that counts."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def tell(self, line: str) -> None: ...

    def begun(self, done: frozenset[str]) -> None: ...

    def planned(self, num_units: int, num_snippets: int, share: float) -> None: ...

    def finished(self, key: str, marker: Any) -> None:
        self.keys.append(key)

    def merged(self, counts: Any) -> None: ...


ENTRIES = ("doctest", "script", "test")
"""Without calls and docs, for which each repository would be run in a jail first."""


def run(
    out: Path, *inputs: object, jobs: int = 1, overwrite: bool = False, watcher: Any = None, **options: Any
) -> Merged:
    """Mine in worker processes where there are several jobs, in this process where there is one."""
    chosen = MineOptions(tracer_factory="corpus_fakes:start_fake", **{"entries": ENTRIES, **options})
    with nullcontext() if jobs > 1 else in_own_process(), open_ledger(out, overwrite=overwrite) as ledger:
        origin = Mined([str(item) for item in inputs], chosen, ledger.sources)
        config = {**chosen.as_config(), "inputs": origin.input_names}
        return produce(ledger, origin, config, engine=ENGINES["loky"](jobs), watcher=watcher or Silent())


def doctests(*sources: str) -> str:
    """A module with a function for each source, whose docstring holds it as an example."""
    return "".join(
        f'def f{number}():\n    """\n    >>> {source}\n    1\n    """\n\n' for number, source in enumerate(sources)
    )


def everything_below(folder: Path) -> dict[str, bytes]:
    """All files but the one that says how the others stood on this disk, with their times."""
    files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name != ".ledger/finished.json"}


def errors_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "errors.jsonl").read_text().splitlines()]


MIXED = {
    "pkg/__init__.py": "",
    "pkg/a.py": doctests(*(f"a{number}" for number in range(70)), "DROP_1", "SUSPECT_1", "BUG_1", "'\\ud800'"),
    "pkg/b.py": doctests("a1", "b1  # doctest: +SKIP", "async_b"),
    "pkg/bad.py": "def f(:\n",
    "pkg/null.py": "x = 1\0",
    "tests/test_a.py": "def test_1(): ...\ndef test_2(tmp_path): ...\n",
    "run.py": "if __name__ == '__main__':\n    print(1)\n",
    "README.rst": "::\n\n    >>> readme\n    1\n",
}


def test_found_is_rows_and_duplicates_and_drops(tmp_path: Path, make_repository: Make) -> None:
    stats = run(tmp_path / "out", make_repository("r", MIXED)).stats
    assert stats["found"] == 81
    assert stats["duplicates"] == 1
    assert stats["drops"] == {
        "all_skipped": 1,
        "integrity_suspect": 1,
        "internal_error": 1,
        "lone_surrogate": 1,
        "needs_fixture": 1,
        "replay_mismatch": 1,
    }
    assert stats["rows"] == 81 - 1 - 6
    for group in (*stats["by_source"].values(), *stats["by_repository"].values()):
        assert group["found"] == group["rows"] + group["duplicates"] + sum(group["drops"].values())
    assert stats["files"]["unreadable"] == {"null_bytes": 1, "syntax_error": 1}
    assert stats["kept_whole"] == {"async": 1}
    errors = errors_of(tmp_path / "out")
    assert len(errors) == 6
    assert all(error["reason"] and error["path"] and error["name"] and error["evidence"] for error in errors)


def test_the_dataset_loads_whole_and_streaming(tmp_path: Path, make_repository: Make) -> None:
    from datasets import load_dataset

    merged = run(tmp_path / "out", make_repository("r", MIXED))
    rows = load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(rows) == merged.stats["rows"]
    assert rows[0]["text"] == merged.first_text
    row = next(row for row in rows if row["entry"] == "script")
    assert row["licence"] == "MIT"
    assert (row["path"], row["repository"], row["version"]) == ("run.py", "r", "1.0")
    assert json.loads(row["setup"])["code"].startswith("__name__ = '__main__'")
    assert "".join(row["text"][s["start"] : s["end"]] for s in row["segments"]) == row["text"]
    streamed = load_dataset(str(tmp_path / "out"), split="train", streaming=True)
    assert [row["trace_id"] for row in streamed] == rows["trace_id"]
    assert str(tmp_path) not in json.dumps(rows[:]), "no path of this machine"


def test_any_number_of_jobs_gives_the_same_bytes(tmp_path: Path, make_repository: Make) -> None:
    inputs = [make_repository("r", MIXED), make_repository("s", {"m.py": doctests("s1", "a2")})]
    for jobs in (1, 2):
        run(tmp_path / f"out{jobs}", *inputs, jobs=jobs)
    assert everything_below(tmp_path / "out1") == everything_below(tmp_path / "out2")


def test_a_finished_run_does_nothing_again(
    tmp_path: Path, make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = make_repository("r", MIXED)
    run(tmp_path / "out", repository)
    before = everything_below(tmp_path / "out")

    def nothing(*arguments: object, **options: object) -> None:
        raise AssertionError("units were run")

    monkeypatch.setattr(OwnProcess, "run", nothing)
    run(tmp_path / "out", repository)
    assert everything_below(tmp_path / "out") == before


def test_a_changed_repository_is_mined_again(tmp_path: Path, make_repository: Make) -> None:
    repository = make_repository("r", {"m.py": doctests("old")})
    assert ">>> old" in str(run(tmp_path / "out", repository).first_text)
    (repository / "m.py").write_text(doctests("new"))
    assert ">>> new" in str(run(tmp_path / "out", repository).first_text)
    assert len(list((tmp_path / "out" / ".ledger" / "results").iterdir())) == 1, "the old unit is gone"


@pytest.mark.slow  # as workers of loky in test_clusters.py
def test_a_unit_that_kills_its_worker_is_quarantined_alone(tmp_path: Path, make_repository: Make) -> None:
    files = {f"m{number}.py": doctests(*(f"x{number}_{i}" for i in range(32))) for number in range(4)}
    files["m1.py"] = doctests(*(f"x1_{i}" for i in range(31)), "DIE")
    merged = run(tmp_path / "out", make_repository("r", files), jobs=2)
    assert merged.stats["drops"] == {"worker_died": 32}
    assert merged.stats["rows"] == 96
    assert {error["path"] for error in errors_of(tmp_path / "out")} == {"m1.py"}


def test_other_code_of_ours_means_other_units(
    tmp_path: Path, make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = make_repository("r", {"m.py": doctests("x")})
    keys = []
    for code in ("one", "two", "one"):
        monkeypatch.setattr(miner, "code_hash", lambda code=code: code)
        with in_own_process():
            origin = Mined([str(repository)], MineOptions(entries=ENTRIES), tmp_path / "staging")
            keys.append([unit.key for unit in origin.units()])
    assert keys[0] == keys[2] != keys[1]


def test_attempts_and_deaths_are_counted(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.attempt("key")
    assert [ledger.death("key"), ledger.death("key")] == [1, 2]
    assert (ledger.root / "attempts" / "key").read_text().split() == ["start", "death", "death"]


DRIVER = """
import sys
sys.argv[0] = "trace-mine"
from trace_mine.corpus.mined import miner, options
miner.code_hash = lambda: "pinned"
original = options.MineOptions.__init__
def patched(self, **options):
    original(self, **{"tracer_factory": "corpus_fakes:start_fake", **options})
options.MineOptions.__init__ = patched
from trace_mine.corpus.__main__ import main
sys.exit(main())
"""


def start(out: Path, *arguments: object) -> subprocess.Popen[str]:
    """The command as a process of its own group, with the fake tracer."""
    command = [sys.executable, "-c", DRIVER, *map(str, arguments), "--out", str(out), "--sources", ",".join(ENTRIES)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=out.parent,
        # tests that a shell runs in the background have Ctrl-C ignored, and their children too
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for_units(out: Path, number: int) -> None:
    deadline = time.monotonic() + 60
    while len(list((out / ".ledger" / "done").glob("*.json") if (out / ".ledger").exists() else [])) < number:
        assert time.monotonic() < deadline, "no unit was finished in a minute"
        time.sleep(0.05)


SLOW = {f"m{number}.py": doctests(*(f"SLOW{number}_{i}" for i in range(8))) for number in range(28)}


@pytest.mark.slow
def test_runs_cut_off_go_on_to_the_same_bytes(tmp_path: Path, make_repository: Make) -> None:
    repository = make_repository("r", SLOW)
    whole = tmp_path / "whole"
    assert run(whole, repository, jobs=2).stats["rows"] == 224
    for how in (signal.SIGKILL, signal.SIGINT):
        cut = tmp_path / how.name
        process = start(cut, repository, "--jobs", 2)
        wait_for_units(cut, 1)
        if how is signal.SIGKILL:
            process.kill()
        else:
            os.killpg(process.pid, how)
        _, told = process.communicate(timeout=30)
        if how is signal.SIGINT:
            assert process.returncode == 130, told
            assert "finished units are kept" in told
        kept = {path.name: path.stat().st_mtime_ns for path in (cut / ".ledger" / "done").glob("*.json")}
        assert 1 <= len(kept) < 7
        again = start(cut, repository, "--jobs", 2)
        assert again.wait(timeout=60) == 0, again.communicate()
        assert everything_below(cut) == everything_below(whole)
        for name, written in kept.items():
            assert (cut / ".ledger" / "done" / name).stat().st_mtime_ns == written, "a finished unit was done again"


def test_snippets_over_which_the_sandbox_died_are_tried_again(
    tmp_path: Path, make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"m{number}.py": doctests(*(f"S{number}_{i}" for i in range(32))) for number in range(3)}
    repository = make_repository("r", {**files, "last.py": doctests("JAIL", "other")})
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run(whole, repository)
    monkeypatch.setenv("FAKE_JAIL_DIES", "1")
    stats = run(cut, repository).stats
    assert (stats["found"], stats["rows"], stats["drops"]) == (98, 97, {"jail_died": 1})
    done = {path.name: path.stat().st_mtime_ns for path in (cut / ".ledger" / "done").glob("*.json")}
    monkeypatch.delenv("FAKE_JAIL_DIES")
    run(cut, repository)
    assert everything_below(cut) == everything_below(whole)
    now = {path.name: path.stat().st_mtime_ns for path in (cut / ".ledger" / "done").glob("*.json")}
    assert sum(now[name] != done[name] for name in done) == 1, "one unit alone is done again"


def test_workers_do_not_outlive_a_killed_run(tmp_path: Path, make_repository: Make) -> None:
    out = tmp_path / "out"
    process = start(out, make_repository("r", SLOW), "--jobs", 2)
    wait_for_units(out, 1)
    # those of all threads: the engine has one of its own
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    children = [int(pid) for task in tasks for pid in task.read_text().split()]
    assert len(children) >= 2
    process.kill()
    process.communicate(timeout=30)
    deadline = time.monotonic() + 10
    while alive := [pid for pid in children if Path(f"/proc/{pid}").exists() and "Z" not in status(pid)]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.1)


def status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_two_runs_do_not_share_a_dataset(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with open_ledger(out, overwrite=False):
        code = "import sys; from pathlib import Path; from trace_mine.corpus.produce import open_ledger\n"
        code += f"with open_ledger(Path({str(out)!r}), overwrite=False): pass"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "another trace-mine is writing" in other.stderr


def test_another_configuration_is_refused_and_told(tmp_path: Path, make_repository: Make) -> None:
    repository = make_repository("r", {"m.py": doctests("x")})
    run(tmp_path / "out", repository)
    before = everything_below(tmp_path / "out")
    with pytest.raises(CorpusError, match=r"follow: was 3, is 2.*--overwrite") as caught:
        run(tmp_path / "out", repository, follow=2)
    assert caught.value.exit_code == 2
    assert everything_below(tmp_path / "out") == before
    assert run(tmp_path / "out", repository, follow=2, overwrite=True).stats["config"]["follow"] == 2


def test_a_folder_of_other_files_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train-00000-of-00001.parquet").write_bytes(b"mine")
    with pytest.raises(CorpusError, match="holds other files"):
        run(tmp_path, "module:heapq")
    assert everything_below(tmp_path) == {"data/train-00000-of-00001.parquet": b"mine"}


def test_a_damaged_result_is_done_again(tmp_path: Path, make_repository: Make) -> None:
    repository = make_repository("r", {"m.py": doctests("x")})
    run(tmp_path / "out", repository)
    before = everything_below(tmp_path / "out")
    (result,) = (tmp_path / "out" / ".ledger" / "results").iterdir()
    data = result.read_bytes()
    result.write_bytes(data[:-5])
    run(tmp_path / "out", repository)
    assert everything_below(tmp_path / "out") == before
    result.write_bytes(data[:20] + bytes([data[20] ^ 255]) + data[21:])
    run(tmp_path / "out", repository)
    assert everything_below(tmp_path / "out") == before


def test_a_full_disk_keeps_finished_units(tmp_path: Path, make_repository: Make) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "none", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs privileges")
    try:
        filling = {f"m{n}.py": doctests(*(f"'{os.urandom(4000).hex()}'" for _ in range(8))) for n in range(12)}
        process = start(small / "out", make_repository("r", filling), "--jobs", 1)
        told = process.communicate(timeout=60)[1]
        assert process.returncode == 1, told
        assert "no space left" in told
        assert "finished units are kept" in told
        assert not list((small / "out").rglob("*.tmp"))
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_full_disk_in_the_merge_is_told(
    tmp_path: Path, make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = make_repository("r", {"m.py": doctests("x")})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("trace_mine.corpus.merge._sync", full)
        with pytest.raises(CorpusError, match="no space left"):
            run(tmp_path / "out", repository)
    assert len(list((tmp_path / "out" / ".ledger" / "done").iterdir())) == 1
    assert run(tmp_path / "out", repository).stats["rows"] == 1


def test_permissive_only(tmp_path: Path, make_repository: Make) -> None:
    free, copyleft = make_repository("free", {"m.py": doctests("x")}), make_repository("left", {"m.py": doctests("y")})
    (copyleft / "pyproject.toml").write_text('[project]\nname = "left"\nlicense = "GPL-3.0-only"\n')
    (free / "own.py").write_text("# SPDX-License-Identifier: MPL-2.0\n" + doctests("z"))
    stats = run(tmp_path / "out", free, copyleft, licences="permissive").stats
    assert stats["drops"] == {"not_permissive": 2}
    assert stats["by_licence"] == {"MIT": 1}


def test_limit_counts_snippets_across_repositories(tmp_path: Path, make_repository: Make) -> None:
    inputs = [make_repository(name, {"m.py": doctests(*(f"{name}{i}" for i in range(5)))}) for name in "abc"]
    stats = run(tmp_path / "out", *inputs, limit=7).stats
    assert stats["found"] == 7
    assert stats["by_repository"]["b"]["found"] == 2
    assert "c" not in stats["by_repository"]


def test_each_repository_gives_so_many_at_most(tmp_path: Path, make_repository: Make) -> None:
    inputs = [make_repository(name, {"m.py": doctests(*(f"{name}{i}" for i in range(5)))}) for name in "ab"]
    stats = run(tmp_path / "out", *inputs, per_repository=2).stats
    assert stats["found"] == 4
    assert stats["sampled_out"] == {"a": {"doctest": 3}, "b": {"doctest": 3}}
    assert stats["config"]["per_repository"] == 2


def test_near_duplicates_never_straddle(tmp_path: Path, make_repository: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"large": "train", "middle": "validation", "little": "test"}
    monkeypatch.setattr(splits, "split_of", named.__getitem__)
    long = " + ".join(f"word{number}" for number in range(60))
    files = {
        "large": doctests(long, "alpha", "beta_only", "large_3", "large_4"),
        "middle": doctests(long.replace("word30", "other"), "alpha", "middle_only", "gamma"),
        "little": doctests(long.replace("word10", "third"), "gamma", "little_only"),
    }
    inputs = [make_repository(name, {"m.py": text}) for name, text in files.items()]
    stats = run(tmp_path / "out", *inputs).stats
    assert stats["by_repository"]["large"]["duplicates"] == 0
    assert stats["by_repository"]["middle"]["duplicates"] == 2, "the near copy and alpha"
    assert stats["by_repository"]["little"]["duplicates"] == 2, "the near copy and gamma"
    assert stats["splits"] == {"test": 1, "train": 5, "validation": 2}
    from datasets import load_dataset

    loaded = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    texts = {split: set(rows["text"]) for split, rows in loaded.items()}
    assert {split: len(found) for split, found in texts.items()} == stats["splits"]


@pytest.mark.parametrize(("name", "split"), [("toolz", "train"), ("requests", "validation"), ("pluggy", "test")])
def test_a_repository_mined_alone_stays_in_its_split(
    name: str, split: str, tmp_path: Path, make_repository: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    from datasets import load_dataset

    from trace_mine.corpus.report import print_dataset

    merged = run(tmp_path / "out", make_repository(name, {"m.py": doctests("a", "b")}))
    assert merged.stats["splits"] == {split: 2}
    loaded = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {each: len(rows) for each, rows in loaded.items()} == {split: 2}
    assert print_dataset(merged, tmp_path / "out")
    assert f"by its name {name} is in {split}" in capsys.readouterr().out.replace("\n", " ")
    assert f'split="{split}")' in (tmp_path / "out" / "README.md").read_text()


def test_split_by_function_parts_one_repository(tmp_path: Path, make_repository: Make) -> None:
    root = make_repository("requests", {"m.py": doctests(*(f"x{number}" for number in range(200)))})
    stats = run(tmp_path / "out", root, split_by="function").stats
    assert stats["rows"] == sum(stats["splits"].values()) == 200
    assert {*stats["splits"]} == {*splits.SPLITS} and stats["splits"]["train"] > 150
    with pytest.raises(CorpusError, match="split_by"):
        run(tmp_path / "out", root)
    assert "By function" in (tmp_path / "out" / "README.md").read_text()


def test_nothing_found_is_an_empty_dataset(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    merged = run(tmp_path / "out", tmp_path / "empty")
    assert merged.first_text is None
    assert merged.stats["found"] == 0
    from datasets import load_dataset

    # Not streaming, `datasets` refuses a split of no rows whatever the files say.
    assert list(load_dataset(str(tmp_path / "out"), split="train", streaming=True)) == []


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(
    tmp_path: Path, make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tracemalloc

    monkeypatch.setattr("trace_mine.corpus.shards.GROUP_ROWS", 50)
    peaks = []
    for name, num_files in (("few", 5), ("many", 50)):
        value = "x" * 2000
        files = {f"m{n}.py": doctests(*(f"'{value}{name}{n}_{i}'" for i in range(20))) for n in range(num_files)}
        out = tmp_path / name
        run(out, make_repository(name, files))
        ledger = Ledger(out)
        keys = sorted(path.stem for path in (out / ".ledger" / "done").iterdir())
        tracemalloc.start()
        merge(ledger, keys, notes={}, config={})
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 1_000_000, f"{peaks}: 900 more rows of 7 KB each are 6 MB"


def test_the_same_input_twice_is_all_duplicates(tmp_path: Path, make_repository: Make) -> None:
    repository = make_repository("r", {"m.py": doctests("x", "y")})
    stats = run(tmp_path / "out", repository, repository).stats
    assert (stats["found"], stats["rows"], stats["duplicates"]) == (4, 2, 2)


def test_the_dataset_is_not_mined_itself(tmp_path: Path, make_repository: Make) -> None:
    repository = make_repository("r", {"m.py": doctests("x")})
    first = run(repository / "traces", repository).stats
    assert run(repository / "traces", repository).stats == first


def test_a_unit_must_account_for_every_snippet(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    with pytest.raises(AssertionError, match="2 snippets became 0 rows and 1 drops"):
        ledger.finish("key", [Dropped(reason="empty", path="p", name="n")], 2)
    assert not ledger.is_done("key")
