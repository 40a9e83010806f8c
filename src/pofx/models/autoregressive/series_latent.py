"""The latent autoregressive model on real-valued sequences: a recurrent hidden state sums up the past.

Shapes: B examples, T steps, C channels, H hidden units, P parameters of the likelihood for each number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from pofx.bases.autoregressive import Step
from pofx.bases.series import AutoregressiveSeries
from pofx.distributions.likelihoods import Gaussian, GaussianMixture
from pofx.kinds import Series
from pofx.options import Size
from pofx.plan import Stage

CELLS = {"gru": nn.GRU, "rnn": nn.RNN}


class SeriesLatent(AutoregressiveSeries):
    """Latent autoregressive model: h_t = f(h_{t-1}, x_{t-1}), x_t ~ p(x_t | h_t).

    The state h_t has no order tau beyond which it forgets. p(x_tc | h_t, x_t,<c) is Gaussian or a mixture of Gaussians. Within a step the
    channels come one after another, each with a linear share of those before it, so that their noise may be correlated:

        params of x_tc = U_c h_t + u_c + sum_{c'<c} V_cc' x_tc'.

    References:
        Finding structure in time (Elman, 1990), Cognitive Science 14
        Learning phrase representations using RNN encoder-decoder (Cho et al., 2014), arXiv 1406.1078: the gated recurrent unit
        DeepAR: probabilistic forecasting with autoregressive recurrent networks (Salinas et al., 2017), arXiv 1704.04110

    Args:
        x: sequences
        hidden: units of the state
        cell: gru (gated) or rnn (h_t = tanh of a linear function)
        components: Gaussians in the mixture that each number is drawn from

    Example:
        >>> model = SeriesLatent(Series(5, 2), hidden=4)
        >>> model.log_prob(torch.zeros(3, 5, 2)).shape
        torch.Size([3])
    """

    paper: ClassVar = ("Salinas et al.", 2017, "1704.04110")
    small: ClassVar = {"hidden": 5, "components": 2}

    def __init__(self, x: Series, *, hidden: Size = 64, cell: Literal["gru", "rnn"] = "gru", components: Size = 1):
        likelihood = Gaussian() if components == 1 else GaussianMixture(components)
        super().__init__(x, likelihood)
        C, P = x.channels, likelihood.per_element
        self.h_1H = nn.Parameter(torch.zeros(1, hidden))  # the state before anything is seen
        self.f = CELLS[cell](C, hidden, batch_first=True)
        self.U = nn.Linear(hidden, P * C)
        self.V_PCC = nn.Parameter(torch.zeros(P, C, C))  # below its diagonal

    @property
    def parameter_count(self) -> int:
        """All but what is on V's diagonal and above."""
        P, C, _ = self.V_PCC.shape
        return super().parameter_count - P * C * (C + 1) // 2

    def stages(self) -> Sequence[Stage]:
        return [self.standardise(), *super().stages()]

    def standard_params(self, z_BTC: Tensor) -> Tensor:
        B, T, C = z_BTC.shape
        h_1BH = self.h_1H.expand(B, -1)[None].contiguous()
        h_BTH = torch.cat([h_1BH[0][:, None], self.f(z_BTC[:, :-1], h_1BH)[0]], 1) if T > 1 else h_1BH[0][:, None]
        from_state = self.U(h_BTH).view(B, T, -1, C).transpose(1, 2)
        return from_state + torch.einsum("pcd,btd->bptc", self.V_PCC.tril(-1), z_BTC)

    def standard_stepper(self, z_BTC: Tensor) -> Step:
        B, _, C = z_BTC.shape
        V_PCC = self.V_PCC.tril(-1)
        h_1BH = self.h_1H.expand(B, -1)[None].contiguous()
        from_state_BPC = torch.empty(0)

        def params(d: int) -> Tensor:
            nonlocal h_1BH, from_state_BPC
            t, c = divmod(d, C)
            if c == 0:
                if t > 0:
                    h_1BH = self.f(z_BTC[:, t - 1 : t], h_1BH)[1]
                from_state_BPC = self.U(h_1BH[0]).view(B, -1, C)
            return from_state_BPC[:, :, c] + z_BTC[:, t, :c] @ V_PCC[:, c, :c].T

        return params
