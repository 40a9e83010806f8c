"""Trainings behind the numbers: run folders that continue where they were stopped, and the bound on log p of a split."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.protocol import digest, machine
from benchmarks.recipes import RECIPES, Recipe
from pofx import models
from pofx.data import Split, load, reload
from pofx.errors import UserError
from pofx.evaluate.likelihood import log_likelihood
from pofx.model import Model, bind
from pofx.run import Run, read_tensors, seeded
from pofx.train import Training, keep_freed_memory, resume, train
from pofx.train.loop import Trainer

RUNS = Path("runs/benchmarks")


def built(recipe: Recipe, data: Any, seed: int = 0) -> Model:
    """The recipe's model for the fields of `data`, before any training."""
    cls = models.find(recipe.model)
    with seeded(seed):
        return cls(**bind(cls, data.fields), **recipe.arguments)


def trained(name: str) -> Run:
    """The finished run of recipe `name`: trained now, continued from where it was stopped, or found finished."""
    recipe, out = RECIPES[name], RUNS / name
    if not (out / "config.json").is_file():
        data = load(**recipe.data)
        training = Training(**recipe.training)
        return train(built(recipe, data, training.seed), data, training, out, report=_line)
    run = Run(out)
    found = (run.config["model"]["arguments"], run.config["training"], run.config["data"])
    for section, wanted in zip(found, (recipe.arguments, recipe.training, recipe.data), strict=True):
        for key, value in wanted.items():
            if json.dumps(section[key]) != json.dumps(value):
                raise UserError(
                    f"{out} was trained with {key}={section[key]}, but the recipe says {value}: move the folder away to train anew"
                )
    progress = json.loads(read_tensors(out / "state" / "training.safetensors")[1]["pofx"])
    return run if progress["step"] >= progress["total"] else resume(out, report=_line)


def middle(found: Mapping[int, float]) -> int:
    """The seed whose run reached the median, where the number of seeds is odd.

    Example:
        >>> middle({0: 91.0, 1: 95.0, 2: 93.0})
        2
    """
    return sorted(found, key=found.__getitem__)[len(found) // 2]


def _line(row: dict[str, Any]) -> None:
    if "split" in row:  # a validation
        print(json.dumps({key: value for key, value in row.items() if value is not None}), flush=True)


def protocol_of(run: Run) -> dict[str, Any]:
    """How `run` came about: recipe, data and clock time of the training."""
    timings = [json.loads(line) for line in (run.path / "timings.jsonl").read_text().splitlines()]
    speed = {row["step"]: row["steps_a_second"] for row in timings}  # what was trained twice around a stop counts once
    seconds = sum((after - before) / speed[after] for before, after in pairwise([0, *sorted(speed)]))
    valid = [row for row in run.metrics() if row.get("split") == "valid"]
    losses = [(value, row) for row in valid for key, value in row.items() if key.endswith(".loss")]  # adversarial training has none there
    best = min(losses, key=lambda loss: loss[0], default=(0.0, {}))[1]
    return {
        "model": {**{key: run.config["model"][key] for key in ("name", "arguments")}, "parameters": run.blank().parameter_count},
        "training": run.config["training"],
        "data": run.config["data"],
        "checkpoint": {"rule": "lowest validation loss", **best} if best else {"rule": "the last"},
        "training_seconds": round(seconds, 1),
        **machine(),
    }


def processor_seconds(run: Run, steps: int = 40) -> float:
    """Processor time of the run's whole schedule on this machine, from a few steps of it; validations are not counted."""
    keep_freed_memory()  # as every training does
    data = reload(run.config["data"])
    trainer = Trainer(run.blank(), data, Training(**run.config["training"]))
    trainer.run(5)
    began = time.process_time()
    trainer.run(5 + steps)
    return round((time.process_time() - began) / steps * trainer.total, 1)


def bound(run: Run, split: str, samples: int, device: str = "cpu") -> tuple[float, dict[str, Any]]:
    """Minus the importance-weighted bound on log p over every row of a split, in nats, and how it was made."""
    rows: Split = reload(run.config["data"]).splits[split]
    began = time.monotonic()
    score = log_likelihood(run.model().to(device), rows, samples=samples, unfinished=run.path / "state", progress=_counted)
    assert score.standard_error is not None
    return -score.value, {
        "score": "minus " + score.what,
        "split": split,
        "rows": len(rows),
        "samples": samples,
        "evaluation_seed": score.protocol["seed"],
        "standard_error": score.standard_error,
        "evaluation_seconds": round(time.monotonic() - began, 1),
        "sha256_of_scored_bits": digest(rows.read(range(len(rows)))["x"]),
        **protocol_of(run),
    }


def exact(run: Run, split: str = "valid", device: str = "cpu", *, rows: int | None = None, **asked: Any) -> tuple[float, dict[str, Any]]:
    """Minus log p in nats, averaged over a split or its first `rows`, and how it was made; `asked` is what `log_prob` takes."""
    chosen: Split = reload(run.config["data"]).splits[split]
    began = time.monotonic()
    score = log_likelihood(run.model().to(device), chosen, rows=rows, unfinished=run.path / "state", progress=_counted, **asked)
    assert score.standard_error is not None
    return -score.value, {
        "score": "minus " + score.what,
        "split": split,
        "rows": score.protocol["rows"],
        "options": score.protocol["options"],
        "standard_error": score.standard_error,
        "evaluation_seconds": round(time.monotonic() - began, 1),
        "training_processor_seconds": processor_seconds(run),
        **protocol_of(run),
    }


def _counted(done: int, rows: int) -> None:
    if done % 1000 == 0:
        print(f"{done} of {rows} rows", flush=True)
