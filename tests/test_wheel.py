"""The wheel, installed into an empty environment beside a project that has packages of our rooms' names, and used from
a folder whose files have them too.

The environment sees the test environment's dependencies by a path file, so that nothing is downloaded. Commands are
started by their console scripts, which don't put the working folder on ``sys.path``, and by ``python -m``, which does.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import site
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import interpreters

pytestmark = pytest.mark.timeout(900)  # the first test builds and installs a wheel, minutes where others work beside it

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = ("trace-run", "trace-mine", "trace-synth", "trace-tokenize", "trace-train", "trace-eval")
ROOMS = ("tracer", "corpus", "tokenizer", "train", "eval")
TINY = ["max_steps=2", "batch_size=4", "evaluate_rows=2", "evaluate_at=[1]", "device=cpu"]
UNPACKED = ("--no-deps", "--no-index", "--no-compile")  # what is not imported here need not be compiled, 3 s
BUILT = shutil.ignore_patterns(
    ".git", ".venv", "venv", "build", "dist", "__pycache__", "*.egg-info", "*.so", ".*_cache", ".hypothesis", "traces"
)


def called(*command: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The finished process, started without anything of this one's that leads to our modules."""
    inherited = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env={**inherited, **environment}, capture_output=True, text=True
    )


def checked(*command: object, cwd: Path, **environment: str) -> str:
    """The standard output of a process that has to end well."""
    done = called(*command, cwd=cwd, **environment)
    assert done.returncode == 0, f"{command} gave {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def pip(*arguments: object, cwd: Path) -> str:
    return checked(sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, cwd=cwd)


def neighbour(folder: Path) -> Path:
    """The wheel of a project whose packages have the names of our rooms."""
    path = folder / "neighbour-1.0-py3-none-any.whl"
    info = "neighbour-1.0.dist-info"
    files = {f"{room}/__init__.py": f"OWNER = 'neighbour, {room}'\n" for room in ROOMS}
    files[f"{info}/METADATA"] = "Metadata-Version: 2.1\nName: neighbour\nVersion: 1.0\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the tree by the command that CONTRIBUTING.md names."""
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
        pytest.skip("no pip in this environment")
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    shutil.copytree(ROOT, tree, symlinks=True, ignore=BUILT)
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    command = re.search(r"^python -m pip (wheel .*)$", contributing, re.MULTILINE)
    assert command is not None, "expected the command that builds a wheel in CONTRIBUTING.md"
    pip("-q", *command.group(1).split(), "--no-build-isolation", cwd=tree)
    (built,) = (tree / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="session")
