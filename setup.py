"""Builds the C library of the kernels where there is a compiler, names the wheel by what it has, and keeps the links in
an sdist; all else is in pyproject.toml.

The library is loaded by ctypes and knows nothing of Python, so that one wheel serves every interpreter of a platform,
and one without the library every platform.

`optional`: without a compiler the installation goes on, with a warning, and the delta rule runs in torch.
"""

import os
import shutil
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

SOURCES = Path("train/kernels/c")
PACKAGE = Path("trace_mine")


class BuildLibrary(build_ext):
    """The library without an interpreter's version in its name."""

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split("."))) + ".so"


class WheelForAll(bdist_wheel):
    """A wheel for all interpreters: of this platform where the library is in it, else of any."""

    def get_tag(self) -> tuple[str, str, str]:
        # asked after the build: only then is it known if there was a compiler that could
        library = self.get_finalized_command("build_ext").get_outputs()
        built = all(Path(path).is_file() for path in library)
        return "py3", "none", super().get_tag()[2] if built else "any"


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
    cmdclass={"bdist_wheel": WheelForAll, "build_ext": BuildLibrary, "sdist": LinkedSdist},
    ext_modules=[
        Extension(
            "trace_mine.train.kernels._delta",
            sources=[str(SOURCES / "delta.c"), str(SOURCES / "layers.c")],
            depends=sorted(str(path) for path in SOURCES.glob("*.h")),
            # no results differ without errno: square roots are then instructions, and no libm is needed
            extra_compile_args=["-std=gnu11", "-O3", "-g0", "-fno-math-errno"],
            optional=True,
        )
    ],
)
