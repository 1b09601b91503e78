"""Finds personal data: e-mail addresses, phone numbers, public IP addresses, names of home folders.

Each finder takes a text in which escapes of strings are blanks (``scrub.flattened``), so that ``\\nJane@...`` begins at
its first letter. Time grows with the length of the text alone: expressions have bounded repeats.

What is left alone, since it is nobody's: reserved names and ranges, private networks, resolvers that everybody knows,
words that stand for any name (``foo@bar.com``, ``/home/user``), versions (four numbers below 32), numbers without the
punctuation of a phone number. Not found: names of people, addresses of streets, addresses spelt ``jane at acme dot
com``, national phone numbers of other countries than those of North America.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from trace_mine.corpus.cleaning.fakes import email_like, home_like, ipv4_like, ipv6_like, is_home_fake, phone_like
from trace_mine.corpus.cleaning.kinds import Finding, Kind
from trace_mine.corpus.cleaning.made_up import ANYBODY, ANYWHERE, COUNTRY_CODES, NOBODYS_HOME, RESOLVERS
from trace_mine.corpus.cleaning.top_level_domains import TOP_LEVEL_DOMAINS

MAX_LOCAL = 64
"""Characters of an address before its ``@`` (RFC 5321)."""
MAX_USER_INFO = 160
"""Characters of a URL's user and password."""

# e-mail ---------------------------------------------------------------------------------------------------------------

_DOMAIN = re.compile(r"@((?:[A-Za-z0-9\-]{1,63}\.){1,8}[A-Za-z]{2,24})(?![A-Za-z0-9_\-])")
_ENDS_USER = re.compile(r"[\s/?#'\"<>(),]")
_LOCAL_MARKS = frozenset("._%+-")
_RESERVED = frozenset(("example", "test", "invalid", "localhost", "local", "internal", "localdomain"))
_ROBOTS = frozenset(("git", "hg", "svn", "noreply", "no-reply", "donotreply", "do-not-reply", "mailer-daemon"))


def emails(text: str) -> Iterator[Finding]:
    """Find e-mail addresses that may be somebody's."""
    for match in _DOMAIN.finditer(text):
        start = match.start()
        first = max(0, start - MAX_LOCAL)
        while start > first and (text[start - 1].isalnum() or text[start - 1] in _LOCAL_MARKS):
            start -= 1
        start = _behind_escape(text, start, match.start())
        local, domain = text[start : match.start()], match.group(1)
        if (
            not local
            or text[start - 1 : start] == "@"
            or not _is_somebodys(local, domain)
            or _is_in_url(text[max(0, start - MAX_USER_INFO) : start])
        ):
            continue
        # `x@w.to(device)` in source that is no string
        if text[match.end() : match.end() + 1] in ("(", "[") and local.isidentifier():
            continue
        yield Finding(kind=Kind.EMAIL, start=start, end=match.end(), fake=email_like(local, domain))


def _behind_escape(text: str, start: int, end: int) -> int:
    """The place of an address's first letter, behind marks and behind what belongs to an escape of its literal."""
    if text[start - 1 : start] == "\\":
        start += {"x": 3, "u": 5, "U": 9}.get(text[start : start + 1], 1)
    while start < end and text[start] in ".-%":
        start += 1
    return min(start, end)


def _is_in_url(before: str) -> bool:
    """Tell if what follows is the user, or the password, of a URL: ``ssh://git@...``."""
    scheme, mark, user = before.rpartition("://")
    return bool(mark) and scheme[-1:].isalnum() and not _ENDS_USER.search(user)


def _is_somebodys(local: str, domain: str) -> bool:
    labels = domain.lower().split(".")
    if labels[-1] not in TOP_LEVEL_DOMAINS or labels[-1] in _RESERVED or local.lower() in _ROBOTS:
        return False
    if "example" in labels[:-1] or domain.lower().endswith("users.noreply.github.com"):
        return False
    return local.lower() not in ANYBODY or labels[-2] not in ANYWHERE


# phone ----------------------------------------------------------------------------------------------------------------

_NORTH_AMERICAN = re.compile(
    r"(?<![A-Za-z0-9+.\-/$#])(\+?1[ .\-]?)?(?:\(([2-9]\d\d)\)[ .\-]?|([2-9]\d\d)([ .\-]))"
    r"([2-9]\d\d)([ .\-])(\d{4})(?![\w\-/]|\.\d)"
)
_NUMBER_END = re.compile(r"\d\d\d[ .\-]\d\d\d\d(?!\w)")
_INTERNATIONAL = re.compile(r"\+(?<![\w+.\-/)$]\+)[1-9][\d ()\-]{6,22}(?![\w/.]|-\d)")


