"""How much of what a repository's own suite reaches the rows mined from it open: measured apart from the rows' columns.

    python tests/benchmarks/reach.py DATASET REPOSITORY... [--why] [--only-names] [--json FILE]

DATASET is what ``trace-mine`` wrote of the repositories (sdists or folders). Three things are found of each:

* **reached**: the functions (``def`` in the repository's own files, which are no tests) that plain pytest enters in
  the repository's environment under ``sys.setprofile``, imports included;
* **called**: those that are entered when the rows' texts are run in a fresh interpreter each, by a loop of a few lines
  here, which also compares what each command prints (**replayed**);
* **opened**: those of whose body a command of a row is a part, by the syntax of the function in the repository's file,
  while the function itself isn't entered by that command. The column ``calls`` says which commands to look at, and no
  more.

With ``--why`` the repository is read and harvested again, to tell of each function that was reached and not opened what
is known: in no snippet, in one that is no row, or kept whole in rows, with the reasons that these rows have.

Everything of a repository's runs in a jail of ``trace_mine.tracer.sandbox``.
"""

from __future__ import annotations

import argparse
import ast
import collections
import json
import re
import secrets
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow.parquet

from trace_mine.corpus.mined import repository_candidates
from trace_mine.corpus.mined.harvest.harvesting import Harvest
from trace_mine.corpus.mined.miner import Mined, MineOptions
from trace_mine.corpus.mined.snippets.candidate import Candidate
from trace_mine.corpus.mined.start_tracer import config_of
from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Worker
from trace_mine.tracer.script_world import repository_folder
from trace_mine.tracer.two_worlds import jail_of, root_of

Row = Mapping[str, Any]
Key = tuple[str, str, int]
"""A function: its file, qualified name and first line, a decorator's where it has some."""

INSIDE = Path(__file__).with_name("reach_inside.py")
SUITE = Limits(cpu_seconds=1_500, wall_seconds=3_600.0, memory_bytes=4 << 30, output_bytes=128 << 20)
ROW = Limits(cpu_seconds=30, wall_seconds=120.0, output_bytes=16 << 20)
TEST_SECONDS = 60.0
TEST_FOLDERS = {"tests", "test", "testing", "docs", "examples", "benchmarks", "bench"}
TEST_FILE = re.compile(r"(test_.*|.*_tests?|tests?|conftest|setup|noxfile|tasks|fabfile)\.py")


def is_own(path: str) -> bool:
    """Return True for a file that is part of what the repository offers."""
    *folders, name = path.split("/")
    return TEST_FOLDERS.isdisjoint(folders) and not TEST_FILE.fullmatch(name)


@dataclass(slots=True, kw_only=True)
class Function:
    """A ``def`` of a file."""

    key: Key
    node: ast.FunctionDef | ast.AsyncFunctionDef
    is_nested: bool
    parts: list[ast.expr] = field(default_factory=list)


def functions_of(root: Path) -> dict[Key, Function]:
    """All functions of the repository's own files."""
    found: dict[Key, Function] = {}
    for file in sorted(root.rglob("*.py")):
        path = file.relative_to(root).as_posix()
        if not is_own(path) or file.is_symlink():
            continue
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError, RecursionError):
            continue
        for function in _functions(tree, path, "", is_nested=False):
            found[function.key] = function
    return found


def _functions(tree: ast.AST, path: str, prefix: str, *, is_nested: bool) -> Iterator[Function]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            line = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            name = f"{prefix}{node.name}"
            yield Function(key=(path, name, line), node=node, is_nested=is_nested)
            yield from _functions(node, path, f"{name}.<locals>.", is_nested=True)
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, path, f"{prefix}{node.name}.", is_nested=is_nested)
        else:
            yield from _functions(node, path, prefix, is_nested=is_nested)


def body_parts(function: Function) -> list[ast.expr]:
    """The expressions of a function's own body, without those of functions in it."""
    if not function.parts:
        pending: list[ast.AST] = list(reversed(function.node.body))
        while pending:
            node = pending.pop()
            if isinstance(node, ast.expr):
                function.parts.append(node)
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                pending += reversed([*ast.iter_child_nodes(node)])
    return function.parts


