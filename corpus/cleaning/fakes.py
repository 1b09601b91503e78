"""Fakes: texts of the shape of others, by which nobody finds these again.

A fake depends on its value alone, so that equal values have equal fakes in all files and datasets. It is told from a
value of the same kind, so that text that was cleaned stays as it is when it is cleaned again: fakes of addresses and
numbers stand in the ranges that are reserved for examples (RFC 2606, RFC 5737, RFC 3849, 555-01xx), those of secrets
end in characters that the ones before them determine.

Of guessable values (addresses, numbers, names) a fake keeps SHORT_BITS of the hash: who tries a list of a billion
addresses finds sixty with each fake. Whoever has a guess of one can still see that it may be right; the repository that
a row names has the value anyway.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import string

SHORT_BITS = 24
"""Bits of the hash of a guessable value that its fake depends on."""
RESERVED_NETS = ("192.0.2.", "203.0.113.", "198.51.100.")
HOME_PREFIX = "user"
SHORT_HOME_LETTERS = "qrstuvwxyz"
_FAKE_HOME = re.compile(r"(?:[Uu]ser[a-z0-9._\-]*+|[Uu][q-z]{1,3})\Z")
_EXAMPLE_DOMAIN = {"org": "example.org", "net": "example.net"}
DOMAIN = "example.com"


class Characters:
    """Characters that a hash gives, one for each that is asked for, without end."""

    def __init__(self, value: str, *, is_guessable: bool) -> None:
        seed = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=16, person=b"trace-mine").digest()
        self._seed = seed[: SHORT_BITS // 8] if is_guessable else seed
        self._bytes = b""
        self._block = 0

    def number(self, below: int) -> int:
        """Return a number from 0 on, below ``below``, which is 256 at most."""
        # A byte that would make small numbers more likely is left out; the loop ends, as at least half of them stay.
        while True:
            if not self._bytes:
                block = self._block.to_bytes(4, "big")
                self._bytes = hashlib.blake2b(self._seed + block, digest_size=64).digest()
                self._block += 1
            byte, self._bytes = self._bytes[0], self._bytes[1:]
            if byte < 256 - 256 % below:
                return byte % below

    def like(self, character: str) -> str:
        """Return a character of the same class; one that is no letter or digit of ASCII as it is."""
        for members in (string.ascii_lowercase, string.ascii_uppercase, string.digits):
            if character in members:
                return members[self.number(len(members))]
        # other alphabets have no classes of their own here: a letter for a letter, a digit for a digit such as `²`
        if character.isalpha():
            return string.ascii_lowercase[self.number(26)]
        return string.digits[self.number(10)] if character.isalnum() else character


def secret_like(value: str) -> str:
    """Return a fake of a secret: its length, and the class of each character.

    >>> fake = secret_like("s3cr3tP4ss")
    >>> len(fake), fake[0].islower(), fake[1].isdigit(), is_secret_fake(fake), is_secret_fake("s3cr3tP4ss")
    (10, True, True, True, False)
    """
    head, tail = _parted(value)
    # hexadecimal digits stay such: a program may read them as a number
    is_hex = len(value) >= 16 and all(character in "0123456789abcdefABCDEF-" for character in value)
    faked = _mapped(head, Characters(value, is_guessable=False), is_hex=is_hex)
    return faked + _check(faked, tail, is_hex=is_hex)


def is_secret_fake(value: str) -> bool:
    """Tell if a text is a result of ``secret_like``; one in 10,000 at most of other texts is taken for one."""
    head, tail = _parted(value)
    is_hex = len(value) >= 16 and all(character in "0123456789abcdefABCDEF-" for character in value)
    return bool(head) and tail == _check(head, tail, is_hex=is_hex)


def _parted(value: str) -> tuple[str, str]:
    """The beginning of a secret, and the end that is determined by it in a fake."""
    num_checked = min(8, max(3, len(value) // 2))
    return value[:-num_checked], value[-num_checked:]


def _check(head: str, shape: str, *, is_hex: bool) -> str:
    return _mapped(shape, Characters(f"check {head}", is_guessable=False), is_hex=is_hex)


def _mapped(text: str, characters: Characters, *, is_hex: bool) -> str:
    mapped = []
    for character in text:
        if is_hex and character in "abcdef":
            mapped.append("abcdef"[characters.number(6)])
        elif is_hex and character in "ABCDEF":
            mapped.append("ABCDEF"[characters.number(6)])
        else:
            mapped.append(characters.like(character))
    return "".join(mapped)


def email_like(local: str, domain: str) -> str:
    """Return a fake of an e-mail address, with the same length where 15 characters are enough.

    >>> fake = email_like("jane.doe", "mail.acme.com")
    >>> len(fake), fake.endswith(".example.com"), fake[4], email_like("Jane.Doe", "Mail.Acme.com") == fake
    (22, True, '.', False)
    """
    characters = Characters(f"{local}@{domain}".casefold(), is_guessable=True)
    labels = domain.split(".")
    example = _EXAMPLE_DOMAIN.get(labels[-1].lower(), DOMAIN)
    room = len(domain) - len(example)
    if len(labels) > 2 and room >= 2:
        label = "".join(string.ascii_lowercase[characters.number(26)] for _ in range(room - 1))
        example = f"{label}.{example}"
        room = 0
    # what the domain is shorter or longer by, the part before it is longer or shorter by; three characters tell apart
    length = max(len(local) + room, min(len(local), 3))
    faked = "".join(characters.like(character) for character in local[:length])
    faked += "".join(string.ascii_lowercase[characters.number(26)] for _ in range(length - len(faked)))
    if not faked[-1].isalnum():
        faked = faked[:-1] + string.ascii_lowercase[characters.number(26)]
    return f"{faked}@{example}"


def phone_like(text: str, *, num_code: int) -> str:
    """Return a fake of a phone number: its punctuation, its country code, and 555-01xx for its last seven digits.

    Args:
        text: the number as it is written.
        num_code: its digits that are the country's code.
    """
    characters = Characters("".join(filter(str.isdigit, text)), is_guessable=True)
    num_digits = sum(map(str.isdigit, text))
    area = [str(characters.number(10)) for _ in range(num_digits - num_code - 7)]
    if area:
        area[0] = str(2 + characters.number(8))
    code = [character for character in text if character.isdigit()][:num_code]
    digits = iter([*code, *area, *"55501", str(characters.number(10)), str(characters.number(10))])
    return "".join(next(digits) if character.isdigit() else character for character in text)


def ipv4_like(text: str) -> str:
    """Return an address of the documentation's networks, of the same length where one has it (9 to 14 characters)."""
    characters = Characters(text, is_guessable=True)
    length = min(14, max(9, len(text)))
    hosts = [f"{net}{host}" for net in RESERVED_NETS for host in range(1, 255) if len(net) + len(str(host)) == length]
    return hosts[(characters.number(256) * 256 + characters.number(256)) % len(hosts)]


