"""Taxes in percent."""

RATES = {"food": 10}


def of(price, rate):
    """The tax on a price."""
    return price * rate // 100
