"""The rows of a random sample of repositories' pytest items, with their statements flat and with their call opened.

    python tests/benchmarks/item_forms.py sdist/sqlparse-0.6.1.tar.gz sdist/tabulate-0.8.10 --sample 25 --seed 1

The items are found as ``trace-mine`` finds them, in an environment of the repository's own, and sampled after siblings
are. Each is traced twice, by its flat forms alone and by its called ones alone; ``spelling.FORMS`` tries the flat ones
first, so an item is a row where it is one in either. For each repository a line says how many are rows, and of those
that are rows in both what these hold: functions of the package that are opened (those of test files don't count),
characters, steps. Drops of items that are no row stand by reason; ``--drops`` prints each drop with its evidence.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trace_mine.corpus.mined.miner import Mined, MineOptions
from trace_mine.corpus.mined.snippets import Candidate
from trace_mine.corpus.mined.snippets.testcases import is_test_file
from trace_mine.corpus.mined.tracing import close_tracer, trace_unit
from trace_mine.corpus.rows import Row

FORMS = ("flat", "called")
SHOWN = 300
"""Characters of a drop's evidence that are printed, its last ones."""


class Sample(Mined):
    """Items of repositories, drawn at random.

    Args:
        repositories: as ``trace-mine`` takes them.
        size: the number of items of each.
        seed: of the drawing.
        staging: a folder for environments and copies.
    """

    def __init__(self, repositories: Sequence[str], size: int, seed: int, staging: Path) -> None:
        super().__init__(repositories, MineOptions(entries=("test",)), staging, tell=print)
        self._size = size
        self._seed = seed

    def _within_limit(self, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
        items = [index for index, candidate in enumerate(candidates) if candidate.item]
        drawn = random.Random(self._seed).sample(items, min(self._size, len(items)))
        return [candidates[index] for index in sorted(drawn)]


def is_called(snippet: Mapping[str, Any], case: str) -> bool:
    """Return True for a form that opens the call of the test itself."""
    function = case.rpartition("::")[2].partition("[")[0]
    return function in [callee.rpartition(".")[2] for callee in snippet["opens"]]


def in_form(candidate: Mapping[str, Any], form: str) -> Mapping[str, Any] | None:
    """The candidate's JSON with forms of one kind alone; None where it has none of them."""
    if candidate["drop"] is not None:
        return candidate
    forms = [candidate["snippet"], *candidate["fallbacks"]]
    kept = [each for each in forms if is_called(each, candidate["item"]) == (form == "called")]
    return {**candidate, "snippet": kept[0], "fallbacks": kept[1:]} if kept else None


def traced(payload: Mapping[str, Any], form: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each item of a unit with its row's columns, or its drop."""
    found = [(entry, in_form(entry["candidate"], form)) for entry in payload["snippets"]]
    entries = [{**entry, "candidate": candidate} for entry, candidate in found if candidate is not None]
    for entry, result in zip(entries, trace_unit({**payload, "snippets": entries}), strict=True):
        columns = result.columns if isinstance(result, Row) else {"drop": result.reason, "evidence": result.evidence}
        yield entry["candidate"]["item"], columns


def opened(row: Mapping[str, Any]) -> set[tuple[str, str]]:
    """The functions of the package that a row opens, by file and qualified name."""
    return {(each["path"], each["name"]) for each in row["source"] if each["path"] and not is_test_file(each["path"])}


Results = dict[str, dict[str, Mapping[str, Any]]]
"""By form and item, a row's columns or a drop."""


def show(name: str, results: Results) -> None:
    """Print what the items of a repository gave."""
    rows = {form: {key: each for key, each in results[form].items() if "drop" not in each} for form in FORMS}
    items = results["flat"].keys() | results["called"].keys()
    lost = items - rows["flat"].keys() - rows["called"].keys()
    drops = Counter(results["called"].get(key, results["flat"].get(key, {}))["drop"] for key in lost)
    told = ", ".join(f"{reason} {number}" for reason, number in drops.most_common())
    print(f"{name}: of {len(items)} items {len(items) - len(lost)} are rows; drops: {told or 'none'}")
    both = rows["flat"].keys() & rows["called"].keys()
    for form in FORMS:
        of_both = [rows[form][key] for key in sorted(both)]
        functions = set().union(*map(opened, of_both))
        print(
            f"  {form}: {len(rows[form])} rows; of the {len(both)} that both have: {len(functions)} functions of the "
            f"package opened, {sum(len(opened(row)) for row in of_both)} in all rows together, "
            f"{sum(len(row['text']) for row in of_both)} characters, {sum(len(row['steps']) for row in of_both)} steps",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repositories", nargs="+", help="checkouts, sdists or unpacked ones")
    parser.add_argument("--sample", type=int, default=25, help="items of each repository")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--drops", action="store_true", help="print each drop with its evidence")
    options = parser.parse_args()
    total: Results = {form: {} for form in FORMS}
    for repository in options.repositories:
        results: Results = {form: {} for form in FORMS}
        with tempfile.TemporaryDirectory(prefix="item-forms-") as staging:
            for unit in Sample([repository], options.sample, options.seed, Path(staging)).units():
                payload: Any = json.loads(json.dumps(unit.payload))
                for form in FORMS:
                    results[form] |= {f"{repository} {item}": each for item, each in traced(payload, form)}
            close_tracer()
        show(Path(repository).name, results)
        for form in FORMS:
            total[form] |= results[form]
            for key, each in results[form].items():
                if options.drops and "drop" in each:
                    print(f"  {form} {key}: {each['drop']}: {each['evidence'][-SHOWN:]!r}", flush=True)
    show("all", total)


if __name__ == "__main__":
    main()
