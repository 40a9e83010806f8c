"""The Parzen window against scipy, a plain loop and the integral of what it claims to be."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import gaussian_kde

from pofx.errors import UserError
from pofx.evaluate.parzen import parzen_score
from pofx.metrics.parzen import BLOCK, chosen_sigma, parzen_log_likelihood


def plain(samples, x, sigma):
    """Row by row, as the formula is written."""
    values = []
    for row in x:
        exponents = -((samples - row) ** 2).sum(1) / (2 * sigma**2)
        values.append(np.logaddexp.reduce(exponents) - math.log(len(samples)) - samples.shape[1] / 2 * math.log(2 * math.pi * sigma**2))
    return np.array(values)


def test_equals_scipy(rng):
    samples, x = rng.normal(size=(400, 3)), rng.normal(size=(50, 3))
    kde = gaussian_kde(samples.T, bw_method=1.0)
    kde.set_bandwidth(1.0)
    whitened = np.linalg.inv(np.linalg.cholesky(kde.covariance))  # scipy's window has the data's covariance: ours is round
    ours = parzen_log_likelihood(samples @ whitened.T, x @ whitened.T, 1.0)
    volume = np.linalg.slogdet(whitened)[1]
    np.testing.assert_allclose(ours + volume, kde.logpdf(x.T), rtol=1e-10)


def test_equals_a_plain_loop_across_blocks_and_far_from_zero(rng):
    samples = rng.normal(size=(BLOCK[1] + 3, 5)).astype(np.float32) + 1000  # where |a|^2 + |b|^2 - 2 ab would lose its digits
    x = rng.normal(size=(BLOCK[0] + 2, 5)).astype(np.float32) + 1000
    wanted = plain(samples.astype(np.float64), x.astype(np.float64), 0.3)
    np.testing.assert_allclose(parzen_log_likelihood(samples, x, 0.3), wanted, rtol=1e-9)
    far = parzen_log_likelihood(samples, x + 1e4, 0.01)  # every single window underflows
    np.testing.assert_allclose(far, plain(samples.astype(np.float64), (x + 1e4).astype(np.float64), 0.01), rtol=1e-9)


def test_is_a_density_and_no_function_of_the_batch(rng):
    samples, grid = rng.normal(size=(20, 1)), np.linspace(-10, 10, 5001)[:, None]
    log_p = parzen_log_likelihood(samples, grid, 0.2)
    assert np.trapezoid(np.exp(log_p), grid[:, 0]) == pytest.approx(1, abs=1e-9)
    one_by_one = [parzen_log_likelihood(samples, row[None], 0.2)[0] for row in grid[:300]]
    np.testing.assert_allclose(one_by_one, log_p[:300], rtol=1e-12)


def test_pictures_and_tensors_are_rows(rng):
    samples, x = rng.random((7, 1, 4, 4)), rng.random((5, 1, 4, 4))
    wanted = plain(samples.reshape(7, -1), x.reshape(5, -1), 0.5)
    np.testing.assert_allclose(parzen_log_likelihood(torch.from_numpy(samples), torch.from_numpy(x), 0.5), wanted, rtol=1e-10)


def test_sigma_is_the_best_of_all_wherever_the_grid_starts(rng):
    samples, valid = rng.normal(size=(300, 2)), rng.normal(size=(200, 2))
    by_hand = max((plain(samples, valid, sigma).mean(), sigma) for sigma in np.logspace(-2, 1, 31))[1]
    assert chosen_sigma(samples, valid, np.logspace(-2, 1, 31)) == pytest.approx(by_hand)
    for start in (-5, 3):  # grids of the same ratio that have to move up and down
        assert chosen_sigma(samples, valid, np.logspace(start, start + 1, 11)) == pytest.approx(by_hand)
    assert chosen_sigma(samples, valid, [0.01, 0.0125]) == pytest.approx(by_hand, rel=0.25)
    assert chosen_sigma(samples, valid, [7.0]) == 7.0


def test_the_score_takes_sigma_from_the_validation_rows_and_says_what_it_is_not_for(rng):
    samples, valid, test = rng.normal(size=(100, 2)), rng.normal(size=(80, 2)), 3 + rng.normal(size=(60, 2))
    score = parzen_score(samples, valid, test, about={"split": "test"})
    sigma = chosen_sigma(samples, valid)
    values = plain(samples, test, sigma)
    assert score.value == pytest.approx(values.mean())
    assert score.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(60))
    assert score.what == "Parzen-window log-likelihood, 100 samples"
    assert score.protocol["chosen"] == {"sigma": sigma}
    assert score.protocol["split"] == "test"
    assert "must not rank models" in score.note


@pytest.mark.parametrize(
    ("samples", "x", "sigma", "said"),
    [
        (np.zeros((3, 2)), np.zeros((3, 4)), 1.0, r"one shape, not \(3, 2\) and \(3, 4\)"),
        (np.zeros((0, 2)), np.zeros((3, 2)), 1.0, "samples and x of one shape"),
        (np.zeros((3, 2)), np.zeros((3, 2)), 0.0, "sigma must be above 0, not 0"),
        (np.full((3, 2), np.nan), np.zeros((3, 2)), 1.0, "finite numbers"),
    ],
)
def test_bad_input(samples, x, sigma, said):
    with pytest.raises(UserError, match=said):
        parzen_log_likelihood(samples, x, sigma)


def test_validation_rows_that_are_samples_have_no_best_bandwidth(rng):
    x = rng.normal(size=(10, 2))
    with pytest.raises(UserError, match="every validation row is among the samples"):
        chosen_sigma(x, x)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
