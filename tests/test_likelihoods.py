"""Likelihoods against closed forms: sums to 1, torch's distributions, and the arithmetic of dequantised densities."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Laplace, MixtureSameFamily, Normal

from pofx.distributions.likelihoods import Bernoulli, Categorical, Gaussian, GaussianMixture, LaplaceMixture, LogisticMixture, likelihood
from pofx.errors import UserError
from pofx.kinds import Binary, Category, Image, Vector


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def every_level(levels: int) -> torch.Tensor:
    return torch.arange(levels)[:, None] / (levels - 1)


@pytest.mark.parametrize("levels", [2, 5, 256])
@pytest.mark.parametrize("spread", [0.1, 3.0, 30.0])
def test_discretised_logistics_sum_to_one_over_the_levels(levels, spread):
    """However narrow, wide or far out the components are."""
    mixture = LogisticMixture(3, levels)
    params = spread * torch.randn(20, mixture.per_element, 1)
    total = sum(mixture.log_prob(params, x.expand(20, 1)).exp() for x in every_level(levels))
    torch.testing.assert_close(total, torch.ones(20), rtol=1e-11, atol=0)


def test_a_discretised_logistic_is_the_difference_of_two_cumulative_probabilities():
    mixture, x = LogisticMixture(1, 11), every_level(11)
    mean, scale = 0.3, 0.2
    edges = (2 * (torch.arange(12) - 0.5) / 10 - 1 - mean) / scale
    edges[0], edges[-1] = -math.inf, math.inf
    params = torch.tensor([0.7, mean, math.log(scale)])[None, :, None].expand(11, -1, -1)
    torch.testing.assert_close(mixture.log_prob(params, x).exp(), edges.sigmoid().diff(), rtol=1e-10, atol=0)


def test_a_discretised_logistic_keeps_its_digits_in_single_precision():
    """A pixel thirty scales from the mean has a finite log probability, equal to the one in double precision."""
    mixture = LogisticMixture(1, 256)
    params, x = torch.tensor([0.0, -0.9, -3.5])[None, :, None], torch.tensor([[0.99]]).mul(255).round() / 255
    single = mixture.log_prob(params.float(), x.float())
    torch.testing.assert_close(single.double(), mixture.log_prob(params, x), rtol=1e-5, atol=0)


def test_categories_sum_to_one_over_the_levels():
    categorical = Categorical(7)
    params = torch.randn(4, 7, 1)
    total = sum(categorical.log_prob(params, x.expand(4, 1)).exp() for x in every_level(7))
    torch.testing.assert_close(total, torch.ones(4))
    k = torch.randint(7, (4, 2, 3, 3))
    params = torch.randn(4, 7, 2, 3, 3)
    each = params.log_softmax(1).gather(1, k[:, None]).flatten(1).sum(1)
    torch.testing.assert_close(categorical.log_prob(params, k / 6), each)


def test_bits_are_those_of_torch():
    params, x = torch.randn(5, 1, 2, 3), torch.rand(5, 2, 3).round()
    each = TorchBernoulli(logits=params[:, 0]).log_prob(x)
    torch.testing.assert_close(Bernoulli().log_prob(params, x), each.sum((1, 2)))


@pytest.mark.parametrize("size", [1, 7, 101, 784])
@pytest.mark.parametrize("gain", [0.3, 300.0])
def test_the_bound_s_fast_way_to_bits_is_the_plain_one(size, gain):
    """At a gain of 300 a group's product underflows, so the rows that are done again are tried too."""
    h, weight, bias, x = torch.randn(40, 20), gain * torch.randn(size, 20), torch.randn(size), torch.rand(size).round()
    plain = Bernoulli().log_prob((h @ weight.T + bias)[:, None], x.expand(40, size))
    torch.testing.assert_close(Bernoulli().log_prob_of_features(weight, bias, x)(h), plain, rtol=1e-11, atol=1e-9)
    single = Bernoulli().log_prob_of_features(weight.float(), bias.float(), x.float())(h.float())
    torch.testing.assert_close(single.double(), plain, rtol=2e-5, atol=1e-4)


