"""What is found in text, what is left alone, and what fakes are like."""

from __future__ import annotations

import ast
import ipaddress
import json
import re
import string
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trace_mine.corpus.cleaning.detect_secrets_patterns import detect_secrets_patterns
from trace_mine.corpus.cleaning.fakes import (
    email_like,
    home_like,
    ipv4_like,
    ipv6_like,
    is_home_fake,
    is_secret_fake,
    phone_like,
    secret_like,
)
from trace_mine.corpus.cleaning.kinds import Kind
from trace_mine.corpus.cleaning.python_source import is_same_program, scrub_python
from trace_mine.corpus.cleaning.scrub import find_all, scrub

ROOT = Path(__file__).resolve().parents[3]
TOKEN = "16C7e42F292c6912E7710c838347Ae178B4a"

FOUND = {
    Kind.EMAIL: [
        "jane.doe@acme-corp.com",
        "Jane <jane.doe@mail.acme.co.uk>",
        "mailto:jane@gmail.com",
        r"'a\njane@gmail.com'",
        "admin@gmail.com",
        "jörg@firma.de",
    ],
    Kind.PHONE: [
        "(212) 736-5000",
        "212-736-5000",
        "+1 212 736 5000",
        "+49 30 901820",
        "+442071838750",
        "1-800-867-5309",
    ],
    Kind.IP_ADDRESS: ["81.2.69.142", 'ip = "81.2.69.142"', "http://81.2.69.142/a", "2a00:1450:4001:81b::200e"],
    Kind.HOME_FOLDER: [
        "/home/jdoe/src",
        "/Users/jane.smith/x",
        r"C:\Users\nick\x",
        r"'C:\\Users\\nick'",
        "file:///home/bob",
    ],
    Kind.PROVIDER_KEY: [
        "AKIAIOSFODNN7EXAMPLE",
        f"ghp_{TOKEN}",
        f"x = 'ghp_{TOKEN}'",
        "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "xoxb-123456789012-abcdEFGH1234",
        "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
        "AC0123456789abcdef0123456789abcdef",
        "glpat-abcDEF123456ghiJKL78",
    ],
    Kind.PRIVATE_KEY: [
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA1c7+9z5Pad7OejecsQ0buwGK\n-----END RSA PRIVATE KEY-----",
        "k = ('-----BEGIN PRIVATE KEY-----\\n'\n 'MIIEpAIBAAKCAQEA1c7+9z5Pad7Oejecs\\n'\n '-----END PRIVATE KEY-----')",
    ],
    Kind.JSON_WEB_TOKEN: [
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
    ],
    Kind.CONNECTION_PASSWORD: ["postgres://admin:s3cr3tP4ss@db.acme.com/x", "amqp://u:SuperSecret@10.0.0.1"],
    Kind.ASSIGNED_SECRET: [
        'aws_secret_access_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"',
        "{'api_key': 'f3b9c1d2e4a5968778695a4b3c2d1e0f'}",
        'password = "hunter2x"',
        'login(user, password="Tr0ub4dor&3")',
        '\\"token\\": \\"q8Zr2LmX9vT4bN7cK1pW\\"',
        "Authorization: Bearer abCD1234efGH5678ijKL9012",
        "TOKEN=q8Zr2LmX9vT4bN7cK1pWz",
        "Authorization: Basic amFuZTpodW50ZXIyeA==",  # jane:hunter2x
    ],
}

