"""Builds the delta rule's C library where there is a compiler, and keeps the links in an sdist; all else is in
pyproject.toml.

`optional`: without a compiler the installation goes on, with a warning, and the delta rule runs in torch.
"""

import os
import shutil
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.sdist import sdist

SOURCES = Path("train/kernels/c")
PACKAGE = Path("trace_mine")


class LinkedSdist(sdist):
    """An sdist whose ``trace_mine/ROOM`` are links as in the repository. setuptools copies what they lead to, and
    whoever edits the rooms of such a tree would run the copies.
    """

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        for link in sorted(path for path in PACKAGE.iterdir() if path.is_symlink()):
            copy = Path(base_dir) / link
            shutil.rmtree(copy)
            copy.symlink_to(os.readlink(link), target_is_directory=True)


setup(
    cmdclass={"sdist": LinkedSdist},
    ext_modules=[
        Extension(
            "trace_mine.train.kernels._delta",
            sources=[str(SOURCES / "delta.c")],
            depends=sorted(str(path) for path in SOURCES.glob("*.h")),
            extra_compile_args=["-std=gnu11", "-O3", "-g0"],
            optional=True,
        )
    ],
)
