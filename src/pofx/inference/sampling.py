"""Drawing samples to be measured, in fixed blocks, so that no measure depends on a batch size."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pofx.capabilities import Samples, require
from pofx.data.blocks import BLOCK, Progress
from pofx.errors import UserError
from pofx.inference.arguments import known_options, sampling_options
from pofx.model import Model, device_of, evaluating
from pofx.randomness import generator

__all__ = ["draw", "known_options", "sampling_options"]


def draw(model: Model, n: int, *, seed: int = 0, given: Tensor | None = None, progress: Progress | None = None, **asked: Any) -> Tensor:
    """`n` samples, float32 (n, *shape), on the CPU.

    They are drawn 100 at a time, and the randomness of a block is a function of (seed, block): the first so many of more samples are
    the same ones.

    Args:
        model: any model that samples
        n: how many
        seed: the same seed gives the same samples
        given: classes (n,) of a conditional model; by default as the model's `sample` draws them
        progress: called with (drawn, in all) after each block
        asked: further keyword arguments of the model's `sample`

    Raises:
        UserError: the model does not sample; `sample` has no such argument; a sample that is not finite
    """
    sampler = require(model, Samples)
    keywords = sampling_options(model, asked)
    device = device_of(model)
    blocks: list[Tensor] = []
    with evaluating(model):
        for number, start in enumerate(range(0, n, BLOCK)):
            condition = {} if given is None else {"given": given[start : start + BLOCK].to(device)}
            noise = generator(("draw", seed, number), device)
            x = sampler.sample(min(BLOCK, n - start), generator=noise, **condition, **keywords).cpu()
            blocks.append(x.float() if x.is_floating_point() else x)
            if not (finite := blocks[-1].flatten(1).isfinite().all(1)).all():
                raise UserError(f"sample {start + int((~finite).nonzero()[0])} is not finite: train the model again with a lower lr")
            if progress is not None:
                progress(start + len(blocks[-1]), n)
    return torch.cat(blocks)
