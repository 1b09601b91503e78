"""Init's side of a recorder: how its zygote is started as a program of its own, from the jail's own interpreter.

A fork of init would do, but for its paths: init was started where the host has the interpreter, and so would every
module of a fork say. What a zygote executes in the jail knows the jail's paths alone.
"""

from __future__ import annotations

import json
import marshal
import os
import socket
import sys
from typing import TYPE_CHECKING, NoReturn

from trace_mine.tracer.sandbox import kernel
from trace_mine.tracer.sandbox.config import JailConfig
from trace_mine.tracer.sandbox.determinism import environment
from trace_mine.tracer.sandbox.fresh_interpreter import execute, program_message

if TYPE_CHECKING:
    from trace_mine.tracer.sandbox.loader import Bundle

PROGRAM = """
import gc, json, marshal
gc.disable()  # until all of our code is loaded, which is no garbage (``zygote.prepare``)
sources, compiled, config, proc, init_pid, landlock_abi = marshal.loads(read(int.from_bytes(read(8), "big")))
name = "trace_mine.tracer.sandbox.loader"
namespace = {"__name__": name}
code = compiled.get(name)
code = marshal.loads(code) if code else compile(sources[name], f"<{name}>", "exec", dont_inherit=True)
exec(code, namespace)
bundle = namespace["Bundle"](sources, compiled)
del name, sources, compiled, namespace, code
bundle.load("trace_mine.tracer.sandbox.zygote").begin(bundle, json.loads(config), fd, proc, init_pid, landlock_abi)
"""
"""The program that the interpreter is sent; ``read`` and ``fd`` are those of ``fresh_interpreter``."""


def become(config: JailConfig, control: socket.socket, proc: int) -> NoReturn:
    """Go on, in a fork of init, as the zygote's program. Raises OSError where the interpreter can't be executed."""
    kernel.die_with_parent()
    capability = 1 << kernel.CAP_DAC_READ_SEARCH
    if not config.namespaces and kernel.permitted_capabilities() & capability:
        kernel.keep_over_exec(kernel.CAP_DAC_READ_SEARCH)  # to read an interpreter that the jail's user may not
    variables = environment(config.hash_seed, config.scratch, config.machine)
    execute(config, control.fileno(), variables, keep=(proc,))


def introduce(
    config: JailConfig, bundle: Bundle, control: socket.socket, proc: int, init_pid: int, landlock_abi: int
) -> None:
    """Send the zygote its program and all our code, compiled as far as init had to. Raises OSError."""
    sources = dict(bundle.sources())
    data = marshal.dumps((sources, bundle.compiled, json.dumps(config.to_json()), proc, init_pid, landlock_abi))
    control.sendall(program_message(PROGRAM) + len(data).to_bytes(8, "big") + data)


def find_library(config: JailConfig) -> None:
    """Have init itself, in the view of its jail, import from where the interpreter is now. Does nothing at level 2."""
    if not config.library:
        return
    before = os.path.dirname(os.__file__)
    sys.path[:] = [config.library, f"{config.library}/lib-dynload"]
    sys.path_importer_cache.clear()
    for module in list(sys.modules.values()):
        paths = getattr(module, "__path__", None)
        if isinstance(paths, list):
            paths[:] = [path.replace(before, config.library, 1) for path in paths]
