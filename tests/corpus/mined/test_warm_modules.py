"""Which modules are imported once for all snippets of a repository."""

from __future__ import annotations

from types import SimpleNamespace

from trace_mine.corpus.mined.tracer_arguments import own_packages, warm_modules


def candidate(kind: str, *, module: str | None = None, path: str = "tests/test_a.py", warm: str = ""):
    snippet = SimpleNamespace(kind=kind, module=module, path=path, name="a.b", asks=())
    return SimpleNamespace(snippet=snippet, drop=None, warm=warm)


def test_own_packages_are_folders_that_would_be_installed(tmp_path):
    for name in ("src/pkg", "tests", "src/space", "other"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("src/pkg", "tests", "other"):
        (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / "setup.py").write_text("")
    names = ("pkg", "tests", "space", "setup", "other", "missing")
    assert own_packages(tmp_path, ["src", ""], names) == {"pkg", "other"}
    assert own_packages(tmp_path, ["src"], names) == {"pkg"}


def test_what_tests_are_of_is_imported_once_and_no_test_module():
    packages = SimpleNamespace(importable=frozenset({"pytest", "yaml"}))
    imports = ("pytest", "pkg", "test_b")
    tests = [candidate("test", module="test_a")]
    assert warm_modules(imports, packages, {"pkg", "unused"}, tests) == ["pkg", "pytest"]
    # a script's own imports are its own doing, and a doctest names its module
    assert warm_modules(imports, packages, {"pkg"}, [candidate("script")]) == ["pytest"]
    assert warm_modules(imports, packages, {"pkg"}, [candidate("doctest", module="pkg.a")]) == ["pkg.a", "pytest"]
    assert warm_modules(imports, packages, {"pkg"}, [candidate("call", warm="pkg.b")]) == ["pkg.b", "pytest"]
