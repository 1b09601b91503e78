"""Finds secrets that are told by their form: keys of providers, private keys, JSON web tokens, passwords in URLs."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from trace_mine.corpus.cleaning.fakes import is_secret_fake, secret_like
from trace_mine.corpus.cleaning.kinds import Finding, Kind

# Each has two groups: what tells the kind, which stays, and the secret. The first text of each pair must stand in a
# text before the expression is tried.
PROVIDER_KEYS = (
    (
        ("AKIA", "ASIA", "ABIA", "ACCA"),
        re.compile(r"(?<![A-Za-z0-9])(AKIA|ASIA|ABIA|ACCA)([0-9A-Z]{16})(?![0-9A-Za-z])"),
    ),
    (
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
        re.compile(r"(?<![A-Za-z0-9])(gh[pousr]_)([A-Za-z0-9]{36,100})(?![A-Za-z0-9])"),
    ),
    (("github_pat_",), re.compile(r"(?<![A-Za-z0-9])(github_pat_)([A-Za-z0-9_]{22,120})")),
    (
        ("glpat-", "gldt-", "glft-", "glsoat-", "glrt-", "glcbt-", "glimt-", "glptt-", "glagent-", "gloas-"),
        re.compile(r"(?<![A-Za-z0-9])(gl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas)-)([A-Za-z0-9_\-]{20,100})"),
    ),
    (("xox", "xapp-"), re.compile(r"(?<![A-Za-z0-9])(xox[abeoprs]-|xapp-)([A-Za-z0-9\-]{10,180})")),
    (("hooks.slack.com",), re.compile(r"(hooks\.slack\.com/(?:services|workflows)/)([A-Za-z0-9/]{20,100})")),
    (("_live_", "_test_"), re.compile(r"(?<![A-Za-z0-9])([srp]k_(?:live|test)_)([A-Za-z0-9]{10,180})")),
    (("whsec_",), re.compile(r"(?<![A-Za-z0-9])(whsec_)([A-Za-z0-9+/=]{24,100})")),
    (
        ("sk-",),
        re.compile(
            r"(?<![A-Za-z0-9_\-])(sk-(?:proj-|svcacct-|admin-|ant-[a-z0-9]{2,8}-|or-v1-)?)([A-Za-z0-9_\-]{20,180})"
        ),
    ),
    (("AIza",), re.compile(r"(?<![A-Za-z0-9])(AIza)([A-Za-z0-9_\-]{35})(?![A-Za-z0-9_\-])")),
    (("GOCSPX-",), re.compile(r"(?<![A-Za-z0-9])(GOCSPX-)([A-Za-z0-9_\-]{28})")),
    (("ya29.",), re.compile(r"(?<![A-Za-z0-9])(ya29\.)([A-Za-z0-9_\-]{20,180})")),
    (("hf_",), re.compile(r"(?<![A-Za-z0-9])(hf_)([A-Za-z0-9]{30,64})(?![A-Za-z0-9_])")),
    (("npm_",), re.compile(r"(?<![A-Za-z0-9])(npm_)([A-Za-z0-9]{36})(?![A-Za-z0-9])")),
    (("pypi-",), re.compile(r"(?<![A-Za-z0-9])(pypi-AgE)([A-Za-z0-9_\-]{40,200})")),
    (("SG.",), re.compile(r"(?<![A-Za-z0-9])(SG\.)([A-Za-z0-9_\-]{16,32}\.[A-Za-z0-9_\-]{16,64})")),
    (("SK", "AC"), re.compile(r"(?<![A-Za-z0-9])(SK|AC)([0-9a-f]{32})(?![A-Za-z0-9])")),
    ((":AA",), re.compile(r"(?<![A-Za-z0-9])(\d{8,10}:AA)([A-Za-z0-9_\-]{33})(?![A-Za-z0-9_\-])")),
    (("dop_v1_", "doo_v1_", "dor_v1_"), re.compile(r"(?<![A-Za-z0-9])(do[opr]_v1_)([a-f0-9]{64})")),
    (("AccountKey=",), re.compile(r"(AccountKey=)([A-Za-z0-9+/]{40,100}={0,2})")),
    (("dapi",), re.compile(r"(?<![A-Za-z0-9])(dapi)([a-f0-9]{32})(?![A-Za-z0-9])")),
    (("key-",), re.compile(r"(?<![A-Za-z0-9\-])(key-)([0-9a-f]{32})(?![A-Za-z0-9])")),
    (
        ("shpat_", "shpca_", "shppa_", "shpss_"),
        re.compile(r"(?<![A-Za-z0-9])(shp(?:at|ca|pa|ss)_)([A-Fa-f0-9]{32})(?![A-Za-z0-9])"),
    ),
    (("sq0",), re.compile(r"(?<![A-Za-z0-9])(sq0(?:atp|csp|idp)-)([A-Za-z0-9_\-]{22,43})")),
    (("-us",), re.compile(r"(?<![A-Za-z0-9])()([0-9a-f]{32}(?=-us\d))")),
    (("ATATT3",), re.compile(r"(?<![A-Za-z0-9])(ATATT3)([A-Za-z0-9_\-=]{40,200})")),
    (("lin_api_",), re.compile(r"(?<![A-Za-z0-9])(lin_api_)([A-Za-z0-9]{40})")),
    (("ntn_", "secret_"), re.compile(r"(?<![A-Za-z0-9])(ntn_|secret_)([A-Za-z0-9]{40,60})(?![A-Za-z0-9_])")),
    (("gsk_", "r8_"), re.compile(r"(?<![A-Za-z0-9])(gsk_|r8_)([A-Za-z0-9]{37,60})(?![A-Za-z0-9_])")),
    (("glsa_", "glc_"), re.compile(r"(?<![A-Za-z0-9])(glsa_|glc_)([A-Za-z0-9_=]{32,180})")),
    (("PMAK-",), re.compile(r"(?<![A-Za-z0-9])(PMAK-)([a-f0-9]{24}-[a-f0-9]{34})")),
    (
        ("dp.pt.", "dp.st.", "dp.ct.", "dp.sa."),
        re.compile(r"(?<![A-Za-z0-9])(dp\.(?:pt|st|ct|sa)\.)([A-Za-z0-9]{40,44})"),
    ),
    (("NRAK-",), re.compile(r"(?<![A-Za-z0-9])(NRAK-)([A-Z0-9]{27})")),
    (("AGE-SECRET-KEY-1",), re.compile(r"(AGE-SECRET-KEY-1)([A-Z0-9]{58})")),
    (
        (".",),
        re.compile(
            r"(?<![A-Za-z0-9])([MNO])([A-Za-z0-9]{23,25}\.[A-Za-z0-9_\-]{6}\.[A-Za-z0-9_\-]{27,38})(?![A-Za-z0-9_\-])"
        ),
    ),
)  # fmt: skip


_GATES = {
    ".": re.compile(r"\.[A-Za-z0-9_\-]{6}\.[A-Za-z0-9_\-]{27}"),
    "SK": re.compile(r"(?:SK|AC)[0-9a-f]{32}"),
    "key-": re.compile(r"key-[0-9a-f]{32}"),
    "-us": re.compile(r"-us\d"),
}
"""Expressions that are tried before those whose first texts are common, by the first one: they begin with a letter, by
which a search is ten times as fast.
"""


def entropy(text: str) -> float:
    """The entropy of a text's characters, in bits a character.

    >>> entropy("aaaa"), entropy("abcd")
    (0.0, 2.0)
    """
    counts = Counter(text).values()
    return sum(number * math.log2(len(text) / number) for number in counts) / len(text)


def is_random(body: str) -> bool:
    """Tell if a key's body may be drawn: it has digits and letters, and many different ones. Words in a row aren't."""
    has_digit = any(map(str.isdigit, body))
    return has_digit and any(map(str.isalpha, body)) and entropy(body) >= 2.5


def provider_keys(text: str) -> Iterator[Finding]:
    """Find keys that say by their beginning who gave them out."""
    for needles, pattern in PROVIDER_KEYS:
        if not any(needle in text for needle in needles):
            continue
        gate = _GATES.get(needles[0])
        if gate is not None and not gate.search(text):
            continue
        for match in pattern.finditer(text):
            body = match.group(2)
            # AWS's and upper-case keys may be without digits
            if (is_random(body) or match.group(1) in ("AKIA", "ASIA")) and not is_secret_fake(body):
                yield Finding(kind=Kind.PROVIDER_KEY, start=match.start(2), end=match.end(2), fake=secret_like(body))


_TOKEN = re.compile(r"(?<![A-Za-z0-9_\-])eyJ[A-Za-z0-9_\-]{10,}+\.(eyJ[A-Za-z0-9_\-]{5,}+\.[A-Za-z0-9_\-]{10,}+)")


def web_tokens(text: str) -> Iterator[Finding]:
    """Find JSON web tokens; their headers stay, since these name nobody."""
    if "eyJ" in text:
        for match in _TOKEN.finditer(text):
            body = match.group(1)
            if not is_secret_fake(body[3:]):
                fake = f"eyJ{secret_like(body[3:])}"
                yield Finding(kind=Kind.JSON_WEB_TOKEN, start=match.start(1), end=match.end(1), fake=fake)


_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
_RUN = re.compile(r"[A-Za-z0-9+/=]{16,200}")
MAX_KEY_CHARS = 20_000
"""Characters between the first and the last line of a private key; RSA's of 16,384 bits has 13,000."""


