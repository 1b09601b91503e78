"""Our own code in a jail in which a repository's code runs: a few files, under a name that no repository uses."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from trace_mine.corpus.hashing import code_hash
from trace_mine.tracer.atomic import new_folder
from trace_mine.tracer.sandbox import Jail, Mount


def with_code(jail: Jail, code: Path) -> Jail:
    """Return the jail with a folder of ``staged_code`` on its ``sys.path``, and nothing imported at the start."""
    target = f"/{code.name.partition('-')[0]}"
    return replace(
        jail,
        mounts=(*jail.mounts, Mount(source=code, target=target)),
        sys_path=(*jail.sys_path, target),
        warm=(),
    )


def staged_code(staging: Path, folder: Path, package: str) -> Path:
    """Copy a folder of our files to one that has nothing else.

    Args:
        staging: a folder that the jail's user can read.
        folder: the files.
        package: the name under which they are imported there.
    """
    target = staging / f"{package.removeprefix('trace_mine_')}-{code_hash()[:16]}"
    if not target.exists():
        with new_folder(target) as partial:
            partial.chmod(0o755)
            shutil.copytree(folder, partial / package, ignore=shutil.ignore_patterns("__pycache__"))
            for path in (partial / package, *(partial / package).iterdir()):
                path.chmod(0o755 if path.is_dir() else 0o644)
    return target
