"""The machine that a jail claims to be, in what the kernel and the environment say: names, user, time zone, uptime.

Two jails with different machines tell apart what a program computed from what it asked of its machine
(``trace_mine.tracer.two_worlds``). What the recording jail answers beside that: ``pinned_machine``.
"""

from __future__ import annotations

from dataclasses import dataclass

OLD_RELEASE, OTHER_ARCHITECTURE = 0x0020000, 0x0000008
"""UNAME26 and PER_LINUX32 of personality(2): uname then gives a release that begins with 2.6, and a 32-bit machine.
They change nothing else of how a program runs."""

MAX_ID = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a jail claims of its machine.

    Args:
        domain_name: the name of its domain.
        user: the name of its user, in the environment and in ``/etc/passwd``.
        user_id: the number of that user and of its group, at level 3.
        time_zone: the variable TZ: a name, with the hours behind UTC where it is another zone, as in ``NPT-5:45``.
        language: the variable LANG; LC_ALL stays C.UTF-8, so that text is encoded alike everywhere.
        columns: the width of a terminal, as the variable COLUMNS; 0: no such variable.
        system_name: the name of the distribution, in ``/etc/os-release``.
        hidden: absolute paths of folders that are shown empty, at level 3.
        uptime_seconds: how long ago the machine was started when the jail is, at level 3.
        personality: flags of personality(2) that change what uname says.

    Raises:
        ValueError: a name is empty or has more than one line, or a number is out of its range, or a path is relative.
    """

    domain_name: str = "local"
    user: str = "sandbox"
    user_id: int = 1000
    time_zone: str = "UTC"
    language: str = "C.UTF-8"
    columns: int = 0
    system_name: str = "Linux"
    hidden: tuple[str, ...] = ()
    uptime_seconds: int = 100_000
    personality: int = 0

    def __post_init__(self) -> None:
        for name in ("domain_name", "user", "time_zone", "language", "system_name"):
            value = getattr(self, name)
            if not value or not value.isprintable():
                raise ValueError(f"expected Machine.{name} to be one line of text, got {value!r}")
        if not 1 <= self.user_id <= MAX_ID:
            raise ValueError(f"expected 1 <= Machine.user_id <= {MAX_ID}, got {self.user_id}; 0 is root's")
        if self.columns < 0 or self.uptime_seconds < 1:
            raise ValueError(
                f"expected Machine.columns >= 0 and uptime_seconds >= 1, got {self.columns} and {self.uptime_seconds}"
            )
        if not all(path.startswith("/") for path in self.hidden):
            raise ValueError(f"expected absolute paths as Machine.hidden, got {self.hidden}")
        if self.personality & ~(OLD_RELEASE | OTHER_ARCHITECTURE):
            raise ValueError(
                f"expected Machine.personality of OLD_RELEASE and OTHER_ARCHITECTURE, got {self.personality:#x}"
            )
