"""Files of pofx whose functions run in two everyday commands: how much of the tree a reader has to know for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.protocol import machine
from benchmarks.rows import Row

FOREIGN = "files that run of another kind, source, measure or model than those used"
ALL = "files whose functions run"
ROWS = [Row(ALL, "files", ("<=", 57)), Row(FOREIGN, "files", ("<=", 0))]
COMMANDS = (["train", "vae", "--data", "pictures", "--steps", "2", "--out", "run"], ["sample", "run"])
USED = {  # of the rooms that have a file each: pictures come from the images' source; the codes of a VAE are vectors
    "kinds": {"image.py", "vector.py"},
    "data/sources": {"images.py"},
    "models": {"autoencoders/vae.py"},
    "evaluate": set[str](),
    "metrics": set[str](),
}
SHARED = {"__init__.py", "kind.py", "shown.py"}  # of these rooms
PROFILED = """
import inspect, json, sys, threading
from pathlib import Path
import pofx

root, found, bodies = str(Path(pofx.__file__).parent) + "/", set(), [0]

def watch(frame, event, argument):
    code = frame.f_code
    if code.co_filename.startswith(root) and event in ("call", "return"):
        if not code.co_flags & inspect.CO_OPTIMIZED:  # the body of a module or of a class, and what is called by it, is an import
            bodies[0] += 1 if event == "call" else -1
        elif event == "call" and not bodies[0]:
            found.add(code.co_filename.removeprefix(root))

from pofx.cli import main
sys.setprofile(watch)
threading.setprofile(watch)
for words in json.loads(sys.argv[1]):
    assert main(words) == 0
sys.setprofile(None)
print(json.dumps(sorted(found)))
"""


def run() -> list[str]:
    """The files whose functions run in `COMMANDS`, on a folder of pictures."""
    import numpy as np
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pictures").mkdir()
        rng = np.random.default_rng(0)
        for number in range(30):
            Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(f"{folder}/pictures/{number}.png")
        environment = {**os.environ, "POFX_CACHE": f"{folder}/cache"}
        done = subprocess.run(
            [sys.executable, "-c", PROFILED, json.dumps(COMMANDS)], check=True, capture_output=True, text=True, cwd=folder, env=environment
        )
    return list(json.loads(done.stdout.splitlines()[-1]))


def foreign(files: list[str]) -> list[str]:
    """Those of another kind, source, measure or model than the commands use."""
    return [
        file
        for file in files
        for room, used in USED.items()
        if file.startswith(f"{room}/") and file.removeprefix(f"{room}/") not in used | SHARED
    ]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    files = run()
    protocol = {"command": [" ".join(["pofx", *words]) for words in COMMANDS], "module and class bodies": "apart", **machine()}
    yield ALL, len(files), {**protocol, "files": files}
    yield FOREIGN, len(foreign(files)), {**protocol, "files": foreign(files)}
