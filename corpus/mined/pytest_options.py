"""Pytest's options where it runs in a jail beside our code: to collect tests, to judge them, to watch their calls.

They are sent as arguments, since the files beside pytest are shown there in folders of their own.
"""

from __future__ import annotations

OPTIONS = (
    "--assert=plain",
    "-oaddopts=",
    # Of a suite that takes warnings for errors: an option of a plugin that isn't there would end all of it, a mark of
    # one its file.
    "-Wignore::pytest.PytestConfigWarning",
    "-Wignore::pytest.PytestUnknownMarkWarning",
    # plugins that write files, print, or run tests in another order or elsewhere
    *(f"-pno:{name}" for name in ("cacheprovider", "terminal", "randomly", "xdist", "cov", "faulthandler")),
)
GOES_ON = "--continue-on-collection-errors"
"""The option where all files are run: one that can't be imported costs only itself."""
MARKS = ("no_cover", "xdist_group")
"""Marks that the disabled plugins register; without them a suite that forbids unknown marks breaks off."""
