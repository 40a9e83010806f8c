"""Counts of modes and classes against mixtures whose answer is known."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from pofx.errors import UserError
from pofx.evaluate.modes import class_scores, mode_scores
from pofx.metrics.modes import class_coverage, modes_covered, nearest_modes, stacked_classes

RING = np.stack([np.cos(2 * np.pi * np.arange(8) / 8), np.sin(2 * np.pi * np.arange(8) / 8)], 1)


def ring(rng, n, modes, sd=0.01):
    return RING[rng.choice(modes, n)] + sd * rng.normal(size=(n, 2))


def test_a_perfect_ring_has_the_share_that_three_deviations_hold(rng):
    found, share = modes_covered(ring(rng, 100_000, 8), RING, 0.01)
    wanted = chi2.cdf(9, 2)  # 98.9 % of a Gaussian in the plane
    assert found == 8
    assert share == pytest.approx(wanted, abs=4 * math.sqrt(wanted * (1 - wanted) / 100_000))


def test_dropped_modes_and_stray_samples_are_noticed(rng):
    x = np.concatenate([ring(rng, 900, [0, 3, 5]), rng.normal(size=(100, 2)) + 20])
    found, share = modes_covered(x, RING, 0.01)
    assert found == 3
    assert share <= 0.9
    assert set(nearest_modes(x, RING, 0.01)) == {-1, 0, 3, 5}
    assert modes_covered(np.append(x, RING[[7]], 0), RING, 0.01).found == 4  # one sample of high quality is enough


def test_the_edge_of_high_quality():
    centres = np.array([[0.0, 0.0], [10.0, 0.0]])
    just = np.array([[2.999, 0.0], [3.001, 0.0], [7.001, 0.0], [np.nan, 0.0]])
    assert nearest_modes(torch.from_numpy(just), centres, 1.0).tolist() == [0, -1, 1, -1]
    assert modes_covered(just, centres, 1.0, within=2.0) == (0, 0.0)


def test_class_coverage_is_the_divergence(rng):
    p, q = np.array([0.5, 0.25, 0.25, 0.0]), np.array([0.1, 0.2, 0.3, 0.4])
    classes = np.repeat(np.arange(4), (p * 400).astype(int))
    found, kl = class_coverage(rng.permutation(classes), 4, q)
    assert found == 3
    assert kl == pytest.approx(0.5 * math.log(5) + 0.25 * math.log(1.25) + 0.25 * math.log(0.25 / 0.3))
    assert class_coverage(classes, 4, p).kl == pytest.approx(0, abs=1e-12)
    assert class_coverage(np.zeros(9, int), 1000) == (1, pytest.approx(math.log(1000)))


def test_the_divergence_of_perfect_samples_is_what_the_note_says(rng):
    n, K = 20_000, 1000
    kls = [class_coverage(rng.integers(K, size=n), K).kl for _ in range(20)]
    assert np.mean(kls) == pytest.approx((K - 1) / (2 * n), rel=0.03)
    assert "0.025 nats" in class_scores(rng.integers(K, size=n), K)[1].note


def test_stacked_digits_are_numbers_of_three_places():
    digits = torch.cartesian_prod(*[torch.arange(10)] * 3)
    assert stacked_classes(digits).tolist() == list(range(1000))
    assert class_coverage(stacked_classes(digits[:300]), 1000).found == 300


def test_scores_name_what_is_missing(rng):
    found, share = mode_scores(ring(rng, 500, [0, 1, 2, 4, 5, 6, 7]), RING, 0.01, about={"seed": 3})
    assert (found.value, found.unit, found.note) == (7, "of 8", "modes without a sample: [3]")
    assert share.value == pytest.approx(0.989, abs=0.02)
    assert share.protocol == {"seed": 3, "samples": 500, "sd": 0.01, "high quality": "within 3 sd"}
    assert mode_scores(ring(rng, 500, 8), RING, 0.01)[0].note is None


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: class_coverage([0, 4], 4), "whole numbers from 0 to 3"),
        (lambda: class_coverage(np.array([0.5]), 4), "whole numbers from 0 to 3"),
        (lambda: class_coverage([0], 2, [0.5, 0.6]), "2 probabilities that sum to 1"),
        (lambda: class_coverage([1], 2, [1.0, 0.0]), "class 1 was drawn, but the reference gives it probability 0"),
        (lambda: modes_covered(np.zeros((3, 2)), np.zeros((3, 3)), 0.1), "rows of as many numbers"),
        (lambda: modes_covered(np.zeros((3, 2)), RING, 0.0), "above 0"),
        (lambda: stacked_classes(np.array([[1, 10]])), "from 0 to 9"),
    ],
)
def test_bad_input(ask, said):
    with pytest.raises(UserError, match=said):
        ask()


@pytest.fixture
def rng():
    return np.random.default_rng(0)