def binaries(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``bin`` of an environment that has the wheel and the neighbour."""
    folder = tmp_path_factory.mktemp("environment")
    checked(sys.executable, "-m", "venv", "--without-pip", "env", cwd=folder)
    python = folder / "env" / "bin" / "python"
    packages = Path(checked(python, "-c", "import site; print(site.getsitepackages()[0])", cwd=folder).strip())
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n", encoding="utf-8")
    pip("-q", "--python", python, "install", *UNPACKED, wheel, neighbour(folder), cwd=folder)
    return python.parent


@pytest.fixture(scope="session")
def elsewhere(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder whose files would end whoever imported a room by its short name."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for room in ROOMS:
        (folder / f"{room}.py").write_text(f"raise SystemExit('the working folder has its own {room}')\n")
    (folder / "script.py").write_text("x = 1\nx += 1\n")
    checked(binaries / "trace-synth", "permutations", "--rows", 8, "--held-out", 2, "--jobs", 1, cwd=folder)
    return folder


def test_the_wheel_has_one_package_and_no_tests(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    info = next(name.split("/")[0] for name in names if name.endswith(".dist-info/METADATA"))
    assert {name.split("/")[0] for name in names} == {"trace_mine", info}
    assert not [name for name in names if re.search(r"(^|/)(tests?|docs|examples)/|egg-info|\.pyc$|conftest", name)]
    tree = {path.relative_to(ROOT).as_posix() for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    assert {f"trace_mine/{path}" for path in tree} <= set(names)
    assert "trace_mine/py.typed" in names


def has_compiler() -> bool:
    return shutil.which("cc") is not None or shutil.which("gcc") is not None


def test_the_wheel_is_for_every_interpreter(wheel):
    """The library's name has no interpreter's version, and so has the wheel's."""
    libraries = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")]
    assert libraries == (["trace_mine/train/kernels/_delta.so"] if has_compiler() else [])
    platform = r"linux_\w+" if has_compiler() else "any"
    assert re.fullmatch(rf"trace_mine-[\d.]+-py3-none-{platform}\.whl", wheel.name), wheel.name


# .ci/dependencies.py installs and uses a wheel under each of them too
@pytest.mark.parametrize(
    "minor",
    [
        pytest.param(minor, marks=[pytest.mark.slow] * (interpreters.found(minor) not in (None, sys.executable)))
        for minor in interpreters.MINORS
    ],
)
def test_the_one_wheel_runs_under_each_interpreter(wheel, minor, tmp_path):
    python = interpreters.found(minor)
    if python is None:
        pytest.skip(interpreters.not_found(minor))
    checked(python, "-m", "venv", "--without-pip", "env", cwd=tmp_path)
    installed = tmp_path / "env" / "bin" / "python"
    pip("-q", "--python", installed, "install", *UNPACKED, wheel, cwd=tmp_path)
    # the tracer needs nothing but the standard library, so no dependency is installed for each interpreter
    code = "import trace_mine; print(trace_mine.run('import sys\\nx = sys.version_info[:2]\\n').states[-1]['x'])"
    shown = checked(installed, "-P", "-c", code, cwd=tmp_path)
    assert shown == f"{tuple(map(int, minor.split('.')))}\n"


def test_a_wheel_that_is_built_without_a_compiler_is_for_every_platform(wheel, tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(wheel.parent.parent, tree, symlinks=True, ignore=BUILT)
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "-w", "dist"]
    checked(*command, cwd=tree, CC="/bin/false")
    (built,) = (tree / "dist").glob("*.whl")
    assert built.name.endswith("-py3-none-any.whl")


def test_modules_are_those_of_the_wheel(binaries, elsewhere):
    code = "import trace_mine, train; print(trace_mine.__file__); print(train.OWNER)"
    ours, owner = checked(binaries / "python", "-P", "-c", code, cwd=elsewhere).splitlines()
    assert Path(ours).is_relative_to(binaries.parent)
    assert owner == "neighbour, train"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_tells_its_usage(command, binaries, elsewhere):
    told = checked(binaries / command, "--help", cwd=elsewhere)
    assert command in told
    if "--version" in told:
        assert re.search(r"\d+\.\d+\.\d+", checked(binaries / command, "--version", cwd=elsewhere))


def test_trace_run(binaries, elsewhere):
    assert checked(binaries / "trace-run", "script.py", cwd=elsewhere) == ">>> x = 1\n>>> x += 1\n>>> x\n2\n"
    by_module = checked(binaries / "python", "-m", "trace_mine.tracer", "script.py", cwd=elsewhere)
    assert by_module.endswith("2\n")


def test_trace_mine(binaries, elsewhere):
    command = [binaries / "trace-mine", "module:fractions", "--sources", "doctest", "--limit", 2, "--jobs", 1]
    assert "Fraction" in checked(*command, cwd=elsewhere)
    assert json.loads((elsewhere / "traces" / "stats.json").read_text())["rows"] == 2


@pytest.mark.slow  # that it is there is told by its usage
def test_trace_tokenize(binaries, elsewhere):
    pytest.importorskip("transformers", reason="needs the extra [train]")
    checked(binaries / "trace-tokenize", "fit", "synthetic", "--out", "tokens", cwd=elsewhere)
    assert (elsewhere / "tokens" / "tokenizer.json").is_file()


@pytest.mark.slow
def test_trace_train_leaves_a_run_that_trace_eval_measures(binaries, elsewhere):
    for package in ("torch", "transformers", "scipy"):
        pytest.importorskip(package, reason="needs the extra [eval]")
    command = [binaries / "trace-train", "quick", "--out", "run"]
    checked(*command, *(part for setting in TINY for part in ("--set", setting)), cwd=elsewhere)
    assert (elsewhere / "run" / "model.safetensors").is_file()
    checked(binaries / "trace-eval", "run", "--rows", 2, "--out", "results.csv", cwd=elsewhere)
    assert "accuracy" in (elsewhere / "results.csv").read_text()


def test_the_compiled_library_is_found(binaries, elsewhere):
    if not has_compiler():
        pytest.skip("no compiler here: the wheel is built without the library")
    pytest.importorskip("torch", reason="needs the extra [train]")
    code = "from trace_mine.train.kernels import c_ops; print(c_ops.kernel_name())"
    assert "torch" not in checked(binaries / "python", "-P", "-c", code, cwd=elsewhere)


def test_uninstalling_leaves_the_neighbour(binaries, elsewhere, tmp_path):
    """In a copy of the environment's packages: the others go on using it."""
    packages = next((binaries.parent / "lib").glob("python*/site-packages"))
    env = tmp_path / "env"
    checked(sys.executable, "-m", "venv", "--without-pip", env, cwd=tmp_path)
    copied = next((env / "lib").glob("python*/site-packages"))
    shutil.copytree(packages, copied, dirs_exist_ok=True)
    pip("-q", "--python", env / "bin" / "python", "uninstall", "-y", "trace-mine", cwd=tmp_path)
    code = "import train, tokenizer; print(train.OWNER, tokenizer.OWNER)"
    assert "neighbour" in checked(env / "bin" / "python", "-c", code, cwd=tmp_path)
    gone = called(env / "bin" / "python", "-c", "import trace_mine", cwd=tmp_path)
    assert "No module named 'trace_mine'" in gone.stderr


@pytest.fixture(scope="session")
def sdist(wheel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by the command that CONTRIBUTING.md names."""
    folder = tmp_path_factory.mktemp("sdist")
    checked(sys.executable, "setup.py", "-q", "sdist", "--dist-dir", folder, cwd=wheel.parent.parent)
    (archive,) = folder.glob("*.tar.gz")
    return archive


@pytest.mark.slow
def test_an_sdist_runs_its_own_tests(sdist, tmp_path):
    """Unpacked anywhere, with what the tests need installed: no file of the repository is missing."""
    shutil.unpack_archive(sdist, tmp_path, filter="data")
    tree = tmp_path / sdist.name.removesuffix(".tar.gz")
    tests = ("test_docs.py", "test_architecture.py", "tracer/test_checks.py", "corpus/test_schema.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0"]
    told = checked(*command, *(f"tests/{name}" for name in tests), cwd=tree)
    assert re.search(r"\d+ passed", told) and "failed" not in told, told


@pytest.mark.slow  # a second build of the library, 20 s
def test_an_sdist_keeps_the_links_and_gives_the_same_wheel(wheel, sdist, tmp_path):
    shutil.unpack_archive(sdist, tmp_path, filter="data")
    unpacked = tmp_path / sdist.name.removesuffix(".tar.gz")
    assert all((unpacked / "trace_mine" / room).is_symlink() for room in ROOMS)
    tests = {path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*") if "__pycache__" not in path.parts}
    assert all((unpacked / path).exists() for path in tests)
    pip("-q", "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, sdist, cwd=tmp_path)
    (again,) = tmp_path.glob("*.whl")
    assert sorted(zipfile.ZipFile(again).namelist()) == sorted(zipfile.ZipFile(wheel).namelist())
