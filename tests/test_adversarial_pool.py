"""The pool of old generated x that a discriminator is shown."""

from __future__ import annotations

import pytest
import torch

from pofx.errors import UserError
from pofx.randomness import Noise
from tests.three_numbers import DOUBLE, Half, game, rows


def test_the_pool_takes_up_the_first_and_then_exchanges_half():
    model = game(pool=8)
    numbers = iter(torch.arange(1000, dtype=DOUBLE)[:, None].expand(1000, 3).split(6))  # every generated x has its own number
    first, second = next(numbers), next(numbers)
    assert torch.equal(model.from_pool(first, rows(0)), first)
    assert int(model.pooled) == 6
    assert torch.equal(model.from_pool(second, rows(1)), second)
    assert int(model.pooled) == 8
    assert model.pool[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]  # of the second ones as many as there was room for
    for key in range(2, 60):
        before, fake = set(model.pool[:, 0].tolist()), next(numbers)
        shown = model.from_pool(fake, rows(key))[:, 0].tolist()
        after = set(model.pool[:, 0].tolist())
        old, new = shown[:3], fake[:3, 0].tolist()
        assert shown[3:] == fake[3:, 0].tolist()
        assert len(set(old)) == 3
        assert set(old) <= before
        assert after == before - set(old) | set(new), "what is shown leaves the pool, and what came in its place is kept"
    assert len(after) == 8
    assert min(after) > 7, "nothing stays for ever"


def test_a_small_pool_gives_what_it_has_and_none_gives_nothing():
    model = game(pool=2)
    fake = rows(0).normal(3)
    model.from_pool(fake, rows(0))
    assert torch.equal(model.from_pool(fake + 1, rows(1))[2:], (fake + 1)[2:])
    assert sorted(model.from_pool(fake + 2, rows(2))[:2, 0].tolist()) == sorted((fake + 1)[:2, 0].tolist())
    assert game().from_pool(fake, rows(0)) is fake
    assert not hasattr(game(), "pool")


def test_the_discriminator_sees_the_pool_and_the_generator_does_not():
    model = game(Half(), pool=6)
    x, far = rows(0).normal(3), torch.full((6, 3), 100.0, dtype=DOUBLE)
    model.pool.copy_(far)
    model.pooled.fill_(6)
    model.discriminator_loss({"x": x}, rows(1))
    assert (model.discriminator.at == 100).all(1).tolist() == [True] * 3 + [False] * 3
    model.pool.copy_(far)
    model.generator_loss({"x": x}, rows(1))
    assert (model.discriminator.at < 100).all()


def test_a_pool_is_kept_by_one_process_only() -> None:
    """Each replica would keep other rows, and only those of the first be saved."""
    model = game(pool=4)
    with pytest.raises(UserError, match="remove pool"):
        model.discriminator_loss({"x": torch.zeros(3, 3, dtype=torch.float64)}, Noise((0,), slice(0, 3), 6, dtype=torch.float64))
