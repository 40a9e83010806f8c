"""Writes the run folders that every later version of pofx must load: `python -m tests.formats.write v1`.

Run once, when a format is new; what it wrote is kept for ever and never written again. Each folder is a short training on the built-in
digits, without what only resume needs, and `expected.json` beside its files: a few x, and what the model says of them.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pofx.game import generator

from pofx import data, models, run
from pofx.evaluate import evaluate
from pofx.kinds import Series, Vector
from pofx.model import Model, bind
from pofx.train import Training, train

HERE = Path(__file__).parent
ROWS = 4

RUNS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {  # folder -> model, options of the data, hyper-parameters
    "pca": ("pca", {}, {"latent": 2}),
    "autoencoder": ("autoencoder", {}, {"latent": 2, "hidden": (16,)}),
    "autoencoder_conv": ("autoencoder", {}, {"latent": 2, "body": "conv", "hidden": (4, 8, 16)}),
    "denoising": ("denoising", {}, {"latent": 2, "hidden": (16,), "corruption": "gaussian"}),
    "stacked_denoising": ("stacked_denoising", {}, {"hidden": (16, 8)}),
    "vae": ("vae", {"binarize": "threshold"}, {"latent": 2, "hidden": (16,)}),
    "vae_conv": ("vae", {}, {"latent": 2, "body": "conv", "hidden": (4, 8, 16), "components": 2}),
    "vae_gaussian": ("vae", {}, {"latent": 2, "hidden": (16,), "likelihood": "gaussian", "kl_warmup": 0.5}),
}

SCORED = ("stacked_denoising", "vae")


def answers(model: Model, x: torch.Tensor) -> dict[str, Any]:
    """What the model says of x without chance; and of a bound the mean over x, with so many samples that chance is small."""
    said: dict[str, Any] = {}
    with torch.no_grad():
        if hasattr(model, "encode"):
            said["encode"] = model.encode(x).tolist()
            if hasattr(model, "decode"):
                said["decode"] = model.decode(model.encode(x)).flatten(1)[:, ::7].tolist()
        if hasattr(model, "classify"):
            said["classify"] = model.classify(x).tolist()
        if model.density == "exact":
            said["log_prob"] = model.log_prob(x).tolist()
        if model.density == "bound":
            said["bound"] = model.log_prob(x, samples=5000, generator=generator("formats")).mean().item()
    return said


def finish(folder: Path, model: Model, x: torch.Tensor) -> None:
    """Keep what is loaded for ever, and what the model says of x."""
    for extra in [folder / "state", folder / "samples"]:
        shutil.rmtree(extra, ignore_errors=True)
    for extra in [folder / "timings.jsonl", folder / "README.md"]:
        extra.unlink(missing_ok=True)
    (folder / "expected.json").write_text(json.dumps({"x": x.tolist(), **answers(model, x)}, indent=1) + "\n")


def main(version: str) -> None:
    out = HERE / version
    out.mkdir()
    for folder, (name, options, arguments) in RUNS.items():
        digits = data.load("digits", **options)
        cls = models.find(name)
        with run.seeded(0):
            model = cls(**bind(cls, digits.fields), **arguments)
        done = train(model, digits, Training(steps=None if name == "pca" else 40), out / folder)
        if folder in SCORED:
            scores = evaluate(done.model(), digits, weights={"keep": done.config["training"]["keep"], "ema": None})
            (done.path / "scores.json").write_text(json.dumps([score.to_json() for score in scores], indent=1) + "\n")
        finish(done.path, done.model(), digits.splits["test"].read(np.arange(ROWS))["x"])

    with run.seeded(0):  # a sequence model, saved without a training
        model = models.find("autoencoder")(Series(8, 2), latent=2, body="recurrent", hidden=(6,))
    x = torch.linspace(-1, 1, ROWS * 16).reshape(ROWS, 8, 2)
    finish(run.save(model, out / "autoencoder_recurrent"), model.eval(), x)

    with tempfile.TemporaryDirectory() as place:  # a model of the user's own, which its run carries
        shutil.copy(HERE / "own.py.txt", Path(place) / "own.py")
        with run.seeded(0):
            model = models.find(f"{place}/own.py:Rotation")(Vector(3), angle=0.5)
        finish(run.save(model, out / "own"), model.eval(), torch.eye(3))


if __name__ == "__main__":
    main(sys.argv[1])