LEFT_ALONE = [
    "version 1.2.3.4 and v10.20.30.40, numpy==1.26.40.1",
    "Chrome/60.0.31.142",
    "ssh user@host, git@github.com:a/b.git, deploy@server",
    "@app.route('/x')\n@pytest.mark.x",
    "x = a@b\ny = w@self.weight\nz = q@k.T\nv = w@x.to(device)",
    "me@example.com, jane@mail.example.org, root@localhost.localdomain, foo@bar.com, user@domain.com",
    "127.0.0.1 0.0.0.0 192.168.1.7 10.1.2.3 172.16.0.9 255.255.255.0 8.8.8.8 192.0.2.44 81.2.69.0/24",
    "x[2000:3000:4] x[::2] 12:30:45 00:1A:2B:3C:4D:5E fe80::1 ::1 2001:db8::8a2e:370:7334",
    "123e4567-e89b-12d3-a456-426614174000",
    "d41d8cd98f00b204e9800998ecf8427e 9b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e",
    "2127365000 1234567890 +1234567890 123-456-7890 212-555-0123 555-555-5555 2021-01-02 200 300 4000",
    "/home/user/x /home/runner/work /Users/me/x site.com/home/index.html C:\\Users\\Public",
    'password="secret" password="password123" token="next_token" key = "abcdefghijkl1234" PASSWORD = "changeme"',
    'secret="${SECRET}" token = "{token}" api_key=get_api_key_from_1_environment()',
    "http://user:pass@host http://user:password@host/x https://{user}:{password}@host",
    "sk-learn-contrib-something-else hf_transfer_enabled",
    "[5.1, 4.9, 3.25] 3.14.159 1e10",
]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in FOUND.items() for text in texts])
def test_it_is_found_and_replaced(kind: Kind, text: str) -> None:
    result = scrub(text)
    assert {finding.kind for finding in result.findings} == {kind}
    for finding in result.findings:
        assert text[finding.start : finding.end] not in result.text
    assert not find_all(result.text)


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_it_is_left_alone(text: str) -> None:
    assert [(finding.kind, text[finding.start : finding.end]) for finding in find_all(text)] == []


def test_every_kind_has_an_example() -> None:
    assert FOUND.keys() | {Kind.DETECT_SECRETS} == set(Kind)


def test_parts_of_a_value_get_the_parts_of_its_fake() -> None:
    text = """assert split("jane.doe@acme-corp.com") == ["jane.doe", 'acme-corp.com']  # jane.doe says\n"""
    cleaned = scrub(text).text
    address = re.search(r'"([^"]+@[^"]+)"', cleaned)
    assert address is not None
    local, domain = address.group(1).split("@")
    assert f"[\"{local}\", '{domain}']" in cleaned


def test_a_basic_header_stays_base64() -> None:
    import base64

    cleaned = scrub("Basic amFuZTpodW50ZXIyeA==").text
    user, _, password = base64.b64decode(cleaned.split()[1]).decode().partition(":")
    assert user == "jane" and password != "hunter2x" and len(password) == 8


# fakes


LOCALS = st.text(string.ascii_letters + string.digits + "._+-", min_size=1, max_size=30).filter(
    lambda t: t[0].isalnum()
)
NAMES = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=30).filter(lambda t: t[0].isalpha())
DOMAINS = st.lists(
    st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=12), min_size=1, max_size=3
).map(lambda labels: ".".join([*labels, "com"]))
SECRETS = st.text(string.ascii_letters + string.digits + "-_/+=", min_size=7, max_size=80)


def classes(text: str) -> list[str]:
    return ["a" if c.islower() else "A" if c.isupper() else "0" if c.isdigit() else c for c in text]


@given(SECRETS)
def test_a_secret_keeps_its_shape(value: str) -> None:
    fake = secret_like(value)
    assert classes(fake) == classes(value) and is_secret_fake(fake) and fake == secret_like(value)


@given(LOCALS, DOMAINS)
def test_an_address_keeps_its_length_where_it_can(local: str, domain: str) -> None:
    fake = email_like(local, domain)
    assert re.fullmatch(r"[A-Za-z0-9._+-]*[A-Za-z0-9]@(?:[a-z]+\.)?example\.com", fake)
    if len(local) + len(domain) + 1 >= 15:
        assert len(fake) == len(local) + len(domain) + 1


@given(NAMES)
def test_a_home_is_told_from_its_fake(name: str) -> None:
    fake = home_like(name)
    assert is_home_fake(fake) and (len(fake) == len(name) or len(name) < 2)


@given(st.ip_addresses(v=4))
def test_an_ip_address_becomes_a_reserved_one(address: ipaddress.IPv4Address) -> None:
    fake = ipv4_like(str(address))
    assert not ipaddress.ip_address(fake).is_global
    assert len(fake) == len(str(address)) or not 9 <= len(str(address)) <= 14


@given(st.ip_addresses(v=6))
def test_an_ipv6_address_becomes_a_reserved_one(address: ipaddress.IPv6Address) -> None:
    assert ipaddress.ip_address(ipv6_like(str(address))) in ipaddress.ip_network("2001:db8::/32")


def test_a_phone_number_keeps_its_marks() -> None:
    assert re.fullmatch(r"\+1 \(\d{3}\) 555-01\d\d", phone_like("+1 (212) 736-5000", num_code=1))


