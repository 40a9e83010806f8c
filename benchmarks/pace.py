"""`python -m benchmarks pace COMMIT`: whether the code here is as fast as that of another commit, side by side in one run.

Two processes, one a code, take turns at the same tasks, so that whatever else the machine does slows both; of each task the fastest
turn counts. Like `same`, this file runs as a script in both and uses of pofx only what users use.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
STEPS = 300  # of a training that is timed
NOISE = 1.05  # a ratio above this is said to be slower


def pace(commit: str, *, rounds: int = 5) -> int:
    """Time the working tree beside `commit`; 1 when a task takes more than `NOISE` times as long.

    Args:
        commit: any git revision
        rounds: turns of each code at each task
    """
    from benchmarks.same import worktree

    with tempfile.TemporaryDirectory(prefix="pofx-pace-") as place, worktree(commit, Path(place) / "tree") as tree:
        codes = {"old": tree, "new": ROOT}
        workers = {name: _start(source, tree, f"{place}/{name}") for name, source in codes.items()}
        named: list[str] = json.loads(_asked(workers["old"], "tasks"))
        best: dict[str, dict[str, float]] = {task: dict.fromkeys(codes, math.inf) for task in named}
        for turn in range(rounds + 1):
            for task in named:
                for name in codes if turn % 2 else reversed(codes):
                    seconds = float(_asked(workers[name], task))
                    if turn:  # the first fills caches
                        best[task][name] = min(best[task][name], seconds)
        for worker in workers.values():
            worker.communicate()
    slower = 0
    for task, seconds in best.items():
        ratio = seconds["new"] / seconds["old"]
        slower += ratio > NOISE
        print(f"{task:34} {seconds['old']:8.3f} s -> {seconds['new']:8.3f} s   ratio {ratio:.3f}{' SLOWER' if ratio > NOISE else ''}")
    return int(slower > 0)


def _start(source: Path, tree: Path, place: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(source / "src"), "OMP_NUM_THREADS": "1", "POFX_CACHE": f"{place}-cache"}
    command = [sys.executable, "-P", __file__, str(tree), place]
    return subprocess.Popen(command, cwd=tree, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _asked(worker: subprocess.Popen[str], task: str) -> str:
    assert worker.stdin is not None
    assert worker.stdout is not None
    print(task, file=worker.stdin, flush=True)
    answer = worker.stdout.readline()
    if not answer:
        raise SystemExit(f"{task}: one of the two processes ended")
    return answer


# In each of the two processes


def tasks(tree: Path, place: Path) -> dict[str, Callable[[int], Any]]:
    """Each task by its name: a function of how often it has been done."""
    import torch

    import pofx
    from pofx.data import load
    from pofx.train import Training, train

    digits, ring = load("digits", binarize="threshold"), load("ring")
    runs = {name: pofx.load(tree / "benchmarks" / "runs" / name) for name in ("nade", "pixelcnn", "multi30k_de_en_transformer")}
    sources = torch.randint(2, 4000, (16, 14), generator=torch.Generator().manual_seed(0))
    sources[:, -1] = 1

    def training(model: str, data: Any, **arguments: Any) -> Callable[[int], Any]:
        def run(turn: int) -> None:
            cls = pofx.models.find(model)
            built = cls(**pofx.model.bind(cls, data.fields), **arguments)
            train(built, data, Training(steps=STEPS, batch_size=32, eval_every=STEPS), place / f"{model}-{turn}")

        return run

    def drawn() -> torch.Generator:
        return torch.Generator().manual_seed(1)

    def help_of_a_run(turn: int) -> None:
        command = [sys.executable, "-m", "pofx", "sample", str(tree / "benchmarks" / "runs" / "vae_mlp"), "--help"]
        subprocess.run(command, check=True, capture_output=True)

    return {
        f"train vae, {STEPS} steps": training("vae", digits, latent=2, hidden=(16,)),
        f"train gan, {STEPS} steps": training("gan", ring, hidden=(16,)),
        "sample nade, 100 pictures": lambda turn: runs["nade"].sample(100, generator=drawn()),
        "sample pixelcnn, 2 pictures": lambda turn: runs["pixelcnn"].sample(2, generator=drawn()),
        "translate, beam 4, 16 sentences": lambda turn: runs["multi30k_de_en_transformer"].translate(sources),
        "sample from the translator": lambda turn: runs["multi30k_de_en_transformer"].sample(16, given=sources, generator=drawn()),
        "pofx sample RUN --help": help_of_a_run,
    }


def work(tree: Path, place: Path) -> None:
    """Do each task that standard input names, and answer how many seconds it took."""
    import torch

    torch.set_num_threads(1)
    known, done = tasks(tree, place), dict[str, int]()
    for line in sys.stdin:
        task = line.strip()
        if task == "tasks":
            print(json.dumps(list(known)), flush=True)
            continue
        done[task] = done.get(task, 0) + 1
        began = time.perf_counter()
        known[task](done[task])
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    work(Path(sys.argv[1]), Path(sys.argv[2]))
