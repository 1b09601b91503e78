"""Calls inside a larger expression: opened in Python's order of evaluation.

An opened call becomes statements before the statement that it stands in. To keep the order, sub-expressions that Python
evaluates before the call are assigned to variables first (an A-normal form of the part up to the last opened call)::

    total = x + f(3) + g(4)          value_1 = x + returned_1     (after the commands of f)
                                     total = value_1 + returned_2 (after the commands of g)

``holding`` decides which of them need a variable. The right side of ``and`` and ``or`` and the arms of a conditional
expression are opened where Python evaluates them: the operand or test before them is then a command, as the test of an
``if`` is.

Over 400 lines because the walk is one: each kind of site holds what the others evaluated before it.
"""

from __future__ import annotations

import ast

from trace_mine.tracer.inside.drive.arguments import needs_variables
from trace_mine.tracer.inside.drive.callbacks import CalledBack, called_back, open_called_back
from trace_mine.tracer.inside.drive.calls import open_call
from trace_mine.tracer.inside.drive.comprehensions import Search, is_order_free, open_comprehension
from trace_mine.tracer.inside.drive.constructions import metaclass_call, open_new, opens_new
from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.frames import Frame
from trace_mine.tracer.inside.drive.generators import collect, open_called
from trace_mine.tracer.inside.drive.holding import Held
from trace_mine.tracer.inside.drive.implicit import (
    concerns,
    implicit_call,
    open_implicit,
    open_special,
    truth,
)
from trace_mine.tracer.inside.drive.operators import asked_of, is_print
from trace_mine.tracer.inside.drive.parts import Part, conditional_parts, part, parts_of, with_part
from trace_mine.tracer.inside.drive.prints import open_texts
from trace_mine.tracer.inside.drive.sites import (
    UsedUp,
    collected_generator,
    each_of,
    iterates_own,
    looks_up,
    makes_object,
    sites_in,
    used_up,
)
from trace_mine.tracer.inside.drive.stored_generators import is_stored, resume, resumption_of, stored_generator
from trace_mine.tracer.inside.drive.targets import construction_of, partial_call, target_of
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.text import expression


def lower(context: DriveContext, node: ast.expr, frame: Frame, *, is_used: bool = True) -> ast.expr:
    """Open the calls in an expression that can be opened: their commands are emitted here.

    First the *sites* are implied, the nodes that can be opened now. Then the expression is walked in the order of
    evaluation; a site becomes commands, and a sub-expression before a later site becomes a variable, so that the site's
    commands cannot change its value.

    Args:
        context: the session.
        node: the expression.
        frame: the activation that it stands in.
        is_used: False where nothing uses the expression's value, so that a returned None needs no variable.

    Returns:
        The expression with the calls' results in their place; ``node`` itself where no call was opened, so that the
        caller can see by identity that the author's text still holds.

    Raises:
        Raised: a call, or a sub-expression before it, raised an exception.
    """
    sites = sites_in(context, node)
    if not sites:
        return node
    lowering = Lowering(context, frame, [node], sites)
    return lowering.finish(lowering.lower(node, unused=not is_used))


def decide(context: DriveContext, node: ast.expr, frame: Frame) -> bool:
    """Emit the commands of a test and return its truth.

    The test is one command, or one for each operand of ``and``, ``or`` and ``not`` that Python evaluates where a call
    in them is opened.

    Raises:
        Raised: the test raised an exception.
    """
    sites = sites_in(context, node)
    tested = node
    while isinstance(tested, ast.UnaryOp) and isinstance(tested.op, ast.Not):
        tested = tested.operand
    if not sites and (context.budget.is_full or truth(context, tested) is None):
        return context.condition(node, frame)
    return Lowering(context, frame, [node], sites).decide(node)


def lower_arguments(context: DriveContext, node: ast.Call, frame: Frame, sites: set[int]) -> ast.Call:
    """Open the sites in a call's arguments, and in the object of a method; return the call with their results."""
    lowering = Lowering(context, frame, [node], sites)
    lowered = lowering.finish(lowering.arguments(node))
    assert isinstance(lowered, ast.Call)
    return lowered


