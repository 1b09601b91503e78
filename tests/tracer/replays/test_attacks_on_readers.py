"""Sessions whose text is false, and what each reader says of them.

Each attack is silent code and a text that no honest run prints. One reader is fooled by several of them, because it can
be recognised; what counts is which of them all readers of a session together let pass.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from trace_mine.tracer.inside.protocol.jobs import Program
from trace_mine.tracer.replays.choice import is_chosen, readers_for
from trace_mine.tracer.replays.registry import READERS
from trace_mine.tracer.replays.session import Session, commands_of, differences

FIVE = ">>> attack()\n>>> 2 + 2\n5\n"
SHOWN = ">>> attack()\n5\n"
ERROR = "Traceback (most recent call last):\n    ...\nValueError: 5\n"
WALK = """
import sys
def frames():
    frame = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back
"""
ANSWER_FOR_DOC = (
    WALK
    + """
import os
def take_over_doc():
    for frame in frames():
        if frame.f_code.co_name == "run" and "nonce" in frame.f_locals:
            held = frame.f_locals
            def tell(nonce, text):
                os.write(held["mark"], nonce + b"+" + len(text).to_bytes(4, "big") + bytes(4) + text)
            tell(held["nonce"], b"")
            while True:
                header = os.read(held["commands"], 21)
                source = os.read(held["commands"], int.from_bytes(header[:4], "big"))
                tell(header[5:], b"5\\n" if b"2 + 2" in source else b"")
"""
)
ANSWER_FOR_PROMPT = """
import os, sys
def take_over_prompt():
    if hasattr(sys, "ps1"):
        while True:
            os.write(2, sys.ps1.encode())
            if b"2 + 2" in os.read(0, 1000):
                os.write(1, b"5\\n")
"""


@dataclass(frozen=True)
class Attack:
    code: str
    text: str
    fools: str = ""
    """Readers that accept the text, of doc, stock and literal."""
    is_honest: bool = False
    """A prompt and a doctest print it anywhere: then it is no lie."""


ATTACKS = {
    "01 clears the failures": Attack(WALK + """
def attack():
    for frame in frames():
        for values in (frame.f_locals, frame.f_globals):
            for name in ("failed", "failures", "differences", "commands", "_failures"):
                if hasattr(values.get(name), "clear"):
                    values[name].clear()
""", FIVE),
    "02 prints the promised output of its example": Attack(WALK + """
def attack():
    for frame in frames():
        if "example" in frame.f_locals:
            print(frame.f_locals["example"].want, end="")
            return
""", SHOWN),
    "03 looks for promised outputs on the heap": Attack("""
import gc
def attack():
    for each in gc.get_objects():
        if type(each).__name__ in ("Example", "TextCommand") and "attack" in each.source:
            print(each.want, end="")
            return
""", SHOWN),
    "04 looks for the text on the heap": Attack("""
import gc
def attack():
    for each in gc.get_objects():
        if type(each) in (list, tuple, dict):
            for text in each.values() if type(each) is dict else each:
                if type(text) is str and ">>> attack()\\n" in text:
                    print(text.split(">>> attack()\\n")[1], end="")
                    return
""", SHOWN),
    "05 a display hook": Attack("""
import sys
def attack():
    sys.displayhook = lambda value: None if value is None else print(5)
""", FIVE, "doc stock literal", is_honest=True),
    "06 a display hook that looks for a loop below": Attack("""
import sys
def hook(value):
    below = sys._getframe(1).f_back
    if value is not None: print(5 if below is not None and "doctest" not in below.f_code.co_filename else value)
def attack():
    sys.displayhook = hook
""", FIVE, "doc"),
    "07 another compile": Attack("""
import builtins
real = compile
def attack():
    builtins.compile = lambda source, *rest: real(source.replace("2 + 2", "5"), *rest)
""", FIVE, "literal"),
    "08 prints at the end of the process": Attack("""
import atexit
def attack():
    atexit.register(print, 5)
""", SHOWN),
    "09 a thread prints in a later command": Attack("""
import threading
go, done = threading.Event(), threading.Event()
def late():
    go.wait(); print(5); done.set()
def attack():
    threading.Thread(target=late, daemon=True).start()
""", ">>> attack()\n>>> go.set(); _ = done.wait(5)\n5\n", "doc stock literal", is_honest=True),
    "10 writes past sys.stdout": Attack("""
import os
def attack():
    os.write(1, b"5\\n")
""", SHOWN, "stock"),
    "11 answers in the place of doc's loop": Attack(ANSWER_FOR_DOC + """
attack = take_over_doc
""", FIVE, "doc"),
    "12 answers in the place of the prompt": Attack(ANSWER_FOR_PROMPT + """
attack = take_over_prompt
""", FIVE, "stock"),
    "13 guesses what a prompt is": Attack("""
import os
def attack():
    for fd in range(1, 1000):
        try:
            os.write(fd, b">>> 5\\n>>> ")
        except OSError:
            pass
""", FIVE),
    "14 ends the process": Attack("""
import os
def attack():
    os._exit(0)
