"""`labelled`: the labels of a few rows, in a group of their own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import pofx
from pofx import models
from pofx.commands.hints import bound
from pofx.data import load, reload
from pofx.data.loading import stratified_subset
from pofx.errors import UserError
from pofx.evaluate import error_rate
from pofx.kinds import Category, Image
from pofx.model import bind
from pofx.run import Run, seeded
from pofx.session import Rows
from pofx.train import Training, resume, train

SMALL = {"hidden": (8,), "discriminator_hidden": (6,), "latent": 2}


def aae(data: pofx.data.Data) -> pofx.Model:
    cls = models.find("aae_semi_supervised")
    with seeded(0):
        return cls(**bind(cls, data.fields), **SMALL)


def test_as_many_of_each_class_and_each_with_its_own_label() -> None:
    whole, data = load("digits"), load("digits", labelled=50)
    train_, few_ = whole.splits["train"], data.splits["train"]
    assert data.fields == {"x": Image(1, 8, 8, levels=17), "x_labelled": Image(1, 8, 8, levels=17), "label": Category(10)}
    assert few_.groups == {"": 1437, "labelled": 50}
    assert len(few_) == 1437
    y = few_.columns["label"].read(torch.arange(50))
    assert y.bincount().tolist() == [5] * 10
    labelled = few_.columns["x_labelled"].read(torch.arange(50))
    everything = train_.read(range(1437))
    rows = [int((everything["x"] == x).flatten(1).all(1).nonzero()[0]) for x in labelled]
    assert torch.equal(everything["label"][rows], y)
    assert len(set(rows)) == 50
    assert torch.equal(few_.read(range(1437))["x"], everything["x"]), "x is not all rows"


def test_in_a_batch_labelled_rows_keep_their_label_and_have_an_order_of_their_own() -> None:
    split = load("digits", labelled=20).splits["train"]
    known = {
        x.numpy().tobytes(): int(y)
        for x, y in zip(*(split.columns[n].read(torch.arange(20)) for n in ("x_labelled", "label")), strict=True)
    }
    seen = []
    for number in range(4):
        batch = split.batch(number, 10, seed=0)
        assert [known[x.numpy().tobytes()] for x in batch["x_labelled"]] == batch["label"].tolist()
        assert not torch.equal(batch["x"], batch["x_labelled"])
        seen += [x.numpy().tobytes() for x in batch["x_labelled"]]
    assert set(seen[:20]) == set(seen[20:]) == set(known), "two batches of 10 are an epoch of 20 labelled rows"


@pytest.mark.parametrize("split", ["valid", "test"])
def test_elsewhere_all_rows_are_labelled(split: str) -> None:
    batch, whole = (load("digits", **how).splits[split].read(range(180)) for how in ({"labelled": 50}, {}))  # type: ignore[arg-type]
    assert torch.equal(batch["x_labelled"], batch["x"])
    assert all(torch.equal(batch[name], whole[name]) for name in whole)


def test_the_rows_are_a_function_of_the_split_seed() -> None:
    def rows(seed: int) -> list[int]:
        found = load("digits", labelled=30, split_seed=seed).splits["train"].columns["label"].rows
        assert found is not None
        return found.tolist()

    assert rows(0) == rows(0) == sorted(rows(0))
    assert rows(0) != rows(1)


def test_what_does_not_divide_is_shared_out_by_lot() -> None:
    labels = np.repeat(np.arange(4), [50, 60, 70, 80])
    counts = [np.bincount(labels[stratified_subset(labels, None, 10, seed, "four")], minlength=4) for seed in range(20)]
    assert all(sorted(count.tolist()) == [2, 2, 3, 3] for count in counts)
    assert len({tuple(count) for count in counts}) > 1
    some = np.arange(100, 260)  # rows of a split: no others are taken
    assert set(stratified_subset(labels, some, 30, 0, "three")) <= set(some.tolist())


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"labelled": 9}, "digits has 10 classes: --labelled must be 10 or more, one of each, not 9"),
        ({"labelled": 5000}, "takes 500 rows of each class, but train has"),
        ({"labelled": 0}, "labelled must be 1 or more"),
        ({"labelled": 50, "stacked": 2}, "--labelled does not go with --stacked"),
    ],
)
def test_errors_say_what_to_write(how: dict, words: str) -> None:
    with pytest.raises(UserError) as caught:
        load("digits", **how)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_data_without_labels_cannot_be_labelled(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((40, 3), dtype=np.float32))
    with pytest.raises(UserError, match="no labels: remove --labelled"):
        load(tmp_path / "x.npy", labelled=10)


def test_labels_are_never_paired_with_x_that_they_are_not_of(tmp_path: Path) -> None:
    data = load("digits", labelled=50)
    cls = models.find("stacked_denoising")
    model = cls(**bind(cls, data.fields), hidden=(4,))
    with pytest.raises(UserError, match=r"label is known of x_labelled only: remove --labelled"):
        train(model, data, Training(steps=1), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(UserError, match="label is known of x_labelled only, 50 rows"):
        error_rate(model, data.splits["train"])
    assert error_rate(model, data.splits["test"]).protocol["rows"] == 180
    without = load("digits")
    semi = models.find("aae_semi_supervised")
    with pytest.raises(UserError, match="with --labelled 100"):
        bound(semi, without.fields)


def test_rows_without_a_label_have_none() -> None:
    data, whole = load("digits", labelled=50), load("digits")
    found, known = Rows(data, "train").ids()["label"], Rows(whole, "train").ids()["label"]
    assert sum(y is not None for y in found) == 50
    assert all(y is None or y == truth for y, truth in zip(found, known, strict=True))
    assert Rows(data, "test").ids() == Rows(whole, "test").ids()


def test_a_run_remembers_how_many_were_labelled_and_goes_on_with_them(tmp_path: Path) -> None:
    data = load("digits", labelled=40, split_seed=3)
    assert reload(json.loads(json.dumps(data.record))).splits["train"].groups == {"": 1437, "labelled": 40}
    assert "labelled" not in load("digits").record, "records from before this option would no longer be equal"

    def weights(run: Run) -> dict[str, torch.Tensor]:
        return run.model().state_dict()

    unbroken = train(aae(data), data, Training(steps=6, batch_size=30, device="cpu"), tmp_path / "unbroken")
    first = train(aae(data), data, Training(steps=3, batch_size=30, device="cpu"), tmp_path / "stopped")
    second = resume(first.path, steps=6)
    for name, expected in weights(unbroken).items():
        assert torch.equal(weights(second)[name], expected), f"{name} differs"
