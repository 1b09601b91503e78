"""Tensors out of a safetensors file that may be damaged or hostile."""

from __future__ import annotations

from pathlib import Path

import safetensors
from torch import Tensor

from trace_mine.tracer.bounded import DamagedFile, open_regular


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file, each into memory of its own.

    Raises:
        DamagedFile: it is no such file; safetensors itself bounds the header and compares sizes with the file's.
    """
    open_regular(path).close()
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            # copies: mapped tensors lie at any address, and products of unaligned ones differ in the last bit
            return {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118  it isn't iterable
    except (safetensors.SafetensorError, OSError, ValueError, RuntimeError, OverflowError) as error:
        raise DamagedFile(f"expected tensors in {path}, got: {error}") from None
