"""Batches by length: each row once an epoch, a batch a function of its number, and little padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pofx.data import load
from pofx.data.batching import bucketed, order, padding, positions
from pofx.data.columns import Column, Split
from pofx.data.sequences import Ragged, Sequences
from pofx.kinds import EOS, PAD, Tokens, Vector
from pofx.randomness import Noise

ROWS = 1000


def lengths(seed: int) -> tuple[torch.Tensor, ...]:
    draw = np.random.default_rng(seed)
    one = draw.poisson(12, ROWS)
    return torch.from_numpy(1 + one), torch.from_numpy(1 + np.maximum(0, one + draw.integers(-4, 5, ROWS)))


def split(rows: int = 200) -> Split:
    draw = np.random.default_rng(0)
    sizes = draw.integers(0, 30, rows)
    stored = Ragged(draw.integers(2, 50, sizes.sum()), np.cumsum([0, *sizes]))
    return Split({"x": Sequences(Tokens(50, 40), stored), "row": Column(Vector(1), np.arange(rows, dtype=np.float32)[:, None])})


@pytest.mark.parametrize("size", [1, 7, 32, 100, 999, 1000, 1700])
def test_each_epoch_has_every_row_once(size):
    both = lengths(0)
    for epoch in range(4):
        assert torch.equal(bucketed(both, size, 3, "", epoch).sort().values, torch.arange(ROWS))


def test_batches_are_cut_where_the_stream_cuts_them():
    both, size = lengths(0), 64
    for epoch in range(3):
        batches = bucketed(both, size, 0, "", epoch)[-epoch * ROWS % size :].split(size)
        whole = [batch for batch in batches if len(batch) == size]
        assert padding(both, whole) < 0.35 * padding(both, list(order(ROWS, 0, "", epoch).split(size)))


def test_a_batch_across_two_epochs_has_rows_of_about_one_length():
    both, size = lengths(1), 96
    shares = []
    for epoch in range(1, 8):
        start = epoch * ROWS // size * size
        rows = positions(start, start + size, ROWS, lambda e: bucketed(both, size, 0, "", e))
        assert start < epoch * ROWS < start + size
        shares.append(padding(both, [rows]))
    assert np.mean(shares) < 0.6 * padding(both, list(order(ROWS, 0, "", 0).split(size)))


def test_batches_differ_between_epochs_and_seeds():
    both = lengths(0)
    first = [set(batch.tolist()) for batch in bucketed(both, 50, 0, "", 0).split(50)]
    for other in (bucketed(both, 50, 0, "", 1), bucketed(both, 50, 1, "", 0)):
        assert not any(set(batch.tolist()) in first for batch in other.split(50))
    means = torch.stack([both[0][batch].double().mean() for batch in bucketed(both, 50, 0, "", 0).split(50)])
    assert abs(torch.corrcoef(torch.stack([means, torch.arange(20.0).double()]))[0, 1]) < 0.6, "long batches come at any time"


def test_a_replica_reads_its_rows_as_wide_as_the_whole_batch():
    data = split()
    for number in range(12):
        noise = Noise((0, number), slice(0, 32), 32)
        whole = data.batch(number, 32, seed=5, noise=noise)
        halves = [data.batch(number, 32, seed=5, cut=slice(i, i + 16), noise=noise) for i in (0, 16)]
        for name in whole:
            assert torch.equal(torch.cat([half[name] for half in halves]), whole[name])


def test_rows_are_read_with_their_end_mark_and_nothing_else():
    data = split()
    column = data.columns["x"]
    batch = data.batch(3, 16, seed=0)
    for x, row in zip(batch["x"], batch["row"].flatten().long().tolist(), strict=True):
        length = int(column.lengths[row])
        stored = column.flat[column.begin[row] : column.end[row]]
        assert x[:length].tolist() == [*stored.tolist(), EOS]
        assert (x[length:] == PAD).all()
    assert batch["x"].shape[1] == column.lengths[batch["row"].flatten().long()].max()


def test_other_data_are_read_in_the_order_they_always_were():
    labels = load("digits").splits["train"].batch(7, 100, seed=0)["label"]
    assert labels[:10].tolist() == [2, 8, 0, 6, 0, 2, 1, 2, 8, 3]


def test_multi30k_has_little_padding(pofx_data):
    data = load(pofx_data / "multi30k", source="de", target="en", tokens="bpe")
    train = data.splits["train"]
    both = [train.columns[name].lengths for name in ("x", "source")]
    batches = [train.rows(number, 128, seed=0)[""] for number in range(3 * 29_000 // 128)]
    assert padding(both, batches) <= 0.05


def test_rows_are_read_by_length_where_they_differ():
    found = split()
    order_n = found.by_length()
    widths = [found.read(rows)["x"].shape[1] for rows in order_n.split(20)]
    assert widths == sorted(widths)
    assert torch.equal(order_n.sort().values, torch.arange(200))
    sizes = found.columns["x"].lengths
    assert padding([sizes], list(order_n.split(20))) < 0.3 * padding([sizes], list(torch.arange(200).split(20)))
    assert torch.equal(Split({"row": found.columns["row"]}).by_length(), torch.arange(200))
