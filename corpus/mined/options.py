"""The options of ``trace-mine``, checked against each other."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from trace_mine.corpus.decontamination.benchmark_file import benchmark_sources, sources_digest
from trace_mine.corpus.mined.environments.for_repository import EnvironmentOptions
from trace_mine.corpus.mined.environments.uv import PackageIndex
from trace_mine.corpus.mined.import_search import search_of
from trace_mine.corpus.mined.injection.inject_options import InjectOptions
from trace_mine.corpus.mined.items.siblings import SIBLINGS
from trace_mine.corpus.mined.reader_protocol import LicenceRule
from trace_mine.corpus.mined.snippets import DEFAULT_ENTRIES, ENTRIES, HARVESTED, INVERSE_ENTRIES
from trace_mine.corpus.mined.snippets.file_roles import ScriptChoice
from trace_mine.tracer.config import TracerConfig, check_sandbox_level, check_windows
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.views import DEFAULT_FOLLOW, View, parse_view

TRACER_FACTORY = "trace_mine.corpus.mined.start_tracer:start_tracer"
"""The function that starts a worker's tracer, by name, since a unit's payload is JSON."""


def parse_windows(text: str | None) -> tuple[int, ...]:
    """Read numbers of commands as the command line has them, ``1,4,16``.

    Raises:
        ValueError: a part is no number.

    >>> parse_windows("1,4,16")
    (1, 4, 16)
    """
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise ValueError(f"expected numbers of commands (--windows), got {text!r}; write 1,4,16") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class MineOptions:
    """The snippets to mine, and how to trace them.

    Attributes:
        entries: names of ``snippets.ENTRIES`` (the option ``--sources``); None for those of the view: calls alone
            where it hides inputs, all elsewhere.
        follow: how deep calls of the repository's own functions are opened; 0 keeps every call as one command.
        limits: of one run.
        limit: the number of snippets to stop after; None for all of them.
        per_repository: of each repository, the number of snippets at most, spread over its sources and files; None for
            all of them.
        siblings: the number of tests that are alike, of which sessions are made.
        licences: ``all`` or ``permissive``; None: permissive ones of repositories, and all of files and modules
            (``licence_rule``).
        keep_personal: secrets and personal data stay as they are.
        decontaminate: files of benchmark problems that rows must not hold; none: the index at the user's default
            place, where there is one.
        scripts: patterns of paths within a repository: files that one matches are its scripts, and no others.
        packages: folders of installed packages for the sandbox.
        environment: ``auto`` makes an environment for each repository, ``none`` shows what is installed here; else a
            folder with an environment.
        as_of: ``commit`` or a date: versions of packages as of then; None: the newest.
        find_links: folders of wheels.
        offline: no network is used to make environments.
        python: the interpreter that runs the snippets; None: the one that each repository asks for.
        seed: of the random module inside.
        view: the text of ``--view``.
        inject: the draws that are put into programs; None: they stay as they are.
        only_choices: snippets that draw nothing at random are dropped.
        windows: numbers of commands: exact beliefs come with what a reader of the outputs of so many would believe.
        keep: ``records`` keeps the native run of a snippet that has no session that replays, beside the rows; empty:
            such a snippet is a drop.
        sessions: the number of sessions of each snippet that draws, each with draws of its own.
        keep_duplicates: near-duplicates within a split stay, and sessions of known lines (``corpus.thinning``).
        split_by: ``repository`` puts all rows of a repository into one split, ``function`` all rows that open one.
        sandbox_level: the level of the sandbox and no other, 3, 2 or 0; None: the strongest that works.
        allow_unsafe: run without a sandbox where there is none.
        tracer_factory: ``module:function``, which starts a Tracer with the arguments of ``payload.TracerArguments``.
        parsed_view: the meaning of ``view``.
        benchmarks: the files of problems, the default one among them; ``benchmarks_digest`` is their hash.

    Raises:
        ValueError: an option is out of its range, or two options contradict each other.
    """

    entries: tuple[str, ...] | None = None
    follow: int = DEFAULT_FOLLOW
    limits: Limits = field(default_factory=Limits)
    limit: int | None = None
    per_repository: int | None = None
    siblings: int = SIBLINGS
    licences: str | None = None
    keep_personal: bool = False
    decontaminate: tuple[Path, ...] = ()
    scripts: tuple[str, ...] = ()
    packages: tuple[Path, ...] = ()
    environment: str = "auto"
    as_of: str | None = None
    find_links: tuple[Path, ...] = ()
    offline: bool = False
    python: str | None = None
    seed: int = 0
    view: str = "written"
    only_choices: bool = False
    windows: tuple[int, ...] = ()
    inject: InjectOptions | None = None
    keep: str = ""
    sessions: int = 1
    keep_duplicates: bool = False
    split_by: str = "repository"
    sandbox_level: int | None = None
    allow_unsafe: bool = False
    tracer_factory: str = TRACER_FACTORY
    parsed_view: View = field(init=False)
    benchmarks: tuple[Path, ...] = field(init=False)
    benchmarks_digest: str = field(init=False)

    def __post_init__(self) -> None:
        # The text is kept beside its meaning: it is what datasets and workers are told. (The record is frozen.)
        object.__setattr__(self, "parsed_view", parse_view(self.view))
        object.__setattr__(self, "benchmarks", benchmark_sources(self.decontaminate))
        object.__setattr__(self, "benchmarks_digest", sources_digest(self.benchmarks))
        self._check_entries()
        self._check_numbers()
        self._check_view()
        check_sandbox_level(self.sandbox_level, allow_unsafe=self.allow_unsafe)
        self.environments()  # raises
        ScriptChoice(globs=self.scripts)  # raises

    # The messages name the options as the command line spells them, since it shows them as they are.

    def _check_entries(self) -> None:
        unknown = [name for name in self.chosen_entries if name not in ENTRIES]
        if unknown or not self.chosen_entries:
            raise ValueError(
                f"expected entries (--sources) among {', '.join(ENTRIES)}, got {', '.join(unknown) or 'none'}; "
                f"name some of them"
            )
        expected = DEFAULT_ENTRIES if self.prior is None else INVERSE_ENTRIES
        if not set(self.chosen_entries) <= set(expected):
            raise ValueError(
                f"expected the entry call and no other with an inverse view, got {','.join(self.chosen_entries)} with "
                f"the view {self.view!r}; leave entries (--sources) out"
            )

    def _check_numbers(self) -> None:
        if self.licences not in (None, "all", "permissive"):
            raise ValueError(f"expected licences to be all or permissive, got {self.licences!r}; write one of the two")
        if self.split_by not in ("repository", "function"):
            raise ValueError(
                f"expected split_by to be repository or function, got {self.split_by!r}; write one of the two"
            )
        if self.keep not in ("", "records"):
            raise ValueError(f"expected keep to be records, got {self.keep!r}; leave it out to drop them")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"expected limit >= 1, got {self.limit}; leave it out for everything")
        if self.per_repository is not None and self.per_repository < 1:
            raise ValueError(f"expected per_repository >= 1, got {self.per_repository}; leave it out for everything")
        if self.siblings < 1:
            raise ValueError(f"expected siblings >= 1, got {self.siblings}; write how many items of a test are taken")
        if self.follow < 0:
            raise ValueError(f"expected follow >= 0, got {self.follow}; 0 keeps every call whole")

    def _check_view(self) -> None:
        hides = self.parsed_view.hides
        if self.parsed_view.inputs:
            raise ValueError(
                f"expected a view for any snippet, got {self.view!r}, which names one program's variable; "
                f"write inverse or inverse:grid"
            )
        if self.inject is not None and not hides:
            raise ValueError(
                f"expected a view that hides outcomes with inject, got {self.view!r}; add branch, as in "
                "branch+skip: a draw that is shown is no question"
            )
        if self.only_choices and not hides:
            raise ValueError(f"expected a view that hides outcomes with only_choices, got {self.view!r}; add branch")
        check_windows(self.windows)
        if self.windows and not hides:
            raise ValueError(f"expected a view that hides outcomes with windows, got {self.view!r}; add branch")
        # 0 forks: beliefs are found without fork points, by running the program again from its start.
        if self.limits.forks and (self.limits.forks < 2 or not hides):
            raise ValueError(
                f"expected 2 forks or more with a view that hides outcomes, got {self.limits.forks} with "
                f"{self.view!r}; one waits and one runs, where beliefs are computed"
            )
        if self.sessions < 1 or (self.sessions > 1 and not hides):
            raise ValueError(
                f"expected one session a snippet, or more with a view that hides outcomes, got {self.sessions} with "
                f"{self.view!r}; add branch"
            )

    def tracer_config(self) -> TracerConfig:
        """The part of a Tracer's configuration that all repositories share: how runs are confined."""
        return TracerConfig(
            limits=self.limits,
            view=self.parsed_view,
            python=self.python or sys.executable,
            minimum_level=0 if self.allow_unsafe else 2,
            sandbox_level=self.sandbox_level,
            allow_unsafe=self.allow_unsafe,
        )

    def environments(self) -> EnvironmentOptions:
        """Where the packages of repositories come from.

        Raises:
            ValueError: an option of environments is out of its range.
        """
        return EnvironmentOptions(
            kind=self.environment,
            python=self.python,
            packages=self.packages,
            as_of=self.as_of,
            index=PackageIndex(find_links=tuple(folder.resolve() for folder in self.find_links), offline=self.offline),
        )

    def licence_rule(self, kind: str) -> LicenceRule:
        """The licences that an input of this kind (``NamedInput.kind``) may have.

        An archive is somebody's publication, so that no licence means no permission. A folder that states none is
        most likely its user's own.
        """
        if self.licences is not None:
            return "any" if self.licences == "all" else "permissive"
        return {"archive": "permissive", "folder": "permissive_or_none"}.get(kind, "any")  # type: ignore[return-value]

    @property
    def prior(self) -> str | None:
        """The origin of hidden inputs' values, one of ``trace_mine.tracer.views.PRIORS``; None where the view hides
        none.
        """
        return self.parsed_view.prior

    @property
    def chosen_entries(self) -> tuple[str, ...]:
        """The entries that are searched for."""
        if self.entries is not None:
            return self.entries
        return DEFAULT_ENTRIES if self.prior is None else INVERSE_ENTRIES

    @property
    def harvests(self) -> bool:
        """What a repository runs is run once before its snippets: for the calls in it, and for what of its
        documentation fails.
        """
        return self.prior is None and not {"call", "docs"}.isdisjoint(self.chosen_entries)

    @property
    def searched_entries(self) -> tuple[str, ...]:
        """The entries that the reader is asked for: all that is run for its calls, whether it is chosen or not."""
        if not self.harvests or "call" not in self.chosen_entries:
            return self.chosen_entries
        return tuple(dict.fromkeys((*self.chosen_entries, *HARVESTED)))

    def as_config(self) -> dict[str, object]:
        """The options that two runs into one dataset must share, without this machine's folders.

        The keys are on disk; ``sources`` are the entries.
        """
        return {
            "sources": list(self.chosen_entries),
            "follow": self.follow,
            "limits": self.limits.as_dict(),
            "limit": self.limit,
            **({"per_repository": self.per_repository} if self.per_repository is not None else {}),
            "siblings": self.siblings,
            "licences": self.licences or "default",
            # only where they are given, for the same reason as `keep`
            **({"keep_personal": True} if self.keep_personal else {}),
            **({"benchmarks": self.benchmarks_digest} if self.benchmarks else {}),
            "scripts": list(self.scripts),
            # Without their parents, which are this machine's; the versions of packages are in each unit's key.
            "packages": [folder.name for folder in self.packages],
            # without its parents too; what is in it is in each unit's key
            "environment": self.environment if self.environment in ("auto", "none") else Path(self.environment).name,
            "as_of": self.as_of,
            "python": "auto" if self.python is None else search_of(self.python).version,
            "seed": self.seed,
            "view": self.view,
            "only_choices": self.only_choices,
            # only where it is given, as a key of it would make a dataset that was begun before another one
            **({"keep": self.keep} if self.keep else {}),
            **({"inject": self.inject.as_config()} if self.inject is not None else {}),
            **({"windows": list(self.windows)} if self.windows else {}),
            **({"split_by": self.split_by} if self.split_by != "repository" else {}),
            "sessions": self.sessions,
            "keep_duplicates": self.keep_duplicates,
            "sandbox_level": self.sandbox_level,
            "allow_unsafe": self.allow_unsafe,
        }
