"""Conventions of all commands: exit codes, one line for wrong usage, ``--version``, completion, a default command.

With ``tracer/__main__.py`` and ``run_options.py`` the one file of the tracer that imports more than the standard
library (typer, and rich by it): a program that uses the tracer as a library never imports this file.

A command's module makes its ``typer.Typer`` by ``make_app`` and has a ``main`` that returns ``run_app``'s exit code::

    app = make_app()

    @app.command(epilog="Example: trace-shout hello")
    def shout(word: str) -> None:
        if not word:
            raise ValueError("expected a word, got an empty one; give one letter at least")
        print(word.upper())

    def main(arguments: Sequence[str] | None = None) -> int:
        return run_app(app, "trace-shout", arguments)
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from functools import partial
from typing import Annotated, Any, Protocol

import typer
from typer.core import TyperGroup
from typer.main import get_command

import trace_mine
from trace_mine.tracer.parent_process import end_with_parent
from trace_mine.tracer.visible import indented

ExceptionTypes = tuple[type[Exception], ...]


class _Parameter(Protocol):
    """The part of typer's options and arguments that is used here; their class has moved from click to typer."""

    param_type_name: str
    opts: list[str]
    metavar: str | None
    name: str | None


class ExitCode(IntEnum):
    """The exit codes of all commands."""

    DONE = 0
    FAILED = 1
    WRONG_USAGE = 2
    UNTRUE = 3  # of trace-run alone: the session that it shows failed a check
    INTERRUPTED = 130  # 128 + SIGINT, as shells have it


# Older versions of typer take this class from click, later ones from a private module: BadParameter's base in both.
USAGE_ERROR: type[Exception] = typer.BadParameter.__bases__[0]


class DefaultCommandGroup(TyperGroup):
    """A group whose first command is meant where no command's name comes first: ``trace-eval RUN`` beside
    ``trace-eval figures``. ``--help`` of the group shows that command's arguments and options too.
    """

    def _default(self) -> str:
        return next(iter(self.commands))

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Puts the default command's name first where another command or an option of the group doesn't stand."""
        own = {option for parameter in self.get_params(ctx) for option in parameter.opts}
        first = args[0].partition("=")[0] if args else ""
        completes = ctx.resilient_parsing and not args  # all commands are offered, not the default's arguments alone
        if first not in own and first not in self.commands and not completes:
            args = [self._default(), *args]
        rest: list[str] = super().parse_args(ctx, args)
        return rest

    def get_help(self, ctx: typer.Context) -> str:  # type: ignore[override]
        """The default command's help, then the group's."""
        default = self.commands[self._default()]
        inner = default.get_help(typer.Context(default, info_name=ctx.info_name))
        return f"{inner}\n\n{super().get_help(ctx)}"

    def shell_complete(self, ctx: typer.Context, incomplete: str) -> list[object]:  # type: ignore[override]
        """Commands and options of the group, and the default command's options."""
        # twice the same completion would be offered where both have an option, as all have --help
        default = self.commands[self._default()]
        own = super().shell_complete(ctx, incomplete)
        known = {item.value for item in own}
        others = default.shell_complete(typer.Context(default, info_name=ctx.info_name), incomplete)
        return [*own, *(item for item in others if item.value not in known)]


def make_app(
    *, description: str | None = None, epilog: str | None = None, default_command: bool = False
) -> typer.Typer:
    """A Typer with our conventions: plain help, completion, no typer tracebacks.

    ``default_command``: the command that is registered first is meant where no command's name comes first.
    ``description`` and ``epilog`` are for apps of several commands; an app of one has them from its function.
    """
    return typer.Typer(
        cls=DefaultCommandGroup if default_command else TyperGroup,
        help=description,
        epilog=epilog,
        rich_markup_mode=None,  # help with brackets ([train]) is text, and no markup
        pretty_exceptions_enable=False,  # some versions show local variables, which may hold hostile text
    )


