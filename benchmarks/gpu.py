"""Where a GPU is at hand: training examples/s, the conv VAE's best bound after 10 minutes; adversarial training and Transformers in full
length."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.recipes import RECIPES, Recipe
from benchmarks.rows import Row
from benchmarks.shakespeare import nats
from benchmarks.stacked import SAMPLES, covered
from benchmarks.training import bound, built, protocol_of, trained
from benchmarks.translation import CASED, LOWER, NATS, translated
from pofx.data import load, reload
from pofx.errors import UserError
from pofx.evaluate.clusters import clustering_accuracy, information
from pofx.evaluate.features import by_channel, network
from pofx.run import Run
from pofx.train import Training, train

RATE = "training examples/s on a GPU, conv VAE"
BOUND = "VAE conv, 10 minutes on a GPU, dynamic MNIST test: -log p bound, 500 samples"
IMAGES = "training images/s on a GPU, DCGAN of the paper's width, 64x64, batch 128, bf16"
MODES = "stacked digits on a GPU, DCGAN with packing 2: modes of 1000 in 26k samples"
KL = "stacked digits on a GPU, DCGAN with packing 2: KL to uniform"
KEPT = "InfoGAN on a GPU, 50,000 updates: L_I of the 10-way code"
CLUSTERS = "InfoGAN on a GPU, 50,000 updates: accuracy of the 10 clusters, MNIST test"
CHARACTERS = "tinyshakespeare on a GPU, last 10 %, Transformer, 6 layers, 6 heads, 384 wide, context 256, 5000 steps: nats per character"
TRANSLATED = "Multi30k on a GPU, German to English, Transformer, 512 wide, bf16, validation"
ROWS = [
    Row(RATE, "examples/s", optional=True),
    Row(BOUND, "nats", optional=True),
    Row(IMAGES, "images/s", optional=True),
    Row(MODES, "modes", (">=", 990), "1000 (100k steps, Lin et al., 2018)", optional=True),
    Row(KL, "nats", ("<=", 0.2), "0.06 (100k steps, Lin et al., 2018)", optional=True),
    Row(KEPT, "nats of 2.303", None, "2.30 (Chen 2016)", optional=True),
    Row(CLUSTERS, "%", None, "95 (Chen 2016)", optional=True),
    Row(CHARACTERS, "nats", ("<=", 1.47), "1.4697 (nanoGPT on an A100, 200 random batches)", optional=True),
    Row(f"{TRANSLATED}: {LOWER}", "", None, "36.5 (well-known tutorial, test, lowercased tokens)", optional=True),
    Row(f"{TRANSLATED}: {CASED}", "", optional=True),
    Row(f"{TRANSLATED}: {NATS}", "nats", optional=True),
]
STEPS = 2000


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    if not torch.cuda.is_available():
        raise UserError("no GPU here: these rows are optional")
    device = {"gpu": torch.cuda.get_device_name()}
    rate, protocol = examples_a_second(RECIPES["gpu_conv"])
    yield RATE, rate, protocol | device
    run = trained("gpu_conv")
    value, protocol = bound(run, "test", samples=500, device="cuda")
    yield BOUND, value, protocol | device

    rate, protocol = examples_a_second(RECIPES["gpu_dcgan"])
    yield IMAGES, rate, protocol | device
    run = trained("gpu_stacked")
    features = by_channel(network(Run("benchmarks/runs/features_mnist").model().to("cuda")), 3)
    found, kl = covered(run, features, device="cuda")
    how = {"classifier of each channel": features.record(), "samples": SAMPLES, "sampling seed": 0, **protocol_of(run), **device}
    yield MODES, found, how
    yield KL, kl, how
    run = trained("gpu_infogan")
    model = run.model().to("cuda")
    yield KEPT, information(model)["c1"].value, protocol_of(run) | device
    accuracy = clustering_accuracy(model, reload(run.config["data"]))
    yield CLUSTERS, 100 * accuracy.value, accuracy.protocol | protocol_of(run) | device

    value, protocol = nats(trained("gpu_shakespeare"), device="cuda")
    yield CHARACTERS, value, protocol | device
    for what, value, protocol in translated(trained("gpu_multi30k"), device="cuda"):
        yield f"{TRANSLATED}: {what}", value, protocol | device


def examples_a_second(recipe: Recipe) -> tuple[float, dict[str, Any]]:
    """Of the second half of a short training, and how it was made."""
    data = load(**recipe.data)
    training = Training(**(recipe.training | {"epochs": None, "steps": STEPS, "eval_every": STEPS}))
    marks: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        run = train(built(recipe, data), data, training, Path(folder) / "run", report=lambda row: marks.append(time.perf_counter()))
        protocol = protocol_of(run)
    marks = marks[len(marks) // 2 : -1]  # without the start, and without the validation at the end
    return training.batch_size * training.log_every * (len(marks) - 1) / (marks[-1] - marks[0]), protocol