def test_real_numbers_are_those_of_torch():
    params, x = torch.randn(5, 2, 3), torch.randn(5, 3)
    learned = Normal(params[:, 0], params[:, 1].exp()).log_prob(x).sum(1)
    fixed = Normal(params[:, 0], 0.3).log_prob(x).sum(1)
    torch.testing.assert_close(Gaussian().log_prob(params, x), learned)
    torch.testing.assert_close(Gaussian(0.3).log_prob(params[:, :1], x), fixed)


def test_the_cells_of_a_dequantised_density_sum_to_its_mass_in_the_unit_interval():
    gaussian, L = Gaussian(levels=16), 16
    params = torch.stack([torch.rand(30), torch.randn(30)], 1)[:, :, None]
    total = sum(gaussian.log_prob(params, x.expand(30, 1)).exp() for x in every_level(L))
    density = Normal(params[:, 0, 0], params[:, 1, 0].exp())
    torch.testing.assert_close(total, density.cdf(torch.ones(30)) - density.cdf(torch.zeros(30)), rtol=1e-9, atol=0)


def test_dequantised_arithmetic():
    """The mean over the noise of the density times the cell's volume is the mass, and that of its log is a lower bound on the log mass."""
    gaussian, L, D = Gaussian(levels=8), 8, 2
    grid = (torch.arange(300) + 0.5) / 300
    u = torch.cartesian_prod(grid, grid)
    x = torch.tensor([[2 / 7, 5 / 7]])
    params = torch.tensor([[0.4, 0.6], [math.log(0.1), math.log(0.3)]])[None]
    log_mass = gaussian.log_prob(params, x)
    given_u = gaussian.log_prob(params.expand(len(u), -1, -1), x.expand(len(u), D), u)
    torch.testing.assert_close(given_u.exp().mean().log(), log_mass[0], rtol=1e-5, atol=0)
    assert given_u.mean() < log_mass[0] - 0.01
    y = (x * (L - 1) + u) / L
    stated = Normal(params[0, 0], params[0, 1].exp()).log_prob(y).sum(1) - D * math.log(L)
    torch.testing.assert_close(given_u, stated)


def test_a_density_that_is_constant_on_a_cell_gives_the_cell_s_exact_log_probability():
    """Of scale 1e4 the density is 1 / (1e4 sqrt(2 pi)) everywhere in [0, 1): the noise makes no difference."""
    wide, x, u = Gaussian(1e4, levels=256), torch.randint(256, (3, 10)) / 255, torch.rand(3, 10)
    exact = 10 * (-math.log(1e4) - 0.5 * math.log(2 * math.pi) - math.log(256))
    torch.testing.assert_close(wide.log_prob(torch.zeros(3, 1, 10), x, u), torch.full((3,), exact), rtol=1e-8, atol=0)
    torch.testing.assert_close(wide.log_prob(torch.zeros(3, 1, 10), x), torch.full((3,), exact), rtol=1e-8, atol=0)


@pytest.mark.parametrize(("mixture", "form"), [(GaussianMixture(4, 0.3), Normal), (LaplaceMixture(4, 0.3), Laplace)])
def test_mixtures_of_densities_are_those_of_torch_and_integrate_to_one(mixture, form):
    params, x = torch.randn(6, mixture.per_element, 2), torch.randn(6, 2)
    logits, mean, s = params.movedim(1, -1).unflatten(-1, (3, 4)).unbind(-2)
    of_torch = MixtureSameFamily(TorchCategorical(logits=logits), form(mean, 0.3 + s.exp()))
    torch.testing.assert_close(mixture.each(params, x), of_torch.log_prob(x))
    torch.testing.assert_close(mixture.mean(params), of_torch.mean)
    grid = torch.linspace(-400, 400, 400_001)[:, None]
    one = params[:1, :, :1].expand(len(grid), -1, -1)
    assert torch.trapezoid(mixture.log_prob(one, grid).exp(), grid[:, 0]).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("mixture", [GaussianMixture(3, 0.1), LaplaceMixture(3, 0.1)])
