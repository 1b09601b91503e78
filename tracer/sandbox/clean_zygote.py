"""The zygote of a replayer: a program that a fresh interpreter runs, which imports a repository and forks runners.

It is sent as text and imported nowhere; it uses the standard library alone, and holds no key, no job and no module of
ours. A runner that is to be a prompt *returns* from here into the interpreter's own loop (``python -i``), which calls
``set_up`` as its hook, without a frame below it, and then reads commands: nothing of this text is left then, neither a
frame nor a function nor a descriptor. What a session should print never comes in, nor do a prompt's secrets.

From its first import on the zygote must be taken for hostile, like the recorder's (see ``zygote``). The orders by which
it confines itself, and each runner further, are made by init of the layers' own records (``layer.Orders``).

Over 400 lines because it is one program, sent as one text.
"""

from __future__ import annotations
import __future__ as futures

import builtins
import ctypes
import gc
import importlib
import io
import json
import marshal
import os
import resource
import signal
import site
import sys
import time
import traceback
from _socket import CMSG_SPACE, SCM_RIGHTS, SOL_SOCKET, socket  # the C module: ``socket`` imports a dozen others
from functools import partial
from types import CodeType, ModuleType
from typing import Any

CONTROL_FD, STATM_FD, STAT_FD = 100, 101, 102
HIGHEST_FD = (1 << 31) - 1
CLONE_FLAGS = 0x00008000 | 0x00200000 | 0x01000000 | signal.SIGCHLD  # PARENT, CHILD_CLEARTID, CHILD_SETTID

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def receive(sock: socket, max_fds: int = 0) -> tuple[dict[str, Any], bytes, list[int]]:
    """Receive a message as ``wire`` sends it; end this process where there is none to come."""
    header, fds = b"", []
    while len(header) < 8:
        chunk, beside, _, _ = sock.recvmsg(8 - len(header), CMSG_SPACE(4 * max_fds) if max_fds else 0)
        for level, kind, data in beside:
            if (level, kind) == (SOL_SOCKET, SCM_RIGHTS):
                fds += [int.from_bytes(data[at : at + 4], sys.byteorder) for at in range(0, len(data) - 3, 4)]
        if not chunk:
            os._exit(0)
        header += chunk
    length, payload_length = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:], "big")
    body = bytearray()
    while len(body) < length + payload_length:
        chunk = sock.recv(min(1 << 20, length + payload_length - len(body)))
        if not chunk:
            os._exit(0)
        body += chunk
    return json.loads(bytes(body[:length])), bytes(body[length:]), fds


def send(sock: socket, message: dict[str, Any]) -> None:
    """Send a message as ``wire`` receives it."""
    data = json.dumps(message).encode("ascii")
    sock.sendall(len(data).to_bytes(4, "big") + bytes(4) + data)


def call(number: int, *arguments: Any) -> int:
    """Make a system call. Raises OSError."""
    result = int(libc.syscall(*(ctypes.c_long(a) if isinstance(a, int) else a for a in (number, *arguments))))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}: {os.strerror(ctypes.get_errno())}")
    return result


