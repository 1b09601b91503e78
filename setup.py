"""Builds the delta rule's C library where there is a compiler; all else is in pyproject.toml.

`optional`: without a compiler the installation goes on, with a warning, and the delta rule runs in torch.
"""

from pathlib import Path

from setuptools import Extension, setup

SOURCES = Path("train/kernels/c")

setup(
    ext_modules=[
        Extension(
            "trace_mine.train.kernels._delta",
            sources=[str(SOURCES / "delta.c")],
            depends=sorted(str(path) for path in SOURCES.glob("*.h")),
            extra_compile_args=["-std=gnu11", "-O3", "-g0"],
            optional=True,
        )
    ]
)
