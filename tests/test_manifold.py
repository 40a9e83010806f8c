"""Precision, recall, density and coverage beside their definitions, and what they are on average for sets of one distribution."""

import numpy as np
import pytest

from pofx.errors import UserError
from pofx.metrics.manifold import Manifold, prdc


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def by_definition(real, fake, k):
    """One pair at a time (Kynkäänniemi et al., 2019, equation 2; Naeem et al., 2020, equations 2 to 6)."""

    def radius(x):
        return [sorted(np.linalg.norm(x[i] - x[j]) for j in range(len(x)) if j != i)[k - 1] for i in range(len(x))]

    radius_real, radius_fake = radius(real), radius(fake)
    in_real = [[np.linalg.norm(y - x) <= r for x, r in zip(real, radius_real, strict=True)] for y in fake]
    in_fake = [[np.linalg.norm(x - y) <= r for y, r in zip(fake, radius_fake, strict=True)] for x in real]
    return Manifold(
        precision=np.mean([any(row) for row in in_real]),
        recall=np.mean([any(row) for row in in_fake]),
        density=np.sum(in_real) / (k * len(fake)),
        coverage=np.mean([any(row[i] for row in in_real) for i in range(len(real))]),
    )


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("at_once", [500, 7])
def test_the_four_shares_are_their_definitions_whatever_the_rows_at_once(k, at_once, monkeypatch):
    monkeypatch.setattr("pofx.metrics.manifold.ROWS", at_once)
    real, fake = normal(60, 3), 0.7 * normal(45, 3, seed=1) + 0.4
    assert prdc(real, fake, k=k) == pytest.approx(by_definition(real, fake, k), abs=1e-12)


def test_distances_survive_features_that_lie_far_from_zero():
    real, fake = normal(60, 3), normal(45, 3, seed=1)
    assert prdc(real + 1e8, fake + 1e8) == prdc(real, fake)  # |x|^2 is 1e16, a distance is 1


def test_sets_of_one_distribution_have_density_1_and_the_coverage_of_exchangeable_samples():
    """A generated sample is as likely as any other to be among the k nearest of a real one: each ball holds k of them on average, and
    none with probability (n - 1)...(n - k) / ((2n - 1)...(2n - k)), in any dimension."""
    n, k = 40, 3
    draws = np.array([prdc(normal(n, 20, seed=2 * i), normal(n, 20, seed=2 * i + 1), k=k) for i in range(150)])
    mean, error = draws.mean(0), draws.std(0, ddof=1) / np.sqrt(len(draws))
    none = np.prod([(n - 1 - j) / (2 * n - 1 - j) for j in range(k)])
    assert abs(mean[2] - 1) < 3 * error[2]
    assert abs(mean[3] - (1 - none)) < 3 * error[3]
    assert abs(mean[0] - mean[1]) < 3 * np.hypot(*error[:2])
    assert error.max() < 0.03


def test_far_samples_have_nothing_copies_have_all_and_a_collapsed_generator_little_recall():
    real = normal(100, 4)
    assert prdc(real, real + 100) == (0, 0, 0, 0)
    copies = prdc(real, real.copy())
    assert (copies.precision, copies.recall, copies.coverage) == (1, 1, 1)
    collapsed = prdc(real, real[:1] + 1e-3 * normal(100, 4, seed=1))
    assert collapsed.precision == 1
    assert collapsed.recall <= 0.01
    assert collapsed.coverage < 0.3


def test_an_outlier_among_the_real_raises_precision_and_hardly_density():
    """The figure of Naeem et al., 2020: one real sample far away makes a ball that holds every generated one."""
    real, fake = normal(200, 2), normal(200, 2, seed=1) + np.array([30.0, 0.0])
    assert prdc(real, fake).precision == 0
    outlier = np.concatenate([real, [[60.0, 0.0]]])
    assert prdc(outlier, fake).precision == 1
    assert prdc(outlier, fake).density == pytest.approx(1 / 5)


def test_too_few_neighbours_are_an_error():
    with pytest.raises(UserError, match="nearest neighbour 5 needs 6 samples or more, not 5"):
        prdc(normal(20, 2), normal(5, 2))
    prdc(normal(20, 2), normal(6, 2))
