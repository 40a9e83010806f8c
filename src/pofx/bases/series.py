"""The base of models of real-valued sequences: each channel is standardised, and the density is that of the numbers as they come.

Shapes: B examples, T steps, C channels, P parameters of the likelihood for each number.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from pofx.bases.autoregressive import Autoregressive, Step
from pofx.distributions.likelihoods import Likelihood
from pofx.errors import UserError
from pofx.kinds import Series
from pofx.plan import Batch, ClosedForm, Player, Stage, no_loss

FIRST = 0.1  # share of training whose batches the statistics are of, where a gradient moves the rest


@dataclass(frozen=True)
class Affine(Likelihood):
    """x = shift + scale z, where z is of another likelihood: parameters are shift and log scale, then those of z.

    Example:
        >>> from pofx.distributions.likelihoods import Gaussian
        >>> celsius, params = torch.tensor([[20.0]]), torch.tensor([[[15.0], [2.0], [0.0], [0.0]]])  # 15 + e^2 z, z standard normal
        >>> fahrenheit, shift = 1.8 * celsius + 32, torch.tensor([[[1.8 * 15 + 32], [2.0 + 0.5878], [0.0], [0.0]]])
        >>> nats = Affine(Gaussian()).log_prob(params, celsius) - Affine(Gaussian()).log_prob(shift, fahrenheit)
        >>> round(nats.item(), 3)  # log 1.8
        0.588
    """

    inner: Likelihood

    @property
    def uniforms(self) -> int:  # type: ignore[override]
        return self.inner.uniforms

    @property
    def per_element(self) -> int:
        return 2 + self.inner.per_element

    def each(self, params_BP: Tensor, x_B: Tensor, u_B: Tensor | None = None) -> Tensor:
        shift_B, log_scale_B = params_BP[:, 0], params_BP[:, 1]
        return self.inner.each(params_BP[:, 2:], (x_B - shift_B) * (-log_scale_B).exp(), u_B) - log_scale_B

    def mean(self, params_BP: Tensor) -> Tensor:
        return params_BP[:, 0] + params_BP[:, 1].exp() * self.inner.mean(params_BP[:, 2:])

    def invert(self, params_BP: Tensor, u_BU: Tensor) -> Tensor:
        return params_BP[:, 0] + params_BP[:, 1].exp() * self.inner.invert(params_BP[:, 2:], u_BU)


class AutoregressiveSeries(Autoregressive):
    """p(x) = prod_t prod_c p(x_tc | x_<t, x_t,<c): steps in turn, and within a step one channel after another.

    A subclass says what the likelihood's parameters are on the scale where each channel has mean 0 and standard deviation 1 over the
    training split: `standard_params` and `standard_stepper`, as `params` and `stepper`. Densities, samples and completions are in the
    units of x.

    Args:
        x: sequences
        likelihood: of each standardised number given those before it
    """

    completion_context = "the steps before it, and the channels before it in its own step"
    mean_C: Tensor
    scale_C: Tensor

    def __init__(self, x: Series, likelihood: Likelihood):
        super().__init__(x, Affine(likelihood))
        self.register_buffer("mean_C", torch.zeros(x.channels))
        self.register_buffer("scale_C", torch.ones(x.channels))

    @abstractmethod
    def standard_params(self, z_BTC: Tensor) -> Tensor:
        """The parameters of every p(z_tc | z_<t, z_t,<c), (B, P, T, C)."""

    @abstractmethod
    def standard_stepper(self, z_BTC: Tensor) -> Step:
        """As `Autoregressive.stepper`, for standardised numbers."""

    def params(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        B, T, C = x.shape
        units_B2TC = torch.stack([self.mean_C, self.scale_C.log()])[None, :, None].expand(B, 2, T, C)
        return torch.cat([units_B2TC, self.standard_params((x - self.mean_C) / self.scale_C)], 1)

    def stepper(self, x: Tensor, given: Tensor | None = None) -> Step:
        B, T, C = x.shape
        z_BTC = torch.zeros_like(x)
        x_BD, z_BD = x.view(B, T * C), z_BTC.view(B, T * C)
        units_C2 = torch.stack([self.mean_C, self.scale_C.log()], 1)
        step = self.standard_stepper(z_BTC)

        def params(d: int) -> Tensor:
            if d > 0:  # what was drawn last
                c = (d - 1) % C
                z_BD[:, d - 1] = (x_BD[:, d - 1] - self.mean_C[c]) / self.scale_C[c]
            return torch.cat([units_C2[d % C].expand(B, 2), step(d)], 1)

        return params

    def standardise(self) -> Stage:
        """A first stage: mean and standard deviation of each channel, from sums over the training split."""
        return Stage("standardise", [Player(self.title(), [self], no_loss, ClosedForm(self.moments, self.set_scale))], until=FIRST)

    def moments(self, batch: Batch) -> dict[str, Tensor]:
        """Count, sum (C,) and sum of squares (C,) over the steps of a batch, float64."""
        x_NC = batch["x"].flatten(0, 1).double()
        return {"count": x_NC.new_tensor(len(x_NC)), "sum": x_NC.sum(0), "square": x_NC.square().sum(0)}

    @torch.no_grad()
    def set_scale(self, sums: dict[str, Tensor]) -> None:
        """Mean and standard deviation from the sums of `moments`."""
        mean_C = sums["sum"] / sums["count"]
        variance_C = sums["square"] / sums["count"] - mean_C.square()
        rounding_C = 1e-12 * (mean_C.square() + 1e-300)
        if (still := variance_C <= rounding_C).any():
            raise UserError(
                f"{self.title()}: channel {int(still.nonzero()[0]) + 1} of x never changes in training: remove it with --columns"
            )
        self.mean_C.copy_(mean_C)
        self.scale_C.copy_(variance_C.sqrt())
