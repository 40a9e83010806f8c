"""Checks of probabilities: they sum to 1, bounds stay below them, samples agree with them, conditionals see what they may see."""

from __future__ import annotations

import inspect
from typing import get_args

import torch
from scipy.stats import chi2
from torch import Tensor

from pofx.game import generator
from pofx.kinds import Binary
from pofx.options import options
from pofx.testing.cases import BATCH, Case, check, close, every


def _countable(case: Case) -> bool:
    """Whether every x can be gone through."""
    return case.can("scores") and isinstance(case.x, Binary) and case.x.size <= 12


def _takes(case: Case, method: str, argument: str) -> bool:
    return argument in inspect.signature(getattr(case.cls, method)).parameters


@check(lambda case: _countable(case) and case.cls.density == "exact")
def sums_to_one(case: Case) -> None:
    """The probabilities of all binary pictures sum to 1."""
    model = case.trained()
    with torch.no_grad():
        total = model.log_prob(every(case.x)).exp().sum()
    close(total, torch.ones_like(total), "the probabilities of all x")


@check(lambda case: _countable(case) and case.cls.density == "exact" and case.can("samples"))
def samples_follow_the_density(case: Case) -> None:
    """How often each binary picture is drawn agrees with its probability: Pearson's chi-square at 1 in 10,000."""
    model, n = case.trained(), 20_000
    with torch.no_grad():
        expected = n * model.log_prob(every(case.x)).exp()
        x = model.sample(n, generator=generator("chi-square"))
    assert ((x == 0) | (x == 1)).all(), "a sample of bits has other numbers than 0 and 1"
    number = (x.flatten(1).long() << torch.arange(case.x.size)).sum(1)
    seen = torch.bincount(number, minlength=len(expected)).double()
    rare = expected < 5  # pooled: the distribution of the statistic holds for counts that are not small
    if rare.any():
        seen, expected = (torch.cat([t[~rare], t[rare].sum()[None]]) for t in (seen, expected))
    statistic = ((seen - expected).square() / expected.clamp(min=1e-9)).sum().item()
    limit = chi2.isf(1e-4, len(seen) - 1)
    assert statistic < limit, f"samples do not follow log_prob: chi-square {statistic:.1f} over {len(seen)} cells, limit {limit:.1f}"


@check(lambda case: _countable(case) and case.cls.density == "bound")
def bound_stays_below(case: Case) -> None:
    """No set of lower bounds on all log p(x) sums to more than probability 1, and unbiased estimates of p(x) sum to 1 on average."""
    x, trained = every(case.x), case.trained()
    with torch.no_grad():
        assert trained.log_prob(x).exp().sum() <= 1.05, "the bounds of all x sum to more than probability 1"
        if _takes(case, "log_prob", "samples") and _takes(case, "log_prob", "generator"):
            # E exp(importance-weighted bound) = p(x) for any number of samples (Burda et al., 2015). Few samples usually fall short of the
            # mean, the more so the narrower the posterior: so the model is taken as constructed, and more is allowed below than above.
            model = case.model().eval()
            total = torch.stack([model.log_prob(x, samples=64, generator=generator(("bound", k))).exp().sum() for k in range(4)]).mean()
            assert 0.85 < total < 1.1, f"estimates of p(x) sum to {total:.4f} over all x, not to 1"


@check(lambda case: hasattr(case.cls, "conditionals") and hasattr(case.cls, "depends"))
def conditionals_see_what_they_may(case: Case) -> None:
    """Changing number j changes only the conditionals that may depend on it, and together they are log_prob.

    A model opts in with `conditionals(x)`: log p(x_i | what it sees) of each number of x, (B, D), and `depends()`: bool (D, D), whether
    conditional i may depend on number j.
    """
    model, x = case.trained(), case.first()
    may, D = model.depends(), case.x.size
    with torch.no_grad():
        before = model.conditionals(x)
        assert before.shape == (BATCH, D), f"conditionals have shape {tuple(before.shape)}, not {(BATCH, D)}"
        close(before.sum(1), model.log_prob(x), "the sum of the conditionals is not log_prob")
        for j in range(D):
            changed = x.flatten(1).clone()
            changed[:, j] = _other(changed[:, j])
            moved = (model.conditionals(changed.view_as(x)) - before).abs().amax(0) > 1e-9
            wrong = (moved & ~may[:, j] & (torch.arange(D) != j)).nonzero().flatten().tolist()
            assert not wrong, f"conditionals {wrong} change with number {j}, but may not depend on it"


def _other(values: Tensor) -> Tensor:
    """Other numbers of the same kind."""
    return 1 - values if ((values >= 0) & (values <= 1)).all() else values.roll(1) + 1


@check(lambda case: case.can("samples") and _takes(case, "sample", "sampler"))
def samplers_agree(case: Case) -> None:
    """Every sampler that the model has draws the same from the same generator."""
    model = case.trained()
    (names,) = (option.annotation for option in options(model.sample, None) if option.name == "sampler")
    first, *others = get_args(names)
    expected = model.sample(BATCH, generator=generator("samplers"), sampler=first)
    for name in others:
        close(model.sample(BATCH, generator=generator("samplers"), sampler=name), expected, f"sampler {name}", rtol=1e-10, atol=1e-10)


@check(lambda case: hasattr(case.cls, "stepper") and hasattr(case.cls, "params"))
def steps_equal_the_whole(case: Case) -> None:
    """Step by step from its cache, a model says the same of each number as in one pass over all: to 1e-10 in float64, 1e-5 in float32.

    A model opts in with `stepper(x)`, `params(x)` and `order`, as `pofx.nn.autoregressive` has them.
    """
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        model, x = case.trained(dtype), case.first(dtype=dtype)
        with torch.no_grad():
            whole = model.params(x).flatten(2)[:, :, model.order]
            filled = torch.zeros_like(x)
            step, steps = model.stepper(filled), []
            for d, place in enumerate(model.order.tolist()):
                steps.append(step(d).clone())
                filled.view(BATCH, -1)[:, place] = x.reshape(BATCH, -1)[:, place]
        close(torch.stack(steps, 2), whole, f"the parameters of a step in {dtype}", rtol=tolerance, atol=tolerance)