def private_keys(text: str) -> Iterator[Finding]:
    """Find the lines of private keys in PEM's form, also where each line is a literal of its own."""
    if "PRIVATE KEY" not in text:
        return
    done = 0
    for match in _BEGIN.finditer(text):
        if match.start() < done:
            continue
        limit = min(len(text), match.end() + MAX_KEY_CHARS)
        end = text.find("-----END", match.end(), limit)
        done = limit if end < 0 else end
        for run in _RUN.finditer(text, match.end(), done):
            if not is_secret_fake(run.group()):
                yield Finding(kind=Kind.PRIVATE_KEY, start=run.start(), end=run.end(), fake=secret_like(run.group()))


_URL = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9+.\-]{1,20}://([^\s:/@'\"<>]{0,64}):([^\s/@'\"<>]{4,100})@[A-Za-z0-9\[]"
)
_NO_PASSWORD = frozenset(("my_password", "your_password", "my-password", "pass123", "password123", "p4ss", "pw1234"))


def url_passwords(text: str) -> Iterator[Finding]:
    """Find passwords of connections, as in ``postgres://admin:...@db``."""
    if "://" not in text:
        return
    for match in _URL.finditer(text):
        password = match.group(2)
        # a word in lower case is what people write into examples
        is_word = password.isalpha() and password.islower()
        if is_word or password.lower() in _NO_PASSWORD or set(password) & set("{}%$*\\") or len(set(password)) <= 2:
            continue
        if not is_secret_fake(password):
            yield Finding(
                kind=Kind.CONNECTION_PASSWORD, start=match.start(2), end=match.end(2), fake=secret_like(password)
            )
