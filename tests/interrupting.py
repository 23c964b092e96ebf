"""Child processes that Ctrl-C ends, also where the tests run in the background and are told to ignore it."""

import sys
from pathlib import Path

LISTENING = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.executable, sys.orig_argv[:1]"
    " + sys.argv[1:])"
)


def interruptible(*arguments: str | Path) -> list[str]:
    """The command that runs Python with these arguments."""
    return [sys.executable, "-c", LISTENING, *map(str, arguments)]
