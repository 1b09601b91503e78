"""Words that every ``python`` vocabulary has.

They are written out, because ``keyword.kwlist`` and ``dir(builtins)`` change with the interpreter's version, and the
same texts have to give the same ids everywhere. A new word here changes the ids of all vocabularies fitted later.
"""

from __future__ import annotations

KEYWORDS = """
False None True and as assert async await break class continue def del elif else except finally for from
global if import in is lambda nonlocal not or pass raise return try while with yield _ case match type
""".split()

BUILTINS = """
ArithmeticError AssertionError AttributeError BaseException BaseExceptionGroup BlockingIOError BrokenPipeError
BufferError BytesWarning ChildProcessError ConnectionAbortedError ConnectionError ConnectionRefusedError
ConnectionResetError DeprecationWarning EOFError Ellipsis EncodingWarning EnvironmentError Exception
ExceptionGroup False FileExistsError FileNotFoundError FloatingPointError FutureWarning GeneratorExit IOError
ImportError ImportWarning IndentationError IndexError InterruptedError IsADirectoryError KeyError
KeyboardInterrupt LookupError MemoryError ModuleNotFoundError NameError None NotADirectoryError NotImplemented
NotImplementedError OSError OverflowError PendingDeprecationWarning PermissionError ProcessLookupError
RecursionError ReferenceError ResourceWarning RuntimeError RuntimeWarning StopAsyncIteration StopIteration
SyntaxError SyntaxWarning SystemError SystemExit TabError TimeoutError True TypeError UnboundLocalError
UnicodeDecodeError UnicodeEncodeError UnicodeError UnicodeTranslateError UnicodeWarning UserWarning ValueError
Warning ZeroDivisionError __doc__ __import__ __name__ abs aiter all anext any ascii bin bool breakpoint
bytearray bytes callable chr classmethod compile complex delattr dict dir divmod enumerate eval exec filter
float format frozenset getattr globals hasattr hash help hex id input int isinstance issubclass iter len list
locals map max memoryview min next object oct open ord pow print property range repr reversed round set
setattr slice sorted staticmethod str sum super tuple type vars zip
""".split()
"""Names of ``builtins`` in Python 3.11, without those that only a shell puts there (``exit``, ``copyright``, ...)."""

SYMBOLS = [
    ">>> ",
    "... ",
    "\n",
    "\r\n",
    *(" " * width for width in (8, 4, 2)),
    *"**= //= >>= <<= != == <= >= -> := ** // << >> += -= *= /= %= &= |= ^= @= ...".split(),
]
"""Prompts, line ends, indentation and operators of more than one character; operators of one character are bytes, which
every vocabulary has.
"""
