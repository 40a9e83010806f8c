"""PixelCNN with a 256-way softmax: grey digits 28x28, and emoji 32x32 in colour, in exact bits per dimension.

They are those of the validation split, which also chose the checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from benchmarks.rows import Row
from benchmarks.training import exact, trained

GREY = "PixelCNN, 7 blocks, h=16, MNIST in 256 levels, validation"
COLOUR = "PixelCNN, 7 blocks, h=48, emoji (Twemoji) 32x32 in colour, 256 levels, validation"
ROWS = [Row(GREY, "bits/dim"), Row(COLOUR, "bits/dim")]


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    for what, name in ((GREY, "grey"), (COLOUR, "colour")):
        run = trained(name)
        nats, protocol = exact(run)
        dimension = run.model().inputs["x"].size * math.log(2)
        yield what, nats / dimension, {**protocol, "standard_error": protocol["standard_error"] / dimension, "nats": nats}
