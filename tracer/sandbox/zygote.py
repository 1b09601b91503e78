"""The zygote: confined, then warmed with a repository's modules, then forks one runner for each run. Runs inside.

It holds no capability and no secret. From its first import on it must be taken for hostile: it is as confined as a
runner, but for fork, setsid and adding further restrictions.
"""

from __future__ import annotations

import gc
import os
import resource
import socket
import traceback
from typing import Any, NoReturn

from trace_mine.tracer.sandbox import kernel, landlock, runner, seccomp
from trace_mine.tracer.sandbox.forking import SiblingForks
from trace_mine.tracer.sandbox.syscalls import machine_of_this_process
from trace_mine.tracer.sandbox.wire import Hangup, receive_message, send_message

START_UP_BYTES = 1 << 30
"""Address space of the zygote beyond what it maps at the start and a run's memory limit: room for imports, which
reserve far more than they touch (numpy with one BLAS thread maps about 400 MB)."""


def main(bundle: Any, config: dict[str, Any], control: socket.socket, proc: int, init_pid: int, abi: int) -> NoReturn:
    """Entered by init after the fork; never returns."""
    try:
        serve(*prepare(bundle, config, control, proc, init_pid, abi))
    except Hangup:
        pass
    except BaseException:
        try:
            send_message(control, {"fault": traceback.format_exc()[-4000:]})
        except (Hangup, OSError):
            pass  # init is gone, nobody is left to tell
    os._exit(1)


def prepare(
    bundle: Any, config: dict[str, Any], control: socket.socket, proc: int, init_pid: int, abi: int
) -> tuple[socket.socket, runner.Setting, int, SiblingForks]:
    """Loads our own modules, then confines this process for good. Raises OSError where a layer is refused."""
    kernel.die_with_parent()
    layers = set(config["layers"])
    machine = machine_of_this_process()
    setting = runner.Setting(bundle, config, layers, machine, abi, init_pid)
    setting.load_jobs()
    statm = os.open("self/statm", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    forks = SiblingForks(os.open("self/stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc))
    os.close(proc)
    runner.default_signals()
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    os.chdir(config["scratch"])
    os.setsid()
    if "landlock" in layers and abi < 1:
        if "namespaces" not in layers:
            raise RuntimeError(
                "no Landlock: the kernel is older than 5.13, has it off, or a container's filter refuses it"
            )
        layers.discard("landlock")
    setting.prepare_confinement()
    names = ["namespaces"] if "namespaces" in layers else []
    capability = 1 << kernel.CAP_DAC_READ_SEARCH if "namespaces" not in layers else 0
    kernel.drop_capabilities(keep=kernel.permitted_capabilities() & capability)
    kernel.no_new_privileges()
    limits = config["limits"]
    if "rlimits" in layers:
        mapped = int(os.pread(statm, 64, 0).split()[0]) * resource.getpagesize()
        space = mapped + limits["memory_bytes"] + START_UP_BYTES
        runner.limit(resource.RLIMIT_AS, space)
        runner.limit(resource.RLIMIT_CORE, 0)
        runner.limit(resource.RLIMIT_FSIZE, limits["file_bytes"])
        runner.limit(resource.RLIMIT_MEMLOCK, 0)
        runner.limit(resource.RLIMIT_MSGQUEUE, 0)
        runner.limit(resource.RLIMIT_SIGPENDING, 64)
        runner.limit(resource.RLIMIT_NPROC, config["tasks"] + limits["processes"])
    if "seccomp" in layers:
        names.append("seccomp")
        signals = "namespaces" in layers or ("landlock" in layers and abi >= 6)
        program = seccomp.zygote_filter(machine, signals=signals, metadata="namespaces" in layers)
    if "landlock" in layers:
        names.append(f"landlock{abi}")
        # A rule on the scratch mount point would be hidden by the file systems mounted there later. The root is mounted
        # read-only with all its binds; each runner adds the rules for its own scratch.
        if "namespaces" in layers:
            landlock.restrict(abi, landlock.rules_for(abi, write=("/",)))
        else:
            landlock.restrict(abi, [*setting.rules, *landlock.rules_for(abi, write=(config["scratch"],))])
    if "seccomp" in layers:
        kernel.install_filter(program)
    setting.prepare_interpreter()
    gc.collect()
    gc.freeze()
    send_message(control, {"ready": "+".join([*names, "rlimits"])})
    return control, setting, statm, forks


def serve(control: socket.socket, setting: runner.Setting, statm: int, forks: SiblingForks) -> NoReturn:
    """Forks a runner when init asks for one, and tells its process id; the job goes from init to it directly."""
    page = resource.getpagesize()
    while True:
        message, _, fds = receive_message(control, max_fds=1)
        if message["do"] == "warm":
            warm(control, message["modules"])
            setting.fresh_streams()
            gc.collect()
            gc.freeze()
            send_message(control, {"warmed": True})
            continue
        mapped = int(os.pread(statm, 64, 0).split()[0]) * page
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
