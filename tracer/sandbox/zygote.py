"""The zygote: confined, then warmed with a repository's modules, then forks one runner for each run. Runs inside.

It holds no capability and no secret. From its first import on it must be taken for hostile: it is as confined as a
runner, but for fork, setsid and adding further restrictions.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import traceback
from typing import TYPE_CHECKING, NoReturn

from trace_mine.tracer.sandbox import kernel, runner
from trace_mine.tracer.sandbox.config import JailConfig
from trace_mine.tracer.sandbox.forking import SiblingForks
from trace_mine.tracer.sandbox.layer import Confinement
from trace_mine.tracer.sandbox.layers import in_use, printed, without_missing
from trace_mine.tracer.sandbox.rlimits import address_space
from trace_mine.tracer.sandbox.setting import Setting
from trace_mine.tracer.sandbox.syscalls import machine_of_this_process
from trace_mine.tracer.sandbox.wire import Hangup, receive_message, send_message

if TYPE_CHECKING:
    from trace_mine.tracer.sandbox.loader import Bundle


def main(
    bundle: Bundle, config: JailConfig, control: socket.socket, proc: int, init_pid: int, landlock_abi: int
) -> NoReturn:
    """Entered by init after the fork; never returns.

    ``control`` is the socket to init, ``proc`` an open descriptor of /proc, ``landlock_abi`` the kernel's version of
    Landlock (0: none).
    """
    try:
        serve(*prepare(bundle, config, control, proc, init_pid, landlock_abi))
    except Hangup:
        pass
    except BaseException:
        try:
            send_message(control, {"fault": traceback.format_exc()[-4000:]})
        except (Hangup, OSError):
            pass  # init is gone, nobody is left to tell
    os._exit(1)


def prepare(
    bundle: Bundle, config: JailConfig, control: socket.socket, proc: int, init_pid: int, landlock_abi: int
) -> tuple[socket.socket, Setting, SiblingForks]:
    """Loads our own modules, then confines this process for good. Raises OSError where a layer is refused."""
    kernel.die_with_parent()
    statm = os.open("self/statm", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    confinement = confinement_of(config, landlock_abi, statm)
    setting = Setting(bundle, config, confinement, init_pid)
    setting.load_jobs()
    forks = SiblingForks(os.open("self/stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc))
    os.close(proc)
    default_signals()
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    os.chdir(config.scratch)
    os.setsid()
    confinement.layers = without_missing(confinement, frozenset(config.required))
    layers = in_use(confinement)
    for layer in layers:
        layer.prepare(confinement)
    # at level 2 Landlock bounds what this capability can read; at level 3 the view is readable without it
    capability = 0 if config.namespaces else 1 << kernel.CAP_DAC_READ_SEARCH
    kernel.drop_capabilities(keep=kernel.permitted_capabilities() & capability)
    kernel.no_new_privileges()
    for layer in reversed(layers):
        layer.at_zygote(confinement)
    setting.prepare_interpreter()
    gc.collect()
    gc.freeze()
    send_message(control, {"ready": printed(confinement)})
    return control, setting, forks


def confinement_of(config: JailConfig, landlock_abi: int, statm: int) -> Confinement:
    """What the layers act on, with the paths as this process sees them."""
    return Confinement(
        layers=frozenset(config.layers),
        machine=machine_of_this_process(),
        landlock_abi=landlock_abi,
        readable=tuple(target if config.namespaces else source for source, target in config.binds),
        sys_path=config.sys_path,
        devices=config.devices,
        scratch=config.scratch,
        tasks=config.tasks,
        limits=config.limits,
        statm=statm,
    )


def default_signals() -> None:
    """Python's own handlers and nothing blocked; before the imports, whose handlers a script has too."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def serve(control: socket.socket, setting: Setting, forks: SiblingForks) -> NoReturn:
    """Forks a runner when init asks for one, and tells its process id; the job goes from init to it directly."""
    while True:
        message, _, fds = receive_message(control, max_fds=1)
        if message["do"] == "warm":
            warm(control, message["modules"])
            setting.fresh_streams()
            gc.collect()
            gc.freeze()
            send_message(control, {"warmed": True})
            continue
        mapped = address_space(setting.confinement.statm)
        pid = forks.fork(lambda: runner.main(setting, fds[0], mapped))  # noqa: B023  # called before the next turn
        os.close(fds[0])
        send_message(control, {"pid": pid})


def warm(control: socket.socket, modules: list[str]) -> None:
    """Imports each module; what it prints goes nowhere, how it fails is told."""
    import importlib

    for name in modules:
        send_message(control, {"begin": name})
        try:
            importlib.import_module(name)
        except BaseException as error:  # also SystemExit and KeyboardInterrupt: a module's import may do anything
            send_message(control, {"failed": name, "why": _describe(error)})


def _describe(error: BaseException) -> str:
    name = type.__dict__["__name__"].__get__(type(error))
    try:
        return f"{name}: {error}"[:500]
    except BaseException:
        return f"{name} (its text raises)"
