"""The zygote: confines itself, imports a repository's modules, then forks one runner for each run. Runs inside.

It holds no secret, and no capability but, at level 2, the one to read its list of files. From its first import on it
must be taken for hostile: so it is as confined as a runner, but for fork, setsid and adding further restrictions. Why
it is confined before the first import: docs/decisions/0002-confined-zygote.md.
"""

from __future__ import annotations

import gc
import os
import socket
import traceback
from typing import TYPE_CHECKING, NoReturn

from trace_mine.tracer.sandbox import kernel, runner
from trace_mine.tracer.sandbox.config import JailConfig
from trace_mine.tracer.sandbox.confinement import confinement_of, reset_signals
from trace_mine.tracer.sandbox.forking import SiblingForks
from trace_mine.tracer.sandbox.layers import in_use, layers_text, without_missing
from trace_mine.tracer.sandbox.rlimits import address_space
from trace_mine.tracer.sandbox.setting import Setting
from trace_mine.tracer.sandbox.wire import Hangup, field, receive_message, send_message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trace_mine.tracer.sandbox.loader import Bundle


def begin(
    bundle: Bundle, config: Mapping[str, object], control_fd: int, proc: int, init_pid: int, landlock_abi: int
) -> NoReturn:
    """Enter ``main`` from the program that ``recorder`` sends; ``config`` is a JailConfig as JSON. Never returns."""
    main(bundle, JailConfig.from_json(config), socket.socket(fileno=control_fd), proc, init_pid, landlock_abi)


def main(
    bundle: Bundle, config: JailConfig, control: socket.socket, proc: int, init_pid: int, landlock_abi: int
) -> NoReturn:
    """Confine this process and serve init; the zygote enters here. Never returns.

    Args:
        bundle: our own code.
        config: the jail.
        control: the socket to init.
        proc: an open descriptor of the host's /proc; closed before anything foreign runs.
        init_pid: init's process id as this process sees it.
        landlock_abi: the kernel's version of Landlock, 0 for none.
    """
    try:
        serve(*prepare(bundle, config, control, proc, init_pid, landlock_abi))
    except Hangup:
        pass
    except BaseException:
        try:
            send_message(control, {"fault": traceback.format_exc()[-4000:]})
        except (Hangup, OSError):
            pass  # init is gone, and with it the only reader
    os._exit(1)


def prepare(
    bundle: Bundle, config: JailConfig, control: socket.socket, proc: int, init_pid: int, landlock_abi: int
) -> tuple[socket.socket, Setting, SiblingForks]:
    """Load our own modules, then confine this process for good.

    The order is forced: files of /proc and of our own code are opened before the layers close them off, Landlock's
    paths while capabilities are held, and the system-call filter comes last (see ``layers.LAYERS``).

    Returns:
        What ``serve`` needs: the socket to init, what runners share, the way to fork them.

    Raises:
        OSError: the kernel refuses a layer.
        RuntimeError: it lacks one that the level requires.
    """
    kernel.die_with_parent()
    statm = os.open("self/statm", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    confinement = confinement_of(config, landlock_abi, statm)
    setting = Setting(bundle, config, confinement, init_pid)
    setting.load_jobs()
    forks = SiblingForks(os.open("self/stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc))
    os.close(proc)
    reset_signals()
    # the control socket is all that leads out from here on
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    os.chdir(config.scratch)
    os.setsid()  # out of init's process group: a signal to the own group must not reach init
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
    setting.note_modules()
    # Frozen objects are never looked at by a collection, which would write to their headers: each runner would get
    # copies of all the zygote's pages.
    gc.collect()
    gc.freeze()
    gc.enable()
    send_message(control, {"ready": layers_text(confinement)})
    return control, setting, forks


def serve(control: socket.socket, setting: Setting, forks: SiblingForks) -> NoReturn:
    """Import modules or fork a runner whenever init asks for it.

    A runner's job comes to it from init directly, over a socket of its own, which the zygote passes on and closes: a
    hostile zygote sees no job and no pipe of a run.
    """
    while True:
        message, _, fds = receive_message(control, max_fds=1)
        if message["do"] == "warm":
            # again: at level 3 the self-test's runs have left another file system there, and no name leads to the first
            os.chdir(setting.config.scratch)
            warm(control, field(message, "modules", list))
            setting.fresh_streams()
            setting.note_modules()
            # no collection before: it would call what a module gave ``gc`` and ``weakref`` to be called, in all forks
            # and not in an interpreter that imports the module itself
            gc.freeze()
            send_message(control, {"warmed": True})
            continue
        mapped = address_space(setting.confinement.statm)
        pid = forks.fork(lambda: runner.main(setting, fds[0], mapped))  # noqa: B023  # called before the next turn
        os.close(fds[0])
        send_message(control, {"pid": pid})


def warm(control: socket.socket, modules: list[str]) -> None:
    """Import each module and report to init how that failed, where it did. What a module prints goes to /dev/null."""
    import importlib

    for name in modules:
        send_message(control, {"begin": name})  # so that init knows which one hangs or kills this process
        try:
            importlib.import_module(name)
        except BaseException as error:  # also SystemExit and KeyboardInterrupt: a module's import may do anything
            send_message(control, {"failed": name, "why": _describe(error)})


def _describe(error: BaseException) -> str:
    """Return an exception's type and text; its ``__str__`` is code of the module, and may raise."""
    name = type.__dict__["__name__"].__get__(type(error))
    try:
        return f"{name}: {error}"[:500]
    except BaseException:
        return f"{name} (its text raises)"
