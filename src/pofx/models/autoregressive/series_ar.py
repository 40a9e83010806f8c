"""Linear autoregression of order tau on real-valued sequences.

Shapes: B examples, T steps, C channels; K = (tau + 1) C numbers of tau + 1 steps in a row; N such rows of steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx.bases.autoregressive import Step
from pofx.bases.series import AutoregressiveSeries
from pofx.distributions.likelihoods import LEAST_LOG_SCALE, Gaussian
from pofx.errors import UserError
from pofx.kinds import Series
from pofx.options import Range
from pofx.plan import Batch, ClosedForm, Player, Stage, no_loss

LARGEST = 2**12  # numbers in tau + 1 steps: the sums then take 128 MB

Fit = Literal["closed", "gradient"]


class SeriesAR(AutoregressiveSeries):
    """AR(tau): x_t = c + A_1 x_{t-1} + ... + A_tau x_{t-tau} + e_t, with Gaussian noise e_t of full covariance over the channels.

    Written as one regression a number, on all numbers before it in the tau + 1 steps y that end at t (its own step's earlier
    channels carry the noise's covariance):

        y_i = b_i + sum_{j<i} W_ij y_j + s_i e_i,  e_i ~ N(0, 1),  i the last C numbers of y.

    The first tau steps of an example, which have no tau steps before them, follow the same rule with what they have: i = 1, 2, ... in
    turn, so that they are jointly Gaussian, and log p(x) is exact for the whole of x.

    All of it is fitted to any tau + 1 steps in a row of the training split. In closed form: the regressions' least squares come from the
    sums of y and y y^T over one pass, by one Cholesky factorisation, and are the maximum of the likelihood. By gradient: log p(x) of the
    examples is climbed, where the first tau steps are those of each example.

    References:
        On a method of investigating periodicities in disturbed series (Yule, 1927)
        Time Series Analysis (Hamilton, 1994), 11.1: vector autoregressions and their conditional likelihood

    Args:
        x: sequences of more than tau steps
        tau: steps back that a step depends on; 0 makes the steps independent
        fit: closed (least squares, one pass) or gradient

    Example:
        >>> from scipy.signal import lfilter
        >>> e = torch.randn(5000, generator=torch.Generator().manual_seed(0)).numpy()
        >>> x = torch.from_numpy(lfilter([1], [1, -1.5, 0.8], e)).float()  # x_t = 1.5 x_{t-1} - 0.8 x_{t-2} + e_t
        >>> ar = SeriesAR(Series(3), tau=2)
        >>> ar.solve(ar.statistics({"x": x.unfold(0, 3, 1)[..., None]}))
        >>> A, c, covariance = ar.coefficients()
        >>> [round(a, 1) for a in A.flatten().tolist()], round(covariance.item(), 1)
        ([1.5, -0.8], 1.0)
    """

    paper: ClassVar = ("Yule", 1927, "doi:10.1098/rsta.1927.0007")
    small: ClassVar = {"tau": 2}

    def __init__(self, x: Series, *, tau: Annotated[int, Range(0)] = 12, fit: Fit = "closed"):
        super().__init__(x, Gaussian())
        T, C = x.shape
        if tau >= T:
            raise UserError(f"{self.title()}: x has {T} steps, and tau={tau} needs {tau + 1} or more: a longer --window, or a smaller tau")
        K = (tau + 1) * C
        if K > LARGEST:
            raise UserError(f"{self.title()}: {C} channels allow a tau of {LARGEST // C - 1} or less, not {tau}: or choose --columns")
        self.tau, self.fit = tau, fit
        self.W_KK = nn.Parameter(torch.zeros(K, K))  # below its diagonal
        self.b_K, self.log_s_K = nn.Parameter(torch.zeros(K)), nn.Parameter(torch.zeros(K))

    @property
    def parameter_count(self) -> int:
        """K intercepts, K standard deviations, and a weight for each pair of numbers."""
        K = len(self.b_K)
        return 2 * K + K * (K - 1) // 2

    # p(x)

    def standard_params(self, z_BTC: Tensor) -> Tensor:
        B, T, C = z_BTC.shape
        first = self.tau * C
        W_KK = self.W_KK.tril(-1)
        begin_B = F.linear(z_BTC[:, : self.tau].flatten(1), W_KK[:first, :first], self.b_K[:first]).view(B, self.tau, C)
        then_B = F.linear(self.in_a_row(z_BTC), W_KK[first:], self.b_K[first:])
        log_s_TC = torch.cat([self.log_s_K[:first].view(self.tau, C), self.log_s_K[first:].expand(T - self.tau, C)])
        return torch.stack([torch.cat([begin_B, then_B], 1), log_s_TC.expand(B, T, C)], 1)

    def standard_stepper(self, z_BTC: Tensor) -> Step:
        (B, T, C), first = z_BTC.shape, self.tau * z_BTC.shape[2]
        z_BD, W_KK = z_BTC.view(B, T * C), self.W_KK.tril(-1)

        def params(d: int) -> Tensor:
            i = d if d < first else first + d % C
            mean_B = self.b_K[i] + z_BD[:, d - i : d] @ W_KK[i, :i]
            return torch.stack([mean_B, self.log_s_K[i].expand(B)], 1)

        return params

    def in_a_row(self, z_BTC: Tensor) -> Tensor:
        """Every tau + 1 steps in a row, (B, T - tau, K)."""
        return z_BTC.unfold(1, self.tau + 1, 1).transpose(2, 3).flatten(2)

    def dependency_matrix(self) -> Tensor:
        step_D = torch.arange(len(self.order)) // self.shape[1]
        return super().dependency_matrix() & (step_D[:, None] - step_D <= self.tau)

    def coefficients(self) -> tuple[Tensor, Tensor, Tensor]:
        """A (tau, C, C), c (C,) and the noise's covariance (C, C), in the units of x: x_t = c + sum_k A_k x_{t-k} + e_t."""
        C, first = self.shape[1], self.tau * self.shape[1]
        W_CK = self.W_KK.tril(-1)[first:]
        mix_CC = torch.linalg.inv(torch.eye(C).to(W_CK) - W_CK[:, first:])  # z_t = mix (b + W z_{<t} + s e)
        A_ZCC = (mix_CC @ W_CK[:, :first]).view(C, self.tau, C).transpose(0, 1).flip(0)  # on the standardised scale
        A_ZCC = self.scale_C[:, None] * A_ZCC / self.scale_C
        c_C = self.mean_C + self.scale_C * (mix_CC @ self.b_K[first:]) - A_ZCC.sum(0) @ self.mean_C
        root_CC = self.scale_C[:, None] * mix_CC * self.log_s_K[first:].clamp(min=LEAST_LOG_SCALE).exp()
        return A_ZCC, c_C, root_CC @ root_CC.T

    # Fitting

    def stages(self) -> Sequence[Stage]:
        if self.fit == "closed":
            return [Stage("solve", [Player(self.title(), [self], no_loss, ClosedForm(self.statistics, self.solve))])]
        return [self.standardise(), *super().stages()]

    def statistics(self, batch: Batch) -> dict[str, Tensor]:
        """Count, sum (K,) and sum of outer products (K, K) over all tau + 1 steps in a row of a batch, float64."""
        y_NK = self.in_a_row(batch["x"].double()).flatten(0, 1)
        return {"count": y_NK.new_tensor(len(y_NK)), "sum": y_NK.sum(0), "outer": y_NK.T @ y_NK}

    @torch.no_grad()
    def solve(self, sums: dict[str, Tensor]) -> None:
        """All regressions from the sums of `statistics` over the training data."""
        count, C, K = int(sums["count"]), self.shape[1], len(self.b_K)
        if count <= K:
            raise UserError(
                f"{self.title()}: {count} times {self.tau + 1} steps in a row are too few for regressions on {K - 1} numbers: "
                "a smaller tau, fewer --columns, or more data"
            )
        mean_K = sums["sum"] / count
        covariance_KK = sums["outer"] / count - mean_K.outer(mean_K)
        deviation_K = covariance_KK.diagonal().clamp(min=0).sqrt()
        root_KK, fault = torch.linalg.cholesky_ex(covariance_KK / deviation_K.outer(deviation_K).clamp(min=1e-300))
        if fault:
            raise UserError(
                f"{self.title()}: channel {(int(fault) - 1) % C + 1} of x never changes, or follows exactly from the numbers before it: "
                "remove it with --columns"
            )
        self.mean_C.copy_(mean_K[-C:])
        self.scale_C.copy_(deviation_K[-C:])
        # y = mean + L e, so L^-1 (y - mean) = e: row i of it, divided by its diagonal, is y_i less its regression
        mean_K, unit_K = mean_K - self.mean_C.double().repeat(self.tau + 1), self.scale_C.double().repeat(self.tau + 1)
        L_KK = deviation_K[:, None] * root_KK / unit_K[:, None]
        inverse_KK = torch.linalg.solve_triangular(L_KK, torch.eye(K).to(L_KK), upper=False)
        W_KK = -L_KK.diagonal()[:, None] * inverse_KK.tril(-1)
        mean_K = mean_K / unit_K
        self.W_KK.copy_(W_KK)
        self.b_K.copy_(mean_K - W_KK @ mean_K)
        self.log_s_K.copy_(L_KK.diagonal().log().clamp(min=LEAST_LOG_SCALE))
