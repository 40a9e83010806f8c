"""Numbers to reach, each measured by one command: `python -m benchmarks NAME`. See `python -m benchmarks --help`.

A benchmark is a file here with `ROWS`, what it promises to measure, and `measure()`, which yields each row's value and protocol. Trainings
go through `pofx.train` into run folders under `runs/benchmarks/`, so a benchmark that was stopped continues where it was. Real data come
from `$POFX_DATA`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.rows import Row

FAMILIES: dict[str, tuple[str, ...]] = {  # what a table of numbers is headed with -> benchmarks, in the order they are run in
    "Autoencoders": (
        "vae_mlp",
        "iwae_mlp",
        "vae_conv",
        "fixed_binarised",
        "reconstruction",
        "stacked_denoising",
        "annealed",
        "aae_labels",
        "aae_clusters",
        "aae_vae",
    ),
    "Autoregressive models": (
        "exactness",
        "baselines",
        "pixelcnn",
        "gated_pixelcnn",
        "colour",
        "deep_nade",
        "deep_nade_grey",
        "conv_nade",
        "nade",
        "red_wine",
        "diagonal_bilstm",
        "row_lstm",
        "series",
    ),
    "Adversarial models": (
        "infogan",
        "dcgan_fashion",
        "dcgan_features",
        "stacked",
        "ring",
        "grid",
        "gan_parzen",
    ),
    "Language models": (
        "shakespeare",
        "adding",
        "gru_lstm",
        "vanishing",
    ),
    "Sequence to sequence": (
        "translation",
        "one_vector",
        "reading",
        "captions",
    ),
    "Measures of samples": (
        "features_mnist",
        "features_fashion",
        "manifold",
        "parzen_estimator",
    ),
    "Engine and speed": (
        "training_speed",
        "evaluation_speed",
        "overhead",
        "help_time",
        "files_run",
        "pixel_sampling",
        "nade_speed",
        "lstm_sampling",
        "lstm_training",
        "dcgan_speed",
        "shakespeare_speed",
        "padding",
        "decoding_cache",
        "decoding_gpt2",
        "attention_memory",
    ),
    "On a GPU": ("gpu",),
}
NAMES = tuple(name for names in FAMILIES.values() for name in names)


def promised(names: Iterable[str] = NAMES) -> dict[str, list[Row]]:
    """What each benchmark promises to measure."""
    return {name: importlib.import_module(f"benchmarks.{name}").ROWS for name in names}
