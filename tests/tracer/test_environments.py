"""Where a script's packages come from, found without running anything of them."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

import pytest

from trace_mine.tracer.environments import foreign_imports, installed, site_folders, with_linked
from trace_mine.tracer.script_world import world_of

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"


def environment(folder: Path, *, config: str = "include-system-site-packages = false\n") -> Path:
    """A virtual environment of our own making, with one package."""
    packages = folder / "lib" / f"python{MINOR}" / "site-packages"
    (packages / "planted").mkdir(parents=True)
    (packages / "planted" / "__init__.py").write_text("WORD = 'planted'\n")
    (packages / "evil.pth").write_text("import os; os._exit(9)\n")
    (folder / "bin").mkdir()
    os.symlink(sys.executable, folder / "bin" / "python")
    (folder / "pyvenv.cfg").write_text(config)
    return packages


def test_the_own_environment_has_what_is_installed_here() -> None:
    assert Path(os.path.realpath(sysconfig.get_path("purelib"))) in site_folders(sys.executable)


def test_an_environment_by_its_folder_and_by_its_interpreter(tmp_path: Path) -> None:
    packages = environment(tmp_path / "env")
    assert site_folders(sys.executable, tmp_path / "env") == (packages,)
    assert site_folders(str(tmp_path / "env" / "bin" / "python")) == (packages,)


def test_an_environment_may_take_the_system_s_packages_too(tmp_path: Path) -> None:
    packages = environment(tmp_path / "env", config="include-system-site-packages = true\n")
    folders = site_folders(str(tmp_path / "env" / "bin" / "python"))
    assert packages in folders


def test_what_is_no_environment_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected an environment of Python"):
        site_folders(sys.executable, tmp_path)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("import os, sys as s\nfrom collections import abc\n", False),
        ("import helper\nfrom package.inner import x\n", False),
        ("import numpy as np\n", True),
        ("def f():\n    from pandas import DataFrame\n", True),
        ("import os, json, yaml\n", True),
        ("import importlib\nimportlib.import_module('nump' + 'y')\n", True),
        ("from . import x\n", False),
        ("print('nothing')\n", False),
    ],
)
def test_packages_are_shown_where_one_may_be_imported(source: str, wanted: bool) -> None:
    assert bool(foreign_imports([source], ["helper", "package"])) is wanted


def test_only_what_is_imported_first_and_is_there_is_imported_before(tmp_path: Path) -> None:
    packages = environment(tmp_path / "env")
    imports = foreign_imports(["import planted.deep, absent\ndef f():\n    import later\n"], [])
    assert (imports.at_top, imports.others) == ({"planted", "absent"}, {"later"})
    assert installed(imports.at_top, [packages]) == ("planted",)


def test_editable_installations_are_found_and_no_code_of_theirs_is_run(tmp_path: Path) -> None:
    packages = environment(tmp_path / "env")
    for name in ("flat", "src", "other"):
        (tmp_path / name / "planted").mkdir(parents=True)
    (packages / "__editable__.flat-1.0.pth").write_text(f"{tmp_path}/flat\n# a comment\n{tmp_path}/none\n")
    (packages / "__editable__.table-1.0.pth").write_text("import __editable___table_1_0_finder; raise_if_run()\n")
    table = {"planted": f"{tmp_path}/src/planted", "renamed": f"{tmp_path}/other/planted", "n": 3}
    (packages / "__editable___table_1_0_finder.py").write_text(f"import x\nMAPPING: dict[str, str] = {table!r}\n")
    (packages / "relative.pth").write_text("beside\n")
    (packages / "beside").mkdir()
    os.mkfifo(packages / "waits.pth")
    found = site_folders(sys.executable, tmp_path / "env")
    assert found == (packages, tmp_path / "flat", tmp_path / "src", packages / "beside")


def test_a_table_that_is_no_literal_names_nothing(tmp_path: Path) -> None:
    packages = environment(tmp_path / "env")
    (packages / "a.pth").write_text("import __editable___a_finder; install()\n")
    (packages / "__editable___a_finder.py").write_text("MAPPING: dict[str, str] = {'a': __import__('os').getcwd()}\n")
    assert site_folders(sys.executable, tmp_path / "env") == (packages,)


def test_only_modules_that_the_script_imports_say_what_it_imports(tmp_path: Path) -> None:
    (tmp_path / "unrelated.py").write_text("import planted\n")
    (tmp_path / "helper.py").write_text("from inner import deep\n")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "__init__.py").write_text("")
    (tmp_path / "inner" / "deep.py").write_text("from . import x\nimport planted\n")
    packages = environment(tmp_path / "env")
    script = tmp_path / "script.py"
    for source, wanted in (
        ("print(1)\n", ()),
        ("import helper\n", ("planted",)),
        ("import inner.deep\n", ("planted",)),
    ):
        script.write_text(source)
        world = world_of(script, source, sys.executable)
        assert bool(world.site_folders) is bool(wanted), source
        assert world_of(script, source, sys.executable, tmp_path / "env").warm == wanted
        assert packages in world_of(script, source, sys.executable, tmp_path / "env").site_folders


def test_editable_parts_of_a_namespace_are_found(tmp_path: Path) -> None:
    """Two distributions with a part each of the namespace ``shop``, and one whose table renames what it has."""
    packages = environment(tmp_path / "env")
    for number, part in enumerate(("goods", "money")):
        (tmp_path / f"d{number}" / "shop" / part).mkdir(parents=True)
        (tmp_path / f"d{number}" / "shop" / part / "__init__.py").touch()
        (packages / f"__editable__.d{number}-1.0.pth").write_text(f"import __editable___d{number}_1_0_finder; _()\n")
        table = {f"shop.{part}": f"{tmp_path}/d{number}/shop/{part}", "other.x": f"{tmp_path}/d{number}/shop/{part}"}
        text = f"MAPPING: dict[str, str] = {table!r}\nNAMESPACES: dict[str, list[str]] = {{}}\n"
        (packages / f"__editable___d{number}_1_0_finder.py").write_text(text)
    assert site_folders(sys.executable, tmp_path / "env") == (packages, tmp_path / "d0", tmp_path / "d1")


def test_path_files_are_read_as_site_reads_them(tmp_path: Path) -> None:
    packages = environment(tmp_path / "env")
    for name in ("marked", "hidden"):
        (tmp_path / name).mkdir()
    (packages / "marked.pth").write_bytes(f"\N{ZERO WIDTH NO-BREAK SPACE}{tmp_path}/marked\r\n".encode())
    (packages / ".hidden.pth").write_text(f"{tmp_path}/hidden\n")
    assert site_folders(sys.executable, tmp_path / "env") == (packages, tmp_path / "marked")


def test_what_strangers_installed_leads_to_nothing_outside(tmp_path: Path) -> None:
    """An environment that was made of a repository's requirements: a wheel of theirs may name any folder."""
    site = tmp_path / "made" / "site-packages"
    for folder in (site / "inner", tmp_path / "secret", tmp_path / "made" / "site-packages-2"):
        folder.mkdir(parents=True)
    (site / "link").symlink_to(tmp_path / "secret")
    (site / "a.pth").write_text(f"inner\n{tmp_path}/secret\n../../secret\nlink\n../site-packages-2\n/\n")
    assert with_linked((site,), inside=site) == (site, site / "inner")
