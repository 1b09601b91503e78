"""Makes the ``Opening`` of one session from the settings of its view: the only place that knows all implementations."""

from __future__ import annotations

from collections.abc import Callable

from trace_mine.tracer.inside.observe.reveals import Reveals
from trace_mine.tracer.inside.states.world import World
from trace_mine.tracer.inside.views.narrowed import OpensNothing, SkipsLoops
from trace_mine.tracer.inside.views.opening import Opening
from trace_mine.tracer.inside.views.opens_agreed import OpensAgreed
from trace_mine.tracer.inside.views.opens_all import OpensAll
from trace_mine.tracer.inside.views.opens_spaced import OpensSpaced
from trace_mine.tracer.inside.views.spaced_reveals import SpacedReveals, Spacing


def choose_opening(
    namespace: dict[str, object],
    *,
    is_own: Callable[[str], bool],
    spare: str,
    spacing: Spacing | None,
    make_world: Callable[[bool], World] | None,
    opens_statements: bool,
    skips_loops: bool,
    opens_comprehensions: bool,
    repeats: bool = False,
) -> Opening:
    """Make the opening of a session.

    Args:
        namespace: the dictionary of globals in which the session's commands run.
        is_own: returns True for a file whose code is the repository's or the session's.
        spare: the variable that takes values which the session does not show.
        spacing: None where each variable is shown when a command wrote it.
        make_world: makes a world at the session's start, called with ``lazy``; None in a view that hides nothing. Used
            with a spacing only.
        opens_statements: False keeps every compound statement as one command.
        skips_loops: True keeps loops as one command.
        opens_comprehensions: True opens all comprehensions, in a session without a spacing.
        repeats: reveals that tell nothing are given, in a session without a spacing (which says it of its own).
    """
    opening: Opening
    if spacing is None:
        opening = OpensAll(
            Reveals(namespace, is_own), spare=spare, comprehensions=opens_comprehensions, repeats=repeats
        )
    elif make_world is None:
        opening = OpensSpaced(namespace, SpacedReveals(spacing))
    else:
        opening = OpensAgreed(make_world, SpacedReveals(spacing))
    # ``OpensNothing`` is the outer one: it keeps loops as well, so the count says why nothing was opened
    if skips_loops:
        opening = SkipsLoops(opening)
    return opening if opens_statements else OpensNothing(opening)