def is_empty(function: Function) -> bool:
    """Return True where a body has nothing but a docstring, ``pass``, and the like: no command can be a part of it."""
    return all(
        isinstance(each, (ast.Pass, ast.Global, ast.Nonlocal))
        or (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
        or (isinstance(each, ast.Return) and (each.value is None or isinstance(each.value, (ast.Constant, ast.Name))))
        for each in function.node.body
    )


def matches(part: ast.AST, whole: ast.AST) -> bool:
    """Return True if a command's expression may be the body's: names stand for any expression, as in a session that
    gives names of its own, and that has what an inner call gave in a variable.
    """
    if isinstance(part, ast.Name):
        return isinstance(whole, ast.expr)
    if type(part) is not type(whole):
        return False
    for name, mine in ast.iter_fields(part):
        theirs = getattr(whole, name, None)
        if name in ("ctx", "kind", "type_comment"):
            continue
        if isinstance(mine, list):
            if not isinstance(theirs, list) or len(mine) != len(theirs):
                return False
            if not all(matches(a, b) if isinstance(a, ast.AST) else a == b for a, b in zip(mine, theirs, strict=True)):
                return False
        elif isinstance(mine, ast.AST):
            if not isinstance(theirs, ast.AST) or not matches(mine, theirs):
                return False
        elif name == "attr" and theirs[:2] == "__" and mine != theirs:
            # a session stands outside of the class, and says self._Cache__data where the body says self.__data
            if mine[:1] != "_" or not mine.endswith(theirs):
                return False
        elif mine != theirs and name not in ("id", "arg", "name", "asname"):
            return False
    return True


@lru_cache(maxsize=100_000)
def expressions(source: str) -> tuple[ast.expr, ...]:
    """The outermost expressions of a command, and values of assignments, that are more than names and constants."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return ()
    pending: list[ast.AST] = [tree]
    found: list[ast.expr] = []
    while pending:
        node = pending.pop()
        if isinstance(node, ast.expr):
            if any(not isinstance(each, (ast.Name, ast.Constant, ast.expr_context)) for each in ast.walk(node)):
                found.append(node)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            pending += ast.iter_child_nodes(node)
    return tuple(found)


class Repository:
    """One repository with its jail, and what was found in it."""

    def __init__(self, tracer: Mapping[str, Any]) -> None:
        self.config = config_of(tracer)  # type: ignore[arg-type]
        assert self.config.repository is not None
        self.functions = functions_of(self.config.repository)
        # what a replay may enter stands under the code object's line and name
        self.by_code = {(path, line, name): (path, name, line) for path, name, line in self.functions}
        # what a session defines again has a name of the session's
        self.by_line = {(path, line): function for (path, _, line), function in self.functions.items()}

    def known(self, keys: Iterable[Sequence[Any]]) -> set[Key]:
        """The functions of code that was entered."""
        return {self.by_code[tuple(each)] for each in keys if tuple(each) in self.by_code}

    def run(self, worker: Worker, limits: Limits, function: str, *arguments: object) -> tuple[list[Any], str]:
        """Run a function of ``reach_inside``; what it said, and how it ended."""
        word = secrets.token_hex(16)
        source = f"{INSIDE.read_text()}\n{function}{(word, *arguments)!r}\n"
        outcome = worker.run(PlainJob(source=source, counts_events=False), limits)
        lines = outcome.stdout.split(b"\n")
        records = [json.loads(line[33:]) for line in lines if line.startswith(f"{word} ".encode())]
        end = outcome.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2][:200]
        return records, outcome.status if outcome.status == "ok" else f"{outcome.status} {end}"

    def suite(self) -> dict[str, Any]:
        """Run the repository's own tests."""
        jail = jail_of(replace(self.config, warm=()), replaying=False)
        with Worker(jail, SUITE, **self.config.worker_levels) as worker:
            root = root_of(self.config, worker)
            records, status = self.run(worker, SUITE, "suite", root, TEST_SECONDS)
        outcomes = collections.Counter(each["outcome"] for each in records if "outcome" in each)
        at_import = self.known(key for each in records for key in each.get("import", ()))
        in_tests = self.known(key for each in records for key in each.get("test", ()))
        return {"outcomes": outcomes, "status": status, "import": at_import, "tests": in_tests}

    def replays(self, rows: Sequence[Row], num_threads: int) -> list[dict[str, Any]]:
        """Run each row's text in an interpreter of its own."""
        groups: dict[tuple[str, ...], list[int]] = collections.defaultdict(list)
        setups = [json.loads(row["setup"]) for row in rows]
        for number, setup in enumerate(setups):
            groups[*map(str, setup["sys_path"])].append(number)
        results: list[dict[str, Any]] = [{} for _ in rows]

        def some(config: Any, numbers: Sequence[int]) -> None:
            with Worker(jail_of(config, replaying=True), ROW, **config.worker_levels) as worker:
                for number in numbers:
                    folder = setups[number].get("folder")
                    if folder is not None:
                        found = repository_folder(config.repository, "" if folder == "." else folder)
                        worker.hold_folder(found.content)
                    root = worker.inside(config.repository)
                    text = rows[number]["text"]
                    records, status = self.run(worker, ROW, "row", root, text, setups[number])
                    results[number] = records[0] if records else {"commands": [], "same": [], "end": status}

        with ThreadPoolExecutor(num_threads) as pool:
            tasks = []
            for sys_path, numbers in groups.items():
                config = replace(self.config, sys_path=sys_path, warm=())
                plain = [number for number in numbers if "folder" not in setups[number]]
                tasks += [pool.submit(some, config, plain[start::num_threads]) for start in range(num_threads)]
                tasks += [pool.submit(some, config, [n]) for n in numbers if "folder" in setups[n]]
            for task in tasks:
                task.result()
        return results

    def opened(self, row: Row, replay: Mapping[str, Any]) -> set[Key]:
        """The functions of whose body commands of a row are a part."""
        by_name: dict[str, list[Function]] = collections.defaultdict(list)
        for source in row["source"]:
            function = self.by_line.get((source["path"], source["line"]))
            if function is not None:
                by_name[source["name"]].append(function)
        commands = [self.known(each) for each in replay.get("commands", ())]
        steps = row["steps"]
        if len(commands) != len(steps):
            return set()
        inner: dict[int, list[Mapping[str, Any]]] = collections.defaultdict(list)
        for call in row["calls"]:
            inner[call["caller"]].append(call)
        found: set[Key] = set()

        def stands(call: Mapping[str, Any], function: Function) -> bool:
            own = [number for number in call["steps"] if steps[number]["kind"] not in ("source", "reveal")]
            for number in own:
                if function.key in commands[number]:
                    continue
                for expression in expressions(steps[number]["source"]):
                    if any(matches(expression, part) for part in body_parts(function)):
                        return True
            # all that a body does may be calls, which are opened in their turn
            if any(stands(each, other) for each in inner[call["call"]] for other in by_name.get(each["name"], ())):
                return True
            return is_empty(function) and not any(function.key in each for each in commands)

        for call in reversed(row["calls"]):
            for function in by_name.get(call["name"], ()):
                if function.key not in found and stands(call, function):
                    found.add(function.key)
        return found


def rows_of(folder: Path) -> list[Row]:
    """All rows of a dataset."""
    columns = ["text", "steps", "calls", "source", "setup", "repository", "name", "entry", "path", "unopened_frames"]
    files = sorted((folder / "data").glob("*.parquet"))
    return [row for file in files for row in pyarrow.parquet.read_table(file, columns=columns).to_pylist()]


class Plan:
    """A repository read by the miner, up to where its units would be traced; with what was harvested in it."""

    def __init__(self, repository: str, staging: Path, *, entries: tuple[str, ...] | None) -> None:
        self.harvest: Harvest | None = None
        self.candidates: list[Candidate] = []
        harvested, candidates = repository_candidates.harvest_calls, repository_candidates.with_calls

        def noted(*arguments: Any, **options: Any) -> Harvest:
            self.harvest = harvested(*arguments, **options)
            return self.harvest

        def taken(*arguments: Any, **options: Any) -> Any:
            result = candidates(*arguments, **options)
            self.candidates = [*result[0]]
            return result

        repository_candidates.harvest_calls = noted
        repository_candidates.with_calls = taken
        try:
            units = Mined([repository], MineOptions(entries=entries), staging).units()
            unit = next(units)
        finally:
            repository_candidates.harvest_calls = harvested
            repository_candidates.with_calls = candidates
        if "tracer" not in unit.payload:
            raise SystemExit(f"expected a repository with tests, got {repository}: {unit.payload}")
        self.tracer: Any = unit.payload["tracer"]
        self.name: str = unit.payload["repository"]["name"]  # type: ignore[index,call-overload]
        self.units = units  # not closed: the staged files go with the folder


def reason_of(
    key: Key, plan: Plan, rows: Sequence[Row], called: Mapping[int, set[Key]], drops: Mapping[str, str]
) -> str:
    """What is known of why a function that was reached is opened by no row."""
    path, name, _ = key
    whole = [rows[number] for number, keys in called.items() if key in keys]
    if whole:
        reasons: collections.Counter[str] = collections.Counter()
        for row in whole:
            reasons.update({*json.loads(row["unopened_frames"])})
        some = ", ".join(f"{reason} {number}" for reason, number in reasons.most_common(4))
        return f"kept whole in {len(whole)} rows ({some})"
    names = [each.snippet.name for each in plan.candidates if (path, key[2]) in each.snippet.focus]
    mine = [each for each in plan.candidates if each.snippet.kind == "call" and each.snippet.path == path]
    names += [each.snippet.name for each in mine if each.snippet.name.partition("[")[0].endswith(f".{name}")]
    if names:
        words = collections.Counter(drops.get(each, "duplicate or not opened") for each in names)
        return "calls are no rows: " + ", ".join(f"{word} {number}" for word, number in words.items())
    harvest = plan.harvest
    if harvest is None:
        return "not harvested"
    reached = harvest.functions.get((path, name))
    if reached is None:
        return "not reached by the harvest"
    if reached.problem:
        return f"no snippet: {reached.problem}"
    numbers = [number for number, call in enumerate(harvest.calls) if (call.path, call.qualname) == (path, name)]
    if not numbers:
        return "no snippet, no text: " + ", ".join(harvest.unspelt.get((path, name), ("never tried",)))
    tried = [harvest.tried.get(number) for number in numbers]
    problems = collections.Counter("not tried" if each is None else each.problem or "not chosen" for each in tried)
    return "no snippet: " + ", ".join(f"{word} {number}" for word, number in problems.items())


def main() -> None:
    parser = argparse.ArgumentParser(description="functions opened by rows, of those that a suite reaches")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("repositories", nargs="+")
    parser.add_argument("--why", action="store_true", help="tell why functions are not opened (harvests again)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="a file for all that was found")
    given = parser.parse_args()
    all_rows = rows_of(given.dataset)
    errors = [json.loads(line) for line in (given.dataset / "errors.jsonl").read_text().splitlines()]
    drops = {each["name"]: each["reason"] for each in errors}
    documents = []
    totals: collections.Counter[str] = collections.Counter()
    for text in given.repositories:
        with tempfile.TemporaryDirectory(prefix="reach-") as folder:
            Path(folder).chmod(0o755)
            plan = Plan(text, Path(folder), entries=None if given.why else ("test",))
            repository = Repository(plan.tracer)
            rows = [row for row in all_rows if row["repository"] == plan.name]
            suite = repository.suite()
            replays = repository.replays(rows, given.threads)
            called = {n: repository.known(k for each in r["commands"] for k in each) for n, r in enumerate(replays)}
            opened: set[Key] = set()
            claimed: set[Key] = set()
            for row, replay_of_row in zip(rows, replays, strict=True):
                opened |= repository.opened(row, replay_of_row)
                names = {call["name"] for call in row["calls"]}
                places = [(each["path"], each["line"]) for each in row["source"] if each["name"] in names]
                claimed |= {repository.by_line[place].key for place in places if place in repository.by_line}
            reached = suite["tests"] | suite["import"]
            pairs = [*zip(rows, replays, strict=True)]
            differ = [row["name"] for row, each in pairs if [*each["same"]] != [True] * len(row["steps"])]
            numbers = {
                "rows": len(rows),
                "replayed": len(rows) - len(differ),
                "functions": len(repository.functions),
                "reached": len(reached),
                "in_tests": len(suite["tests"]),
                "called": len(reached & set().union(opened, *called.values())),
                "opened": len(reached & opened),
                "claimed": len(reached & claimed),
                "opened_beyond": len(opened - reached),
            }
            totals.update(numbers)
            print(line_of(plan.name, numbers), flush=True)
            print(f"  suite: {dict(suite['outcomes'])}, {suite['status']}")
            if differ:
                print(f"  not the same: {differ[:10]}")
            missing = sorted(reached - opened)
            reasons = {}
            for key in missing:
                why = reason_of(key, plan, rows, called, drops) if given.why else ""
                only = " [at import only]" if key not in suite["tests"] else ""
                reasons[":".join(map(str, key))] = why + only
                print(f"    {key[0]}:{key[2]} {key[1]}: {why}{only}")
            documents.append({"name": plan.name, **numbers, "missing": reasons, "opened_names": sorted(opened)})
            plan.units.close()  # type: ignore[attr-defined]
    if len(given.repositories) > 1:
        print(line_of("all", totals))
    if given.json is not None:
        given.json.write_text(json.dumps(documents, indent=1))


def line_of(name: str, numbers: Mapping[str, int]) -> str:
    """One line of the table."""
    reached = max(1, numbers["reached"])
    return (
        f"{name}: rows {numbers['rows']}, replayed {numbers['replayed']}; functions {numbers['functions']}, reached "
        f"by the suite {numbers['reached']} ({numbers['in_tests']} in tests); called by rows {numbers['called']}, "
        f"opened {numbers['opened']} = {numbers['opened'] / reached:.1%} (columns say {numbers['claimed']}); "
        f"opened beyond the suite {numbers['opened_beyond']}"
    )


if __name__ == "__main__":
    sys.exit(main())
