"""What the environment says: which process this is of several, and where data and caches are. pofx reads it here;
what starts processes to test them sets it.

RANK, WORLD_SIZE, LOCAL_RANK   set by torchrun in each of the processes that train one model
POFX_DATA                      folder in which data sets are looked for by name
POFX_CACHE                     folder for what can be made again: packed data, feature networks, machine code
"""

from __future__ import annotations

import os
from pathlib import Path


def first_replica() -> bool:
    """Whether this process is the only one, or the one of torchrun's that prints and writes files."""
    return os.environ.get("RANK", "0") == "0"


def one_of_several() -> bool:
    """Whether torchrun started this process beside others."""
    return "WORLD_SIZE" in os.environ


def data_root() -> Path | None:
    """Where data sets are looked for by name; None where nobody said."""
    root = os.environ.get("POFX_DATA")
    return Path(root) if root else None


def cache_root() -> Path:
    """The folder for what can be made again, ~/.cache/pofx by default."""
    return Path(os.environ.get("POFX_CACHE") or "~/.cache/pofx").expanduser()


def local_rank() -> int:
    """Which of this machine's processes this is, and so which of its accelerators it takes."""
    return int(os.environ.get("LOCAL_RANK", 0))
