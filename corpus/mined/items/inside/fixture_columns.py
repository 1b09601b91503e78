"""Records of fixtures as columns, one list a field, with defaults for what a record leaves out."""

from __future__ import annotations

_FIXTURE: dict[str, object] = {
    "key": "",
    "name": "",
    "kind": "",
    "module": "",
    "qualname": "",
    "is_method": False,
    "yields": False,
    "arguments": [],
    "uses": [],
    "takes_request": False,
    "text": "",
    "before": [],
    "after": [],
    "gives": [],
    "is_async": False,
}


def columns_of(fixtures: list[dict[str, object]]) -> dict[str, list[object]]:
    """Return records of fixtures as columns, which is how ``item_protocol`` reads them."""
    return {field: [fixture.get(field, default) for fixture in fixtures] for field, default in _FIXTURE.items()}