def test_uniform_numbers_of_a_mixture_of_densities_give_its_quantiles(mixture):
    """With one component in sight, the second number u gives the x below which its mass is u; the first chooses the component."""
    params = torch.tensor([-50.0, 0.0, -50.0, 9.0, 2.0, 9.0, 0.0, math.log(0.4), 0.0])[None, :, None]
    u = torch.linspace(0.001, 0.999, 101)
    x = mixture.invert(params.expand(101, -1, -1), torch.stack([torch.full_like(u, 0.5), u], 1)[:, :, None])
    one = Normal(2.0, 0.5) if isinstance(mixture, GaussianMixture) else Laplace(2.0, 0.5)
    torch.testing.assert_close(one.cdf(x[:, 0]), u)
    even = torch.tensor([0.0, 0.0, 0.0, -5.0, 0.0, 5.0, -9.0, -9.0, -9.0])[None, :, None].expand(3, -1, -1)
    chosen = mixture.invert(even, torch.tensor([[0.2, 0.5], [0.5, 0.5], [0.8, 0.5]])[:, :, None])
    torch.testing.assert_close(chosen[:, 0], torch.tensor([-5.0, 0.0, 5.0]))
    assert mixture.invert(even, torch.zeros(3, 2, 1)).isfinite().all()


@pytest.mark.parametrize(
    "model",
    [Bernoulli(), Categorical(5), LogisticMixture(3, 256), Gaussian(), Gaussian(0.1, levels=256), GaussianMixture(3), LaplaceMixture(3)],
    ids=lambda m: type(m).__name__,
)
def test_draws_have_the_mean_and_fall_on_levels(model):
    params = torch.randn(1, model.per_element, 3).expand(20000, -1, -1)
    if isinstance(model, Gaussian) and model.levels:
        params = params.sigmoid() * 0.4 + 0.3  # away from the ends, which cut
    draws = model.draw(params, torch.Generator().manual_seed(1))
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - model.mean(params)[0]).abs() < 5 * error + 0.002).all()  # a mixture's mean is so to half a level, 1/510
    if levels := getattr(model, "levels", None):
        assert draws.min() >= 0
        assert draws.max() <= 1
        torch.testing.assert_close(draws * (levels - 1), (draws * (levels - 1)).round(), rtol=0, atol=1e-9)
    if isinstance(model, Categorical):
        share = (draws[:, 0] == 0).double().mean()
        assert abs(share - params[0].softmax(0)[0, 0]) < 0.02


def test_the_kind_of_x_chooses():
    assert likelihood(Binary(4)) == Bernoulli()
    assert likelihood(Image(1, 2, 2, levels=17)) == LogisticMixture(5, 17)
    assert likelihood(Vector(4)) == Gaussian()
    assert likelihood(Image(1, 2, 2), "gaussian", scale=0.1) == Gaussian(0.1, 256)
    assert likelihood(Binary(4), "categorical") == Categorical(2)
    assert likelihood(Vector(4), "gaussian_mixture", components=3, floor=0.2) == GaussianMixture(3, 0.2)
    assert likelihood(Vector(4), "laplace_mixture", components=3, floor=0.2) == LaplaceMixture(3, 0.2)


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        (Image(1, 8, 8), "bernoulli", "--binarize dynamic"),
        (Vector(3), "bernoulli", "use gaussian"),
        (Vector(3), "categorical", "use gaussian"),
        (Vector(3), "logistic_mixture", "use gaussian"),
        (Image(1, 8, 8), "gaussian_mixture", "use logistic_mixture"),
        (Binary(3), "laplace_mixture", "use logistic_mixture"),
        (Category(3), None, "for numbers of known levels"),
        (Category(2), "bernoulli", "for bits"),
    ],
)
def test_what_does_not_fit_says_what_to_use(kind, name, words):
    with pytest.raises(UserError, match=words):
        likelihood(kind, name)
