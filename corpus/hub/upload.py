"""A dataset's own files as a repository of the Hugging Face Hub, through ``huggingface_hub``.

Files of rows are uploaded one batch after the other and then committed with all others at once, so that a repository
has the old dataset or the new one. What was uploaded before an interruption is known to the Hub by its hash, and is not
sent again. The token is whatever ``huggingface_hub`` finds (``HF_TOKEN``, ``hf auth login``); nothing here reads it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.hub.own_files import CARD, OwnFile, is_shard
from trace_mine.tracer.visible import one_line

BATCH_BYTES = 5 << 30
BATCH_FILES = 50
PLACEHOLDER = "PATH/OF/THIS/FOLDER"
"""In the card: whoever reads it on the Hub loads by the repository's name."""


def check_repository(repository: str) -> None:
    """Check the name of a repository. Raises CorpusError."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # as its documentation has it

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise CorpusError(
            f"expected a repository as NAME or OWNER/NAME, got {one_line(repr(repository))}: {one_line(str(error))}",
            exit_code=2,
        ) from error


def upload(
    files: Sequence[OwnFile],
    repository: str,
    *,
    is_public: bool,
    version: str,
    tell: Callable[[str], None] = lambda line: None,
) -> str:
    """Make a repository hold these files, and return its address.

    Args:
        files: the dataset's own files.
        repository: ``NAME`` or ``OWNER/NAME``; it is made where there is none.
        is_public: make it public; else it is private, and a repository that is public is refused.
        version: the dataset's version, for the message of the commit.
        tell: called with lines of progress.

    Files of rows of an earlier version that this one lacks are deleted there; all else stays.

    Raises:
        CorpusError: the Hub can't be reached or refuses, or the repository is public and should not be.
    """
    with plain_errors():
        return _upload(files, repository, is_public=is_public, version=version, tell=tell)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Within the context, turn what the Hub and its client raise into CorpusError, with why and what to do."""
    from huggingface_hub.utils import HfHubHTTPError  # type: ignore[attr-defined]  # in 0.24 it is nowhere else

    try:
        yield
    except HfHubHTTPError as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        cure = (
            "log in with `hf auth login`, or set HF_TOKEN to a token that may write there"
            if status in (401, 403, 404)
            else _CURE
        )
        raise CorpusError(f"the Hub refused: {_message(error)}; {cure}") from error
    except ValueError as error:  # a card that the Hub does not take, or an answer that is none
        raise CorpusError(f"the upload was refused: {_message(error)}") from error
    except _cut_off_errors() as error:
        raise CorpusError(f"the upload was cut off: {_message(error)}; {_CURE}") from error


_CURE = "start the same command again, what was uploaded is not sent again"


def _upload(
    files: Sequence[OwnFile], repository: str, *, is_public: bool, version: str, tell: Callable[[str], None]
) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

    if not sys.stderr.isatty():
        disable_progress_bars()  # in a log each is a hundred lines
    api = HfApi()
    made = api.create_repo(repository, repo_type="dataset", private=not is_public, exist_ok=True)
    name = made.repo_id
    if not is_public and not api.repo_info(name, repo_type="dataset").private:
        raise CorpusError(
            f"expected a private repository, got {one_line(name)}, which is public; give --public, or another name",
            exit_code=2,
        )
    old = api.list_repo_files(name, repo_type="dataset")
    operations: list[CommitOperationAdd | CommitOperationDelete] = []
    sent = 0
    for batch in _batches([each for each in files if each.is_rows]):
        additions = [CommitOperationAdd(path_in_repo=each.path, path_or_fileobj=str(each.place)) for each in batch]
        api.preupload_lfs_files(name, additions=additions, repo_type="dataset")
        operations += additions
        sent += len(batch)
        tell(f"uploaded {sent} of {sum(each.is_rows for each in files)} files of rows")
    for each in files:
        if not each.is_rows:
            content: str | bytes = str(each.place)
            if each.path == CARD:
                content = each.place.read_bytes().replace(PLACEHOLDER.encode(), name.encode())
            operations.append(CommitOperationAdd(path_in_repo=each.path, path_or_fileobj=content))
    present = {each.path for each in files}
    gone = [path for path in old if is_shard(path) and path not in present]
    operations += [CommitOperationDelete(path_in_repo=path) for path in gone]
    api.create_commit(name, operations, commit_message=f"Dataset {version} by trace-mine", repo_type="dataset")
    return str(made)


def _batches(files: Sequence[OwnFile]) -> list[list[OwnFile]]:
    batches: list[list[OwnFile]] = []
    for each in files:
        if (
            not batches
            or len(batches[-1]) == BATCH_FILES
            or sum(one.num_bytes for one in batches[-1]) + each.num_bytes > BATCH_BYTES
        ):
            batches.append([])
        batches[-1].append(each)
    return batches


def _message(error: BaseException) -> str:
    """The text of an error, on one line, without the parameters of addresses: those of storage hold signatures."""
    causes = [str(error)]
    if error.__cause__ is not None and str(error.__cause__) not in causes[0]:
        causes.append(str(error.__cause__))
    return one_line(re.sub(r"\?[^\s'\"]+", "?...", " ".join(": ".join(causes).split())), 500)


def _cut_off_errors() -> tuple[type[Exception], ...]:
    """The errors of an upload that can be tried again; those of the library that ``huggingface_hub`` speaks through
    among them: ``requests``, ``httpx`` or a later one.
    """
    names = ("requests", "httpx", "httpx2")
    modules = [sys.modules[name] for name in names if name in sys.modules]
    kinds = [getattr(module, name, None) for module in modules for name in ("RequestException", "HTTPError")]
    network = [each for each in kinds if isinstance(each, type) and issubclass(each, Exception)]
    return (OSError, RuntimeError, *network)
