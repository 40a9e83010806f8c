"""Forecasts by sampling: the future of a sequence is drawn step by step from a model that completes sequences."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pofx.capabilities import Completes, require
from pofx.data.blocks import Progress
from pofx.errors import UserError
from pofx.model import Model, evaluating


def continued(
    model: Model,
    past: Tensor,
    horizon: int,
    *,
    context: int | None = None,
    generator: torch.Generator | None = None,
    progress: Progress | None = None,
    **asked: Any,
) -> Tensor:
    """One draw of the next `horizon` steps of each sequence, given its past.

    The model's sequences have T steps. The last `context` steps are put into one as what is known, the model completes the rest of it, and
    what it drew is part of the past from then on, as often as the horizon needs. With the default context of T - 1 every step is drawn
    given all that the model can see of the past; a shorter one draws more steps at once, and is faster. A past that is shorter than the
    context is known as far as it goes.

    Args:
        model: that completes sequences
        past: (B, K, C), the first step first, K of 1 or more
        horizon: steps to draw
        context: known steps that a draw sees at least, where the past has as many: from 1 to T - 1
        generator: of the draws
        progress: called with (steps drawn, steps in all)
        asked: further keyword arguments of the model's `complete`

    Returns:
        (B, horizon, C)

    Raises:
        UserError: the model does not complete, or not sequences of C channels; context out of its range

    Example:
        >>> from pofx.kinds import Series
        >>> from pofx.models.autoregressive.series_markov import SeriesMarkov
        >>> chain, past = SeriesMarkov(Series(4)), torch.zeros(100, 1, 1)
        >>> continued(chain, past, 9, generator=torch.Generator().manual_seed(0)).shape
        torch.Size([100, 9, 1])
    """
    completer = require(model, Completes)
    kind, (B, K, C) = model.inputs["x"], past.shape
    if not kind.in_time:
        raise UserError(f"{model.title()} was made for x: {kind}, which is no sequence in time that could be continued")
    T, channels = kind.shape
    if channels != C or K == 0:
        raise UserError(f"{model.title()} was made for {kind}, and the past has {K} steps of {C} channels: give {channels} channels")
    if T == 1:
        raise UserError(f"{model.title()} was made for single steps, so it knows of none how the next follows: train with --window 2")
    context = T - 1 if context is None else context
    if not 1 <= context < T:
        raise UserError(f"{model.title()} was made for windows of {T} steps: context must be between 1 and {T - 1}, not {context}")
    drawn = 0
    with evaluating(model):
        while drawn < horizon:
            seen = past[:, -context:]
            K = seen.shape[1]
            x_BTC = torch.cat([seen, seen.new_zeros(B, T - K, C)], 1)
            known_TC = (torch.arange(T, device=past.device) < K)[:, None].expand(T, C)
            new = completer.complete(x_BTC, known_TC, generator=generator, **asked)[:, K:]
            past, drawn = torch.cat([past, new], 1), drawn + T - K
            if progress is not None:
                progress(min(drawn, horizon), horizon)
    end = past.shape[1] - drawn
    return past[:, end : end + horizon]