def run_app(
    app: typer.Typer,
    name: str,
    arguments: Sequence[str] | None = None,
    *,
    wrong_usage: ExceptionTypes = (ValueError,),
    failed: ExceptionTypes | Callable[[], ExceptionTypes] = (OSError,),
    extra: str | None = None,
) -> int:
    """Runs the command ``name`` and gives its exit code; ``arguments`` None: those of this process.

    A command that ends otherwise than by returning raises ``typer.Exit(code)``. Other exceptions end it so:

    * Ctrl-C in 130;
    * typer's own and those of ``wrong_usage`` in one line on standard error and 2, or what their ``exit_code`` says;
    * those of ``failed`` (where it is a function, which spares an import: those that it gives) in their message and 1,
      or what their attribute ``exit_code`` says;
    * a failed import, where ``extra`` is given, in one line that says to install this extra, and 2;
    * all others are our bugs and keep their traceback.

    It ends with the command of ours that started it, if one did (``parent_process``).
    """
    end_with_parent()
    command = get_command(app)
    command.params.append(_version_parameter(name))
    _pass_ready_values(command)
    try:
        ended = command.main(None if arguments is None else list(arguments), prog_name=name, standalone_mode=False)
    except USAGE_ERROR as error:
        return _ends_with(name, _usage_sentence(error, name), ExitCode.WRONG_USAGE)
    except wrong_usage as error:
        return _ends_with(name, _one_line(str(error)), getattr(error, "exit_code", ExitCode.WRONG_USAGE))
    except _types_of(failed) as error:
        return _ends_with(name, str(error), getattr(error, "exit_code", ExitCode.FAILED))
    except ImportError as missing:
        if extra is None:
            raise
        message = f"expected the extra [{extra}], got {missing}; pip install 'trace-mine[{extra}]'"
        return _ends_with(name, message, ExitCode.WRONG_USAGE)
    except (KeyboardInterrupt, typer.Abort):  # typer makes the second of an end of input at a prompt
        return ExitCode.INTERRUPTED
    return int(ended or ExitCode.DONE)


def _types_of(given: ExceptionTypes | Callable[[], ExceptionTypes]) -> ExceptionTypes:
    return given if isinstance(given, tuple) else given()


def tell_sandbox(sandbox: Mapping[str, object]) -> None:
    """Print one line on standard error that says how strongly snippets are confined.

    ``sandbox`` has ``level`` and ``layers``, as ``Tracer.sandbox`` gives them. Not on standard output, which is for
    sessions, counts and JSON.
    """
    unsafe = "" if sandbox["level"] else ": NOT a sandbox"
    print(f"sandbox: level {sandbox['level']} ({sandbox['layers']}){unsafe}", file=sys.stderr, flush=True)


def num_bytes(text: str) -> int:
    """The number of bytes of a size such as ``512M`` or ``1GiB`` (K, M and G are powers of 1024 either way).

    Raises:
        ValueError: the text is no size, or 0.
    """
    size = re.fullmatch(r"(\d+)([KMG]?)i?B?", text.strip(), re.IGNORECASE)
    if size is None or int(size.group(1)) == 0:
        raise ValueError(f"expected a size such as 512M, got {text!r}; write a number > 0 with K, M or G")
    # powers of 1024 either way: what is compared with it, memory and disk, is measured so
    return int(size.group(1)) << {"": 0, "K": 10, "M": 20, "G": 30}[size.group(2).upper()]


def _ends_with(name: str, message: str, code: int) -> int:
    """Print one message on standard error, and give the exit code. Messages may quote hostile text."""
    print(indented(f"{name}: {message}"), file=sys.stderr)
    return code


def _one_line(text: str) -> str:
    return " ".join(text.split())


