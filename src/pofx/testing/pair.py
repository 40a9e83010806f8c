"""The check of replicas: two processes at half the batch give the weights of one process at the full batch.

One pair of processes serves all checks of a session: starting two takes seconds, training a small model takes milliseconds.
"""

from __future__ import annotations

import atexit
import functools
import inspect
import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pofx import models
from pofx.kinds import Kind
from pofx.run import read_tensors, write_tensors
from pofx.testing.cases import BATCH, Case, check, close, stirred
from pofx.testing.learning import STEPS, batch_statistics
from pofx.train import Training
from pofx.train.loop import Trainer

PATIENCE = 200  # seconds that the pair may take for one answer


@check(lambda case: not batch_statistics(case.model()))
def replicas(case: Case) -> None:
    """Two replicas at half the batch are equal bit for bit, and are one process at the full batch up to rounding."""
    alone, rows = learned(case)
    (first, first_rows), (second, _) = pair().ask(case)
    assert first.keys() == alone.keys()
    for name, value in alone.items():
        assert torch.equal(first[name], second[name]), f"{name} differs between the replicas"
        close(first[name], value, f"{name} is not that of one process", atol=1e-12)
    assert len(first_rows) == len(rows)
    for found, expected in zip(map(json.loads, first_rows), map(json.loads, rows), strict=True):
        assert found.keys() == expected.keys()
        for name, number in expected.items():
            assert found[name] == number or abs(found[name] - number) < 1e-7 * (1 + abs(number)), (
                f"metric {name}: {found[name]}, not {number}"
            )


def learned(case: Case) -> tuple[dict[str, Tensor], list[str]]:
    """The weights of a small model after training in float64, and its rows of metrics.

    It begins with its weights moved at random: where they are all 0, parts of a gradient cancel, and Adam makes a step of what rounding
    leaves of them.
    """
    training = Training(steps=STEPS, batch_size=BATCH, eval_every=3, log_every=2, clip=5.0, ema=0.9, device="cpu")
    trainer = Trainer(stirred(case.model()), case.data(), training)
    trainer.run()
    return {**trainer.model.state_dict(), **{f"best.{name}": tensor for name, tensor in trainer.weights().items()}}, trainer.metrics.rows


class Pair:
    """Two processes that train what they are told, as replicas of each other."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="pofx-pair-")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.processes = []
        for rank in range(2):
            settings = {"WORLD_SIZE": "2", "RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
            with open(self.log(rank), "w") as log:
                self.processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "pofx.testing.pair", self.folder.name],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=log,
                        env={**os.environ, **settings},
                    )
                )

    def log(self, rank: int) -> Path:
        return Path(self.folder.name) / f"{rank}.log"

    def ask(self, case: Case) -> list[tuple[dict[str, Tensor], list[str]]]:
        """What each replica has learned."""
        own = not case.cls.__module__.startswith("pofx.models.")
        name = f"{inspect.getfile(case.cls)}:{case.cls.__name__}" if own else case.cls.title()
        question = json.dumps({"name": name, "kinds": {field: kind.to_json() for field, kind in case.kinds.items()}}) + "\n"
        try:
            for process in self.processes:
                assert process.stdin is not None
                process.stdin.write(question.encode())
                process.stdin.flush()
            problems = [problem for problem in self._answers() if problem]
        except (BrokenPipeError, TimeoutError) as error:
            problems = [f"{error or 'a replica ended'}: {''.join(self.log(rank).read_text()[-2000:] for rank in range(2))}"]
        if problems:
            self.close()  # the other replica may wait for ever
            pair.cache_clear()
            raise AssertionError("replicas: " + "\n".join(problems))
        found = []
        for rank in range(2):
            tensors, record = read_tensors(Path(self.folder.name) / f"{rank}.safetensors")
            found.append((tensors, json.loads(record["rows"])))
        return found

    def _answers(self) -> list[str]:
        """The problem that each replica met, or nothing; a first problem is not waited beyond."""
        deadline, found = time.monotonic() + PATIENCE, list[str]()
        with selectors.DefaultSelector() as waiting:
            for process in self.processes:
                assert process.stdout is not None
                waiting.register(process.stdout, selectors.EVENT_READ)
            while len(found) < 2 and not any(found):
                ready = waiting.select(timeout=deadline - time.monotonic())
                if not ready:
                    raise TimeoutError(f"no answer in {PATIENCE} s")
                for key, _ in ready:
                    line = key.fileobj.readline()  # type: ignore[union-attr]
                    if not line:
                        raise BrokenPipeError("a replica ended")
                    found.append(json.loads(line))
                    waiting.unregister(key.fileobj)
        return found

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        self.folder.cleanup()


@functools.cache
def pair() -> Pair:
    """The session's pair, started when it is first asked."""
    found = Pair()
    atexit.register(found.close)
    return found


def serve(folder: Path) -> None:
    """Train what each line of stdin says, beside a replica that is told the same, until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a model prints goes to the log
    torch.set_num_threads(1)
    rank = os.environ["RANK"]
    for line in sys.stdin:
        question: dict[str, Any] = json.loads(line)
        problem = ""
        try:
            cls = models.find(question["name"])  # whose file may have a kind of its own
            kinds = {field: Kind.from_json(kind) for field, kind in question["kinds"].items()}
            weights, rows = learned(Case(cls, kinds))
            write_tensors(folder / f"{rank}.safetensors", weights, {"rows": json.dumps(rows)})
        except Exception:
            problem = traceback.format_exc()
        print(json.dumps(problem), file=answers, flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