def phones(text: str) -> Iterator[Finding]:
    """Find phone numbers with the punctuation of one: ``(212) 736-5000``, ``+49 30 901820``."""
    taken = -1
    # the expression has much to try at each character, and most texts have no end of a number
    for match in _NORTH_AMERICAN.finditer(text) if _NUMBER_END.search(text) else ():
        code, in_brackets, area, mark, exchange, second_mark, number = match.groups()
        # numbers in a row are no phone number, nor are two different marks
        if not in_brackets and not code and (mark == " " or mark != second_mark):
            continue
        if _is_nobodys(f"{in_brackets or area}{exchange}{number}"):
            continue
        taken = match.end()
        fake = phone_like(match.group(), num_code=1 if code else 0)
        yield Finding(kind=Kind.PHONE, start=match.start(), end=match.end(), fake=fake)
    for match in _INTERNATIONAL.finditer(text):
        number = match.group().rstrip(" ()-")
        num_code = _code_length(number)
        if not num_code or match.start() < taken or _is_nobodys("".join(filter(str.isdigit, number))[num_code:]):
            continue
        fake = phone_like(number, num_code=num_code)
        yield Finding(kind=Kind.PHONE, start=match.start(), end=match.start() + len(number), fake=fake)


def _code_length(number: str) -> int:
    """The digits of a number's country code; 0 where the text can't be an international number."""
    digits = "".join(filter(str.isdigit, number))
    groups = number[1:].replace("(", " ").replace(")", " ").replace("-", " ").split()
    if len(groups) == 1:
        # without punctuation it may be any number that is shown with its sign
        length = next((n for n in (1, 2, 3) if digits[:n] in COUNTRY_CODES), 0)
        is_one = len(digits) == 11 and digits[1] in "23456789" and digits[4] in "23456789"
        return length if (is_one if digits[0] == "1" else 11 <= len(digits) <= 13) else 0
    if not 9 <= len(digits) <= 14 or max(map(len, groups)) > 8 or min(map(len, groups[1:])) < 2:
        return 0
    return len(groups[0]) if groups[0] in COUNTRY_CODES else 0


def _is_nobodys(digits: str) -> bool:
    """Tell if a number without its country's code is reserved, or a run or a repetition, as people make them up."""
    if len(digits) < 7 or digits[-7:-2] == "55501" or len(set(digits)) <= 2:
        return True
    return digits in "01234567890123456789" or digits in "98765432109876543210"


# IP addresses ---------------------------------------------------------------------------------------------------------

_IPV4 = re.compile(r"(?<![\w.\-])\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\w\-]|\.\d|/\d{1,2}(?!\d))")
_DOTS, _COLONS = re.compile(r"\.\d{1,3}\.\d"), re.compile(r":[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:")
"""Texts that each address of the two kinds has: a search for it begins with a character."""
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){3,7}(?![\w:.])")
MIN_OCTET = 32
"""An address has a number at least as large; one of smaller numbers is a version."""
_VERSION_BEFORE = re.compile(r"(?:[=<>~!]=|[<>^]|(?:[Vv]ersion|VERSION|[Rr]elease|[Vv]er\.?)[_ :=('\"]{0,5})\Z")


def ip_addresses(text: str) -> Iterator[Finding]:
    """Find addresses of the public internet: one machine each, no networks."""
    for match in _IPV4.finditer(text) if _DOTS.search(text) else ():
        octets = [int(part) for part in match.group().split(".")]
        before = text[max(0, match.start() - 16) : match.start()]
        if before.endswith("/") and not before.endswith("//"):  # `Chrome/60.0.31.12`
            continue
        if max(octets) < MIN_OCTET or octets[3] == 0 or _VERSION_BEFORE.search(before):
            continue
        if _is_public(match.group()):
            fake = ipv4_like(match.group())
            yield Finding(kind=Kind.IP_ADDRESS, start=match.start(), end=match.end(), fake=fake)
    for match in _IPV6.finditer(text) if _COLONS.search(text) else ():
        if _is_public(match.group().lower()):
            fake = ipv6_like(match.group())
            yield Finding(kind=Kind.IP_ADDRESS, start=match.start(), end=match.end(), fake=fake)


def _is_public(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if address.version == 6 and not 0x20 <= address.packed[0] <= 0x3F:
        return False
    return address.is_global and not address.is_multicast and str(address) not in RESOLVERS


# home folders ---------------------------------------------------------------------------------------------------------

_HOME = re.compile(r"(?<![\w.\-~])(?:/home/|/Users/|[A-Za-z]:[\\/]{1,4}Users[\\/]{1,4})([A-Za-z][\w.\-]{0,63})")
_TO_AN_AT = re.compile(r"[\w.%+\-]{0,64}@")
_FILE_SUFFIX = re.compile(r"\.(?:html?|php|aspx?|jsp|js|css|py|txt|json|png|jpg)\Z")


def home_folders(text: str) -> Iterator[Finding]:
    """Find the names of users in paths of home folders. The text has its escapes: ``C:\\\\Users\\\\nick`` has one."""
    if "/home/" not in text and "Users" not in text:
        return
    for match in _HOME.finditer(text):
        name = match.group(1).rstrip(".-")
        if _TO_AN_AT.match(text, match.end(1)):
            continue  # the name begins an e-mail address, whose fake stands in its place
        if name.lower() in NOBODYS_HOME or _FILE_SUFFIX.search(name) or is_home_fake(name):
            continue
        start = match.start(1)
        yield Finding(kind=Kind.HOME_FOLDER, start=start, end=start + len(name), fake=home_like(name))
