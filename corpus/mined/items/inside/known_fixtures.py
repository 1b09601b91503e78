"""Fixtures of pytest and of its plugins that sessions have commands for, and those that no test sees."""

from __future__ import annotations

BUILT_IN = {
    "tmp_path",
    "tmpdir",
    "monkeypatch",
    "capsys",
    "capfd",
    "capsysbinary",
    "capfdbinary",
    "caplog",
    "recwarn",
    "tmp_path_factory",
    "tmpdir_factory",
    "doctest_namespace",
    "record_property",
    "record_testsuite_property",
    "record_xml_attribute",
    "request",
}
"""Fixtures of pytest's own that ``spelling`` has commands for."""
OF_PLUGINS = {
    "benchmark": ("pytest_benchmark", "pytest_codspeed"),
    "mocker": ("pytest_mock",),
    "subtests": ("pytest_subtests", "_pytest"),
    "datadir": ("pytest_datadir",),
    "shared_datadir": ("pytest_datadir",),
    "lazy_datadir": ("pytest_datadir",),
    "lazy_shared_datadir": ("pytest_datadir",),
}
"""Fixtures of plugins that ``spelling`` has commands for, with the packages that define them."""
WITHOUT_EFFECT = {
    "doctest_namespace",
    "pytestconfig",
    "cov",
    "no_cover",
    "anyio_backend",
    "_session_event_loop",
    "event_loop",
}
"""Fixtures that change nothing of a test that does not ask for them."""
STANDS_IN = {"param", "cls", "instance", "function", "addfinalizer", "node", "fixturename", "getfixturevalue"}
"""Attributes of ``request`` that the stand-in of ``spelling`` has."""
