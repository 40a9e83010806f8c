"""Conditional probability tables: p(x_d | the tau numbers before it), one row for each context, solved from counts.

Shapes: B examples, D numbers of x, K levels of each, C contexts of all D numbers together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from pofx.bases.autoregressive import Autoregressive, Step
from pofx.distributions.likelihoods import Categorical
from pofx.errors import UserError
from pofx.kinds import Binary, Image
from pofx.plan import Batch, ClosedForm, Player, Stage, no_loss

LARGEST = 2**26  # probabilities in a table: counting them takes 0.5 GB


class Tables(Autoregressive):
    """The base of models that keep each number's distribution for every context in a table: the `tau` numbers before it in raster order.

    The d-th number has K^min(d, tau) contexts, and K - 1 free numbers for each. Those are kept as log odds of a level against all lower
    ones, log p(k) / p(<k) for k = 1..K-1 (of two levels: the logit of 1), from which every distribution, with zeros or without, is found
    without loss. They are solved from counts over one pass of the training data; no gradient, so they are buffers.

    Args:
        x: bits, or pictures of K levels
        tau: numbers that a context remembers, from 0 to D - 1
        smoothing: pseudo-count of each level in each context; 0 is maximum likelihood, and what was never seen has log p = -inf
        instead: what the error about too large a table says to do
    """

    log_odds: Tensor
    first_D: Tensor

    def __init__(self, x: Binary | Image, *, tau: int, smoothing: float, instead: str):
        K, D = x.levels, x.size
        super().__init__(x, Categorical(K))
        self.K, self.tau, self.smoothing = K, tau, smoothing
        parameters = K**tau - 1 + (D - tau) * (K - 1) * K**tau  # the first tau numbers together, and those after them
        if parameters > LARGEST:
            count = f"{parameters:,}" if parameters < 10**15 else f"some 10^{math.log10(parameters):.0f}"
            raise UserError(
                f"{self.title()}: {D} numbers of {K} levels take {count} parameters, and a table may have {LARGEST:,}: {instead}"
            )
        contexts_D = torch.tensor([K ** min(d, tau) for d in range(D)])
        self.register_buffer("first_D", contexts_D.cumsum(0) - contexts_D, persistent=False)  # each number's first row
        self.register_buffer("log_odds", -torch.arange(1.0, K).log().repeat(int(contexts_D.sum()), 1))  # (C, K - 1): all levels alike

    @property
    def parameter_count(self) -> int:
        """K - 1 for each context."""
        return self.log_odds.numel()

    def dependency_matrix(self) -> Tensor:
        rank_D = torch.argsort(self.order)
        return (rank_D[:, None] > rank_D) & (rank_D[:, None] - rank_D <= self.tau)

    # p(x_d | context)

    def levels(self, x: Tensor) -> Tensor:
        """x (B, *shape) as whole levels in the order in which they are read, int64 (B, D)."""
        return (x.flatten(1)[:, self.order] * (self.K - 1)).round().long()

    def rows(self, k_BD: Tensor) -> Tensor:
        """The table's row for each number, (B, D): its context is a number to base K whose last digit is the newest level."""
        context_BD = torch.zeros_like(k_BD)
        for lag in range(1, self.tau + 1):
            context_BD[:, lag:] += k_BD[:, :-lag] * self.K ** (lag - 1)
        return self.first_D + context_BD

    def log_p(self, rows: Tensor) -> Tensor:
        """log p of every level in these rows, (..., K): of level k, that it is k and not lower, and that none is higher."""
        log_odds = self.log_odds[rows]
        not_higher = F.pad(F.logsigmoid(-log_odds).flip(-1).cumsum(-1).flip(-1), (0, 1))
        return F.pad(F.logsigmoid(log_odds), (1, 0)) + not_higher

    def params(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        log_p_BDK = self.log_p(self.rows(self.levels(x)))
        return log_p_BDK[:, self.order.argsort()].movedim(2, 1).unflatten(2, self.shape)

    def stepper(self, x: Tensor, given: Tensor | None = None) -> Step:
        context_B = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        x_BD = x.flatten(1)

        def step(d: int) -> Tensor:
            if d > 0:
                newest_B = (x_BD[:, self.order[d - 1]] * (self.K - 1)).round().long()
                context_B.mul_(self.K).add_(newest_B).remainder_(self.K**self.tau)
            return self.log_p(self.first_D[d] + context_B)

        return step

    # Counting

    def stages(self) -> Sequence[Stage]:
        return [Stage("count", [Player(self.title(), [self], no_loss, ClosedForm(self.statistics, self.solve))])]

    def statistics(self, batch: Batch) -> dict[str, Tensor]:
        """How often each level was seen in each context, float64 (C, K)."""
        k_BD = self.levels(batch["x"])
        cells = self.rows(k_BD) * self.K + k_BD
        C = len(self.log_odds)
        return {"counts": torch.bincount(cells.flatten(), minlength=C * self.K).double().view(C, self.K)}

    def pseudo_counts(self) -> Tensor | float:
        """What is added to the counts, broadcast against (C, K)."""
        return self.smoothing

    @torch.no_grad()
    def solve(self, sums: dict[str, Tensor]) -> None:
        """The table from the counts of `statistics` over the training data."""
        counts_CK = sums["counts"] + self.pseudo_counts()
        level, lower = counts_CK[:, 1:], counts_CK.cumsum(1)[:, :-1]
        log_odds = level.log() - lower.log()  # infinite where one of them was never seen
        alike = -torch.arange(1.0, self.K, dtype=torch.float64, device=counts_CK.device).log()
        self.log_odds.copy_(torch.where(log_odds.isnan(), alike, log_odds))  # neither was: all levels from there down are alike
