"""Baselines by assumption: exact -log p from independent pixels to the belief net, each with its number of parameters.

The baselines of every table. On the fixed binarisation of MNIST, validation split; where a model is trained by gradient, that split
also chose the checkpoint. The full table is for the nine pixels in the middle alone, beside the other models on the same nine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from benchmarks.protocol import machine
from benchmarks.recipes import COUNTED, FIXED, Recipe
from benchmarks.rows import Row
from benchmarks.training import built, exact, trained
from pofx.data import Column, Data, Split, load
from pofx.evaluate.likelihood import log_likelihood
from pofx.kinds import Binary
from pofx.train import Training
from pofx.train.loop import Trainer

WHOLE = {  # recipe -> what it is, parameters
    "independent": ("independent pixels", 784),
    "markov": ("Markov chain over pixels", 2 * 784 - 1),
    "ar_table": ("AR(10) over pixels, table", 2**10 - 1 + (784 - 10) * 2**10),
    "ar_8": ("AR(8) over pixels, logistic", 784 * 9 - 8 * 9 // 2),
    "ar_28": ("AR(28) over pixels, logistic", 784 * 29 - 28 * 29 // 2),
    "ar_56": ("AR(56) over pixels, logistic", 784 * 57 - 56 * 57 // 2),
    "fvsbn": ("fully visible sigmoid belief net", 784 * 785 // 2),
}
MIDDLE = slice(12, 15)  # rows and columns
PATCH = {
    "independent": (Recipe("independent", {}, FIXED, COUNTED), 9),
    "markov": (Recipe("markov", {}, FIXED, COUNTED), 17),
    "AR(3) logistic": (Recipe("ar", {"tau": 3}, FIXED, {"seed": 0, "epochs": 6, "schedule": "cosine"}), 30),
    "AR(3) table": (Recipe("ar_table", {"tau": 3}, FIXED, COUNTED), 55),
    "fvsbn": (Recipe("fvsbn", {}, FIXED, {"seed": 0, "epochs": 6, "schedule": "cosine"}), 45),
    "full table": (Recipe("full_table", {}, FIXED, COUNTED), 511),
}


def _whole(what: str, parameters: int) -> str:
    return f"{what} ({parameters:,} parameters), fixed binarised MNIST validation: -log p"


def _patch(what: str, parameters: int) -> str:
    return f"{what} ({parameters} parameters), the 3x3 pixels in the middle: -log p"


ROWS = [Row(_whole(*about), "nats") for about in WHOLE.values()] + [
    Row(_patch(what, parameters), "nats") for what, (_, parameters) in PATCH.items()
]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    for name, (what, parameters) in WHOLE.items():
        value, protocol = exact(trained(name))
        assert protocol["model"]["parameters"] == parameters
        yield _whole(what, parameters), value, protocol

    data = load(**FIXED)
    splits = {}
    for split in ("train", "valid"):
        x = data.splits[split].read(range(len(data.splits[split])))["x"][:, :, MIDDLE, MIDDLE]
        splits[split] = Split({"x": Column(Binary(1, 3, 3), x.numpy().astype("uint8"))})
    patches = Data({"x": Binary(1, 3, 3)}, splits, {"spec": "binarized-mnist, rows and columns 12 to 14", "sha256": data.record["sha256"]})
    for what, (recipe, parameters) in PATCH.items():
        began = time.monotonic()
        model = built(recipe, patches)
        assert model.parameter_count == parameters
        trainer = Trainer(model, patches, Training(**recipe.training, device="cpu"))
        trainer.run()
        model.load_state_dict(trainer.weights())
        score = log_likelihood(model, splits["valid"])
        yield (
            _patch(what, parameters),
            -score.value,
            {
                "score": "minus " + score.what,
                "split": "valid",
                "rows": score.protocol["rows"],
                "standard_error": score.standard_error,
                "model": {"name": recipe.model, "arguments": recipe.arguments, "parameters": parameters},
                "training": recipe.training,
                "data": patches.record,
                "measuring_seconds": round(time.monotonic() - began, 1),
                **machine(),
            },
        )