class Lowering:
    """Opens the sites of one statement's expressions, which are walked in the order of evaluation.

    Args:
        context: the session.
        frame: the activation that the statement runs in.
        nodes: all the expressions.
        sites: ids of the nodes in them that are to be opened.
    """

    def __init__(self, context: DriveContext, frame: Frame, nodes: list[ast.expr], sites: set[int]) -> None:
        self._context = context
        self._frame = frame
        self._sites = sites
        self._position = context.position
        self._with_site: set[int] = set()
        for node in nodes:
            self._note_sites(node)
        self.held = Held(context, frame, nodes)

    def finish(self, lowered: ast.expr) -> ast.expr:
        """End the walk: nothing is opened between the expression that is left and the command that evaluates it."""
        self.held.check()
        return lowered

    def has_site(self, node: ast.expr) -> bool:
        """Return True if a node that is to be opened stands in this one, or is this one."""
        return id(node) in self._with_site

    def _note_sites(self, node: ast.expr) -> bool:
        """Note each node with a site in it; return True if this one is among them."""
        inside = [self._note_sites(part(node, way)) for way in (*parts_of(node), *conditional_parts(node))]
        if any(inside) or id(node) in self._sites:
            self._with_site.add(id(node))
        return id(node) in self._with_site

    def lower(self, node: ast.expr, *, before_site: bool = False, unused: bool = False) -> ast.expr:
        """Open the sites in an expression, and return the expression that is left.

        ``before_site``: something is opened after this expression, so its value must not depend on when it is read.
        """
        if not self.has_site(node):
            return self.held.settle(node) if before_site else node
        if id(node) in self._sites and isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp)):
            return open_comprehension(self._context, node, self._frame)
        if isinstance(node, ast.Call):
            return self._call(node, before_site, unused)
        if id(node) in self._sites and isinstance(node, ast.Starred):
            spread = self.items(node.value)
            self._ask_length(node.value)
            return self._settled(ast.Starred(spread, ast.Load()), before_site)
        if id(node) in self._sites or any(self.has_site(part(node, way)) for way in conditional_parts(node)):
            if isinstance(node, ast.BoolOp):
                return self._bool_op(node, before_site)
            taken = self._arm(node) if isinstance(node, ast.IfExp) else None
            if taken is not None:
                return self.lower(taken, before_site=before_site, unused=unused)
        changed = self._in_order(node, parts_of(node))
        return self._settled(self._implicit(changed), before_site)

    def _implicit(self, node: ast.expr) -> ast.expr:
        """Open the call that an operator or attribute makes without saying so; return the expression that is left.

        All operands have been lowered. Those whose types are not known yet are evaluated, in their order.
        """
        context = self._context
        if not concerns(context, asked_of(node)) or context.budget.is_full or not context.opening.is_certain:
            return node
        if is_print(node):
            return open_texts(context, node, self.held, self._frame, self._position)
        mark, changed = self.held.mark(), node
        for way in parts_of(node):
            changed = with_part(changed, way, self.held.settle(part(changed, way)))
        implied = implicit_call(context, changed)
        if implied is None:
            return changed
        if context.author_text(node, self._frame) is not None:
            ast.copy_location(implied.call, node)  # the call is told as its author wrote it
        self.held.check(mark)
        result = open_implicit(context, implied, self._frame)
        context.return_to(self._position)
        if result is not None and isinstance(node, ast.FormattedValue):
            return ast.FormattedValue(result, -1, None)
        return changed if result is None else result

    def _in_order(self, node: ast.expr, ways: list[Part]) -> ast.expr:
        """Open the sites in these parts of a node, one part after the other."""
        changed = node
        for number, way in enumerate(ways):
            is_before = any(self.has_site(part(node, later)) for later in ways[number + 1 :])
            child = part(node, way)
            if is_before and isinstance(node, ast.Dict) and way[0][0] == "values" and node.keys[way[0][1] or 0] is None:
                lowered = self.held.spread(self.lower(child))
            else:
                lowered = self.lower(child, before_site=is_before)
            changed = with_part(changed, way, lowered)
        return changed

    def _settled(self, node: ast.expr, before_site: bool) -> ast.expr:
        return self.held.settle(node) if before_site else node

    # conditional parts

    def _bool_op(self, node: ast.BoolOp, before_site: bool) -> ast.expr:
        """Evaluate the operands one by one, as long as something is opened in a later one.

        An operand that decides is the result, so it is held: its value may be more than its truth.
        """
        ends_at = isinstance(node.op, ast.Or)
        for index, value in enumerate(node.values[:-1]):
            later = node.values[index + 1 :]
            if not any(self.has_site(each) for each in later) and not self._tests_own(node.values[index:]):
                rest = ast.BoolOp(node.op, [self.lower(value), *later])
                return self._settled(ast.copy_location(rest, node), before_site)
            # no reveal: the test below shows it
            held = self.held.settle(self.lower(value), reveal=False)
            if not self._opens_test(held):
                rest = ast.BoolOp(node.op, [held, *later])
                return self._settled(ast.copy_location(rest, node), before_site)
            if self._truth(held) is ends_at:
                return self._settled(held, before_site)
        return self.lower(node.values[-1], before_site=before_site)

    def _tests_own(self, values: list[ast.expr]) -> bool:
        """Return True if one of the operands but the last has a ``__bool__`` or ``__len__`` that is opened."""
        return any(truth(self._context, value) is not None for value in values[:-1])

    def _arm(self, node: ast.IfExp) -> ast.expr | None:
        """Return the arm that Python evaluates, after the commands of the test; None where the view hides which."""
        if not self._opens_test(node.test):
            return None
        return node.body if self.decide(node.test) else node.orelse

    def decide(self, node: ast.expr) -> bool:
        """Emit the commands of a test and return its truth: of ``and`` and ``or``, those that Python evaluates."""
        negated = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not) else None
        # ``not`` of an instance calls its ``__bool__``
        if negated is not None and (self._splits(negated) or truth(self._context, negated) is not None):
            return not self.decide(negated)
        if not (isinstance(node, ast.BoolOp) and self._splits(node)):
            return self._truth(self.finish(self.lower(node)))
        ends_at = isinstance(node.op, ast.Or)
        for index, value in enumerate(node.values):
            rest = node.values[index:]
            is_rest = not any(self.has_site(each) for each in rest) and not self._tests_own([*rest, value])
            if is_rest or not self._opens_test(value):
                remaining = rest[0] if len(rest) == 1 else ast.copy_location(ast.BoolOp(node.op, rest), node)
                return self._truth(remaining)
            if self.decide(value) is ends_at:
                return ends_at
        return not ends_at

    def _splits(self, node: ast.expr) -> bool:
        """Return True if a test is evaluated operand by operand."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return self._splits(node.operand)
        return isinstance(node, ast.BoolOp) and (
            id(node) in self._sites or any(self.has_site(part(node, way)) for way in conditional_parts(node))
        )

    def _opens_test(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Constant) or self._context.opening.opens_test(expression(node))

    def _truth(self, node: ast.expr) -> bool:
        """Return the truth of an expression by a command; of a constant, which the compiler knows, without one."""
        if isinstance(node, ast.Constant):
            return bool(node.value)
        implied = truth(self._context, node)
        if implied is not None and (result := open_implicit(self._context, implied, self._frame)) is not None:
            self._context.writer.take_back_reveal(expression(result))  # the test shows it again
            node = result
        self._context.return_to(self._position)
        return self._context.condition(node, self._frame)

    # calls

    def _call(self, node: ast.Call, before_site: bool, unused: bool) -> ast.expr:
        """Open the sites among a call's arguments, then the call itself if it is one.

        Its target is looked for again, since the arguments' commands may have rebound the function, and a call that was
        a site can have to stay a call after all: ``open_call`` returns None then.
        """
        context, frame = self._context, self._frame
        generator = collected_generator(context, node) if id(node) in self._sites else None
        mark = self.held.mark()
        if id(node) in self._sites and (used := used_up(context, node)) is not None:
            return self._settled(self._used_up(node, used), before_site)
        if generator is not None:
            collected = self._collect(generator)
            context.return_to(self._position)
            return self._settled(with_part(node, (("args", 0),), collected), before_site)
        call = self.arguments(self._with_function(node) if id(node) in self._sites else node)
        # what a call gave that was opened may be a generator: ``tuple(stream(n))``
        if call is not node and (given := collected_generator(context, call)) is not None:
            collected = self._collect(given)
            context.return_to(self._position)
            return self._settled(with_part(call, (("args", 0),), collected), before_site)
        if id(node) in self._sites and (made := called_back(context, call)) is not None:
            return self._settled(self._called_back(call, made), before_site)
        if id(node) in self._sites and resumption_of(context, call) is not None:
            return self._resumed(call, before_site, unused)
        # in ``f(x).a.g(y)`` which method ``g`` is comes out only now, once ``f(x)`` was opened
        before = node.func.value if isinstance(node.func, ast.Attribute) else node.func
        if (id(node) in self._sites or self.has_site(before)) and not context.budget.is_full:
            if isinstance(call.func, ast.Attribute) and makes_object(context, call):
                call = with_part(call, (("func", None), ("value", None)), self.held.settle(call.func.value))
            call = partial_call(context, call) or call
            target = target_of(context, call, generator=False)
            if target is not None and needs_variables(context, call, target):
                call = self._gathered(call)
                target = target_of(context, call, generator=False)
            if target is not None:
                self.held.check(mark)
                result = open_call(context, call, target, frame)
                context.return_to(self._position)  # the opened call's commands came from other lines
                if result is not None:
                    return self._result(result, before_site, unused)
            elif opens_new(context, call):
                # both of its functions get the arguments
                call = self._gathered(call)
                instance = open_new(context, call, self.held, frame)
                return self._settled(call if instance is None else instance, before_site)
            elif (given := self._by_metaclass(call, mark)) is not None:
                return self._result(given, before_site, unused)
            else:
                return self._settled(self._implicit(call), before_site)
        return self._settled(call, before_site)

    def _by_metaclass(self, call: ast.Call, mark: int) -> ast.expr | None:
        """Open a metaclass's ``__call__``, or what it calls to make the instance; return what holds the result."""
        context = self._context
        find = metaclass_call if metaclass_call(context, call) is not None else construction_of
        opened = find(context, call)
        if opened is not None and needs_variables(context, *opened):
            call = self._gathered(call) if find is metaclass_call else self._spread(call)
            opened = find(context, call)
        if opened is None:
            return None
        self.held.check(mark)
        result = open_call(context, *opened, self._frame)
        context.return_to(self._position)
        return result

    def _spread(self, node: ast.Call) -> ast.Call:
        """Hold a call's arguments, as ``_gathered`` does, but not its function, whose form says what it calls."""
        gathered = self._gathered(
            ast.copy_location(ast.Call(ast.Name("type", ast.Load()), node.args, node.keywords), node)
        )
        return ast.copy_location(ast.Call(node.func, gathered.args, gathered.keywords), node)

    def _with_function(self, node: ast.Call) -> ast.Call:
        """Open the look-up of a call's function, which comes before its arguments, where that runs a function."""
        context = self._context
        if context.budget.is_full or not looks_up(context, node):
            return node
        implied = implicit_call(context, node.func)
        assert implied is not None and isinstance(node.func, ast.Attribute)
        ast.copy_location(implied.call, node.func)
        result = open_implicit(context, implied, self._frame)
        context.return_to(self._position)
        return node if result is None else with_part(node, (("func", None),), self.held.settle(result, stem="function"))

    def _ask_length(self, iterable: ast.expr) -> None:
        """Open the ``__len__`` of an instance, by which Python guesses how long a list of its items will be."""
        open_special(self._context, self._frame, "__len__", iterable)
        self._context.return_to(self._position)

    def items(self, iterable: ast.expr) -> ast.expr:
        """Return the variable of a list of what an iterable gives, whose functions are opened."""
        context = self._context
        is_generator = isinstance(iterable, ast.Call) and target_of(context, iterable, generator=True) is not None
        if is_generator or (isinstance(iterable, (ast.Name, ast.Attribute)) and is_stored(context, iterable)):
            given = self._collect(iterable)
        else:
            given = open_comprehension(context, each_of(iterable), self._frame, is_written=False)
        context.return_to(self._position)
        return given

    def _collect(self, generator: ast.expr) -> ast.expr:
        """Collect a generator's values, and return the variable of the list; the generator where it stays closed."""
        context, frame, mark = self._context, self._frame, self.held.mark()
        name = context.variables.temporary("yielded")
        if not isinstance(generator, ast.Call):
            stored = stored_generator(context, generator, frame)
            if stored is None:
                return generator
            return collect(context, lambda: stored.resume(generator, frame), name, frame)
        call = self.arguments(generator)
        target = target_of(context, call, generator=True)
        if target is not None and needs_variables(context, call, target):
            call = self._gathered(call)
            target = target_of(context, call, generator=True)
        self.held.check(mark)
        opened = None if target is None else open_called(context, call, target, frame)
        if opened is None:
            return call
        return collect(context, opened.resume, name, frame)

    def _used_up(self, node: ast.Call, used: UsedUp) -> ast.expr:
        """Open what a built-in uses up; return the call with its items, or what the call gives where it stops."""
        context, frame, search = self._context, self._frame, used.search
        if search is not None and search.default is not None:
            search = Search(name=search.name, default=self.held.settle(search.default))
        iterable = node.args[0]
        given = open_comprehension(context, used.generator, frame, search, is_written=used.is_written)
        if isinstance(node.func, ast.Name) and node.func.id in ("list", "tuple", "sorted") and not used.is_written:
            self._ask_length(iterable)
        context.return_to(self._position)
        if search is not None:
            return given
        if not is_order_free(node.func, context.variables.peek(given)):
            context.give_up_statement(frame, Reason.UNFAITHFUL)
        return with_part(node, (("args", 0),), given)

    def _called_back(self, call: ast.Call, made: CalledBack) -> ast.expr:
        """Open what a call calls back; its operands are held, as they are evaluated before that."""
        context, mark = self._context, self.held.mark()
        arguments = [
            self.items(each)
            if number == (1 if made.reduces else 0) and made.place in (None, 0) and iterates_own(context, each)
            else self.held.settle(each)
            for number, each in enumerate(call.args)
        ]
        keywords = [ast.keyword(each.arg, self.held.settle(each.value)) for each in call.keywords]
        call = ast.copy_location(ast.Call(call.func, arguments, keywords), call)
        again = called_back(context, call)
        self.held.check(mark)
        if again is None:
            return call
        given = open_called_back(context, call, again, self._frame)
        context.return_to(self._position)
        return given

    def _resumed(self, call: ast.Call, before_site: bool, unused: bool) -> ast.expr:
        """Resume an opened generator by a call of ``next`` or a method; return what holds the value."""
        context, mark = self._context, self.held.mark()
        arguments = [self.held.settle(each) for each in call.args]
        call = ast.copy_location(ast.Call(call.func, arguments, []), call)
        resumption = resumption_of(context, call)
        self.held.check(mark)
        value = None if resumption is None else resume(context, resumption, self._frame)
        context.return_to(self._position)
        if value is None:
            return self._settled(call, before_site)
        if unused and isinstance(value, ast.Constant):
            return value
        # a variable, since the next resumption may rebind what the expression reads
        return context.assign_temporary(value, "yielded", self._frame, "returned")

    def _gathered(self, node: ast.Call) -> ast.Call:
        """Hold a call's function and all its arguments, so that their values no longer depend on when they are read.

        What ``*`` and ``**`` spread becomes a list or dictionary, of which each item can be one parameter's.
        """
        held, function = self.held, node.func
        if isinstance(function, ast.Attribute):
            looked_up = ast.Attribute(held.settle(function.value), function.attr, ast.Load())
            function = held.method(looked_up)
        else:
            function = held.settle(function, stem="function")
        is_single = len(node.args) == 1 and isinstance(node.args[0], ast.Starred)
        # a single ``*xs`` is spread after the keyword arguments, as in ``arguments``
        inner = [each.value if is_single and isinstance(each, ast.Starred) else each for each in node.args]
        positional = [held.settle(each) for each in inner]
        keywords = [
            ast.keyword(each.arg, held.spread(each.value) if each.arg is None else held.settle(each.value))
            for each in node.keywords
        ]
        if is_single and type(self._context.variables.peek(positional[0])) in (list, tuple):
            positional = [ast.Starred(positional[0], ast.Load())]
        elif is_single:
            positional = [held.settle(ast.Starred(positional[0], ast.Load()))]
        return ast.copy_location(ast.Call(function, positional, keywords), node)

    def _result(self, result: ast.expr, before_site: bool, unused: bool) -> ast.expr:
        """Return the expression of an opened call's result; None, which no command has bound, gets a variable.

        Otherwise the next command would spell what it shows: ``print(None)``.
        """
        if isinstance(result, ast.Constant) and not unused:
            return self._context.assign_temporary(result, "returned", self._frame, "returned")
        return self._settled(result, before_site)

    def arguments(self, node: ast.Call) -> ast.Call:
        """Open the sites in a call's arguments, and in the object of a method, in the order of evaluation."""
        ways = parts_of(node)
        has_site = [self.has_site(part(node, way)) for way in ways]
        changed: ast.expr = node
        if any(has_site) and isinstance(node.func, ast.Name):
            changed = with_part(changed, (("func", None),), self.held.settle(node.func, stem="function"))
        for number, way in enumerate(ways):
            is_before, child, field = any(has_site[number + 1 :]), part(node, way), way[0][0]
            if field == "args" and isinstance(child, ast.Starred) and len(node.args) == 1:
                # CPython spreads a single ``*xs`` when it calls, after the keyword arguments
                lowered: ast.expr = ast.Starred(self.lower(child.value, before_site=is_before), ast.Load())
            elif is_before and field == "keywords" and node.keywords[way[0][1] or 0].arg is None:
                lowered = self.held.spread(self.lower(child))
            else:
                lowered = self.lower(child, before_site=is_before)
            changed = with_part(changed, way, lowered)
            if is_before and field == "func" and len(way) > 1:
                assert isinstance(changed, ast.Call)
                changed = with_part(changed, (("func", None),), self.held.method(changed.func))
        assert isinstance(changed, ast.Call)
        return changed
