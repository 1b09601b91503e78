"""Walks of trees give what ``ast``'s own give, but for contexts and operators."""

import ast
import copy
import sysconfig
from pathlib import Path

import pytest

from trace_mine.tracer.inside.syntax.walking import children, fix_locations, walk

LEFT_OUT = (ast.expr_context, ast.boolop, ast.operator, ast.unaryop, ast.cmpop)
LIBRARY = Path(sysconfig.get_path("stdlib"))
FILES = ("ast.py", "dataclasses.py", "asyncio/tasks.py", "fractions.py")
EVERY_FORM = """
@decorate(1)
async def f(a, /, b: int = 2, *args, c, d=None, **kwargs) -> str:
    global g
    async with a as b, c: await d
    async for x in y: break
    else: continue
    return {**a, "k": [*b], **{1: 2}}
match x:
    case {"a": [1, *rest], **others} if rest: pass
    case Point(1, y=2) | None as z: pass
try: assert a, b
except* E as e: raise X from e
finally: del a[1:2, ::3], b.c
lambda *, k, j=1: (yield k)
f"{a!r:>{w}}" if (n := 1) else not b < c <= d and -e or {f for g in h if i}
"""


def of_ast(nodes):
    return [node for node in nodes if not isinstance(node, LEFT_OUT)]


def trees():
    yield ast.parse(EVERY_FORM.replace("except* E as e: raise X from e", "except E as e: raise X from e"))
    yield ast.parse("try: pass\nexcept* E: pass")
    for name in FILES:
        yield ast.parse((LIBRARY / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("tree", [*trees()])
def test_walks_are_those_of_ast_but_for_contexts_and_operators(tree):
    nodes = walk(tree)
    assert nodes == of_ast(ast.walk(tree)) and len(nodes) > 3
    assert all(children(node) == of_ast(ast.iter_child_nodes(node)) for node in nodes)


@pytest.mark.parametrize("tree", [*trees()])
def test_positions_that_lack_are_filled_in_as_ast_does(tree):
    for number, node in enumerate(walk(tree)):
        if node._attributes and number % 3 == 0:
            for name in ("lineno", "col_offset", "end_lineno", "end_col_offset")[: 1 + number % 4]:
                delattr(node, name)
    theirs = ast.fix_missing_locations(copy.deepcopy(tree))
    assert fix_locations(tree) is tree
    assert ast.dump(tree, include_attributes=True) == ast.dump(theirs, include_attributes=True)


def test_nodes_that_were_made_by_hand_may_lack_fields():
    call = ast.Call.__new__(ast.Call)  # without the fields that its class asks for
    call.func, call.args = ast.Name("f", ast.Load()), [ast.Constant(1)]
    assert walk(call) == [call, call.func, *call.args]
    assert children(ast.Lambda.__new__(ast.Lambda)) == []


class _Marked(ast.Return):
    """A class of our own: not to be found in the grammar."""


def test_a_class_that_is_derived_has_the_fields_of_the_one_that_it_is_derived_from():
    value = ast.Constant(1)
    assert children(_Marked(value)) == [value]
