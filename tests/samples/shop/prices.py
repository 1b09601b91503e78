"""Prices."""

from .parts import tax
from .parts.tax import RATES as rates

calls = []


def total(items, kind="food"):
    """The price of items with tax.

    >>> total([100, 50])
    165
    >>> total([10], "book")
    10
    >>> sum(running([1, 2, 3]))
    10
    >>> total(["x"])
    Traceback (most recent call last):
        ...
    TypeError: unsupported operand type(s) for +: 'int' and 'str'
    """
    calls.append(kind)
    from . import parts

    price = sum(items)
    rate = rates.get(kind, 0)
    return price + tax.of(price, rate) + len(parts.__name__) * 0


def running(items):
    """Sums so far."""
    so_far = 0
    for item in items:
        so_far += item
        yield so_far
