"""Gradients over distance: how much the last state of a recurrent layer hears of an input that lies far back, as it is constructed.

The norm of d h_L / d x_t falls by some factor at each step back from L to t where gradients vanish, and grows by one where they explode. It
is drawn in `docs/pictures/gradients_over_distance.png`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch

from benchmarks.protocol import machine
from benchmarks.rows import Row
from pofx.layers.recurrent import Recurrent, gradient_norms
from pofx.randomness import generator
from pofx.run import seeded

HIDDEN, LENGTH, EXAMPLES, SEEDS, NEAR, FAR = 32, 100, 8, 5, 20, 70
SCALE = 2.0  # what the ReLU recurrence's orthogonal matrix is multiplied by
LAYERS: dict[str, dict[str, Any]] = {
    "plain RNN": {"cell": "rnn"},
    "GRU": {"cell": "gru"},
    "LSTM, forget bias 0": {"cell": "lstm", "forget_bias": 0.0},
    "LSTM, forget bias 1": {"cell": "lstm", "forget_bias": 1.0},
    "LSTM, forget bias 3": {"cell": "lstm", "forget_bias": 3.0},
    f"ReLU recurrence, {SCALE} x orthogonal": {"cell": "relu"},
}
WHAT = {name: f"gradient norm at a distance of {FAR} / of {NEAR}: {name}" for name in LAYERS}
REACH = {"plain RNN": ("<=", 1e-6), f"ReLU recurrence, {SCALE} x orthogonal": (">=", 1e3)}
ROWS = [Row(WHAT[name], "", REACH.get(name)) for name in LAYERS]
PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "gradients_over_distance.png"


def norms(name: str, seed: int) -> np.ndarray:
    """The mean norm of d h_L / d x_t over examples, by distance L - t, (L,)."""
    with seeded(seed):
        layer = Recurrent(1, HIDDEN, **LAYERS[name])
        if LAYERS[name]["cell"] == "relu":
            torch.nn.init.orthogonal_(layer.layers[0].weight_hh_l0, gain=SCALE)  # type: ignore[arg-type]
    x_BLD = torch.rand(EXAMPLES, LENGTH, 1, generator=generator(("vanishing", seed)))
    return gradient_norms(layer, x_BLD).flip(0).double().numpy()


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name in LAYERS:
        found_SL = np.stack([norms(name, seed) for seed in range(SEEDS)])
        axes.semilogy(np.median(found_SL, 0), label=name)
        ratio_S = found_SL[:, FAR] / found_SL[:, NEAR]
        yield (
            WHAT[name],
            float(np.median(ratio_S)),
            {
                "layer": {"inputs": 1, "hidden": HIDDEN, **LAYERS[name]},
                "inputs": f"{EXAMPLES} sequences of {LENGTH} uniform numbers",
                "norm": "Frobenius, of d h_L / d x_t, mean over sequences",
                "statistic": f"median of {SEEDS} seeds",
                "seeds": ratio_S.tolist(),
                **machine(),
            },
        )
    axes.set(xlabel="steps back from the last", ylabel="norm of the gradient", ylim=(1e-14, 1e14))
    axes.legend(fontsize="small")
    figure.savefig(PICTURE, dpi=100)
    plt.close(figure)
