"""Noise is a function of its key, and replicas see their rows of it."""

import itertools

import pytest
import torch

from pofx.randomness import Noise, generator

WHOLE = slice(0, 10)
GOLDEN, SEED = [788060, 191938, 8946, 487587], 6469497612584702952


def draws(noise):
    h = torch.ones(noise.rows.stop - noise.rows.start, 5)
    return {
        "normal": noise.normal(2, 3),
        "uniform": noise.uniform(4),
        "integers": noise.integers(7, 2),
        "dropout": noise.dropout(h, 0.4),
        "scalars": noise.normal(),
    }


@pytest.mark.parametrize("cuts", [(0, 5, 10), (0, 3, 6, 10), (0, 1, 10)])
def test_the_rows_of_replicas_are_those_of_the_whole_batch(cuts):
    whole = draws(Noise((3, 14, "discriminator", 0), WHOLE, 10))
    parts = [draws(Noise((3, 14, "discriminator", 0), slice(a, b), 10)) for a, b in itertools.pairwise(cuts)]
    for name, values in whole.items():
        assert torch.equal(torch.cat([part[name] for part in parts]), values), name


def test_noise_is_a_function_of_every_part_of_its_key():
    first = Noise((0, 1, "vae", 0), WHOLE, 10).normal(3)
    assert torch.equal(first, Noise((0, 1, "vae", 0), WHOLE, 10).normal(3))
    for other in ((1, 1, "vae", 0), (0, 2, "vae", 0), (0, 1, "discriminator", 0), (0, 1, "vae", 1)):
        assert not torch.equal(first, Noise(other, WHOLE, 10).normal(3))


def test_a_permutation_is_the_same_for_every_replica():
    one, other = (Noise((0, 0), rows, 10).permutation(50) for rows in (slice(0, 5), slice(5, 10)))
    assert torch.equal(one, other)
    assert one.sort().values.tolist() == list(range(50))


def test_noise_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    draws(Noise((0, 0), WHOLE, 10))
    assert torch.equal(before, torch.get_rng_state())


def test_noise_has_the_moments_that_its_names_promise():
    noise = Noise(("moments",), slice(0, 1000), 1000)
    normal, uniform, integers = noise.normal(200), noise.uniform(200), noise.integers(5, 200)
    assert normal.mean().abs() < 0.01
    assert (normal.var() - 1).abs() < 0.02
    assert (uniform.mean() - 0.5).abs() < 0.005
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert torch.bincount(integers.flatten()).tolist() == pytest.approx([40_000] * 5, rel=0.03)
    dropped = noise.dropout(torch.full((1000, 200), 3.0), 0.25)
    assert sorted(dropped.unique().tolist()) == [0, 4]
    assert (dropped.mean() - 3).abs() < 0.03
    assert (noise.dropout(torch.ones(1000, 2), 1.0) == 0).all()


def test_no_dropout_draws_nothing():
    noise, h = Noise(("none",), WHOLE, 10), torch.rand(10, 4)
    assert noise.dropout(h, 0.0) is h
    assert torch.equal(noise.normal(2), Noise(("none",), WHOLE, 10).normal(2))


def test_dtype_is_the_models():
    noise = Noise(("dtype",), WHOLE, 10, dtype=torch.float64)
    assert noise.normal(1).dtype == noise.uniform(1).dtype == torch.float64
    assert noise.integers(3).dtype == torch.int64


def test_streams_of_keys_stay_what_they_are():
    """Runs that were saved resume with the same numbers: these may never change."""
    assert torch.randint(10**6, (4,), generator=generator((0, 7, "vae", 0))).tolist() == GOLDEN
    assert generator(("order", 0, "", 3)).initial_seed() == SEED
