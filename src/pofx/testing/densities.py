"""Checks of probabilities: they sum to 1, bounds stay below them, samples agree with them, conditionals see what they may see."""

from __future__ import annotations

import inspect
import math
from typing import cast, get_args

import torch
from scipy.stats import chi2

from pofx.bases.token_model import shift_right
from pofx.capabilities import Factorises, Samples, SaysWhatDepends, Scores, StepsNumbers, StepsTokens, Translates, method
from pofx.kinds import PAD, Tokens
from pofx.options import options
from pofx.randomness import generator
from pofx.testing.cases import BATCH, TRAIN, Case, check, close, every, number, refuses


def _countable(case: Case) -> bool:
    """Whether every x can be gone through."""
    return case.can(Scores) and 0 < case.x.count <= 4096


def _takes(case: Case, capability: type, argument: str) -> bool:
    return argument in inspect.signature(method(case.cls, capability)).parameters


@check(lambda case: _countable(case) and case.cls.density == "exact")
def sums_to_one(case: Case) -> None:
    """The probabilities of all x sum to 1; of tokens, with those of all beginnings as long as x may be that have not ended."""
    model, x = case.trained(), every(case.x)
    with torch.no_grad():
        total = model.log_prob(x, **case.sources(len(x), same=True)).exp().sum()
    close(total, torch.ones_like(total), "the probabilities of all x")


@check(lambda case: _countable(case) and case.cls.density == "exact" and case.can(Samples))
def samples_follow_the_density(case: Case) -> None:
    """How often each picture is drawn agrees with its probability: Pearson's chi-square at 1 in 10,000."""
    model, n, all_x = case.trained(), 20_000, every(case.x)
    with torch.no_grad():
        expected = n * model.log_prob(all_x, **case.sources(len(all_x), same=True)).exp()
        x = model.sample(n, **case.sources(n, same=True), generator=generator("chi-square"))
    which = number(x, case.x)
    assert torch.equal(all_x[which][:, : x.shape[1]], x), "a sample has other numbers than the data's levels"
    seen = torch.bincount(which, minlength=len(expected)).double()
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
        if _takes(case, Scores, "samples") and _takes(case, Scores, "generator"):
            # E exp(importance-weighted bound) = p(x) for any number of samples (Burda et al., 2015). Few samples usually fall short of the
            # mean, the more so the narrower the posterior: so the model is taken as constructed, and more is allowed below than above.
            model = case.model().eval()
            total = torch.stack([model.log_prob(x, samples=64, generator=generator(("bound", k))).exp().sum() for k in range(4)]).mean()
            assert 0.85 < total < 1.1, f"estimates of p(x) sum to {total:.4f} over all x, not to 1"


@check(lambda case: case.can(Factorises, SaysWhatDepends))
def conditionals_see_what_they_may(case: Case) -> None:
    """Changing number j changes the conditionals that may depend on it and no other, and together they are log_prob.

    A model opts in with `conditionals(x)`: log p(x_i | what it sees) of each number of x, (B, D), and `dependency_matrix()`: bool (D, D),
    whether conditional i may depend on number j. One that takes labels has `conditionals(x, given=labels)`.
    """
    model, x, given = case.trained(), case.first(TRAIN), case.given(TRAIN) | case.sources(TRAIN)
    may, D, unused = model.dependency_matrix(), case.x.size, list[tuple[int, int]]()
    x = torch.from_numpy(case.x.filled(x.numpy()))  # behind an end, there is nothing to be seen
    with torch.no_grad():
        before = model.conditionals(x, **given)
        assert before.shape == (TRAIN, D), f"conditionals have shape {tuple(before.shape)}, not {(TRAIN, D)}"
        close(before.sum(1), model.log_prob(x, **given), "the sum of the conditionals is not log_prob")
        for j in range(D):
            changed = x.flatten(1).clone()
            changed[:, j] = torch.from_numpy(case.x.other(changed[:, j].numpy()))
            moved = (model.conditionals(changed.view_as(x), **given) - before).abs().amax(0) > 1e-9
            wrong = (moved & ~may[:, j] & (torch.arange(D) != j)).nonzero().flatten().tolist()
            assert not wrong, f"conditionals {wrong} change with number {j}, but may not depend on it"
            unused += [(i, j) for i in (may[:, j] & ~moved).nonzero().flatten().tolist()]
    # A rectifier that is shut for all these rows may hide a few
    assert len(unused) <= 2 + int(may.sum()) // 20, (
        f"dependency_matrix() allows what never happens: number i depends on j for (i, j) in {unused[:9]}"
    )


@check(lambda case: case.can(Scores) and case.cls.density == "exact" and case.x.shape == (2,) and not case.x.levels)
def integrates_to_one(case: Case) -> None:
    """The density of a pair of real numbers integrates to 1: the trapezium rule over a square that holds nearly all of it."""
    model, side = case.trained(), torch.arange(-40, 40, 0.1, dtype=torch.float64)
    with torch.no_grad():
        p = torch.cat([model.log_prob(torch.cartesian_prod(rows, side)).exp() for rows in side.split(40)])
    total = p.sum() * 0.1**2
    assert 0.99 < total < 1.01, f"the density integrates to {total:.4f}"


