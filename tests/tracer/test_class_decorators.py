"""Decorators of classes: the class is defined without them, then each is called, as it is for functions."""

from __future__ import annotations

import pytest

from trace_mine.tracer.schema import Trace

DECORATORS = """\
import sys

def register(kind):
    def wrap(cls):
        cls.kind = kind
        return cls
    return wrap

def renewed(cls):
    made = type(cls.__name__, (cls,), {"n": cls.n + 1})
    return made

class Called:
    def __init__(self, cls):
        self.cls = cls

    def __call__(self, *arguments):
        return self.cls(*arguments)

def fails(cls):
    raise ValueError(cls.__name__)

def counted(cls):
    cls.names = sorted(name for name in vars(cls) if not name.startswith("_"))
    return cls

class Builder:
    def __init__(self, cls):
        self.space = sys.modules[cls.__module__].__dict__
        self.cls = cls

    def named(self):
        self.cls.kind = self.space["__name__"]
        return self

def built(cls):
    builder = Builder(cls)
    return builder.named().cls
"""
CLASS = """\
class A:
    n = 1
    def f(self):
        return self.n
"""


@pytest.fixture(scope="module")
def tracer(kit):
    with kit.PlainTracer(kit.TracerConfig(follow=3)) as made:
        yield made


def traced(tracer, kit, source: str) -> Trace:
    trace = tracer.trace(kit.script(source))
    assert isinstance(trace, Trace) and not trace.failed_checks, trace
    return trace


@pytest.mark.parametrize(
    ("decorators", "opened", "printed"),
    [
        ("@register('k')", ['register("k")'], "1 k"),
        ("@renewed", ["renewed(A)"], "2 -"),
        ("@Called", ["Called(A)"], "1 -"),
        ("@renewed\n@register('k')", ['register("k")', "renewed(A)"], "2 k"),
        ("@counted", ["counted(A)"], "1 -"),
        (
            "@built",
            ["built(A)", "builder.named()"],
            "1 __main__",
        ),  # its object holds the namespace that the session has names in
    ],
)
def test_the_program_s_own_decorators_are_opened(tracer, kit, decorators: str, opened: list[str], printed: str) -> None:
    source = f"{DECORATORS}{decorators}\n{CLASS}print(A().f(), getattr(A, 'kind', '-'))\n"
    trace = traced(tracer, kit, source)
    texts = [call.text.replace("'", '"') for call in trace.calls]
    if decorators != "@Called":  # a class: making an object of it is no call of a function
        assert [text for text in texts if text in opened] == opened
        assert f"\n{decorators.splitlines()[0]}\n... class A" not in trace.text
    assert f"\n{printed}\n" in f"{trace.text}\n"


def test_no_name_is_bound_where_a_decorator_raises(tracer, kit) -> None:
    source = f"{DECORATORS}try:\n    @fails\n{''.join(f'    {line}' for line in CLASS.splitlines(True))}"
    source += "except ValueError as e:\n    print(e, 'A' in globals())\n"
    assert "\nA False\n" in f"{traced(tracer, kit, source).text}\n"


def test_a_class_that_is_there_already_and_classes_of_functions_replay(tracer, kit) -> None:
    again = f"{DECORATORS}{CLASS}@register('k')\n{CLASS}print(A.kind, A().f())\n"
    assert "\nk 1\n" in f"{traced(tracer, kit, again).text}\n"
    inner = "".join(f"    {line}" for line in CLASS.splitlines(True))
    local = f"{DECORATORS}def make(k):\n    @register(k)\n{inner}    return A\n"
    local += "B = make('z')\nprint(B.kind, B().f(), B.__name__)\n"
    assert "\nz 1 A\n" in f"{traced(tracer, kit, local).text}\n"


@pytest.mark.parametrize(
    ("body", "is_opened"),
    [
        ("return sorted(vars(x))", True),
        ("return sorted(vars())", False),
        ("return len(dir(x)) > 0", True),
        ("return len(dir()) > 0", False),
        ("return [*map(vars, [x])] != []", False),
        ("return vars(*[x]) != {}", False),
    ],
)
def test_what_looks_at_its_argument_does_not_look_at_itself(tracer, kit, body: str, is_opened: bool) -> None:
    source = f"class P:\n    def __init__(self):\n        self.b = 1\ndef f(x):\n    {body}\nprint(f(P()))\n"
    trace = traced(tracer, kit, source)
    assert ("f(P())" in [call.text for call in trace.calls]) == is_opened
    assert ("sees_frame" in trace.kept_whole) != is_opened
