"""Replays a dataset's rows through the standard library's doctest, with nothing of trace-mine but text and set-up.

    python docs/examples/replay_rows.py DATASET NAME=FOLDER [NAME=FOLDER ...]

NAME is a row's ``repository``, FOLDER where its source lies (none for the standard library). The rows' code runs here, in
this interpreter's environment and WITHOUT A SANDBOX: replay only what you would run anyway. Each row gets a process and
an empty working directory of its own; one with choices is fed its draws by feed.py beside this file. Prints the rows that differ, and the counts; exit code 1 if any differs.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

FEED = Path(__file__).resolve().parent / "feed.py"
REPLAY = r"""
import doctest, importlib, json, os, sys, tempfile

def replay(row, root):
    setup = row["setup"]
    sys.path[:0] = [os.path.join(root, folder) for folder in setup["sys_path"]] if root else []
    globs = {}
    devnull = open(os.devnull, "w")
    sys.stdout = sys.stderr = devnull
    if setup["module"] is not None:
        globs.update(vars(importlib.import_module(setup["module"])))
    exec(setup["code"], globs)
    test = doctest.DocTestParser().get_doctest(row["text"], globs, row["name"], None, 0)
    told = []
    results = doctest.DocTestRunner(verbose=False).run(test, out=told.append, clear_globs=False)
    return results.failed, "".join(told)[-1500:]

for line in sys.stdin:
    job = json.loads(line)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.chdir(tempfile.mkdtemp())
        try:
            result = replay(job["row"], job["root"])
        except BaseException as error:
            result = 1, f"{type(error).__name__}: {error}"
        os.write(writer, json.dumps(result).encode("ascii", "replace")[:60000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        told = answer.read()
    os.waitpid(child, 0)
    print(json.dumps({"id": job["row"]["trace_id"], "result": json.loads(told) if told else [1, "died"]}), flush=True)
"""


def main(dataset: Path, roots: dict[str, str]) -> int:
    import pyarrow.parquet

    counts: Counter[str] = Counter()
    unplaced: set[str] = set()
    columns = ["trace_id", "repository", "name", "text", "setup"]
    for file in sorted(dataset.glob("data/*.parquet")):
        for batch in pyarrow.parquet.ParquetFile(file).iter_batches(500, columns=columns):
            rows = [dict(row, setup=json.loads(row["setup"])) for row in batch.to_pylist()]
            drawn, plain = ([row for row in rows if bool(row["setup"].get("choices")) is any_] for any_ in (True, False))
            jobs = "".join(json.dumps({"row": row, "root": roots.get(row["repository"])}) + "\n" for row in plain)
            environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TMPDIR": tempfile.mkdtemp()}
            for row in drawn:
                root = roots.get(row["repository"])
                fed = subprocess.run(
                    [sys.executable, "-B", str(FEED), *([root] if root else [])],
                    input=json.dumps(row), env=environment, cwd=tempfile.mkdtemp(), capture_output=True, text=True,
                )
                counts["differs" if fed.returncode else "replays"] += 1
                if fed.returncode:
                    unplaced |= {row["repository"]} - roots.keys()
                    print(f"--- {row['repository']} {row['name']}\n{(fed.stdout + fed.stderr)[-1500:]}")
            done = subprocess.run(
                [sys.executable, "-B", "-c", REPLAY], input=jobs, env=environment, capture_output=True, text=True, check=True
            )
            by_id = {row["trace_id"]: row for row in rows}
            for line in done.stdout.splitlines():
                answer = json.loads(line)
                row = by_id[answer["id"]]
                failed, told = answer["result"]
                counts["differs" if failed else "replays"] += 1
                if failed:
                    unplaced |= {row["repository"]} - roots.keys()
                    print(f"--- {row['repository']} {row['name']}\n{told}")
    print(dict(counts))
    if unplaced:
        print(f"no NAME=FOLDER was given for {', '.join(sorted(unplaced))}", file=sys.stderr)
    return 1 if counts["differs"] or not counts["replays"] else 0


if __name__ == "__main__":
    if len(sys.argv) < 2 or any("=" not in pair for pair in sys.argv[2:]):
        sys.exit(__doc__)
    pairs = (pair.split("=", 1) for pair in sys.argv[2:])
    sys.exit(main(Path(sys.argv[1]), {name: os.path.abspath(folder) for name, folder in pairs}))
