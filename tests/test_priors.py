"""Priors: means and covariances are those of closed forms, sweeps go where they say, and a part that is not there is named."""

from __future__ import annotations

import cmath
import math

import pytest
import torch

from pofx.distributions.priors import Categorical, Gaussian, Joint, Prior, Ring, SwissRoll, Uniform
from pofx.errors import UserError
from pofx.randomness import Noise, generator

N = 40_000
THIRD = 1 / 3
PLANE = (2.0**2 + 0.5**2 + 0.1**2) / 2  # of the default ring: half of E |x|^2 in each direction, by symmetry


def spiral(turns: float = 1.5, radius: float = 3.0) -> complex:
    """The mean of radius * s * e^(i a s), s of density 2 s on [0, 1], a = 2 pi turns: 2 radius times the integral of s^2 e^(i a s)."""
    a = 2 * math.pi * turns
    return 2 * radius * (cmath.exp(1j * a) * (1 / (1j * a) + 2 / a**2 - 2 / (1j * a**3)) + 2 / (1j * a**3))


MOMENTS = {
    "gaussian": (Gaussian(3), torch.zeros(3), torch.eye(3)),
    "narrow": (Gaussian(2, 0.1), torch.zeros(2), 0.01 * torch.eye(2)),
    "uniform": (Uniform(3), torch.zeros(3), torch.eye(3) / 3),
    "categorical": (Categorical(4), torch.full((4,), 0.25), torch.eye(4) / 4 - 1 / 16),
    "joint": (
        Joint({"c": Categorical(3), "u": Uniform(1), "z": Gaussian(2)}),
        torch.tensor([THIRD, THIRD, THIRD, 0, 0, 0]),
        torch.block_diag(torch.eye(3) / 3 - 1 / 9, torch.eye(1) / 3, torch.eye(2)),
    ),
    "ring": (Ring(), torch.zeros(2), PLANE * torch.eye(2)),
    "three petals": (Ring(3, 1.0, 0.2, 0.3), torch.zeros(2), (1 + 0.04 + 0.09) / 2 * torch.eye(2)),
}


@pytest.mark.parametrize(("prior", "mean", "covariance"), MOMENTS.values(), ids=MOMENTS)
def test_moments(prior: Prior, mean, covariance):
    """Within five standard errors. A fourth moment is at most 3 covariances squared here, times what the widest direction makes of it."""
    z = prior.sample(N, torch.zeros(1, dtype=torch.float64), generator("prior"))
    assert z.shape == (N, prior.dims)
    largest = covariance.diagonal().max().item()
    assert (z.mean(0) - mean).abs().max() < 5 * math.sqrt(largest / N)
    assert (z.T.cov() - covariance).abs().max() < 5 * largest * math.sqrt(2 / N)


def test_swiss_roll():
    """E x from the integral along the spiral, E |x|^2 = radius^2 / 2 + 2 thickness^2, and no x far from the spiral."""
    prior = SwissRoll()
    x = prior.sample(N, torch.zeros(1, dtype=torch.float64), generator("roll"))
    mean = spiral()
    assert (x.mean(0) - torch.tensor([mean.real, mean.imag])).abs().max() < 5 * 3 / math.sqrt(N)
    assert x.square().sum(1).mean().item() == pytest.approx(9 / 2 + 2 * 0.05**2, abs=5 * 2.6 / math.sqrt(N))
    line = prior.at(torch.linspace(0, 1, 2000, dtype=torch.float64))
    apart = (x[:2000, None] - line).square().sum(2).min(1).values.sqrt()
    assert apart.max() < 5 * 0.05
    assert apart.square().mean().sqrt() == pytest.approx(0.05, rel=0.05)  # across the spiral alone is one direction of the noise
    share = torch.rand(N, generator=generator("share"), dtype=torch.float64).sqrt()
    ends = [prior.at(torch.tensor([end])).norm().item() for end in (0.0, 1.0)]
    assert ends == pytest.approx([0, 3])
    assert prior.at(share).norm(dim=1).mean().item() == pytest.approx(2, abs=0.02)  # 3 E s, s of density 2 s


def test_a_petal_is_long_towards_the_centre_and_thin_across():
    x = Ring(1, 2.0, 0.5, 0.1).sample(N, torch.zeros(1), generator("petal"))
    assert x.mean(0).tolist() == pytest.approx([2, 0], abs=0.02)
    assert x.std(0).tolist() == pytest.approx([0.5, 0.1], rel=0.03)


def test_every_draw_of_a_categorical_is_one_of_the_classes():
    z = Categorical(5).sample(2000, torch.zeros(1), generator(0))
    assert set(z.unique().tolist()) == {0.0, 1.0}
    assert (z.sum(1) == 1).all()
    assert (z.sum(0) > 300).all()


@pytest.mark.parametrize("prior", [*(prior for prior, *_ in MOMENTS.values()), SwissRoll()])
def test_draws_are_a_function_of_the_noise_and_of_the_row(prior):
    """Two halves of a batch draw what the whole batch does, and types are those asked for."""
    whole = prior.draw(Noise((3, 1), slice(0, 8), 8))
    halves = [prior.draw(Noise((3, 1), slice(first, first + 4), 8)) for first in (0, 4)]
    assert torch.equal(whole, torch.cat(halves))
    assert whole.dtype == torch.float32
    assert prior.draw(Noise((3, 1), slice(0, 8), 8, dtype=torch.float64)).dtype == torch.float64
    assert torch.equal(prior.sample(4, whole, generator(1)), prior.sample(4, whole, generator(1)))
    assert not torch.equal(prior.sample(4, whole, generator(1)), prior.sample(4, whole, generator(2)))


def test_sweeps():
    assert Gaussian(2).sweep(3).tolist() == [[-2, 0], [0, 0], [2, 0], [0, -2], [0, 0], [0, 2]]
    assert Uniform(1).sweep(3).tolist() == [[-1], [0], [1]]
    assert Categorical(3).sweep(7).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert Joint({"z": Gaussian(1), "c": Categorical(2)}).sweep(2).tolist() == [[-2, 0, 0], [2, 0, 0], [0, 1, 0], [0, 0, 1]]
    torch.testing.assert_close(Ring(4, 2.0).sweep(9), torch.tensor([[2.0, 0], [0, 2], [-2, 0], [0, -2]]))
    assert SwissRoll().sweep(5).norm(dim=1).tolist() == pytest.approx([0, 0.75, 1.5, 2.25, 3])


def test_parts_of_a_joint_are_found_by_name():
    prior = Joint({"style": Gaussian(3), "class": Categorical(4), "slant": Uniform(1)})
    assert prior.dims == 8
    assert [prior.where(name) for name in ("style", "class", "slant")] == [slice(0, 3), slice(3, 7), slice(7, 8)]
    z = prior.sample(5, torch.zeros(1), generator(0))
    split = prior.split(z)
    assert list(split) == ["style", "class", "slant"]
    assert all(torch.equal(split[name], z[:, prior.where(name)]) for name in split)
    assert (split["class"].sum(1) == 1).all()
    with pytest.raises(UserError, match="there is no code 'slent': did you mean slant"):
        prior.where("slent")
