"""What holds for every model of any order: orders are exact, mixtures are of probabilities, and the loss is their average."""

from itertools import permutations
from math import comb

import pytest
import torch
from scipy.stats import chi2

from pofx.errors import UserError
from pofx.kinds import Binary, Image
from pofx.models.autoregressive.conv_nade import ConvNADE
from pofx.models.autoregressive.deep_nade import DeepNADE
from pofx.randomness import Noise, generator
from pofx.testing.cases import every, stirred

X = Binary(1, 3, 3)
MODELS = pytest.mark.parametrize("cls", [DeepNADE, ConvNADE])


def small(cls, kind=X):
    torch.manual_seed(0)
    return stirred(cls(kind, **cls.small).double()).eval()


@MODELS
def test_a_mixture_of_orders_averages_probabilities(cls):
    model, x = small(cls), every(X)
    one = torch.stack([model.log_prob(x, order=k).exp() for k in range(4, 9)])
    torch.testing.assert_close(one.sum(1), torch.ones(5, dtype=torch.double))
    torch.testing.assert_close(model.log_prob(x, orders=5, order=4).exp(), one.mean(0))
    assert one.std(0).max() > 1e-4  # the orders do disagree


def test_orders_are_permutations_and_a_function_of_their_number():
    model, other = small(DeepNADE), small(ConvNADE)
    for k in (0, 1, 7):
        assert sorted(model.order_of(k).tolist()) == list(range(9))
        assert torch.equal(model.order_of(k), other.order_of(k))
    assert len({tuple(model.order_of(k).tolist()) for k in range(20)}) == 20


@MODELS
def test_the_loss_is_the_mean_over_all_orders(cls, monkeypatch):
    """Over every mask, weighed by its probability, as -log p over all 24 orders of 4 numbers."""
    kind, D = Binary(1, 2, 2), 4
    model, x = small(cls, kind), every(Binary(1, 2, 2))[[3, 5, 14]]
    nll = []
    for order in permutations(range(D)):
        monkeypatch.setattr(model, "order_of", lambda _, order=order: torch.tensor(order))
        nll.append(-model.log_prob(x))
    loss = torch.zeros(len(x), dtype=torch.double)
    for mask in every(Binary(D)).bool():

        class Chosen:
            def uniform(self, *shape, mask=mask):
                return torch.full((len(x), 1), 0.5) if shape == (1,) else torch.where(mask, 0.2, 0.7).expand(len(x), D)

        d = int(mask.sum())
        loss += model.loss({"x": x}, Chosen())["nll"].detach() / ((D + 1) * comb(D, d))
    torch.testing.assert_close(loss, torch.stack(nll).mean(0))


def test_masks_are_drawn_as_the_loss_needs_them(monkeypatch):
    """How many are known is uniform from 0 to D, and which ones too: chi-square over all 16 masks at 1 in 10,000."""
    kind, D, n = Binary(4), 4, 40_000
    model = DeepNADE(kind, hidden=(2,))
    drawn, params = [], model.params

    def watched(x, known):
        drawn.append(known)
        return params(x, known)

    monkeypatch.setattr(model, "params", watched)
    model.loss({"x": torch.zeros(n, D)}, Noise("masks", slice(0, n), n))
    seen = torch.bincount((drawn[0].long() << torch.arange(D)).sum(1), minlength=16)
    expected = n / (D + 1) / torch.tensor([comb(D, int(mask.sum())) for mask in every(Binary(D))])
    assert ((seen - expected).square() / expected).sum() < chi2.isf(1e-4, 15)


@MODELS
def test_completions_follow_the_conditional_given_all_that_is_known(cls):
    """Of 9 bits 4 are known, most of them late in raster order: the others follow the table of their 32 cases."""
    model, n, order = small(cls), 20_000, 3
    known = torch.tensor([0, 0, 0, 1, 0, 0, 1, 1, 1]).bool().view(X.shape)
    x = torch.tensor([0, 0, 0, 1, 0, 0, 0, 1, 1.0], dtype=torch.double).view(1, *X.shape)

    def table(x):
        """p of each completion, by the chain that begins with what is known: plain passes of the network."""
        rest = every(Binary(5))
        whole = x.flatten().repeat(32, 1)
        whole[:, ~known.flatten()] = rest
        now, log_p = known.flatten().repeat(32, 1), torch.zeros(32, dtype=torch.double)
        with torch.no_grad():
            for place in (place for place in model.order_of(order).tolist() if not known.flatten()[place]):
                params = model.params(whole.view(-1, *X.shape), now.view(-1, *X.shape))
                log_p += model.likelihood.each(params, whole.view(-1, *X.shape)).flatten(1)[:, place]
                now[:, place] = True
        return log_p.exp()

    p = table(x)
    torch.testing.assert_close(p.sum(), torch.ones((), dtype=torch.double))
    drawn = model.complete(x.expand(n, *X.shape), known, generator=generator("complete"), order=order)
    assert torch.equal(drawn[:, known], x[:, known].expand(n, 4))
    seen = torch.bincount((drawn[:, ~known].long() << torch.arange(5)).sum(1), minlength=32)
    assert (n * p > 5).all(), "the test needs cases that are not rare"
    assert ((seen - n * p).square() / (n * p)).sum() < chi2.isf(1e-4, 31)

    later = x.clone()
    later[..., 2, 2] = 0  # the last pixel moves what is drawn before it
    assert (table(later) - p).abs().max() > 1e-3


@MODELS
def test_masks_may_differ_from_example_to_example(cls):
    model = small(cls, Image(1, 4, 4, levels=4))
    x, known = torch.rand(8, 1, 4, 4).mul(3).round().div(3).double(), torch.rand(8, 1, 4, 4) < 0.5
    cached, naive = (model.complete(x, known, generator=generator("masks"), sampler=sampler) for sampler in ("cached", "naive"))
    torch.testing.assert_close(cached, naive)
    assert torch.equal(cached[known], x[known])


@MODELS
def test_bad_questions_are_refused_in_one_line(cls):
    model, x = small(cls), torch.zeros(2, 1, 3, 4)
    with pytest.raises(UserError, match=r"was made for x of shape \(1, 3, 3\), not \(1, 3, 4\)"):
        model.log_prob(x)
    with pytest.raises(UserError, match=r"was made for x of shape \(1, 3, 3\), not \(1, 3, 4\)"):
        model.complete(x, torch.zeros(1, 3, 4).bool())
    with pytest.raises(UserError, match="orders must be 1 or more, not 0"):
        model.log_prob(x[..., :3], orders=0)
    with pytest.raises(UserError, match="bernoulli is for bits"):
        cls(Image(1, 3, 3), likelihood="bernoulli")
