"""Distances between sets of features: closed forms, slow references, and the reference programs."""

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch

from pofx.errors import UserError
from pofx.metrics.frechet import frechet_distance
from pofx.metrics.kid import ROWS, SUBSETS, kernel_distance
from pofx.metrics.sliced import sliced_wasserstein


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def exactly(mean, covariance, n=50, seed=0):
    """`n` samples whose mean and covariance are these ones."""
    white = normal(n, len(mean), seed=seed)
    white -= white.mean(0)
    white = white @ np.linalg.inv(np.linalg.cholesky(np.cov(white.T))).T
    return white @ np.linalg.cholesky(covariance).T + mean


def test_frechet_distance_of_gaussians_with_one_basis_is_the_closed_form():
    """Covariances that commute: |difference of means|^2 + |difference of the roots of the variances|^2."""
    basis = np.linalg.qr(normal(3, 3))[0]
    variance_a, variance_b = np.array([1.0, 4.0, 9.0]), np.array([4.0, 1.0, 0.25])
    a = exactly(np.zeros(3), basis @ np.diag(variance_a) @ basis.T)
    b = exactly(np.array([1.0, 2.0, -2.0]), basis @ np.diag(variance_b) @ basis.T, n=70, seed=1)
    assert frechet_distance(a, b) == pytest.approx(9 + 1 + 1 + 6.25, rel=1e-12)
    assert frechet_distance(b, a) == pytest.approx(17.25, rel=1e-12)


def test_frechet_distance_is_that_of_a_matrix_root_and_of_torchmetrics():
    fid = pytest.importorskip("torchmetrics.image.fid", reason="the dev extra is not installed")
    a, b = normal(200, 12) @ normal(12, 12, seed=1), normal(300, 12, seed=2) @ normal(12, 12, seed=3) + 0.5
    mu, sigma = a.mean(0) - b.mean(0), (np.cov(a.T), np.cov(b.T))
    want = mu @ mu + np.trace(sigma[0]) + np.trace(sigma[1]) - 2 * np.trace(scipy.linalg.sqrtm(sigma[0] @ sigma[1]).real)
    got = frechet_distance(a, b)
    assert got == pytest.approx(want, rel=1e-9)

    class Identity(torch.nn.Module):
        num_features = 12

        def forward(self, x):
            return x[:, :, 0, 0]

    theirs = fid.FrechetInceptionDistance(feature=Identity(), normalize=True, input_img_size=(12, 1, 1)).set_dtype(torch.float64)
    theirs.update(torch.from_numpy(a)[:, :, None, None], real=True)
    theirs.update(torch.from_numpy(b)[:, :, None, None], real=False)
    assert got == pytest.approx(theirs.compute().item(), rel=1e-6)


def test_frechet_distance_stands_features_that_never_vary_and_is_zero_for_one_set():
    a, b = normal(50, 4), normal(60, 4, seed=1)
    dead_a, dead_b = np.pad(a, ((0, 0), (0, 2))), np.pad(b, ((0, 0), (0, 2)))
    assert frechet_distance(dead_a, dead_b) == pytest.approx(frechet_distance(a, b), rel=1e-9)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(a, a[::-1] + 1e-6) == pytest.approx(4e-12, rel=1e-2)  # a root of a matrix would have lost this


def test_too_few_samples_for_a_covariance_are_told_how_many_are_needed():
    assert math.isfinite(frechet_distance(normal(9, 8), normal(9, 8, seed=1)))
    with pytest.raises(UserError, match="of 8 features needs 9 samples or more of either set for their covariance, not 8"):
        frechet_distance(normal(9, 8), normal(8, 8))