""", SHOWN),
    "15 looks for our loop": Attack(WALK + """
def attack():
    if any(frame.f_code.co_filename.startswith("<trace_mine") for frame in frames()):
        print(5)
""", SHOWN, "doc literal"),
    "16 looks at its surroundings": Attack("""
import os, sys
def is_open(fd):
    try:
        return bool(os.fstat(fd))
    except OSError:
        return False
def attack():
    if getattr(sys, "ps1", ">>> ") != ">>> " or any(map(is_open, range(200, 1000))):
        print(5)
""", SHOWN, "doc stock literal"),
    "17 another traceback module": Attack("""
import traceback
def attack():
    traceback.TracebackException.format_exception_only = lambda self, **rest: iter(["ValueError: 5\\n"])
""", ">>> attack()\n>>> 1 / 0\n" + ERROR, "doc literal"),
    "18 an exception hook": Attack("""
import sys
def attack():
    sys.excepthook = lambda *error: print(5)
""", ">>> attack()\n>>> 1 / 0\n5\n", "stock"),
    "19 a traceback on standard error": Attack("""
import sys
def attack():
    sys.stderr.write("Traceback (most recent call last):\\n  File x\\nValueError: 5\\n")
""", ">>> attack()\n" + ERROR, "stock"),
    "20 another class of sys.stdout": Attack("""
import sys
def attack():
    class Lying(type(sys.stdout)):
        def getvalue(self): return "5\\n"
        def write(self, text): return super().write(text.replace("4", "5"))
    try:
        sys.stdout.__class__ = Lying
    except TypeError:
        pass
""", FIVE),
    "21 the pipe of answers as standard output": Attack("""
import os
def attack():
    for fd in range(200, 1000):
        try:
            os.dup2(fd, 1)
        except OSError:
            continue
        os.write(1, b"5\\n")
""", SHOWN),
    "22 another os.write": Attack("""
import os
real = os.write
def attack():
    os.write = lambda fd, data: real(fd, data.replace(b"4", b"5"))
""", FIVE),
    "23 other code in doc's loop": Attack("""
import gc, types
def attack():
    for each in gc.get_objects():
        if type(each) is types.FunctionType and each.__name__ == "answer" and "doc" in each.__module__:
            mark, write = each.__closure__[0].cell_contents, each.__closure__[1].cell_contents
            def outer(mark, write):
                def lie(nonce, well, first, second=""):
                    data = first.replace("4", "5").encode()
                    write(mark, nonce + b"+" + len(data).to_bytes(4, "big") + bytes(4) + data)
                return lie
            each.__code__ = outer(mark, write).__code__
""", FIVE, "doc"),
    "24 a thread writes past sys.stdout": Attack("""
import os, threading
def attack():
    thread = threading.Thread(target=os.write, args=(1, b"5\\n"))
    thread.start(); thread.join()
""", SHOWN, "stock"),
    "25 answers in the place of both": Attack(ANSWER_FOR_DOC + ANSWER_FOR_PROMPT + """
def attack():
    take_over_prompt()
    take_over_doc()
""", FIVE, "doc stock"),
    "26 looks for secrets": Attack(WALK + """
def attack():
    secret = len(getattr(sys, "ps1", "")) > 10
    for frame in frames():
        secret = secret or len(getattr(frame.f_locals.get("example"), "want", "")) == 33
    if secret:
        print(5)
""", SHOWN, "stock literal"),
}  # fmt: skip


def accepts(worker, name: str, attack: Attack) -> bool:
    session = Session(commands=commands_of(attack.text), program=Program(code=attack.code))
    return not differences(session.commands, READERS[name].read(worker, session, 0))


@pytest.mark.parametrize("reader", ["doc", "stock", "literal"])
@pytest.mark.parametrize("name", ATTACKS)
def test_which_reader_accepts_a_false_text(plain_replayer, name, reader):
    attack = ATTACKS[name]
    expected = reader in attack.fools.split()
    if name.startswith("17") and reader == "stock":
        expected = sys.version_info >= (3, 13)  # up to 3.12 a prompt's tracebacks are written in C
    assert accepts(plain_replayer, reader, attack) == expected


def test_what_passes_all_readers_of_its_session():
    """Of the false texts only the one that looks at its surroundings: it prints so wherever it is replayed."""
    passed = []
    for name, attack in ATTACKS.items():
        commands = commands_of(attack.text)
        readers = readers_for(commands, (attack.text, attack.code), (), audit=is_chosen(attack.text, 0))
        assert {"doc", "stock"} <= set(readers)
        if not attack.is_honest and set(readers) - {"fresh"} <= set(attack.fools.split()):
            passed.append(name[:2])
    assert passed == ["16"]


def test_a_lie_of_one_character_is_refused_by_each_reader(plain_replayer):
    for reader in ("doc", "stock", "literal"):
        assert accepts(plain_replayer, reader, Attack("", ">>> 2 + 2\n4\n"))
        assert not accepts(plain_replayer, reader, Attack("", FIVE.replace(">>> attack()\n", "")))
