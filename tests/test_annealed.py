"""Annealed importance sampling against integrals that are known: linear-Gaussian decoders, quadrature, and the weights' own expectation."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal

from pofx.errors import UserError
from pofx.metrics.annealing import Annealing, Chains


class Linear:
    """x = W z + b + sigma e: p(x) is N(b, W W' + sigma^2)."""

    def __init__(self, D=6, d=3, sigma=0.1, seed=0):
        noise = torch.Generator().manual_seed(seed)
        self.W, self.b = (torch.randn(*shape, generator=noise, dtype=torch.float64) for shape in ((D, d), (D,)))
        self.d, self.sigma = d, sigma
        self.p = MultivariateNormal(self.b, self.W @ self.W.T + sigma**2 * torch.eye(D))

    def log_px(self, x: Tensor, z_BCd: Tensor) -> Tensor:
        return Normal(z_BCd @ self.W.T + self.b, self.sigma, validate_args=False).log_prob(x[:, None]).sum(2)

    def posterior(self, x: Tensor) -> MultivariateNormal:
        precision = torch.eye(self.d) + self.W.T @ self.W / self.sigma**2
        return MultivariateNormal(torch.linalg.solve(precision, self.W.T @ (x - self.b) / self.sigma**2), precision_matrix=precision)

    def draw(self, n, noise):
        z = torch.randn(n, self.d, generator=noise, dtype=torch.float64)
        return z, z @ self.W.T + self.b + self.sigma * torch.randn(n, len(self.b), generator=noise, dtype=torch.float64)


def error_of(log_weights_BC):
    """Standard error of the log of the mean weight of each example."""
    w_BC = (log_weights_BC - log_weights_BC.amax(1, keepdim=True)).exp()
    return w_BC.std(1) / w_BC.mean(1) / math.sqrt(w_BC.shape[1])


@pytest.mark.parametrize("schedule", ["sigmoid", "linear"])
def test_a_linear_gaussian_decoder_has_its_log_density(noise, schedule):
    decoder = Linear(sigma=0.5)
    x = decoder.draw(8, noise)[1]
    found = Annealing(chains=60, temperatures=150, leapfrog=4, schedule=schedule).log_prob(decoder.log_px, x, 3, noise)
    error_B = error_of(found.log_weights)
    assert error_B.max() < 0.2
    assert ((found.log_mean - decoder.p.log_prob(x)).abs() < 4 * error_B).all()
    assert (found.accepted > 0.5).all()


def test_what_the_chains_end_at_is_the_posterior(noise):
    decoder = Linear(sigma=1.0)
    x = decoder.draw(3, noise)[1]
    found = Annealing(chains=1500, temperatures=40, leapfrog=5).log_prob(decoder.log_px, x, 3, noise)
    w_BC1 = found.log_weights.softmax(1)[..., None]
    mean_Bd = (w_BC1 * found.z).sum(1)
    for row, mean, z, w in zip(x, mean_Bd, found.z, w_BC1, strict=True):
        truth = decoder.posterior(row)
        error = truth.stddev * w.square().sum().sqrt()  # of as many draws as the weights are worth
        assert error.max() < 0.03
        assert ((mean - truth.mean).abs() < 4 * error).all()
        covariance = (w * (z - mean)).T @ (z - mean)
        torch.testing.assert_close(covariance, truth.covariance_matrix, rtol=0.2, atol=0.2 * float(truth.variance.max()))


def test_the_sandwich_holds_the_truth_and_closes_with_more_temperatures(noise):
    decoder = Linear(sigma=0.7)
    z, x = decoder.draw(40, noise)
    truth = decoder.p.log_prob(x).mean()
    gaps = []
    for temperatures in (3, 120):
        lower, upper = Annealing(chains=8, temperatures=temperatures, leapfrog=4).sandwich(decoder.log_px, x, z, noise)
        assert lower.mean() < truth + 0.02
        assert upper.mean() > truth - 0.02
        gaps.append(float((upper - lower).mean()))
    assert gaps[0] > 1
    assert 0 < gaps[1] < gaps[0] / 10


@pytest.mark.parametrize("accepted", ["nearly all", "half"])
def test_weights_are_unbiased_however_few_the_temperatures(noise, accepted):
    """E weight = p(x), and 1 / p(x) the other way: true only if the moves leave each distribution on the way as it is."""
    decoder = Linear(D=2, d=1, sigma=1.5)
    x = decoder.draw(1, noise)[1]
    few = Annealing(chains=40_000, temperatures=4, leapfrog=2)
    step_TB = torch.full((5, 1), 0.3 if accepted == "nearly all" else 1.5, dtype=torch.float64)
    down = few._down(decoder.log_px, x, 1, step_TB, noise)
    assert (down.accepted > 0.9) == (accepted == "nearly all")
    assert abs(down.log_mean - decoder.p.log_prob(x)) < 4 * error_of(down.log_weights)
    z = decoder.posterior(x[0]).mean + decoder.posterior(x[0]).stddev * torch.randn(40_000, 1, generator=noise, dtype=torch.float64)
    one = Annealing(chains=1, temperatures=4, leapfrog=2)
    up = one._up(decoder.log_px, x.expand(40_000, 2), z, step_TB.expand(5, 40_000), noise).log_weights.T
    assert abs(-(up.logsumexp(1) - math.log(40_000)) - decoder.p.log_prob(x)) < 4 * error_of(up)


def test_bits_against_quadrature(noise):
    weight, bias = torch.tensor([3.0, -5.0, 2.0, 8.0, -4.0]).double(), torch.tensor([1.0, 0.0, -2.0, 1.0, 3.0]).double()

    def log_px(x, z_BCd):
        logits = z_BCd * weight + bias
        return (x[:, None] * logits - torch.nn.functional.softplus(logits)).sum(2)

    x = torch.tensor([[1, 0, 1, 1, 0], [0, 1, 0, 0, 1], [1, 1, 1, 0, 0]]).double()
    grid = torch.linspace(-9, 9, 20_001, dtype=torch.float64)
    log_joint = log_px(x, grid[None, :, None].expand(3, -1, -1)) + Normal(0.0, 1.0).log_prob(grid)
    exact = torch.trapezoid(log_joint.exp(), grid, dim=1).log()
    found = Annealing(chains=64, temperatures=100, leapfrog=5).log_prob(log_px, x, 1, noise)
    assert ((found.log_mean - exact).abs() < 4 * error_of(found.log_weights) + 0.005).all()


def test_an_example_s_number_knows_nothing_of_its_neighbours():
    """Chains of one example with another beside it: with the same random numbers they go the same way."""
    decoder = Linear()
    x = decoder.draw(2, torch.Generator().manual_seed(1))[1]
    z = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    together = Chains(decoder.log_px, x, z, torch.Generator().manual_seed(3))
    alone = Chains(decoder.log_px, x[:1], z[:1], torch.Generator().manual_seed(3))
    far = Chains(decoder.log_px, torch.stack([x[0], x[1] + 100]), z, torch.Generator().manual_seed(3))
    step = torch.tensor([0.05, 0.05]).double()
    for _ in range(5):
        together.move(0.7, step, 3)
        far.move(0.7, step, 3)
    torch.testing.assert_close(together.z[0], far.z[0], rtol=0, atol=0)
    assert not torch.equal(together.z[1], far.z[1])
    torch.testing.assert_close(alone.log_px, together.look(z)[0][:1])


def test_paths_out_of_range_are_not_taken(noise):
    decoder = Linear(sigma=1e-3)
    x = decoder.draw(1, noise)[1]
    chains = Chains.of_prior(decoder.log_px, x, 5, 3, noise)
    before = chains.z
    assert chains.move(1.0, torch.tensor([1e100]).double(), 30).item() == 0
    assert torch.equal(chains.z, before)


def test_bad_input():
    with pytest.raises(UserError, match="temperatures of 1 or more, not 0"):
        Annealing(temperatures=0)


@pytest.fixture
def noise():
    return torch.Generator().manual_seed(0)
