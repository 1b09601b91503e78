"""Lists the facts of a machine that a program may ask for: what is recorded of each, and where a replay tells it.

``tests/tracer/attacks/test_attacks_facts.py`` asks for each in both worlds, at each level; the table of
``docs/facts.md`` is held to this list. To add a fact: its line here, and what pins it (``determinism.pin_world``) or
makes the worlds differ (``machine``, ``two_worlds``).
"""

from __future__ import annotations

from dataclasses import dataclass

THREE, BOTH = frozenset({3}), frozenset({2, 3})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One fact of a machine.

    Args:
        name: what it is, for people.
        asks: a Python expression that shows it; modules are those of ``MODULES``.
        recorded: what the recording world answers, for people.
        levels: where the replaying world answers otherwise. Where a level is missing, a session that shows
            the fact itself is dropped for another reason, which ``recorded`` names.

    Raises:
        ValueError: a text is empty, or no level tells the fact.
    """

    name: str
    asks: str
    recorded: str
    levels: frozenset[int] = BOTH

    def __post_init__(self) -> None:
        if not (self.name and self.asks and self.recorded and self.levels):
            raise ValueError(f"expected a Fact with a name, a question, an answer and levels, got {self!r}")


MODULES = (
    "datetime, getpass, importlib, multiprocessing, os, platform, posix, pwd, random, resource, secrets, shutil, site, "
    "socket, sys, sysconfig, tempfile, time, uuid, zoneinfo"
)
CLOCK = "pinned: 14 November 2023, a millisecond more at each reading"
ELAPSED = "pinned, with the same steps"
SEEDED = "pinned: the same in each run"
MOVED = "/python; at level 2 a path of the host, which drops the row"
REFUSED = "; refused at level 2"

FACTS = (
    # time
    Fact(name="time of day", asks="time.time()", recorded=CLOCK),
    Fact(name="time of day in nanoseconds", asks="time.time_ns()", recorded=CLOCK),
    Fact(name="time of day, by clock", asks="time.clock_gettime(time.CLOCK_REALTIME)", recorded=CLOCK),
    Fact(name="date and time", asks="datetime.datetime.now()", recorded=CLOCK),
    Fact(name="date and time of a zone", asks="datetime.datetime.now(datetime.timezone.utc)", recorded=CLOCK),
    Fact(name="date and time, UTC", asks="datetime.datetime.utcnow()", recorded=CLOCK),
    Fact(name="today", asks="datetime.date.today(), datetime.datetime.today()", recorded=CLOCK),
    Fact(name="calendar time", asks="time.localtime(), time.gmtime(), time.ctime(), time.asctime()", recorded=CLOCK),
    Fact(name="formatted time", asks="time.strftime('%Y-%m-%d')", recorded=CLOCK),
    Fact(name="monotonic clock", asks="time.monotonic(), time.monotonic_ns()", recorded=ELAPSED),
    Fact(name="clocks by number", asks="time.clock_gettime_ns(time.CLOCK_BOOTTIME)", recorded=ELAPSED),
    Fact(name="performance counter", asks="time.perf_counter(), time.perf_counter_ns()", recorded=ELAPSED),
    Fact(name="processor time", asks="time.process_time(), time.thread_time(), os.times()", recorded=ELAPSED),
    Fact(name="resource usage", asks="resource.getrusage(resource.RUSAGE_SELF)", recorded=ELAPSED),
    Fact(name="time zone", asks="time.tzname, time.timezone", recorded="UTC"),
    Fact(name="local time of a moment", asks="datetime.datetime.fromtimestamp(0)", recorded="UTC"),
    # randomness and identifiers
    Fact(name="system randomness", asks="os.urandom(8), os.getrandom(8)", recorded=SEEDED),
    Fact(name="secrets", asks="secrets.token_hex(), random.SystemRandom().random()", recorded=SEEDED),
    Fact(name="generators without a seed", asks="random.Random().random()", recorded=SEEDED),
    Fact(name="OpenSSL's randomness", asks="importlib.import_module('ssl').RAND_bytes(8)", recorded=SEEDED),
    Fact(name="identifiers by time", asks="uuid.uuid1()", recorded=SEEDED),
    Fact(name="random identifiers", asks="uuid.uuid4()", recorded=SEEDED),
    Fact(name="network address", asks="uuid.getnode()", recorded="an address that no device has"),
    Fact(name="random devices", asks="open('/dev/urandom', 'rb').read(8)", recorded="fixed bytes; real at level 2"),
    Fact(name="names of temporary files", asks="next(tempfile._get_candidate_names())", recorded=SEEDED),
    Fact(name="address of an object", asks="id(object())", recorded="the same in each run"),
    Fact(name="order of a set", asks="list({'one', 'two', 'three', 'four', 'five'})", recorded="of hash seed 0"),
    # the machine
    Fact(name="processors", asks="os.cpu_count(), multiprocessing.cpu_count()", recorded="3"),
    Fact(name="processors of the process", asks="os.sched_getaffinity(0)", recorded="3"),
    Fact(name="memory", asks="os.sysconf('SC_PHYS_PAGES')", recorded="7.6 GiB"),
    Fact(name="free memory", asks="os.sysconf('SC_AVPHYS_PAGES')", recorded="half of it"),
    Fact(name="load", asks="os.getloadavg()", recorded="0.25, 0.5, 0.75"),
    Fact(name="disk", asks="shutil.disk_usage('.'), os.statvfs('.')", recorded="10 GiB, half of it free"),
    Fact(name="kernel", asks="os.uname(), platform.uname(), posix.uname()", recorded="Linux 5.10, x86_64"),
    Fact(name="platform", asks="platform.platform()", recorded="Linux 5.10, x86_64, glibc 2.29"),
    Fact(name="processor architecture", asks="platform.machine()", recorded="x86_64"),
    Fact(name="C library", asks="platform.libc_ver(), os.confstr('CS_GNU_LIBC_VERSION')", recorded="glibc 2.29"),
    Fact(name="thread library", asks="sys.thread_info", recorded="NPTL 2.29"),
    Fact(name="host name", asks="socket.gethostname(), platform.node()", recorded="sandbox"),
    Fact(name="settings of the system", asks="sorted(os.listdir('/etc'))", recorded="a user, a group, a name" + REFUSED,
        levels=THREE),
    Fact(name="list of time zones", asks="len(zoneinfo.available_timezones())", recorded="the host's", levels=THREE),
    Fact(name="distribution", asks="platform.freedesktop_os_release()", recorded="Linux" + REFUSED, levels=THREE),
    Fact(name="resource limits", asks="resource.getrlimit(resource.RLIMIT_AS)", recorded="those of a login"),
    Fact(name="open files allowed", asks="resource.getrlimit(resource.RLIMIT_NOFILE)", recorded="those of a login"),
    # the user and the process
    Fact(name="user", asks="getpass.getuser(), os.getlogin()", recorded="sandbox"),
    Fact(name="user id", asks="os.getuid(), os.getgid()", recorded="1000"),
    Fact(name="account", asks="pwd.getpwuid(os.getuid())", recorded="sandbox" + REFUSED, levels=THREE),
    Fact(name="process id", asks="os.getpid()", recorded="101; any at level 2"),
    Fact(name="parent's process id", asks="os.getppid()", recorded="100"),
    Fact(name="environment", asks="dict(os.environ)", recorded="the same in each run"),
    Fact(name="home folder", asks="os.path.expanduser('~')", recorded="the scratch folder"),
    Fact(name="temporary folder", asks="tempfile.gettempdir()", recorded="the scratch folder"),
    Fact(name="working folder", asks="os.getcwd()", recorded="the scratch folder"),
    Fact(name="numbers of descriptors", asks="os.dup(1)", recorded="the lowest that is free"),
    Fact(name="flags of the interpreter", asks="sys.flags", recorded="those of a script"),
    Fact(name="terminal", asks="shutil.get_terminal_size()", recorded="80 columns"),
    # files
    Fact(name="times of a file", asks="os.stat(os.__file__).st_mtime", recorded="a month ago"),
    Fact(name="times of a new file", asks="[open('new', 'w').close(), os.stat('new').st_mtime]", recorded=CLOCK),
    Fact(name="times of a listing", recorded="a month ago",
        asks="[e.stat(follow_symlinks=False).st_mtime for e in os.scandir(os.path.dirname(os.__file__))]"),
    Fact(name="numbers of a file", asks="os.stat(os.__file__).st_ino, os.stat(os.__file__).st_dev", recorded="counted"),
    Fact(name="size of a folder", asks="os.stat('.').st_size", recorded="12,288"),
    # the interpreter
    Fact(name="interpreter", asks="sys.executable", recorded=MOVED, levels=THREE),
    Fact(name="standard library", asks="os.__file__", recorded=MOVED, levels=THREE),
    Fact(name="import path", asks="sys.path", recorded=MOVED, levels=THREE),
    Fact(name="prefixes", asks="sys.prefix, sys.base_prefix, sys.exec_prefix", recorded=MOVED, levels=THREE),
    Fact(name="site packages", asks="site.getsitepackages()", recorded=MOVED, levels=THREE),
    Fact(name="build", asks="sys.version, platform.python_build(), platform.python_compiler()", recorded="GCC 13"),
    Fact(name="build folders", asks="sysconfig.get_config_var('prefix'), sysconfig.get_paths()", recorded=MOVED,
        levels=THREE),
)  # fmt: skip
"""The facts that are pinned or neutral in the recording world, and that the replaying world tells."""

UNTOLD = (
    "versions of C libraries as they say them themselves (`ssl.OPENSSL_VERSION`, `sqlite3.sqlite_version`)",
    "the interpreter's version, which modules a distribution left out of it, the processor's byte and page sizes",
    "data of time zones: which there are, and their rules",
    "bytes of the interpreter's own files and of shared libraries: a `.pyc` file names the folder that it was made in",
    "addresses of objects inside an interpreter that is not position independent (`id(None)`, `hash(None)` of 3.11)",
    "what a C extension of a package asks of the kernel by itself",
    "at level 2: lengths and parts of paths of the interpreter and the repository, where no such path itself is shown",
)
"""What neither world can change, or no replay can tell."""
