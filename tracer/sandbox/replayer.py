"""Init's side of a replayer: how its zygote is started as a program of its own, and what its runners are told to do.

The program is ``clean_zygote``. The layers are the same records as everywhere; here they give orders instead of acting,
because a replayer's processes hold no code of ours that could act (``layer.Orders``).
"""

from __future__ import annotations

import marshal
import os
import socket
import traceback
from typing import TYPE_CHECKING, NoReturn

from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import kernel, recorder
from trace_mine.tracer.sandbox.config import NO_START, JailConfig
from trace_mine.tracer.sandbox.confinement import confinement_of, prefer_for_oom_kill, reset_signals
from trace_mine.tracer.sandbox.determinism import environment
from trace_mine.tracer.sandbox.fresh_interpreter import execute, program_message
from trace_mine.tracer.sandbox.layer import Confinement, Orders
from trace_mine.tracer.sandbox.layers import in_use, layers_text, without_missing
from trace_mine.tracer.sandbox.seccomp import PID_PLACE
from trace_mine.tracer.sandbox.syscalls import syscall_numbers
from trace_mine.tracer.sandbox.wire import Hangup, send_message

if TYPE_CHECKING:
    from trace_mine.tracer.sandbox.loader import Bundle

PROGRAM = "trace_mine.tracer.sandbox.clean_zygote"
PROGRAMS = (
    "trace_mine.tracer.sandbox.loader",
    "trace_mine.tracer.inside.syntax.doctext",
    "trace_mine.tracer.inside.observe.arrays",
    "trace_mine.tracer.inside.draws.c_functions",
    "trace_mine.tracer.inside.observe.describe",
    "trace_mine.tracer.inside.observe.identity",
    "trace_mine.tracer.inside.observe.values",
    "trace_mine.tracer.inside.readers.doc_requests",
    "trace_mine.tracer.inside.readers.doc",
    "trace_mine.tracer.inside.readers.literal",
)
"""The modules that readers other than the prompt have in their process; the zygote compiles them once."""
CONTROL_FD, STATM_FD, STAT_FD = 100, 101, 102  # as in ``clean_zygote``
CALLS = ("clone", "landlock_restrict_self", "seccomp")


class Replayer:
    """What init keeps of a replayer: the layers' state, from which each runner's orders are made.

    Raises:
        OSError: the kernel refuses what a layer prepares.
        RuntimeError: it lacks a layer that the level requires.
    """

    def __init__(self, config: JailConfig, landlock_abi: int) -> None:
        self._config = config
        self._confinement: Confinement = confinement_of(config, landlock_abi, statm=-1)
        self._confinement.layers = without_missing(self._confinement, frozenset(config.required))
        for layer in in_use(self._confinement):
            layer.prepare(self._confinement)

    def become(self, control: socket.socket, proc: int) -> NoReturn:
        """Go on, in a fork of init, as the zygote's program, with the layers on that survive an exec.

        Raises:
            OSError: the kernel refuses a layer, or the interpreter can't be executed.
        """
        confinement, config = self._confinement, self._config
        kernel.die_with_parent()
        for name, fd in (("self/statm", STATM_FD), ("self/stat", STAT_FD)):
            opened = os.open(name, os.O_RDONLY, dir_fd=proc)
            os.dup2(opened, fd)
            os.close(opened)
        os.close(proc)
        os.dup2(control.fileno(), CONTROL_FD)
        reset_signals()
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.close(null)
        os.chdir(config.scratch)
        os.setsid()  # out of init's process group: a signal to the own group must not reach init
        capability = 0 if config.namespaces else 1 << kernel.CAP_DAC_READ_SEARCH
        kept = kernel.permitted_capabilities() & capability
        kernel.drop_capabilities(keep=kept)
        if kept:
            kernel.keep_over_exec(kernel.CAP_DAC_READ_SEARCH)
        kernel.no_new_privileges()
        confinement.statm = STATM_FD
        for layer in reversed(in_use(confinement)):
            if layer.order_zygote is None:
                layer.at_zygote(confinement)
        variables = environment(config.hash_seed, config.scratch, config.machine)
        execute(config, CONTROL_FD, variables, keep=(STATM_FD, STAT_FD), more=("-q", "-i"))

    def introduce(self, bundle: Bundle, control: socket.socket, init_pid: int) -> None:
        """Send the zygote its program, and all that it has to know. Raises OSError, Hangup."""
        config, confinement = self._config, self._confinement
        orders = Orders()
        for layer in reversed(in_use(confinement)):
            if layer.order_zygote is not None:
                layer.order_zygote(confinement, orders)
        numbers = syscall_numbers(confinement.machine)
        # compiled already where its interpreter is the supervisor's; else the zygote compiles the texts
        codes = {name: code for name in PROGRAMS if isinstance(code := bundle.compiled.get(name), bytes)}
        message = {
            "machine": confinement.machine,
            "numbers": {name: numbers[name] for name in CALLS},
            "pid_place": PID_PLACE,
            "init_pid": init_pid,
            "layers": layers_text(confinement),
            "orders": orders.as_json(),
            "programs": {name: "" if name in codes else bundle.source(name) for name in PROGRAMS},
            "sys_path": config.sys_path,
            "scratch": config.scratch,
            "seed": config.seed,
        }
        code = bundle.compiled.get(PROGRAM)
        program = "" if isinstance(code, bytes) else bundle.source(PROGRAM)
        begin = f"{program}\nbegin(*serve({CONTROL_FD}))\n"
        control.sendall(program_message(begin, code if isinstance(code, bytes) else b""))
        self._send(control, message, marshal.dumps(codes), orders)

    def runner_orders(self) -> Orders:
        """Make the orders of the next runner; its scratch must be there. The caller closes the rulesets.

        Raises OSError.
        """
        orders = Orders()
        for layer in reversed(in_use(self._confinement)):
            layer.order_runner(self._confinement, orders)
        return orders

    def job_orders(self, limits: Limits) -> Orders:
        """Make the orders that depend on the job."""
        orders = Orders()
        for layer in in_use(self._confinement):
            layer.order_job(self._confinement, limits, orders)
        return orders

    @staticmethod
    def _send(control: socket.socket, message: dict[str, object], codes: bytes, orders: Orders) -> None:
        try:
            send_message(control, message, codes, fds=orders.rulesets)
        finally:
            for ruleset in orders.rulesets:
                os.close(ruleset)


def become_zygote(config: JailConfig, replayer: Replayer | None, control: socket.socket, proc: int) -> NoReturn:
    """Go on, in a fork of init, as the zygote of a replayer, or of a recorder, or tell init why not. Never returns."""
    try:
        prefer_for_oom_kill(proc)
        if replayer is None:
            recorder.become(config, control, proc)
        replayer.become(control, proc)
    except BaseException:
        try:
            send_message(control, {"fault": f"{NO_START} at {config.executable}: {traceback.format_exc()[-4000:]}"})
        except (Hangup, OSError):
            pass  # init is gone, and with it the only reader
    os._exit(1)
