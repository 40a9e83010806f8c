"""How a player moves: averaging over replicas, clipping, the step and its schedule are the optimizer's business.

Adam calls torch's fused kernel itself: the bookkeeping of `torch.optim.Adam.step` costs a tenth of a 1 ms step of two players. A test
holds it bit-equal to `torch.optim.Adam(fused=True)`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from pofx.errors import Diverged
from pofx.plan import SGD, Adam, Batch, ClosedForm, Player
from pofx.train.diagnosis import finite
from pofx.train.strategy import Replicas
from pofx.train.torch_private import adam_, add_

Rate = Callable[[float], float]


def rate(schedule: str, warmup: float) -> Rate:
    """The factor on the learning rate, as a function of the share of the stage that is done.

    Args:
        schedule: "constant", "cosine" or "linear" (both to zero), or "inverse_sqrt" (1 at the end of the warm-up, and from there as
            1 / sqrt(step); Vaswani et al., 2017, arXiv 1706.03762, equation 3)
        warmup: share of the stage over which the factor rises from zero

    Example:
        >>> half = rate("cosine", warmup=0.0)
        >>> round(half(0.5), 6)
        0.5
    """

    def factor(done: float) -> float:
        if done < warmup:
            return done / warmup
        left = 1 - (done - warmup) / (1 - warmup) if warmup < 1 else 1.0
        if schedule == "inverse_sqrt":
            return math.sqrt(warmup / done)
        return {"constant": 1.0, "linear": left, "cosine": 0.5 - 0.5 * math.cos(math.pi * left)}[schedule]

    return factor


class FusedAdam:
    """torch's fused Adam (AdamW with weight decay), bit for bit, without the bookkeeping around it.

    `torch.optim.Adam.step` spends as long on groups, hooks and profiling as a small network on its gradient.

    Args:
        parameters: of one dtype, on one device
        kind: betas, eps, weight decay and what decays
    """

    def __init__(self, parameters: Sequence[nn.Parameter], kind: Adam):
        self.kind = kind
        decayed = [p for p in parameters if kind.decays == "all" or p.dim() > 1]
        self.groups = [(decayed, kind.weight_decay), ([p for p in parameters if kind.decays == "matrices" and p.dim() <= 1], 0.0)]
        self.state: defaultdict[Tensor, dict[str, Tensor]] = defaultdict(dict)

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Move every parameter that has a gradient."""
        for parameters, decay in self.groups:
            self._move(parameters, decay, lr)

    def _move(self, parameters: Sequence[nn.Parameter], decay: float, lr: float) -> None:
        moving: list[Tensor] = [p for p in parameters if p.grad is not None]
        gradients = [p.grad for p in parameters if p.grad is not None]
        if not moving:
            return
        for p in moving:
            if not self.state[p]:
                self.state[p] = {
                    "step": torch.zeros((), device=p.device),
                    "exp_avg": torch.zeros_like(p),
                    "exp_avg_sq": torch.zeros_like(p),
                }
        steps, averages, squares = ([self.state[p][slot] for p in moving] for slot in ("step", "exp_avg", "exp_avg_sq"))
        add_(steps, 1)
        adam_(moving, gradients, averages, squares, steps, lr=lr, betas=self.kind.betas, eps=self.kind.eps, weight_decay=decay)