def test_kid_is_the_double_loop_over_all_pairs():
    a, b = normal(23, 4), normal(31, 4, seed=1) + 0.3
    pair = lambda x, y: (x @ y / 4 + 1) ** 3  # noqa: E731
    want = (
        sum(pair(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j) / (23 * 22)
        + sum(pair(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j) / (31 * 30)
        - 2 * sum(pair(x, y) for x in a for y in b) / (23 * 31)
    )
    assert kernel_distance(a, b)[0] == pytest.approx(want, rel=1e-12)


def test_kid_of_the_smallest_sets_is_worked_out_by_hand():
    """Rows of 1 and of -1, one feature: k = 8 within a set, 0 between the sets."""
    ones = np.ones((2 * SUBSETS, 1))
    assert kernel_distance(ones, -ones) == (16.0, 0.0)
    assert kernel_distance(ones, ones) == (0.0, 0.0)
    with pytest.raises(UserError, match="needs 20 samples or more"):
        kernel_distance(ones, ones[1:])


def test_kid_is_that_of_torchmetrics_whatever_the_rows_at_once(monkeypatch):
    theirs = pytest.importorskip("torchmetrics.image.kid", reason="the dev extra is not installed")
    a, b = normal(120, 5), 1.2 * normal(120, 5, seed=1)
    got = kernel_distance(a, b)
    assert got[0] == pytest.approx(theirs.poly_mmd(torch.from_numpy(a), torch.from_numpy(b)).item(), rel=1e-9)
    assert ROWS > 120
    monkeypatch.setattr("pofx.metrics.kid.ROWS", 7)
    assert kernel_distance(a, b) == pytest.approx(got, rel=1e-12)


def test_kid_is_zero_on_average_between_sets_of_one_distribution_and_its_error_is_right():
    values = np.array([kernel_distance(normal(60, 3, seed=2 * i), normal(60, 3, seed=2 * i + 1)) for i in range(60)])
    mean, spread = values[:, 0].mean(), values[:, 0].std(ddof=1)
    assert abs(mean) < 3 * spread / math.sqrt(60)
    assert np.median(values[:, 1]) > spread  # of subsets, so no less than the number's own
    apart = np.array([kernel_distance(normal(60, 3, seed=2 * i), normal(60, 3, seed=2 * i + 1) + 1) for i in range(60)])
    assert 0.7 < np.sqrt((apart[:, 1] ** 2).mean()) / apart[:, 0].std(ddof=1) < 1.6


@pytest.mark.parametrize(("n", "m"), [(40, 40), (40, 25), (7, 60)])
def test_sliced_wasserstein_in_one_dimension_is_the_distance_of_quantile_functions(n, m):
    """Every direction is the line itself; between sets of n and m, each sample is split into m and n equal parts and sorted."""
    a, b = normal(n, 1), 2 * normal(m, 1, seed=1) + 1
    whole_a, whole_b = np.sort(np.repeat(a[:, 0], m)), np.sort(np.repeat(b[:, 0], n))
    assert sliced_wasserstein(a, b, projections=3) == pytest.approx(math.sqrt(((whole_a - whole_b) ** 2).mean()), rel=1e-12)


def test_sliced_wasserstein_of_a_shift_is_its_length_over_the_root_of_the_dimensions():
    """E (theta . mu)^2 = |mu|^2 / d for a direction that is uniform on the sphere."""
    a, shift = normal(50, 10), np.zeros(10)
    shift[3] = 5.0
    got = sliced_wasserstein(a, a + shift, projections=20_000)
    assert got == pytest.approx(5 / math.sqrt(10), rel=0.02)
    assert got == sliced_wasserstein(a, a + shift, projections=20_000)
    assert got != sliced_wasserstein(a, a + shift, projections=20_000, seed=1)


def test_sliced_wasserstein_takes_other_directions_for_every_projection():
    """With one direction per block of many, the mean of squares would be far off; scipy's one-dimensional distance agrees for W1 = W2."""
    a = np.zeros((4, 2))
    b = np.array([[1.0, 0.0]] * 4)
    assert sliced_wasserstein(a, b, projections=5000) ** 2 == pytest.approx(0.5, abs=0.02)
    assert scipy.stats.wasserstein_distance(a[:, 0], b[:, 0]) == 1