# cleaning whole texts

PIECES = st.sampled_from(
    [text for texts in FOUND.values() for text in texts]
    + LEFT_ALONE
    + ["", " ", "\n", "x = ", '"', "'", "(", ")", "@", ":"]
)
TEXTS = st.lists(PIECES | st.text(max_size=12), max_size=8).map("".join)


@settings(deadline=None)
@given(TEXTS)
@example("file:///home/bobjane.doe@acme-corp.com")
@example("/home/bob+jane.doe@acme-corp.com")
@example("file:///home/bob00\u00b2")
@example("Authorization: Bearer abCD1234efGH5678ijKL9012jane.doe@acme-corp.com")
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once = scrub(text).text
    assert scrub(once).text == once


@settings(deadline=None)
@given(st.sampled_from([text for texts in FOUND.values() for text in texts]), st.text(" \n;#", max_size=5))
def test_equal_values_have_equal_fakes(text: str, between: str) -> None:
    alone = scrub(text).text
    assert scrub(f"{text}\n{between}\n{text}").text == f"{alone}\n{between}\n{alone}"


LITERALS = st.sampled_from([text for texts in FOUND.values() for text in texts if "\n" not in text])


@settings(deadline=None)
@given(st.lists(st.tuples(LITERALS, st.sampled_from(["{!r}", "f{!r}", "b{!r}", "[{!r}, 1]", "f({!r}) @ w"]))))
def test_source_stays_the_same_program_but_for_literals(parts: list[tuple[str, str]]) -> None:
    lines = [
        f"x{n} = {form.format(text)}" for n, (text, form) in enumerate(parts) if text.isascii() and "{" not in text
    ]
    source = "\n".join(["# jane.doe@acme-corp.com", *lines, ""])
    result = scrub_python(source)
    assert result is not None and result.findings
    ast.parse(result.text)
    assert is_same_program(source, result.text) and source.count("\n") == result.text.count("\n")
    assert "jane.doe" not in result.text


def test_only_literals_and_comments_are_replaced() -> None:
    source = "class jane:\n    pass\n\n\nw = jane@acme.com\nprint('jane@gmail.com')  # jane@gmail.com\n"
    result = scrub_python(source)
    assert result is not None and "w = jane@acme.com" in result.text and "gmail" not in result.text


def test_an_escape_before_a_value_stays() -> None:
    source = "print('\\x41jane.doe@acme-corp.com', '\\tjane.doe@acme-corp.com', 'C:\\\\Users\\\\nick')\n"
    result = scrub_python(source)
    assert result is not None and result.text.startswith("print('\\x41") and "'\\t" in result.text
    assert "acme" not in result.text and "nick" not in result.text


# attacks: text that makes a search slow

SLOW = [
    "@" * 200_000,
    "a@" * 100_000,
    "a." * 100_000 + "@a.com",
    "@" + "a." * 100_000,
    "-----BEGIN PRIVATE KEY-----" * 8_000,
    "password" * 25_000,
    "password=" * 22_000,
    "api_key" + "_" * 200_000,
    "1." * 100_000,
    "+1 " * 70_000,
    "(212) " * 35_000,
    "12:" * 70_000,
    "eyJ" * 70_000,
    "eyJ" + "a" * 200_000 + ".",
    "/home/" * 35_000,
    "a://b:" * 35_000,
    "ghp_" * 50_000,
    "sk-" * 70_000,
    "Bearer " * 30_000,
    "\\n" * 100_000,
]


CPU_SECONDS = 30
"""A linear search takes under a second for all of them, a quadratic one minutes for each."""
PROGRAM = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (%d, %d))
from trace_mine.corpus.cleaning.scrub import scrub
for text in json.load(sys.stdin):
    print(repr(text[:20]), flush=True)
    scrub(text)
"""


def test_no_text_takes_more_than_linear_time() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM % (CPU_SECONDS, CPU_SECONDS)],
        input=json.dumps(SLOW),
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, f"the last one took too long: {done.stdout.splitlines()[-1:]} {done.stderr[-500:]}"


def test_patterns_of_detect_secrets_are_there() -> None:
    patterns = [re.compile(pattern) for pattern in detect_secrets_patterns()]
    assert len(patterns) > 20 and any(pattern.search("AKIAIOSFODNN7EXAMPLE") for pattern in patterns)
