"""Finds all secrets and personal data of a text, and writes fakes in their places.

Cleaning is idempotent: a text of fakes has nothing to find. It is linear in the length of the text.
"""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from trace_mine.corpus.cleaning.assigned import assigned_secrets
from trace_mine.corpus.cleaning.kinds import Finding, Kind
from trace_mine.corpus.cleaning.personal import emails, home_folders, ip_addresses, phones
from trace_mine.corpus.cleaning.provider_keys import private_keys, provider_keys, url_passwords, web_tokens

_OPENING, _CLOSING = frozenset("\"'\n \t"), frozenset("\"'\n")
"""The text around a literal, or a line of output, that is a part of a value."""

Finder = Callable[[str], Iterator[Finding]]

FINDERS: tuple[Finder, ...] = (
    private_keys,
    web_tokens,
    provider_keys,
    url_passwords,
    assigned_secrets,
    emails,
    phones,
    ip_addresses,
)
"""The finders, the surest first: where two find one stretch, the first one's counts."""


MAX_ROUNDS = 4
"""Further looks through a text in which something was replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrubbed:
    """A text without secrets and personal data, and what was found in it, in order: the first look's findings, by their
    places in the text as it was.
    """

    text: str
    findings: tuple[Finding, ...]

    @property
    def counts(self) -> Counter[str]:
        """The number of findings by kind."""
        return Counter(str(finding.kind) for finding in self.findings)


def flattened(text: str) -> str:
    r"""The text with the escapes ``\n``, ``\r`` and ``\t`` of literals as blanks, so that no word begins with their
    letter, and escaped quotes as two quotes; as long as before.
    """
    if "\\" not in text:
        return text
    for escape, blank in (("\\n", "  "), ("\\r", "  "), ("\\t", "  "), ('\\"', '""'), ("\\'", "''")):
        text = text.replace(escape, blank)
    return text


def find_all(text: str, further: Sequence[Finder] = ()) -> list[Finding]:
    """Find all secrets and personal data of a text, in order, none over another.

    Args:
        text: any text: source, output, JSON.
        further: finders beside FINDERS.
    """
    flat = flattened(text)
    findings = [finding for finder in (*FINDERS, *further) for finding in finder(flat)]
    # Windows' paths need their backslashes
    findings += home_folders(text)
    return without_overlaps(findings)


def without_overlaps(findings: Iterable[Finding]) -> list[Finding]:
    """The findings in order of their places, without those that overlap one before them in the given order."""
    starts: list[int] = []
    chosen: list[Finding] = []
    for finding in findings:
        place = bisect(starts, finding.start)
        is_free = (place == 0 or chosen[place - 1].end <= finding.start) and (
            place == len(chosen) or finding.end <= chosen[place].start
        )
        if is_free and finding.start < finding.end:
            starts.insert(place, finding.start)
            chosen.insert(place, finding)
    return chosen


def parts_of(text: str, findings: Iterable[Finding]) -> dict[str, tuple[str, Kind]]:
    """The parts that a program may take out of addresses and paths, with their fakes: names of users and hosts."""
    parts: dict[str, tuple[str, Kind]] = {}
    for finding in findings:
        value, fake = text[finding.start : finding.end], finding.fake
        if finding.kind is Kind.EMAIL:
            for part, faked in zip(value.split("@"), fake.split("@"), strict=True):
                parts.setdefault(part, (faked, finding.kind))
        elif finding.kind is Kind.HOME_FOLDER:
            parts.setdefault(value, (fake, finding.kind))
    return parts


def with_parts(text: str, findings: Sequence[Finding]) -> list[Finding]:
    """The findings with the parts of their values where these are literals or lines of their own, so that
    ``address.split("@") == ["jane.doe", "acme.com"]`` still holds.
    """
    parts = parts_of(text, findings)
    if not parts:
        return list(findings)
    flat = flattened(text)
    further = [
        Finding(kind=kind, start=start, end=start + len(part), fake=fake)
        for part, (fake, kind) in parts.items()
        for start in places_of(part, flat)
        if (flat[start - 1 : start] or "\n") in _OPENING
        and (flat[start + len(part) : start + len(part) + 1] or "\n") in _CLOSING
    ]
    return without_overlaps((*findings, *further))


def places_of(part: str, text: str) -> Iterator[int]:
    """The places at which a text stands in another one."""
    start = text.find(part)
    while start >= 0:
        yield start
        start = text.find(part, start + len(part))


def replaced(text: str, findings: Sequence[Finding]) -> str:
    """The text with the fakes of findings, which are in order, in their places."""
    parts: list[str] = []
    done = 0
    for finding in findings:
        parts += (text[done : finding.start], finding.fake)
        done = finding.end
    return "".join((*parts, text[done:]))


def scrub(text: str, further: Sequence[Finder] = ()) -> Scrubbed:
    """Replace all secrets and personal data of a text by fakes.

    >>> scrub("mail jane.doe@acme-corp.com or 192.168.0.7").text.endswith("@example.com or 192.168.0.7")
    True
    """
    findings = with_parts(text, find_all(text, further))
    clean = replaced(text, findings)
    # A value that ran into another one (a token right before an address) is found once that one is replaced.
    for _ in range(MAX_ROUNDS if findings else 0):
        again = replaced(clean, with_parts(clean, find_all(clean, further)))
        if again == clean:
            break
        clean = again
    return Scrubbed(text=clean, findings=tuple(findings))