class _ReadyValues:
    """Stands in for what converts the values of a parameter, and is made when a value needs that."""

    def __init__(self, descriptor: Any, convert: Callable[[], Any]) -> None:
        self._descriptor = descriptor
        self._convert = convert

    def coerce(self, value: object, param: Any, ctx: typer.Context) -> object:
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        annotation, is_parsed = self._descriptor.annotation, self._descriptor.parameter_info.parser is not None
        if type(value) is str and annotation is str and not is_parsed:
            return value
        if type(value) is tuple and annotation == list[str] and not is_parsed:
            return [*value]
        # by its exact type: the text that names a member of an enumeration is none of its members
        if value is param.default and type(value) is annotation:
            return value
        return self._convert().coerce(value, param=param, ctx=ctx)


def _pass_ready_values(command: Any) -> None:
    """Have defaults and texts pass as they are, in a command and those below it.

    From 0.29 on typer has pydantic convert each value, also those that are what they are to be: its import is a tenth
    of what a short program costs. Where typer has no such converter, nothing is changed.

    ``get_runtime_param`` is a method of a private class of typer's. 0.29.2 has no public way: what ``parser`` and
    ``click_type`` give is called by pydantic too, and the class of a parameter can't be chosen.
    """
    # the option --help is made when it is first asked for, and kept
    for parameter in (*command.params, command.get_help_option(typer.Context(command))):
        convert, descriptor = getattr(parameter, "get_runtime_param", None), getattr(parameter, "type_descriptor", None)
        if convert is not None and descriptor is not None:
            parameter.get_runtime_param = partial(_ReadyValues, descriptor, convert)
    for inner in getattr(command, "commands", {}).values():
        _pass_ready_values(inner)


def _version_parameter(name: str):  # type: ignore[no-untyped-def]  # typer's class of options has moved once
    """``--version`` as a parameter that any command can be given: typer itself makes one from a signature."""
    maker = typer.Typer(add_completion=False)

    def show(asked: bool) -> None:
        if asked:
            print(name, trace_mine.__version__)
            raise typer.Exit

    option = typer.Option(
        "--version", callback=show, is_eager=True, expose_value=False, help="Print the version, and stop."
    )

    def command(version: bool) -> None: ...

    command.__annotations__["version"] = Annotated[bool, option]  # as text it would be looked up outside this function
    command.__defaults__ = (False,)
    maker.command()(command)

    return get_command(maker).params[0]


def _usage_sentence(error: Exception, name: str) -> str:
    """Typer's error in our form: ``expected X, got Y; do Z``."""
    context = getattr(error, "ctx", None)  # none in errors of the parser: an option without its value
    path = context.command_path if context is not None else name
    see = f"see {path} --help"
    message = _one_line(getattr(error, "message", None) or "").rstrip(".")
    parameter, option = getattr(error, "param", None), getattr(error, "option_name", None)
    if message.startswith("expected "):
        return message if parameter is None else f"{_shown_name(parameter)}: {message}"
    if parameter is not None:
        return f"expected {_parameter_and_value(parameter, error, message)}; {see}"
    if option is not None and hasattr(error, "possibilities"):
        near = ", ".join(error.possibilities or ())
        return f"expected an option of {path}, got {option!r}; {f'did you mean {near}?' if near else see}"
    if context is None:
        return f"expected {option or 'arguments'} as in the help, got: {message}; {see}"
    commands = getattr(context.command, "commands", None)
    usage = _one_line(context.get_usage()).removeprefix("Usage: ")
    expected = f"a command of {path} ({', '.join(commands)})" if commands else usage
    return f"expected {expected}, got: {message}; {see}"


def _parameter_and_value(parameter: _Parameter, error: Exception, message: str) -> str:
    """The part of the sentence from what was expected of a parameter to what it got."""
    if not message:
        return f"{_shown_name(parameter)}, got none"
    validation = getattr(error.__cause__, "errors", None)  # where typer validates by pydantic, which has the value
    value = f"{validation()[0]['input']!r}: " if validation is not None else ""
    return f"a value that fits {_shown_name(parameter)}, got {value}{message}"


def _shown_name(parameter: _Parameter) -> str:
    """``--jobs`` of an option, ``FILE`` of an argument."""
    if parameter.param_type_name == "option":
        return max(parameter.opts, key=len)
    return (parameter.metavar or parameter.name or "argument").upper()
