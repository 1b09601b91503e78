"""C code that takes no number which is not drawn yet: how it is noticed, and what is done then.

Most C code asks such a number for a float. Some looks at its type alone (``json``, ``Decimal``, ``timedelta``) and
raises a TypeError that names it; other code wants an integer and asks for an index. The caller then runs again with
plain floats: first clocks are read at once, and where that doesn't help all continuous draws are sampled.
"""

from __future__ import annotations

import re

_names = re.compile(r"LazyReal|LazyReading|\bfloat\b")
"""In the text of a TypeError: C code says the type's name ("must be real number, not LazyReal"), or the type that it
takes the object's ``__class__`` for ("Object of type float is not JSON serializable")."""


class Refused(BaseException):
    """C code did not accept a lazy number (json, Decimal, ...): the session has to be followed with plain floats.

    A TypeError of the program's own that mentions floats is taken for such a refusal too. The belief is then sampled
    where it might have been exact, which is less precise but not wrong.

    BaseException, so that no snippet's ``except Exception`` swallows it.
    """


def is_refusal(error: BaseException) -> bool:
    """Return True if C code raised the error because it would not take a lazy number.

    A TypeError of the program's own that mentions floats is taken for a refusal, too: beliefs may then be sampled where
    they could have been exact.
    """
    return isinstance(error, TypeError) and _names.search(str(error)) is not None