class Gradient:
    """Moves a player along its gradient with Adam or SGD from torch.

    Args:
        player: whose `modules` move
        names: of every parameter of the model, for the state
        lr: instead of the player's own learning rate, if not None
        clip: largest norm of the whole gradient, if not None
    """

    def __init__(
        self, player: Player, names: dict[nn.Parameter, str], *, lr: float | None, factor: Rate, clip: float | None, replicas: Replicas
    ):
        kind = player.optimizer
        assert isinstance(kind, (Adam, SGD))
        owned = {parameter: None for module in player.modules for parameter in module.parameters()}
        self.parameters: list[nn.Parameter] = [p for p in owned if p.requires_grad]
        self.own = frozenset(self.parameters)
        self.names = [names[p] for p in self.parameters]
        self.lr, self.factor, self.clip, self.replicas = kind.lr if lr is None else lr, factor, clip, replicas
        self.rate = 0.0  # the learning rate of the last move
        self.inner: FusedAdam | torch.optim.SGD
        if isinstance(kind, Adam):
            self.inner = FusedAdam(self.parameters, kind)
        else:  # not fused: that wants a momentum of every parameter or of none, and one may take part later than another
            self.inner = torch.optim.SGD(self.parameters, lr=self.lr, momentum=kind.momentum, weight_decay=kind.weight_decay)

    def gradients(self) -> list[Tensor]:
        """The gradients that the last loss gave, summed over the replicas. A parameter that took no part in any has none."""
        if self.replicas.active:  # every replica must exchange the same tensors
            took_part = torch.tensor([p.grad is not None for p in self.parameters], dtype=torch.float32, device=self.parameters[0].device)
            for p in self.parameters:
                if p.grad is None:
                    p.grad = torch.zeros_like(p)
            self.replicas.sum([*(p.grad for p in self.parameters if p.grad is not None), took_part])
            for p, count in zip(self.parameters, took_part.tolist(), strict=True):
                if not count:
                    p.grad = None
        return [p.grad for p in self.parameters if p.grad is not None]

    def step(self, gradients: Sequence[Tensor], done: float) -> None:
        """Move once; `done` is the share of the stage that is behind."""
        if self.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.clip, torch.nn.utils.get_total_norm(gradients))
        self.rate = self.lr * self.factor(done)
        if isinstance(self.inner, FusedAdam):
            self.inner.step(self.rate)
        else:
            self.inner.param_groups[0]["lr"] = self.rate
            self.inner.step()

    def clear(self) -> None:
        """Forget the gradients."""
        for p in self.parameters:
            p.grad = None

    def state(self) -> dict[str, Tensor]:
        """What resume needs: parameter name / slot -> tensor."""
        return {
            f"{name}/{slot}": value
            for p, name in zip(self.parameters, self.names, strict=True)
            for slot, value in self.inner.state.get(p, {}).items()
            if isinstance(value, Tensor)
        }

    def load(self, state: dict[str, Tensor]) -> None:
        """Take up what `state` gave."""
        by_name = dict(zip(self.names, self.parameters, strict=True))
        for key, value in state.items():
            name, _, slot = key.rpartition("/")
            if name not in by_name:  # of another stage, whose player owned more
                continue
            p = by_name[name]
            # in the parameter's memory layout, and beside it: fused optimizers count their steps there
            like = torch.empty_like(p) if value.shape == p.shape else torch.empty_like(value, device=p.device)
            self.inner.state[p][slot] = like.copy_(value)


class Closed:
    """Solves a player in closed form from sums over one pass of the training split."""

    def __init__(self, player: Player, examples: int, replicas: Replicas):
        assert isinstance(player.optimizer, ClosedForm)
        self.player, self.form, self.examples, self.replicas = player.name, player.optimizer, examples, replicas
        self.sums: dict[str, Tensor] = {}
        self.seen = 0

    def add(self, batch: Batch, total: int) -> None:
        """Add this replica's rows of a batch of `total`, as far as the one pass reaches; solve when it is complete."""
        if self.seen >= self.examples:
            return
        start = self.replicas.cut(total).start
        mine = max(0, min(self.examples - self.seen - start, len(next(iter(batch.values())))))
        with torch.no_grad():
            found = self.form.statistics({name: values[:mine] for name, values in batch.items()})
        self.replicas.sum(found.values())
        self.sums = {name: self.sums[name].to(value.device) + value if self.sums else value for name, value in found.items()}
        self.seen += total
        if self.seen >= self.examples:
            self._solve()

    def end(self) -> None:
        """The stage is over: solve from the sums so far, if the pass was not complete."""
        if self.seen < self.examples:
            self._solve()

    def _solve(self) -> None:
        for name, value in self.sums.items():
            if not finite(value):
                raise Diverged(
                    f"player {self.player}: the sum of {name} over the training split is not finite: look for odd values in the data"
                )
        with torch.no_grad():
            self.form.solve(self.sums)

    def state(self) -> dict[str, Tensor]:
        """What resume needs."""
        return {**{f"sum/{name}": value for name, value in self.sums.items()}, "seen": torch.tensor(self.seen)}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take up what `state` gave."""
        self.seen = int(state["seen"])
        self.sums = {key.removeprefix("sum/"): value for key, value in state.items() if key.startswith("sum/")}
