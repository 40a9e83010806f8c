"""What one vector holds: strings of letters said again through it, beside attention; and names said again from a code of a few numbers.

The strings are of 3 to 12 letters of 26, drawn evenly, and x is the source itself. Without attention, all of it goes through the encoder's
last state. All strings, those of the test too, are drawn anew. The names (names.txt) are split once; those restored were not trained on.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.protocol import machine
from benchmarks.rows import Row
from pofx.data import Column, Data, Split, load
from pofx.kinds import EOS, PAD, Tokens
from pofx.model import Model
from pofx.models.seq2seq.rnn_attention import RecurrentAttention
from pofx.models.seq2seq.seq2seq import Seq2Seq
from pofx.models.seq2seq.sequence_autoencoder import SequenceAutoencoder
from pofx.randomness import generator
from pofx.run import seeded
from pofx.train import Training, train

LETTERS, SHORT, LONG, TRAIN, TEST = 26, 3, 12, 40_000, 1000
KIND = Tokens(2 + LETTERS, LONG + 1)
STRINGS = Training(steps=600, batch_size=64, lr=1e-2, clip=1.0, warmup=0.05, schedule="cosine", keep="last", eval_every=600, device="cpu")
NAMES = Training(steps=500, batch_size=128, lr=1e-2, clip=1.0, warmup=0.05, schedule="cosine", keep="last", eval_every=500, device="cpu")
BANDS = ((3, 6), (7, 9), (10, 12))
MODELS = {"one vector (LSTM, 128 units)": Seq2Seq, "with attention (LSTM, 128 units)": RecurrentAttention}
AGAIN = {
    (title, (low, high)): Row(f"strings of {low} to {high} letters said again, {title}: exact match", "%")
    for title in MODELS
    for low, high in BANDS
}
LATENTS = (32,)
NAME = {latent: Row(f"names restored from a code of {latent} numbers, not trained on: exact match", "%") for latent in LATENTS}
ROWS = [*AGAIN.values(), *NAME.values()]


def strings(n: int, seed: int) -> Tensor:
    """`n` strings with their EOS, (n, 13)."""
    draws = generator(("strings", seed))
    lengths_B1 = torch.randint(SHORT, LONG + 1, (n, 1), generator=draws)
    x_BL, place_L = torch.randint(2, 2 + LETTERS, (n, LONG + 1), generator=draws), torch.arange(LONG + 1)
    return x_BL.masked_fill(place_L == lengths_B1, EOS).masked_fill(place_L > lengths_B1, PAD)


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    fields = {"x": KIND, "source": KIND}
    splits = {
        name: Split({field: Column(KIND, strings(n, seed).numpy()) for field in fields})
        for seed, (name, n) in enumerate((("train", TRAIN), ("valid", 500)))
    }
    record = {"spec": "strings of 3 to 12 letters of 26", "sha256": "", "counts": {name: len(split) for name, split in splits.items()}}
    test = strings(TEST, 2)
    lengths_B = (test > EOS).sum(1)
    for title, cls in MODELS.items():
        with seeded(0):
            model = cls(KIND, KIND, hidden=128, embedding=64, dropout=0.0)  # type: ignore[operator]
        how = learned(model, Data(dict(fields), splits, record), STRINGS)
        right_B = torch.cat([same(model.translate(part, beam=1, length=LONG + 1), part) for part in test.split(500)])
        for low, high in BANDS:
            within_B = (lengths_B >= low) & (lengths_B <= high)
            yield AGAIN[title, (low, high)].what, *share(right_B[within_B], how)
    data = load("text/names.txt")
    kind = data.fields["x"]
    assert isinstance(kind, Tokens)
    held = data.splits["test"].read(range(len(data.splits["test"])))["x"]
    for latent in LATENTS:
        with seeded(0):
            coder = SequenceAutoencoder(kind, latent=latent, hidden=128, embedding=64)
        how = learned(coder, data, NAMES)
        with torch.no_grad():
            right_B = torch.cat([same(coder.decode(coder.encode(part)), part) for part in held.split(500)])
        yield NAME[latent].what, *share(right_B, how)


def learned(model: Model, data: Data, training: Training) -> dict[str, Any]:
    """`model` trained, and how."""
    began, processor = time.monotonic(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        train(model, data, training, Path(folder) / "run", report=lambda numbers: print(numbers, flush=True))
    model.eval()
    return {
        "model": {"name": model.title(), "arguments": {k: v for k, v in model.config.items() if not isinstance(v, Tokens)}},
        "parameters": model.parameter_count,
        "data": data.record,
        "training": asdict(training),
        "weights": "the last",
        "decoding": "greedy",
        "training_seconds": round(time.monotonic() - began, 1),
        "training_processor_seconds": round(time.process_time() - processor, 1),
        **machine(),
    }


def same(found_BL: Tensor, x_BL: Tensor) -> Tensor:
    """Which rows are the same up to their EOS, (B,)."""
    L = max(found_BL.shape[1], x_BL.shape[1])
    found_BL, x_BL = (torch.nn.functional.pad(rows, (0, L - rows.shape[1]), value=PAD) for rows in (found_BL, x_BL))
    return (found_BL == x_BL).all(1)


def share(right_B: Tensor, how: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    """Per cent that is right, and its standard error in the protocol."""
    p, n = right_B.double().mean().item(), len(right_B)
    return 100 * p, {"rows": n, "standard_error": 100 * (p * (1 - p) / n) ** 0.5, **how}
