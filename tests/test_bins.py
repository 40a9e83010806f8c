"""Different bins against scipy's test of a two-by-two table, and against distributions whose difference is known."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.stats import binom, chi2_contingency

from pofx.errors import UserError
from pofx.evaluate.bins import bins_scores
from pofx.metrics.bins import bin_centres, different_bins


def test_each_bin_is_the_two_proportion_test_and_the_divergence_is_scipy_s(rng):
    centres = np.array([[0.0], [1.0], [2.0], [3.0]])
    real, samples = np.repeat(centres, [40, 30, 20, 10], 0), np.repeat(centres, [70, 57, 70, 3], 0)
    bins = different_bins(rng.permutation(real), samples, centres)
    p_values = []
    for k, (r, s) in enumerate([(40, 70), (30, 57), (20, 70), (10, 3)]):
        table = chi2_contingency([[r, 100 - r], [s, 200 - s]], correction=False)
        assert bins.z_K[k] ** 2 == pytest.approx(table.statistic)
        assert (bins.z_K[k] > 0) == (s / 200 > r / 100)
        p_values.append(table.pvalue)
    for level in (0.05, 0.3, 0.001):
        assert different_bins(real, samples, centres, level=level).different == sum(p < level for p in p_values)
    assert bins.divergence == pytest.approx(jensenshannon([0.4, 0.3, 0.2, 0.1], [0.35, 0.285, 0.35, 0.015]) ** 2)


def test_empty_bins_and_bins_that_hold_all_differ_in_nothing():
    centres = np.array([[0.0], [9.0]])
    bins = different_bins(np.zeros((20, 1)), np.zeros((30, 1)), centres)
    assert (bins.different, bins.divergence, bins.z_K.tolist()) == (0, 0.0, [0.0, 0.0])
    apart = different_bins(np.zeros((20, 1)), np.full((30, 1), 9.0), centres)
    assert (apart.different, apart.divergence) == (2, pytest.approx(math.log(2)))


def test_samples_of_one_distribution_differ_in_as_many_bins_as_the_level_says(rng):
    K, rounds = 20, 60
    centres = bin_centres(rng.normal(size=(2000, 2)), K)
    different = sum(different_bins(*rng.normal(size=(2, 3000, 2)), centres).different for _ in range(rounds))
    assert binom.cdf(different, K * rounds, 0.05) > 1e-3
    assert binom.sf(different, K * rounds, 0.05) > 1e-3


def test_a_dropped_mode_is_noticed_where_it_is(rng):
    angle = 2 * np.pi * np.arange(8) / 8
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    draw = lambda modes, n: ring[rng.choice(modes, n)] + 0.01 * rng.normal(size=(n, 2))  # noqa: E731
    real = draw(8, 4000)
    centres = bin_centres(real, 8)
    np.testing.assert_allclose(sorted(map(tuple, centres.round(1))), sorted(map(tuple, ring.round(1))))
    bins = different_bins(real, draw([0, 1, 2, 3, 4, 5, 6], 4000), centres)
    lost = np.square(centres - ring[7]).sum(1).argmin()
    assert bins.z_K.argmin() == lost
    assert bins.z_K[lost] < -20
    assert bins.divergence == pytest.approx(0.5 * (math.log(2) / 8 + sum_of_rest()), rel=0.1)


def sum_of_rest():
    """7/8 of the real rows are in bins where samples have 8/7 as many: what these add to twice the divergence."""
    real, samples = 1 / 8, 1 / 7
    middle = (real + samples) / 2
    return 7 * (real * math.log(real / middle) + samples * math.log(samples / middle))


def test_scores_say_what_other_real_rows_get(rng):
    real, samples = rng.random((600, 1, 3, 3)), torch.rand(400, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    ndb, divergence = bins_scores(real, samples, held_out=rng.random((300, 1, 3, 3)), K=10, about={"split": "test"})
    again = bins_scores(real, samples, K=10)
    assert (ndb.value, divergence.value) == (again[0].value, again[1].value)
    assert ndb.what == "different bins, NDB/10"
    assert ndb.note.startswith("300 real rows that made no bins differ in ")
    assert ndb.protocol["bins"] == {"K": 10, "by": "k-means on the real rows", "seed": 0, "level": 0.05}


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: bin_centres(np.zeros((20, 2)), 10), "10 bins need 50 rows"),
        (lambda: different_bins(np.zeros((50, 2)), np.zeros((9, 2)), np.zeros((2, 2))), "2 bins need 10 samples at least, not 9"),
        (lambda: different_bins(np.zeros((50, 2)), np.zeros((50, 3)), np.zeros((2, 2))), "as many numbers, not 2, 3, 2"),
        (lambda: bin_centres(np.full((50, 2), np.inf), 2), "finite numbers"),
    ],
)
def test_bad_input(ask, said):
    with pytest.raises(UserError, match=said):
        ask()


@pytest.fixture
def rng():
    return np.random.default_rng(0)
