"""Batches: every row once an epoch, the same rows however a batch is cut, bits with the right mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pofx.data import Column, Split, load
from pofx.data import columns as data_split
from pofx.data.columns import BLOCK, order
from pofx.errors import UserError
from pofx.kinds import Binary, Category, Image, Vector
from pofx.randomness import Noise


def numbered(rows: int, **options) -> Column:
    return Column(Vector(1), np.arange(rows, dtype=np.float32)[:, None], **options)


def rows_of(split: Split, number: int, size: int, field: str = "x", **options) -> list[int]:
    return split.batch(number, size, **{"seed": 3, **options})[field].flatten().int().tolist()


@pytest.mark.parametrize("size", [1, 3, 7, 10, 25])
def test_stream_is_the_epochs_orders_one_after_another(size):
    """Three epochs of 10 rows in batches of any size, also of more than an epoch: each epoch has every row once."""
    split = Split({"x": numbered(10)})
    stream = [row for number in range(-(-30 // size)) for row in rows_of(split, number, size)][:30]
    for epoch in range(3):
        assert stream[epoch * 10 : epoch * 10 + 10] == order(10, 3, "", epoch).tolist()
        assert sorted(stream[epoch * 10 : epoch * 10 + 10]) == list(range(10))
    assert stream[:10] != stream[10:20]


def test_cuts_make_the_whole_batch():
    split = Split({"x": numbered(10), "y": numbered(10)})
    for number in range(5):
        whole = rows_of(split, number, 6)
        assert rows_of(split, number, 6, cut=slice(0, 2)) + rows_of(split, number, 6, cut=slice(2, 6)) == whole
        assert rows_of(split, number, 6, "y") == whole


def test_order_depends_on_seed_and_not_on_what_was_read_before():
    split = Split({"x": numbered(1000)})
    later = rows_of(split, 5, 100)
    assert rows_of(split, 0, 100, seed=4) != rows_of(split, 0, 100)
    assert rows_of(split, 5, 100) == later
    assert order(6, 0, "", 0).tolist() == [3, 0, 1, 2, 5, 4], "the order must stay what it was, or old runs do not resume"


def test_groups_are_unpaired():
    """Fields of one group stay in step; another group has its own order and its own epochs."""
    split = Split({"source": numbered(12), "label": numbered(12), "target": numbered(5, group="target")})
    source = [row for number in range(4) for row in rows_of(split, number, 3, "source")]
    target = [row for number in range(4) for row in rows_of(split, number, 3, "target")]
    assert source == [row for number in range(4) for row in rows_of(split, number, 3, "label")]
    assert sorted(source) == list(range(12))
    assert sorted(target[:5]) == sorted(target[5:10]) == list(range(5))
    assert target[:5] != [row for row in source if row < 5]
    assert len(split) == 12
    assert split.read([4, 11])["target"].flatten().tolist() == [4, 1]
    with pytest.raises(UserError, match="'b' has 3 rows"):
        Split({"a": numbered(4), "b": numbered(3)})


def test_pictures_are_levels_over_levels_minus_one():
    stored = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 1, 3, 4)
    for levels in (24, 256):
        x = Split({"x": Column(Image(1, 3, 4, levels), stored)}).read([1])["x"]
        assert x.dtype == torch.float32
        torch.testing.assert_close(x, torch.arange(12, 24).reshape(1, 1, 3, 4) / (levels - 1))
    label = Split({"label": Column(Category(4), np.array([3, 1]))}).read([0, 1])["label"]
    assert label.dtype == torch.int64
    assert label.tolist() == [3, 1]


@pytest.mark.parametrize(
    "stored",
    [
        np.random.default_rng(0).integers(0, 256, (40, 3, 5, 4), dtype=np.uint8).transpose(0, 2, 3, 1),
        np.random.default_rng(0).normal(size=(40, 7)),
        np.asfortranarray(np.random.default_rng(0).normal(size=(40, 7))),
        np.arange(40, dtype=">i4")[:, None],
    ],
    ids=["channels last", "float64", "Fortran order", "big endian"],
)
def test_long_arrays_give_the_batches_of_short_ones(stored, tmp_path, monkeypatch):
    path = tmp_path / "x.npy"
    np.save(path, stored)
    short = load(path)
    monkeypatch.setattr(data_split, "IN_MEMORY", 0)
    long = load(path)
    assert long.splits["train"].columns["x"].stored is None
    assert long.record == short.record
    for name in short.splits:
        torch.testing.assert_close(long.splits[name].read([3, 0, 1])["x"], short.splits[name].read([3, 0, 1])["x"], rtol=0, atol=0)


def test_long_arrays_with_a_number_that_is_not_finite_stop_at_its_row(tmp_path, monkeypatch):
    monkeypatch.setattr(data_split, "IN_MEMORY", 0)
    monkeypatch.setattr("pofx.data.contents.SCAN", 0)
    x = np.zeros((30, 2))
    x[:, 1] = np.nan
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(UserError, match="row 2 of the data has a number that is not finite"):
        load(tmp_path / "x.npy").splits["train"].read([2])


GREY = np.linspace(0, 255, 16).astype(np.uint8)  # one picture of 16 levels of grey, in every row


def grey(rows: int, binarize: str, key: tuple = (0, "valid")) -> Split:
    stored = np.broadcast_to(GREY.reshape(1, 1, 4, 4), (rows, 1, 4, 4))
    return Split({"x": Column(Binary(1, 4, 4), stored, binarize=binarize, key=key, levels=256)})


def test_threshold():
    assert grey(1, "threshold").read([0])["x"].flatten().tolist() == (GREY >= 128).astype(float).tolist()


def test_fixed_draw_has_the_right_mean_and_is_independent():
    n = 5000
    bits = grey(n, "dynamic").read(range(n))["x"].flatten(1).double()
    assert set(bits.unique().tolist()) == {0.0, 1.0}
    p = torch.from_numpy(GREY / 255)
    spread = (p * (1 - p) / n).sqrt()
    assert ((bits.mean(0) - p).abs() <= 4.5 * spread).all()
    same = p**2 + (1 - p) ** 2  # how often independent draws agree
    for apart in (1, BLOCK):
        agree = (bits[apart:] == bits[:-apart]).double().mean(0)
        assert ((agree - same).abs() <= 4.5 * (same * (1 - same) / (n - apart)).sqrt() * 2).all(), f"rows {apart} apart share their draw"


def test_fixed_draw_depends_on_the_row_alone():
    n = BLOCK + 50
    whole = grey(n, "dynamic").read(range(n))["x"]
    some = torch.tensor([BLOCK + 49, 3, BLOCK - 1, BLOCK, 3])
    assert torch.equal(grey(n, "dynamic").read(some)["x"], whole[some])
    assert torch.equal(grey(5, "dynamic").read(range(5))["x"], whole[:5]), "nor on how many rows there are"
    assert not torch.equal(grey(n, "dynamic", (1, "valid")).read(some)["x"], whole[some])
    assert not torch.equal(grey(n, "dynamic", (0, "test")).read(some)["x"], whole[some])


def test_training_draws_anew_from_the_noise_and_the_same_however_it_is_cut():
    split = grey(8, "dynamic")

    def drawn(step: int, rows: slice) -> torch.Tensor:
        return split.batch(0, 8, seed=0, cut=rows, noise=Noise((0, step), rows, 8))["x"]

    whole = drawn(0, slice(0, 8))
    uniform = Noise((0, 0), slice(0, 8), 8).uniform(1, 4, 4)
    assert torch.equal(whole, (uniform < torch.from_numpy(GREY / 255).float().reshape(1, 4, 4)).float())
    assert torch.equal(torch.cat([drawn(0, slice(0, 3)), drawn(0, slice(3, 8))]), whole)
    assert not torch.equal(drawn(1, slice(0, 8)), whole)


def test_splits_have_every_row_once_and_follow_their_seed():
    def rows(**options) -> dict[str, list[int]]:
        return {name: split.columns["x"].rows.tolist() for name, split in load("digits", **options).splits.items()}

    first = rows()
    assert sorted(first["train"] + first["valid"] + first["test"]) == list(range(1797))
    assert {name: len(split) for name, split in first.items()} == {"train": 1437, "valid": 180, "test": 180}
    assert rows() == first
    assert rows(split_seed=1) != first
    assert {name: len(split) for name, split in rows(valid=0.5, test=0.0).items()} == {"train": 899, "valid": 898}
