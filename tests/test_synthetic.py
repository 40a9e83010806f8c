"""Ring and grid are the mixtures that they say; stacked pictures are rows of their own split, and their label spells theirs."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from pofx.data import load, reload
from pofx.data.sources.synthetic import KNOWN, Modes, stacked_kinds
from pofx.errors import UserError
from pofx.kinds import Binary, Category, Image, Vector

SHA256 = {
    "ring": "d631ecf1e899cfdea2b6e89151aa59996891f4d6accf946d543efe5a2c3260b4",
    "grid": "dfa6a64776daf06030e10e03806f6d440f0cd5c22ff722974666196579f4aede",
}


@pytest.mark.parametrize("name", KNOWN)
def test_each_mode_has_its_share_its_mean_and_its_spread(name):
    """Within 5 standard errors, over all modes and directions; and x is nearest to the centre that its label says."""
    data, modes = load(name), KNOWN[name]
    assert data.fields == {"x": Vector(2), "label": Category(len(modes.centres))}
    assert data.record["counts"] == {"train": 100_000, "valid": 10_000, "test": 10_000}
    batch = data.splits["train"].read(range(100_000))
    x, label, centres = batch["x"].double(), batch["label"], torch.tensor(modes.centres, dtype=torch.float64)
    K, n = len(centres), len(x)
    share = torch.bincount(label, minlength=K) / n
    assert ((share - 1 / K).abs() <= 5 * (1 / K / n) ** 0.5).all()
    for k in range(K):
        off = (x[label == k] - centres[k]) / modes.sd
        assert off.mean(0).abs().max() <= 5 / len(off) ** 0.5
        assert (off.T.cov() - torch.eye(2)).abs().max() <= 5 * (2 / len(off)) ** 0.5
    assert torch.equal(torch.cdist(x, centres).argmin(1), label)


def test_the_centres_are_the_papers():
    ring, grid = np.array(KNOWN["ring"].centres), np.array(KNOWN["grid"].centres)
    np.testing.assert_allclose(np.linalg.norm(ring, axis=1), 1)
    np.testing.assert_allclose(np.linalg.norm(ring - np.roll(ring, 1, 0), axis=1), 2 * np.sin(np.pi / 8))
    assert sorted(set(grid[:, 0])) == sorted(set(grid[:, 1])) == [-4, -2, 0, 2, 4]
    assert len(set(map(tuple, grid))) == 25
    assert (KNOWN["ring"].sd, KNOWN["grid"].sd) == (0.01, 0.05)


@pytest.mark.parametrize("name", KNOWN)
def test_the_points_stay_what_they_are(name):
    """Or the records of old runs would be of other data. Splits share no point, though they share a seed."""
    data = load(name)
    assert data.record["sha256"] == SHA256[name]
    assert reload(json.loads(json.dumps(data.record))).record == data.record
    train, valid = ({tuple(x) for x in data.splits[split].read(range(10_000))["x"].tolist()} for split in ("train", "valid"))
    assert not train & valid


def test_another_mixture_has_another_hash():
    assert Modes(KNOWN["ring"].centres, 0.02).contents().sha256 != SHA256["ring"]


def refusal_hint(part: str, **options) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Stacked x and labels of a split of the digits, and the single ones it is made of."""
    stacked, single = load("digits", stacked=3, **options).splits[part], load("digits", **options).splits[part]
    rows = range(len(single))
    return stacked.read(rows)["x"], stacked.read(rows)["label"], single.read(rows)["x"], single.read(rows)["label"]


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_every_channel_is_a_row_of_the_same_split_and_the_label_spells_theirs(part):
    x, label, single_x, single_label = refusal_hint(part)
    assert x.shape == (len(single_x), 3, 8, 8)
    for channel, place in enumerate((100, 10, 1)):  # the first channel is the first digit
        same, row = torch.cdist(x[:, channel].flatten(1), single_x.flatten(1)).min(1)
        assert same.max() == 0
        assert torch.equal(label // place % 10, single_label[row])
    assert label.max() <= 999


def test_channels_are_drawn_independently_and_alike():
    """1437 rows: each of the 10 x 10 pairs of the first two digits comes as often as their product says, by chi-square."""
    _, label, _, single_label = refusal_hint("train")
    p = torch.bincount(single_label, minlength=10).double() / len(single_label)
    for pair in (label // 10, label % 100):
        wanted = len(label) * torch.outer(p, p).flatten()
        chi = ((torch.bincount(pair, minlength=100) - wanted) ** 2 / wanted).sum()
        assert 45 < chi < 180  # 99 degrees of freedom: five standard deviations around 99, and more on the right


def test_the_rows_are_a_function_of_the_split_seed():
    first, again = load("digits", stacked=2), load("digits", stacked=2)
    other = load("digits", stacked=2, split_seed=1)
    assert torch.equal(first.splits["train"].read(range(50))["x"], again.splits["train"].read(range(50))["x"])
    assert not torch.equal(first.splits["train"].columns["x"].picks, other.splits["train"].columns["x"].picks)
    assert torch.equal(first.splits["train"].columns["x"].picks, first.splits["train"].columns["label"].picks)
    assert not torch.equal(first.splits["valid"].columns["x"].picks, first.splits["test"].columns["x"].picks)
    record = json.loads(json.dumps(first.record))
    assert (record["stacked"], reload(record).record) == (2, first.record)
    assert "stacked" not in load("digits").record, "records of data that are not stacked stay what they were"


def test_stacked_pictures_are_binarised_after_they_are_stacked():
    plain, bits = load("digits", stacked=2), load("digits", stacked=2, binarize="threshold")
    assert bits.fields["x"] == Binary(2, 8, 8)
    rows = range(60)
    assert torch.equal(bits.splits["valid"].read(rows)["x"], (plain.splits["valid"].read(rows)["x"] >= 0.5).float())
    drawn = load("digits", stacked=2, binarize="dynamic").splits["valid"]
    assert torch.equal(drawn.read(rows)["x"], drawn.read(rows)["x"])
    share = torch.stack([drawn.read(rows)["x"], plain.splits["valid"].read(rows)["x"]]).mean((1, 2, 3, 4))
    assert abs(share[0] - share[1]) < 0.01


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"spec": "ring", "stacked": 3}, "ring has x: Vector.*remove --stacked"),
        ({"spec": "digits", "channels": "rgb", "stacked": 3}, "only grey pictures are stacked: pass --channels grey"),
        ({"spec": "digits", "stacked": 1}, "stacked must be 2 or more, not 1"),
        ({"spec": "digits", "stacked": 7}, "more than a million: pass a smaller --stacked"),
        ({"spec": "grid", "size": 8}, "grid has no use for --size"),
        ({"spec": "grdi"}, "did you mean grid"),
    ],
)
def test_bad_input_is_refused(options, said, monkeypatch):
    monkeypatch.delenv("POFX_DATA", raising=False)
    with pytest.raises(UserError, match=said):
        load(**options)


def test_kinds():
    assert stacked_kinds({"x": Image(1, 4, 5, 17)}, 2, "a") == {"x": Image(2, 4, 5, 17)}
    assert stacked_kinds({"x": Image(1, 4, 5), "label": Category(3, ("a", "b", "c"))}, 4, "a")["label"] == Category(81)


def test_grey_pictures_of_bits_are_stacked_too(tmp_path):
    x = np.random.default_rng(0).integers(0, 2, (40, 4, 5), dtype=np.uint8)
    np.savez(tmp_path / "bits.npz", x=x, label=np.arange(40) % 2)
    data = load(tmp_path / "bits.npz", stacked=3)
    assert data.fields == {"x": Binary(3, 4, 5), "label": Category(8)}
    batch = data.splits["train"].read(range(8))
    data.fields["x"].check(batch["x"])
    picks = data.splits["train"].columns["x"].picks[:8]
    assert torch.equal(batch["x"], load(tmp_path / "bits.npz").splits["train"].read(picks.flatten())["x"].view(8, 3, 4, 5))


def test_bits_that_are_no_grey_picture_are_not_stacked():
    with pytest.raises(UserError, match="only grey pictures and their labels are stacked"):
        stacked_kinds({"x": Binary(784)}, 3, "a")