def ipv6_like(text: str) -> str:
    """Return an address of 2001:db8::/32 with as many groups."""
    characters = Characters(text.lower(), is_guessable=True)
    _, _, rest = text.partition(":")
    second, colon, others = rest.partition(":")
    faked = "".join(
        "0123456789abcdef"[characters.number(16)] if character in string.hexdigits else character
        for character in others
    )
    # of `2a00::1` the two groups that stand for the network come before the gap
    candidate = f"2001:db8{colon}{'' if second else ':'}{faked}"
    try:
        ipaddress.IPv6Address(candidate)
    except ValueError:
        return f"2001:db8::{1 + characters.number(255):x}"
    return candidate


def home_like(name: str) -> str:
    """Return a fake of a user's name: ``user`` with letters behind it, or for short names ``u`` with some of the last
    ten letters.

    >>> home_like("jdoe")[0], len(home_like("jdoe")), home_like("jane.doe")[:4], is_home_fake(home_like("jane.doe"))
    ('u', 4, 'user', True)
    """
    characters = Characters(name.casefold(), is_guessable=True)
    if len(name) <= len(HOME_PREFIX):
        faked = "u" + "".join(SHORT_HOME_LETTERS[characters.number(10)] for _ in range(max(1, len(name) - 1)))
    else:
        faked = HOME_PREFIX + "".join(characters.like(character.lower()) for character in name[len(HOME_PREFIX) :])
    return faked.capitalize() if name[0].isupper() else faked


def is_home_fake(name: str) -> bool:
    """Tell if a name may be a result of ``home_like``."""
    return _FAKE_HOME.match(name) is not None
