"""Drawing samples to be measured, in fixed blocks, so that no measure depends on a batch size."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pofx.capabilities import Samples, method, require
from pofx.data.blocks import BLOCK, Progress
from pofx.errors import UserError, nearest
from pofx.model import Model, device_of, evaluating
from pofx.options import HyperParameter, check_value, options
from pofx.randomness import generator


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
            blocks.append(sampler.sample(min(BLOCK, n - start), generator=noise, **condition, **keywords).float().cpu())
            if not (finite := blocks[-1].flatten(1).isfinite().all(1)).all():
                raise UserError(f"sample {start + int((~finite).nonzero()[0])} is not finite: train the model again with a lower lr")
            if progress is not None:
                progress(start + len(blocks[-1]), n)
    return torch.cat(blocks)


def sampling_options(model: Model, asked: dict[str, Any]) -> dict[str, Any]:
    """Every keyword argument of the model's `sample` beside `given` and `generator`, as asked or by default."""
    known = known_options(model)
    for name, value in asked.items():
        if name not in known:
            raise UserError(f"sample of {model.title()} has no argument {name!r}: {nearest(name, known)}")
        check_value(name, known[name].annotation, value)
    return {name: asked.get(name, parameter.default) for name, parameter in known.items()}


def known_options(model: Model, capability: type = Samples) -> dict[str, HyperParameter]:
    """The keyword arguments of a capability by name, beside `given`, `generator` and `prompt`; none where the model has not got it."""
    function = method(type(model), capability)
    found = [] if function is None else options(function, function.__doc__)
    return {option.name: option for option in found if option.name not in ("given", "generator", "prompt")}
