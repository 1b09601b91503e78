"""The two worlds that a snippet runs in, as jails; and a snippet as a program in one of them.

The first world records: its clock is pinned, its hash seed and addresses are fixed. The second only replays, and
whatever a program can ask of its machine is another thing there, so that output that depends on it is noticed.
``docs/decisions/0003-two-worlds.md`` says why one world is not enough, and what even two can't tell.
"""

from __future__ import annotations

import os

from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.inside.program import piece_file
from trace_mine.tracer.inside.protocol.jobs import Program
from trace_mine.tracer.sandbox import Jail, Mount, Worker
from trace_mine.tracer.sandbox.machine import OLD_RELEASE, OTHER_ARCHITECTURE, Machine
from trace_mine.tracer.schema import Snippet

# Of different lengths: a session that shows no path, but a width or a count made of one, differs in replay as well.
RECORD_ROOT, REPLAY_ROOT = "/repo", "/check/repo"
"""The repository's folder in each world, at sandbox level 3."""
PACKAGES = "/packages"
"""The folder of installed packages in the recording world; the replaying one has it below ``/check``."""

SCRIPT_HOME = "/home/user"
"""Where the working folder of a script stands that is run with its own folder's content, under that folder's name, in
both worlds."""

REPLAY_MACHINE = Machine(
    domain_name="check.example",
    user="replay",
    user_id=1001,
    time_zone="NPT-5:45",  # no whole hours: a program that rounds to them is noticed too
    language="en_GB.UTF-8",
    columns=132,
    system_name="Other Linux",
    hidden=("/usr/share/zoneinfo/Arctic",),  # a list of all time zones, which is the host's, is another one
    uptime_seconds=7_654_321,
    personality=OLD_RELEASE | OTHER_ARCHITECTURE,
)
"""What the replaying world claims of its machine, all of it other than in the recording world. Processors, memory and
disks are those that the machine really has there, where the recording world has numbers that no machine has."""


def jail_of(config: TracerConfig, *, replaying: bool) -> Jail:
    """The jail of one of the two worlds: the same repository and packages, all else as different as can be."""
    root = REPLAY_ROOT if replaying else RECORD_ROOT
    packages = ("/check" if replaying else "") + PACKAGES
    mounts = [Mount(source=package, target=f"{packages}/{package.name}") for package in config.packages]
    if config.repository is not None:
        mounts.insert(0, Mount(source=config.repository, target=root))
    paths = [root if not folder or folder == "." else f"{root}/{folder}" for folder in config.sys_path]
    if config.packages:
        # last: a repository that is installed as a package too must be imported from its own folder
        paths.append(packages)
    for number, folder in enumerate(config.site_folders):
        target = f"{packages}-{number}"
        mounts.append(Mount(source=folder, target=target))
        paths.append(target)
    scratch = "/check/scratch" if replaying else "/scratch"
    if config.folder is not None:
        # The same in both worlds: a user's program may well show where it stands, and that is no accident of the jail.
        scratch = f"{SCRIPT_HOME}/{config.folder.name}"
        paths.insert(0, scratch)
    return Jail(
        python=config.python,
        mounts=tuple(mounts),
        sys_path=tuple(paths),
        warm=config.warm,
        root=root,
        scratch=scratch,
        interpreter="/check/interpreter" if replaying else "/python",
        hostname="replay" if replaying else "sandbox",
        process_id=2_024 if replaying else 101,  # any two numbers that differ, for sessions that show ``os.getpid()``
        hash_seed=4_242 if replaying else 0,  # sets of texts have another order in replay
        aslr=replaying,  # addresses differ in replay, so that an `id` that is shown is noticed
        machine=REPLAY_MACHINE if replaying else Machine(),
        pinned_clock=not replaying,  # a session that shows the time, or a fact of the machine, is noticed too
        seed=config.seed + (1 if replaying else 0),  # and one that shows a draw, where a view does not replay draws
        choices=config.view.hides,
    )


def root_of(config: TracerConfig, worker: Worker) -> str:
    """The repository's folder as code in the worker's sandbox sees it.

    At level 2 that is its path on the host: there are no namespaces in which it could lie elsewhere.
    """
    return RECORD_ROOT if config.repository is None else worker.inside(config.repository)


def library_inside(path: str, worker: Worker) -> str:
    """A path of the host's standard library as code in the worker's sandbox sees it; any other path as it is."""
    on_host, inside = worker.library
    place = os.path.realpath(path) if path else path
    return inside + place.removeprefix(on_host) if on_host != inside and place.startswith(on_host) else path


def library_on_host(path: str, worker: Worker) -> str:
    """The host's path of a file of the standard library that code in the worker's sandbox sees as ``path``."""
    on_host, inside = worker.library
    return on_host + path.removeprefix(inside) if on_host != inside and path.startswith(f"{inside}/") else path


def program_of(config: TracerConfig, snippet: Snippet, worker: Worker) -> Program:
    """The snippet as a job runs it in the worker's sandbox."""
    own = [library_inside(path, worker) for path in config.library]
    focus_root = ""
    if config.repository is not None:
        # per worker, since the root differs: by the recorder's prefixes, no function in the other world would be own
        root = root_of(config, worker)
        own += [f"{root}/{prefix}" for prefix in config.own]
        focus_root = f"{root}/"
    elif own:
        focus_root = f"{os.path.dirname(own[0])}/"
    if config.folder is not None:
        own.append(f"{worker.scratch}/")  # what lies beside the script is the user's as much as the script
    # a script's own functions are those of its piece, whatever its file is; others stand in the repository
    script = piece_file(0) if snippet.kind == "script" else f"{focus_root}{snippet.path}"
    return Program(
        pieces=snippet.pieces,
        module=snippet.module,
        code=snippet.code,
        # all other kinds are examples at a prompt, which echoes expressions
        single=snippet.kind != "script" or snippet.is_notebook,
        continue_on_error=snippet.continue_on_error,
        own=tuple(own),
        opens=snippet.opens,
        file=snippet.file,
        focus=tuple((script if path == snippet.path else f"{focus_root}{path}", line) for path, line in snippet.focus),
    )