@check(lambda case: case.can(Scores) and bool(case.given()))
def labels_matter(case: Case) -> None:
    """log p(x | label) and samples change with the label; log p(x) is that of the mixture; a label that is none is refused."""
    model, x, (labels,) = case.trained(), case.first(), case.given().values()
    classes = next(kind.classes for kind in case.kinds.values() if kind.classes)
    with torch.no_grad():
        log_p_YB = torch.stack([model.log_prob(x, given=torch.full_like(labels, y)) for y in range(classes)])
        assert (log_p_YB.std(0) > 1e-9).any(), "log_prob does not change with the label"
        close(model.log_prob(x, given=labels), log_p_YB.gather(0, labels[None])[0], "log_prob of different labels at once")
        if case.cls.density == "exact":
            close(model.log_prob(x), log_p_YB.logsumexp(0) - math.log(classes), "log p(x) is not the mean of p(x | label) over labels")
        if case.can(Samples):
            drawn = [model.sample(BATCH, given=torch.full_like(labels, y), generator=generator("labels")) for y in range(classes)]
            assert not all(torch.equal(other, drawn[0]) for other in drawn), "samples do not change with the label"
    for bad, what in ((labels[1:], "too few labels"), (labels + classes, "an unknown label"), (labels - classes, "a label below 0")):
        refuses(lambda bad=bad: model.log_prob(x, given=bad), what)  # type: ignore[misc]


@check(lambda case: case.can(Samples) and _takes(case, Samples, "sampler"))
def samplers_agree(case: Case) -> None:
    """Every sampler that the model has draws the same from the same generator."""
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-4)):
        model = case.trained(dtype)
        (names,) = (option.annotation for option in options(model.sample, None) if option.name == "sampler")
        first, *others = get_args(names)
        given = case.sources(dtype=dtype)
        expected = model.sample(BATCH, **given, generator=generator("samplers"), sampler=first)
        for name in others:
            found = model.sample(BATCH, **given, generator=generator("samplers"), sampler=name)
            close(found, expected, f"sampler {name} in {dtype}", rtol=tolerance, atol=tolerance)


@check(lambda case: case.can(StepsNumbers))
def steps_equal_the_whole(case: Case) -> None:
    """Step by step from its cache, a model says the same of each number as in one pass over all: to 1e-10 in float64, 1e-5 in float32.

    A model opts in with `stepper(x)`, `params(x)` and `order`, as `pofx.bases.autoregressive` has them (one that takes labels has
    `stepper(x, given)` and `params(x, given)`), or as `pofx.bases.order_agnostic` has them, with `known` beside x.
    """
    given, any_order = case.given().values(), _takes(case, StepsNumbers, "known")
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        model, x = case.trained(dtype), case.first(dtype=dtype)
        filled, known = torch.zeros_like(x), torch.zeros_like(x, dtype=torch.bool)
        with torch.no_grad():
            whole = None if any_order else model.params(x, *given).flatten(2)
            step = model.stepper(filled, known) if any_order else model.stepper(filled, *given)
            for d, place in enumerate((model.order_of(0) if any_order else model.order).tolist()):
                expected = model.params(x, known).flatten(2) if whole is None else whole
                found = step(place if any_order else d)
                close(found, expected[:, :, place], f"the parameters of step {d} in {dtype}", rtol=tolerance, atol=tolerance)
                filled.view(BATCH, -1)[:, place] = x.reshape(BATCH, -1)[:, place]
                known.view(BATCH, -1)[:, place] = True


@check(lambda case: case.can(StepsTokens))
def steps_equal_all_tokens_at_once(case: Case) -> None:
    """Token by token from what it keeps, a model says the same as in one pass over all: to 1e-10 in float64, 1e-5 in float32.

    A model opts in with `read`, `logits`, `start` and `step`, as `pofx.bases.token_model` has them.
    """
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        model, x = case.trained(dtype), case.first(dtype=dtype)
        with torch.no_grad():
            memory = model.read(case.sources(dtype=dtype).get("given", x))  # an autoencoder reads x
            whole_BLV, state = model.logits(x, memory), model.start(memory, BATCH)
            for t, token_B in enumerate(shift_right(x).unbind(1)):
                found_BV, state = model.step(token_B, state, memory)
                there_B = x[:, t] != PAD
                close(found_BV[there_B], whole_BLV[there_B, t], f"the scores of token {t} in {dtype}", rtol=tolerance, atol=tolerance)


@check(lambda case: case.x.text and case.can(Scores))
def padding(case: Case) -> None:
    """How much PAD stands behind the tokens, of x or of its source, changes no number."""
    model, x, given = case.trained(), case.first(), case.sources()
    with torch.no_grad():
        log_p = model.log_prob(x, **given)
        for row in range(BATCH):
            alone = x[row, : int((x[row] != PAD).sum())][None]
            cut = {name: values[row : row + 1] for name, values in given.items()}
            if "source" in case.kinds and case.kinds["source"].text:
                cut = {name: values[:, : int((values != PAD).sum())] for name, values in cut.items()}
            close(model.log_prob(alone, **cut), log_p[row : row + 1], f"log_prob of row {row} without what is behind it")


@check(lambda case: case.can(Translates, Scores) and 0 < case.x.count <= 64)
def wide_beams_are_exhaustive(case: Case) -> None:
    """A beam that drops no beginning finds the likeliest of all strings, by log p as it is and with a length penalty."""
    model, x = case.trained(), every(case.x)
    x = x[(x == cast(Tokens, case.x).eos).any(1)]
    wide = case.x.levels ** (case.x.size - 1)
    source = case.sources()["given"]
    with torch.no_grad():
        for exponent in (0.0, 1.0):
            found = model.translate(source, beam=wide, length_penalty=exponent)
            for row in range(BATCH):
                log_p = model.log_prob(x, given=source[row : row + 1].expand(len(x), *source.shape[1:]))
                best = x[(log_p / ((5 + (x != PAD).sum(1)) / 6) ** exponent).argmax()]
                assert torch.equal(found[row], best[: found.shape[1]]), (
                    f"row {row}, length penalty {exponent}: the beam found {found[row].tolist()}, the likeliest is {best.tolist()}"
                )
