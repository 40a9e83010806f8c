"""Which dimensions of a code are used.

Shapes: B examples, d code dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pofx import renamed
from pofx.capabilities import Encodes, HasPosterior, can, require
from pofx.data.blocks import blocks, chosen_rows, rows_record
from pofx.evaluate.protocol import Score, environment
from pofx.evaluate.registry import measure
from pofx.evaluate.request import Request, encoded
from pofx.model import Model, device_of, evaluating


@dataclass(frozen=True)
class CodeReport:
    """Which dimensions of a code carry information about x.

    Args:
        variance: over the data, of each dimension of the code (for a VAE, of the posterior mean)
        kl: mean KL from posterior to prior of each dimension, in nats, or None for a model that offers no posterior
        protocol: how it was made
    """

    variance: tuple[float, ...]
    kl: tuple[float, ...] | None
    protocol: dict[str, Any]

    @property
    def active(self) -> int:
        """Dimensions whose variance over the data is above 0.01 (Burda et al., 2015)."""
        return sum(value > ACTIVE_ABOVE for value in self.variance)

    @property
    def warning(self) -> str | None:
        """One line if the code has a posterior and more than half of its dimensions are inactive, else None."""
        size = len(self.variance)
        if self.kl is None or 2 * self.active >= size:
            return None
        return (
            f"posterior collapse: {size - self.active} of {size} code dimensions do not vary with x (variance <= {ACTIVE_ABOVE:g});"
            " a smaller latent loses nothing, or train with KL warm-up, free bits or a lower beta"
        )

    def score(self) -> Score:
        """The number of active dimensions, with the warning as its note."""
        return Score("active units", float(self.active), f"of {len(self.variance)} code dimensions", None, self.protocol, self.warning)


ACTIVE_ABOVE = 0.01


def code_report(
    model: Model,
    split: Any,
    *,
    rows: int | np.ndarray | None = None,
    codes: Tensor | None = None,
    about: dict[str, Any] | None = None,
) -> CodeReport:
    """Variance, activity and KL of each dimension of the code, over a split.

    Args:
        model: any model that encodes; one with a `posterior(x)`, the mean and standard deviation (B, d) of a Gaussian code whose prior is
            N(0, 1), has its KL reported too
        split: a split of a data set
        rows: so many rows from the first, or the rows' numbers; by default all
        codes: of these rows, where somebody has them
        about: what the caller knows of the data and the weights, stored in the protocol

    References:
        Importance Weighted Autoencoders (Burda, Grosse & Salakhutdinov, 2015), arXiv 1509.00519, section 5.2: active units
    """
    require(model, Encodes)
    chosen = chosen_rows(split, rows)
    z_Bd = (encoded(model, split, chosen) if codes is None else codes).flatten(1).double()
    kls: list[Tensor] = []
    if can(model, HasPosterior):
        with evaluating(model):
            for _, batch in blocks(split, chosen, device_of(model)):
                mean_Bd, std_Bd = (moment.double().cpu() for moment in model.posterior(batch["x"]))
                kls.append(0.5 * (mean_Bd.square() + std_Bd.square() - 1) - std_Bd.log())
    protocol = {**(about or {}), **rows_record(chosen), "active above": ACTIVE_ABOVE, **environment(model)}
    variance = z_Bd.var(0)
    return CodeReport(tuple(variance.tolist()), tuple(torch.cat(kls).mean(0).tolist()) if kls else None, protocol)


@measure("active units", needs=(Encodes,), place=400)
def code_scores(request: Request) -> Iterator[Score]:
    """How many dimensions of the code are used."""
    yield code_report(request.model, request.rows_of, rows=request.rows, codes=request.codes, about=request.about).score()


__getattr__ = renamed.stayed(__name__)  # names that are elsewhere now
