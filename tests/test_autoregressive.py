"""The base of autoregressive models: its order, its samplers, and the probabilities behind its completions."""

from pathlib import Path

import pytest
import torch

from pofx.bases.autoregressive import raster
from pofx.errors import UserError
from pofx.kinds import Binary, Category, Image
from pofx.models import find
from pofx.testing.cases import every, number, stirred

X = Image(1, 2, 2, levels=3)


def labelled(x=X, label=None, scale=4):
    """A model whose conditionals differ much from each other, and from class to class."""
    model = stirred(find(f"{Path(__file__).parent}/games/labelled.py:Labelled")(x, label).double())
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(scale)
    return model.eval()


def agrees(counts, p):
    """Whether counts are those of draws from p (Pearson's chi-square at about 1 in 10,000)."""
    expected = counts.sum() * p
    seen = p > 0
    statistic = ((counts - expected)[seen].square() / expected[seen]).sum()
    degrees = seen.sum() - 1
    return (counts[~seen] == 0).all() and statistic < degrees + 4 * (2 * degrees) ** 0.5 + 8


def test_raster_order_reads_rows_then_pixels_then_channels():
    C, H, W = 3, 2, 4
    expected = [c * H * W + row * W + column for row in range(H) for column in range(W) for c in range(C)]
    assert raster((C, H, W)).tolist() == expected
    assert raster((2, 3)).tolist() == list(range(6))  # a series: step by step
    assert raster((5,)).tolist() == list(range(5))


@pytest.mark.parametrize("x", [X, Image(3, 1, 2, levels=2), Binary(5)])
def test_completing_the_beginning_draws_from_the_exact_conditional(x):
    """Where what is known comes first, completions follow p(x) / p(what is known), summed over the table of all x."""
    model, places = labelled(x), raster(x.shape)
    known = torch.zeros(x.size, dtype=torch.bool)
    known[places[: x.size // 2]] = True
    table = every(x)
    start = table[-2]
    with torch.no_grad():
        p = model.log_prob(table).exp() * (table.flatten(1)[:, known] == start.flatten()[known]).all(1)
        draws = model.complete(start.expand(20_000, *x.shape), known.view(x.shape), generator=torch.Generator().manual_seed(0))
    assert agrees(torch.bincount(number(draws, x), minlength=len(table)).double(), p / p.sum())


def test_a_completion_without_a_label_is_that_of_the_mixture_over_labels():
    """The class is drawn given what is known, so that completions follow the mixture that log_prob is of."""
    model, table = labelled(label=Category(3)), every(X)
    known = torch.tensor([[[True, True], [False, False]]])
    start = table[5]
    with torch.no_grad():
        p = model.log_prob(table).exp() * (table[:, known] == start[known]).all(1)
        draws = model.complete(start.expand(20_000, *X.shape), known, generator=torch.Generator().manual_seed(0))
        given = model.complete(start.expand(20_000, *X.shape), known, given=torch.zeros(20_000).long())
        p_given = model.log_prob(table, given=torch.zeros(len(table)).long()).exp() * (p > 0)
    counts = torch.bincount(number(draws, X), minlength=len(table)).double()
    assert agrees(counts, p / p.sum())
    assert not agrees(counts, p_given / p_given.sum())  # so the test would see a wrong class
    assert agrees(torch.bincount(number(given, X), minlength=len(table)).double(), p_given / p_given.sum())


@pytest.mark.parametrize("label", [None, Category(3)])
def test_samplers_agree_on_completions_with_a_mask_of_each_example_s_own(label):
    model, x = labelled(label=label), every(X)[torch.arange(0, 81, 3)]
    known = torch.rand(x.shape, generator=torch.Generator().manual_seed(3)) < 0.5
    drawn = [
        model.complete(x, known, generator=torch.Generator().manual_seed(4), sampler=sampler) for sampler in ("cached", "naive", "jacobi")
    ]
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])
    assert torch.equal(drawn[0][known], x[known])
    assert not torch.equal(drawn[0], x)


def test_completing_sees_only_the_past():
    """What is known later does not change what is drawn, and what is known earlier does."""
    model, x = labelled(), every(X)
    known = torch.tensor([[[True, False], [False, True]]])

    def drawn(start):
        return model.complete(start.expand(500, *X.shape), known, generator=torch.Generator().manual_seed(0)).flatten(1)[:, 1:3]

    later, earlier = x[0].clone(), x[0].clone()
    later[0, 1, 1], earlier[0, 0, 0] = 1, 1
    assert torch.equal(drawn(x[0]), drawn(later))
    assert not torch.equal(drawn(x[0]), drawn(earlier))


def test_jacobi_needs_as_many_passes_as_numbers_depend_on_each_other():
    """Where no number depends on another, the first pass is right and the second sees that nothing changes."""
    model = labelled()
    passes = []
    params = model.params

    def watched(x, given=None):
        passes.append(len(x))
        return params(x, given)

    model.params = watched
    model.sample(50, generator=torch.Generator().manual_seed(0), sampler="jacobi")
    assert 2 < len(passes) <= X.size + 1
    passes.clear()
    with torch.no_grad():
        model.weight_PDD.zero_()
    model.sample(50, generator=torch.Generator().manual_seed(0), sampler="jacobi")
    assert len(passes) == 2


def test_what_the_model_was_not_made_for_is_refused():
    model, conditional = labelled(), labelled(label=Category(3))
    for ask in (lambda x: model.log_prob(x), lambda x: model.complete(x, torch.ones(x.shape, dtype=torch.bool))):
        with pytest.raises(UserError, match=r"made for x of shape \(1, 2, 2\), not \(1, 3, 2\)"):
            ask(torch.zeros(1, 1, 3, 2).double())
    with pytest.raises(UserError, match="without labels"):
        model.sample(2, given=torch.zeros(2).long())
    with pytest.raises(UserError, match="2 whole numbers from 0 to 2"):
        conditional.sample(2, given=torch.tensor([0, 3]))


@pytest.mark.parametrize("known", [torch.ones(2, 2), torch.ones(4, 3, dtype=torch.bool), torch.ones(2, 1, 1, 2, 2, dtype=torch.bool)])
def test_a_mask_that_does_not_fit_is_named(known):
    model = labelled()
    with pytest.raises(UserError, match=r"known must be bool and fit x of shape \(2, 1, 2, 2\)"):
        model.complete(torch.zeros(2, *X.shape), known)
