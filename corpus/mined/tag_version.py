"""A project's version where its build makes it of git's tags (setuptools-scm, hatch-vcs and their like). Runs in the
reader's sandbox.

Git isn't started and nothing of the project runs: tags and commits are read out of git's files, as ``git describe``
goes over them, and the version is written as the tool does by default. An archive that git made of a checkout has what
``git describe`` said in ``.git_archival.txt``. Changes that are not committed are not seen.

Not covered: a tool's own patterns of tags, schemes of versions that are functions of the project's, and checkouts that
came without tags (shallow ones).
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from trace_mine.corpus.mined.packaging_files import PACKAGING_SECONDS, PackagingFiles, dig
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.schema import Drop

TOOLS = {
    "setuptools-scm": "next",
    "setuptools-git-versioning": "next",
    "hatch-vcs": "next",
    "flit-scm": "next",
    "pbr": "next-only",
    "versioneer": "local",
    "versioningit": "post",
    "poetry-dynamic-versioning": "post-dev",
    "uv-dynamic-versioning": "post-dev",
    "hatch-versioningit": "post",
}
"""By a build's requirement, how it writes the version of a commit behind the last tag."""
SCHEMES = {"guess-next-dev": "next", "post-release": "post", "no-guess-dev": "post1", "only-version": "tag"}
"""setuptools-scm's own schemes, where a project names one of them."""
PLACEHOLDER = re.compile(r"0(?:\.0)*+(?:\.dev0|\.post0|-dev|\+unknown)?\Z")
"""A stand-in for the version, in files of projects whose build writes it."""
MAX_TAGS = 20_000
MAX_COMMITS = 50_000
"""Commits that are looked at; a tag that lies further back is not found."""
MAX_CANDIDATES = 10
"""Tags among which the nearest one is found, as git does."""
DIGITS = 9
"""Hexadecimal digits of a commit in a version; git takes as many as tell a repository's commits apart, 7 or more."""