def confine(orders: dict[str, Any], rulesets: list[int], numbers: dict[str, int], place: int, mapped: int = 0) -> None:
    """Do as ``layer.Orders`` says: limits, then Landlock rulesets, then filters, which refuse the calls before.

    Raises OSError where the kernel refuses.
    """
    for which, soft, hard, relative in orders["limits"]:
        inherited = resource.getrlimit(which)[1]
        soft, hard = (value + mapped if relative else value for value in (soft, hard))
        if inherited != resource.RLIM_INFINITY:
            soft, hard = min(soft, inherited), min(hard, inherited)
        resource.setrlimit(which, (soft, hard))
    if len(rulesets) != orders["rulesets"]:
        raise RuntimeError(f"expected {orders['rulesets']} rulesets, got {len(rulesets)}")
    for ruleset in rulesets:
        call(numbers["landlock_restrict_self"], ruleset, 0)
        os.close(ruleset)
    for text in orders["filters"]:
        program = bytes.fromhex(text).replace(place.to_bytes(4, sys.byteorder), os.getpid().to_bytes(4, sys.byteorder))
        held = ctypes.create_string_buffer(program, len(program))
        # struct sock_fprog: how many instructions of 8 bytes, and where they are
        address = ctypes.addressof(held).to_bytes(8, sys.byteorder)
        call(numbers["seccomp"], 1, 0, (len(program) // 8).to_bytes(2, sys.byteorder) + bytes(6) + address)


def open_streams() -> list[io.TextIOWrapper]:
    """Open standard streams over descriptors 0, 1 and 2, below which a runner puts its own pipes."""
    reader = io.BufferedReader(io.FileIO(0, "r", closefd=False))
    writers = [io.BufferedWriter(io.FileIO(fd, "w", closefd=False)) for fd in (1, 2)]
    return [
        io.TextIOWrapper(reader, encoding="utf-8", errors="surrogateescape"),
        *(io.TextIOWrapper(w, encoding="utf-8", errors="backslashreplace", line_buffering=True) for w in writers),
    ]


def use(streams: list[io.TextIOWrapper]) -> None:
    """Make the streams the interpreter's."""
    # never freed: the ``__del__`` of a stream that a module put there would run in all forks, and nowhere else
    ctypes.pythonapi.Py_IncRef(ctypes.py_object((sys.stdin, sys.stdout, sys.stderr)))
    sys.stdin, sys.stdout, sys.stderr = streams
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = streams  # type: ignore[misc]  # new streams are the point


def fresh(streams: list[io.TextIOWrapper]) -> list[io.TextIOWrapper]:
    """Empty the streams' buffers, or open new streams where an import closed them."""
    try:
        for stream in streams[1:]:
            io.TextIOWrapper.flush(stream)
    except (ValueError, OSError):
        streams = open_streams()
    use(streams)
    return streams


def warm(control: socket, modules: list[str]) -> None:
    """Import each module, and say how that failed where it did."""
    for name in modules:
        send(control, {"begin": name})
        try:
            importlib.import_module(name)
        except BaseException as error:
            send(control, {"failed": name, "why": words(error)})


def words(error: BaseException) -> str:
    """An exception's type and text, which is code of the module, and may raise."""
    name = type.__dict__["__name__"].__get__(type(error))
    try:
        return f"{name}: {error}"[:500]
    except BaseException:
        return f"{name} (its text raises)"


def import_for(programs: dict[str, CodeType]) -> None:
    """Import what the readers' programs import, while the search path has nothing of the repository.

    They run once for that, and nothing of them stays: a repository may have a module ``numbers`` of its own.
    """
    namespace: dict[str, Any] = {"__name__": "loader"}
    exec(programs["trace_mine.tracer.sandbox.loader"], namespace)
    bundle = namespace["Bundle"](programs)
    for name in programs:
        bundle.load(name)


def one_thread() -> bool:
    """Ask the kernel if this process has one thread, which then can be forked by one system call."""
    return os.pread(STAT_FD, 1024, 0).rpartition(b")")[2].split()[17] == b"1"


def lists_at_fork() -> list[list[Any]]:
    """The interpreter's own lists of what it runs at a fork (``forking.AtFork`` says why none of it is to run)."""
    before, child, parent = (partial(int) for _ in range(3))  # three objects that can be told apart
    os.register_at_fork(before=before, after_in_child=child, after_in_parent=parent)
    lists = []
    for mark in (before, child, parent):
        (functions,) = [held for held in gc.get_referrers(mark) if type(held) is list]
        functions.remove(mark)
        lists.append(functions)
    return lists


def fork_sibling(words_of_clone: list[int], number: int, at_fork: list[list[Any]]) -> int:
    """Fork a child of init; return its id here, and 0 there (``forking`` says why and how). Raises OSError."""
    held = [each[:] for each in at_fork]
    for each in at_fork:
        each.clear()
    try:
        return clone_sibling(words_of_clone, number) if words_of_clone and one_thread() else fork_twice()
    finally:
        for each, functions in zip(at_fork, held, strict=True):
            each[:] = functions


def clone_sibling(words_of_clone: list[int], number: int) -> int:
    """Fork by one system call."""
    python = ctypes.pythonapi
    clone = ctypes.PyDLL(None, use_errno=True).syscall
    clone.restype = ctypes.c_long
    arguments = [ctypes.c_long(word) for word in (number, *words_of_clone)]
    for attempt in range(20):  # for a second, as in ``forking``, which says why
        if attempt:
            ctypes.PyDLL(None).usleep(50_000)
        python.PyOS_BeforeFork()
        pid = int(clone(*arguments))
        if pid == 0:
            python.PyOS_AfterFork_Child()
            return 0
        python.PyOS_AfterFork_Parent()
        if pid > 0:
            return pid
    raise OSError(ctypes.get_errno(), "clone failed; are there too many processes, or too little memory?")


def fork_twice() -> int:
    """Fork a child whose parent ends."""
    pid_read, pid_write = os.pipe()
    middle = os.fork()
    if middle == 0:
        pid = os.fork()
        if pid == 0:
            os.close(pid_read)
            os.close(pid_write)
            return 0
        os.write(pid_write, pid.to_bytes(4, "little"))
        os._exit(0)
    os.waitpid(middle, 0)
    pid = int.from_bytes(os.read(pid_read, 4), "little")
    os.close(pid_read)
    os.close(pid_write)
    return pid


def clone_words(machine: str) -> list[int]:
    """The arguments of clone, made while PR_GET_TID_ADDRESS is allowed; none where the kernel does not tell."""
    address = ctypes.c_size_t(0)
    zero = ctypes.c_ulong(0)
    if libc.prctl(40, ctypes.byref(address), zero, zero, zero) or not address.value:
        return []
    if machine == "x86_64":
        return [CLONE_FLAGS, 0, 0, address.value, 0]
    return [CLONE_FLAGS, 0, 0, 0, address.value]


def start_session(init_pid: int, scratch: str) -> None:
    """Begin a session that ends with init, in the run's scratch. Raises RuntimeError where init is not the parent."""
    os.setsid()
    deadline = time.monotonic() + 5.0
    while os.getppid() != init_pid:
        if time.monotonic() > deadline:
            raise RuntimeError(f"expected init ({init_pid}) as parent, got {os.getppid()}; the jail is going down")
        time.sleep(0.00005)
    zero = ctypes.c_ulong(0)
    if libc.prctl(1, ctypes.c_ulong(signal.SIGKILL), zero, zero, zero):
        raise OSError(ctypes.get_errno(), "PR_SET_PDEATHSIG")
    os.chdir(scratch)
    os.umask(0o022)


def seed(value: int) -> None:
    """Seed the generators that are loaded; others will differ from the recording by their seed from the system."""
    for name in ("random", "numpy.random"):
        if name in sys.modules:
            sys.modules[name].seed(value)


def set_up(module: str | None, code: str, reseed: int, main: dict[str, Any], mark: int) -> str:
    """Make ``main`` the namespace before the first command, and tell the supervisor how that went.

    Returns:
        The ``from __future__`` names that hold in it, with commas between.
    """
    # bound here: the globals of this function are cleared below, and then those of a module that may have a ``compile``
    tell, known, write, leave, import_module = words, futures, os.write, os._exit, importlib.import_module
    run, made, value_of, anything = exec, compile, getattr, BaseException
    start: dict[str, Any] = {**vars(ModuleType("__main__")), "__builtins__": builtins}
    if reseed:
        import_module("random").seed(reseed)
    kind = "I"
    try:
        main.clear()  # before the import: an import finds an empty ``__main__``, and nothing of this text
        main.update(start)
        if module is not None:
            start = dict(vars(import_module(module)))
            main.clear()
            main.update(start)
        kind = "S"
        if code:
            run(made(code, "<setup>", "exec", dont_inherit=True), main)
    except anything as error:
        write(mark, (kind + tell(error)).encode("utf-8", "backslashreplace")[:2000])
        leave(0)
    features = ",".join([name for name in known.all_feature_names if main.get(name) is value_of(known, name)])
    write(mark, b"R" + features.encode() + b"\n")
    return features


def open_prompt(
    module: str | None, code: str, reseed: int, main: dict[str, Any], commands: int, mark: int, set_up: Any
) -> None:
    """Set up, and leave the process to the prompt.

    The interpreter calls it as its hook, after the text that it was started with has ended: the frames of the set-up
    lead here and to no other caller, and here is nothing but descriptors and what the program is.
    """
    import os  # names of this function: the globals are cleared by ``set_up``
    import sys

    vars(sys).pop("__interactivehook__", None)
    opened, exit_now, anything = open, os._exit, BaseException
    try:
        # C reads the commands from descriptor 0; what asks Python for input finds an empty file, and takes no command.
        # Before the set-up, which may have an input for the program.
        sys.stdin = sys.__stdin__ = opened(os.devnull, encoding="utf-8", errors="surrogateescape")  # type: ignore[misc]
        set_up(module, code, reseed, main, mark)
        sys.displayhook, sys.excepthook = sys.__displayhook__, sys.__excepthook__
        os.dup2(commands, 0)
        os.close(commands)
        os.close(mark)
    except anything:  # or the interpreter would go on to its prompt
        exit_now(70)  # EX_SOFTWARE, as ``runner.BROKEN``


def serve(control_fd: int) -> tuple[Any, ...]:
    """Confine this process, then fork a runner whenever init asks for one. Returns in a runner, what ``begin`` needs.

    A runner's job does not come here: an import may have kept this frame.
    """
    control = socket(fileno=control_fd)
    try:
        config, codes, rulesets = receive(control, 4)
        numbers, place = config["numbers"], config["pid_place"]
        words_of_clone = clone_words(config["machine"])
        site.setquit()
        site.setcopyright()
        site.sethelper()
        ready = marshal.loads(codes) if codes else {}
        programs: dict[str, CodeType] = {
            name: marshal.loads(ready[name]) if name in ready else compile(text, f"<{name}>", "exec", dont_inherit=True)
            for name, text in config["programs"].items()
        }
        import_for(programs)
        at_fork = lists_at_fork()
        confine(config["orders"], rulesets, numbers, place)
        sys.path[:0] = config["sys_path"]
        sys.argv[:] = [""]
        sys.orig_argv[:] = [sys.executable]
        streams = fresh(open_streams())
        gc.collect()
        gc.freeze()
        send(control, {"ready": config["layers"]})
        while True:
            message, _, fds = receive(control, 5)
            if message["do"] == "warm":
                os.chdir(config["scratch"])  # at level 3 the self-test's runs have left another file system there
                warm(control, message["modules"])
                streams = fresh(streams)
                # no collection before: it would call what a module gave ``gc`` and ``weakref`` to be called, in all
                # forks and not in an interpreter that imports the module itself
                gc.freeze()
                send(control, {"warmed": True})
                continue
            mapped = int(os.pread(STATM_FD, 64, 0).split()[0]) * resource.getpagesize()
            pid = fork_sibling(words_of_clone, numbers["clone"], at_fork)
            if pid == 0:
                break
            for fd in fds:
                os.close(fd)
            send(control, {"pid": pid})
    except BaseException:
        send(control, {"fault": traceback.format_exc()[-4000:]})
        os._exit(1)
    control.detach()
    os.close(control_fd)
    return sys._getframe(), config, programs, message["orders"], fds, mapped


def begin(
    served: Any,
    config: dict[str, Any],
    programs: dict[str, CodeType],
    orders: dict[str, Any],
    fds: list[int],
    mapped: int,
) -> None:
    """Confine this runner, take its job, and do it, or return where it is to be a prompt."""
    import os
    import sys

    loader, broken, exit_now = "trace_mine.tracer.sandbox.loader", 70, os._exit  # EX_SOFTWARE, as ``runner.BROKEN``
    main = vars(sys.modules["__main__"])
    numbers, place, failure = config["numbers"], config["pid_place"], ""
    try:
        served.clear()  # what an import has kept of the frame holds nothing from here on
        start_session(config["init_pid"], config["scratch"])
        seed(config["seed"])
        confine(orders, fds[1:], numbers, place)
    except BaseException:
        failure = traceback.format_exc()
    waiting = socket(fileno=fds[0])
    message, payload, pipes = receive(waiting, 4)
    waiting.close()
    commands, out, err, mark = pipes
    os.dup2(out, 1)
    os.dup2(err, 2)
    try:
        if failure:
            raise RuntimeError(failure)
        job = json.loads(payload)
        highest = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 2
        commands = os.dup2(commands, min(job["first_fd"], highest), False)
        mark = os.dup2(mark, commands + 1, False)
        os.closerange(3, commands)
        os.closerange(mark + 1, HIGHEST_FD)
        confine(message["orders"], [], numbers, place, mapped)
        program = (job["module"], job["code"], job["reseed"], main)
        if job["program"] is None:
            vars(sys)["__interactivehook__"] = partial(open_prompt, *program, commands, mark, set_up)
            return
    except BaseException:
        os.write(2, traceback.format_exc().encode("utf-8", "backslashreplace"))
        exit_now(broken)
    as_text, run, anything = traceback.format_exc, exec, BaseException
    try:
        features = set_up(*program, mark)  # from here on no global name is to be had, nor a built-in one
        sys.displayhook, sys.excepthook = sys.__displayhook__, sys.__excepthook__
        namespace: dict[str, Any] = {"__name__": loader}
        run(programs[loader], namespace)
        namespace["Bundle"](programs).load(job["program"]).run(commands, mark, main, features.split(","))
    except anything:  # or the interpreter would go on to its prompt
        os.write(2, as_text().encode("utf-8", "backslashreplace"))
        exit_now(broken)
    exit_now(0)
