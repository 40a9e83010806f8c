"""What every test starts from: one thread, a cache of its own, and real data only where it is at hand."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: sums are cut by threads, so promises bit for bit hold at one thread count
os.environ["POFX_CACHE"] = tempfile.mkdtemp(prefix="pofx-cache-")  # for the processes that tests start, too
atexit.register(shutil.rmtree, os.environ["POFX_CACHE"], ignore_errors=True)
os.environ["MPLBACKEND"] = "Agg"

collect_ignore_glob = ["formats/v*"]  # kept files: models of users' own, as they were written


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """A measure that a test's file or a page registers is asked of no other test's model, and a kind claims no other test's arrays."""
    yield
    if (kinds := sys.modules.get("pofx.kinds.kind")) is not None:
        for name, kind in list(kinds.Kind.known.items()):
            if not kind.__module__.startswith("pofx."):
                del kinds.Kind.known[name]
                sys.modules.pop(kind.__module__, None)  # whoever needs it imports it anew
    if (registry := sys.modules.get("pofx.evaluate.registry")) is not None:
        for name, known in list(registry._KNOWN.items()):
            if not known.function.__module__.startswith("pofx."):
                del registry._KNOWN[name]


@pytest.fixture(scope="session")
def pofx_data() -> Path:
    """The folder of real data sets that `POFX_DATA` points at."""
    folder = Path(os.environ.get("POFX_DATA", ""))
    if not (folder / "mnist").is_dir():
        pytest.skip("needs real data: set POFX_DATA to a folder with mnist/ in it")
    return folder