MAX_TAG_CHARS = 100
_described = re.compile(r"(.+)-([0-9]{1,6})-g([0-9a-f]{4,64})\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedCommit:
    """A commit as ``git describe`` tells it.

    Attributes:
        version: of the nearest tag.
        distance: commits that the tag's history lacks.
        node: its hash, or the beginning of it.

    Raises:
        ValueError: the distance is negative.
    """

    version: Version
    distance: int
    node: str

    def __post_init__(self) -> None:
        if self.distance < 0:
            raise ValueError(f"expected DescribedCommit.distance >= 0, got {self.distance}")


def version_of_tags(packaging: PackagingFiles, checkout: Path, version: str | None) -> str | None:
    """Return the version that a build would make of git's tags.

    Args:
        packaging: the repository's files.
        checkout: the folder with ``.git``.
        version: what the packaging files say; what stands there for another one does not count.

    Returns:
        The version; ``version`` where the project doesn't make it of tags, or there are none.
    """
    tool = _tool_of(packaging)
    if tool is None or (version is not None and not PLACEHOLDER.match(version)):
        return version
    described = _archived(packaging)
    if described is None:
        # a drop is noted there, under ``.git``: the command says so among the files that could not be read
        said = packaging.within_limits(".git", lambda: describe(checkout), None, PACKAGING_SECONDS)
        described = None if isinstance(said, Drop) else said
    return version if described is None else _written(described, *_style(packaging, tool))


def _tool_of(packaging: PackagingFiles) -> str | None:
    """The tool that makes the version of tags; None where the packaging files name none."""
    project = packaging.toml("pyproject.toml")
    required = dig(project, "build-system", "requires")
    names = [_name_of(each) for each in required if isinstance(each, str)] if isinstance(required, list) else []
    if isinstance(dig(project, "tool", "setuptools_scm"), dict):
        names.append("setuptools-scm")
    if dig(project, "tool", "hatch", "version", "source") == "vcs":
        names.append("hatch-vcs")
    if dig(project, "tool", "pdm", "version", "source") == "scm":
        return "setuptools-scm"  # pdm writes it so
    if packaging.config("setup.cfg").has_section("versioneer") or isinstance(dig(project, "tool", "versioneer"), dict):
        names.append("versioneer")
    names += _named_in_setup(packaging)
    return next((name for name in names if name in TOOLS), None)


def _named_in_setup(packaging: PackagingFiles) -> Iterator[str]:
    keywords = packaging.setup_names()
    if "use_scm_version" in keywords:
        yield "setuptools-scm"
    if "pbr" in keywords:
        yield "pbr"


def _name_of(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]{1,100}", requirement.strip())
    return canonicalize_name(match.group()) if match else ""


def _style(packaging: PackagingFiles, tool: str) -> tuple[str, bool]:
    """How the version is written, and if it tells the commit."""
    project = packaging.toml("pyproject.toml")
    options = dig(project, "tool", "setuptools_scm") or dig(project, "tool", "hatch", "version", "raw-options")
    scheme = dig(options, "version_scheme")
    style = SCHEMES.get(scheme, TOOLS[tool]) if isinstance(scheme, str) else TOOLS[tool]
    return style, dig(options, "local_scheme") != "no-local-version"


def _written(described: DescribedCommit, style: str, has_local: bool) -> str:
    """The version as a tool writes it.

    >>> one = DescribedCommit(version=Version("1.2.3"), distance=4, node="abcdef0123456789")
    >>> [_written(one, style, True) for style in ("next", "post-dev", "local")]
    ['1.2.4.dev4+gabcdef012', '1.2.3.post4.dev0+abcdef012', '1.2.3+4.gabcdef012']
    """
    tag, distance, node = str(described.version), described.distance, described.node[:DIGITS]
    if not distance or style == "tag":
        return tag
    public, _, _ = tag.partition("+")
    if style == "local":
        return f"{public}+{distance}.g{node}"
    local = f"+g{node}" if has_local else ""
    if style == "post":
        return f"{public}.post{distance}{local}"
    if style == "post1":
        return f"{public}.post1.dev{distance}{local}"
    if style == "post-dev":
        return f"{public}.post{distance}.dev0+{node}"
    return f"{_following(public)}.dev{distance}{'' if style == 'next-only' else local}"


def _following(public: str) -> str:
    """The version behind another one: its last number is one larger; of a development version, that without it."""
    released, dot, _ = public.partition(".dev")
    if dot:
        return released
    head = public.rstrip("0123456789")
    return f"{head}{int(public[len(head) :] or 0) + 1}"


def _archived(packaging: PackagingFiles) -> DescribedCommit | None:
    """The commit that git wrote into the file of an archive that it made; None without one, and in a checkout."""
    text = (packaging.read(".git_archival.txt") or b"").decode("utf-8", "replace")
    fields = dict(re.findall(r"^([a-z-]+): *+([^\n]*)$", text, re.MULTILINE))
    match = _described.match(fields.get("describe-name", "").strip())
    node = fields.get("node", "").strip()
    if match is None:
        tags = re.findall(r"tag: ([^,()\s]+)", fields.get("ref-names", ""))
        versions = [version for version in map(_version_of, tags) if version is not None]
        return DescribedCommit(version=max(versions), distance=0, node=node) if versions else None
    version = _version_of(match.group(1))
    if version is None:
        return None
    return DescribedCommit(version=version, distance=int(match.group(2)), node=match.group(3))


def _version_of(tag: str) -> Version | None:
    """The version that a tag names, with a word before it or without; None where it names none.

    >>> [str(_version_of(tag)) for tag in ("v1.2", "release-2.0rc1", "stable")]
    ['1.2', '2.0rc1', 'None']
    """
    for start in (0, *(place + 1 for place, char in enumerate(tag[:MAX_TAG_CHARS]) if char in "-_")):
        text = tag[start:]
        text = text[1:] if text[:1] in ("v", "V") else text
        if len(tag) <= MAX_TAG_CHARS and text[:1].isdecimal():
            try:
                return Version(text)
            except InvalidVersion:
                continue
    return None


def describe(checkout: Path) -> DescribedCommit | Drop | None:
    """Find the tag that is nearest to the commit of a checkout's HEAD, by git's files.

    Args:
        checkout: the folder with ``.git``.

    Returns:
        None where there is none: no repository of its own, no commit, no tag that is a version. A drop where git's
        files say one thing and lack another, or can't be read.
    """
    if not (checkout / ".git").is_dir():
        return None  # a worktree's or a submodule's files are elsewhere, see ``provenance.find_commit``
    try:
        # imported here: few repositories ask for it, and a reader that is shown no checkout has no such package
        from dulwich.objects import Commit
        from dulwich.repo import Repo
    except ImportError:
        return None
    try:
        with Repo(str(checkout)) as repository:
            references = repository.get_refs()
            tagged: dict[bytes, Version] = {}
            names = [name for name in sorted(references) if name.startswith(b"refs/tags/")]
            for name in names[:MAX_TAGS]:
                version = _version_of(name.removeprefix(b"refs/tags/").decode("utf-8", "replace"))
                if version is not None:
                    commit = bytes(repository.get_peeled(name))
                    tagged[commit] = max(version, tagged.get(commit, version))
            # before the first commit HEAD names a branch that is not there
            if not tagged or (b"HEAD" not in references and _names_a_branch(checkout)):
                return None
            ends = repository.get_shallow()  # their parents are not there, as git knows

            def read(commit: bytes) -> tuple[int, list[bytes]]:
                made = repository[commit]
                if not isinstance(made, Commit):
                    raise ValueError(f"{commit[:64]!r} is no commit")
                return made.commit_time, [] if commit in ends else list(made.parents)

            return _nearest(repository.head(), tagged, read)
    except Exception as error:  # git's files are hostile, and dulwich raises whatever their bytes make it raise
        return Drop(reason=Reason.DAMAGED_GIT, evidence=f"{type(error).__name__}: {error}"[:200])


def _names_a_branch(checkout: Path) -> bool:
    return (checkout / ".git" / "HEAD").read_bytes()[:5] == b"ref: "


Read = Callable[[bytes], tuple[int, list[bytes]]]
"""Gives a commit's time and its parents."""


def _nearest(head: bytes, tagged: Mapping[bytes, Version], read: Read) -> DescribedCommit | None:
    """The nearest tag: of those that are met first by the dates of commits, the one whose history lacks the fewest."""
    commit_of = cache(read)
    masks = {head: 0}  # by commit, the candidates in whose history it is
    waiting = [(-commit_of(head)[0], head)]
    candidates: list[tuple[bytes, int]] = []  # with the number of commits that its history lacks
    num_seen = 0
    while waiting and num_seen < MAX_COMMITS:
        if candidates and all(masks[commit] == (1 << len(candidates)) - 1 for _, commit in waiting):
            break
        _, commit = heapq.heappop(waiting)
        mask = masks[commit]
        if commit in tagged and len(candidates) < MAX_CANDIDATES:
            mask |= 1 << len(candidates)
            candidates.append((commit, num_seen))
        candidates = [
            (other, lacks + (0 if mask >> place & 1 else 1)) for place, (other, lacks) in enumerate(candidates)
        ]
        num_seen += 1
        for parent in commit_of(commit)[1]:
            if parent not in masks:
                masks[parent] = mask
                heapq.heappush(waiting, (-commit_of(parent)[0], parent))
            else:
                masks[parent] |= mask
    if not candidates:
        return None
    best, lacks = min(candidates, key=lambda each: each[1])
    return DescribedCommit(version=tagged[best], distance=lacks, node=head.decode("ascii"))
