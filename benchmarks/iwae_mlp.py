"""IWAE with k=5: the same network, data and epochs as vae_mlp, trained on the 5-sample bound. Run vae_mlp before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks import rows, vae_mlp
from benchmarks.recipes import RECIPES
from benchmarks.rows import Row
from benchmarks.training import bound, trained
from pofx.errors import UserError

BOUND = "IWAE k=5, 784-200-200-50, dynamic MNIST test: -log p bound, 5000 samples"
GAIN = "VAE minus IWAE k=5, equal epochs"
ROWS = [
    Row(BOUND, "nats", None, "85.54 (Burda 2016, 3280 epochs)"),
    Row(GAIN, "nats", (">=", 0.5), "86.76 - 85.54 = 1.22 (Burda 2016)"),
]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    value, protocol = bound(trained("iwae_mlp"), "test", samples=5000)
    yield BOUND, value, protocol
    vae = rows.read("vae_mlp").get(vae_mlp.BOUND)
    if vae is None:
        raise UserError("iwae_mlp is compared with vae_mlp: run `python -m benchmarks vae_mlp` first")
    if vae["protocol"]["sha256_of_scored_bits"] != protocol["sha256_of_scored_bits"]:
        raise UserError("vae_mlp was scored on another draw of the test bits: run `python -m benchmarks vae_mlp` again")
    epochs = RECIPES["iwae_mlp"].training["epochs"]
    assert vae["protocol"]["training"]["epochs"] == epochs
    differ = {key: protocol[key] for key in ("versions", "machine")}
    yield (
        GAIN,
        vae["value"] - value,
        {"vae": vae["value"], "iwae": value, "epochs of each": epochs, "both on": "the same test bits", **differ},
    )
