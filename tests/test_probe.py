"""The linear probe: right on what a line can part, at chance on labels that mean nothing, and plain about what it needs."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pofx.data import Column, Data, Split, load
from pofx.errors import Lacks, UserError
from pofx.evaluate.probe import labelled_rows, linear_probe, raw_probe
from pofx.kinds import Category, Kind, Vector
from pofx.model import Model
from pofx.models.adversarial.gan import GAN
from pofx.models.autoencoders.pca import PCA

ROWS = {"train": 600, "valid": 200, "test": 2000}


class Half(Model):
    """Its code is the first half of x.

    Args:
        x: vectors
    """

    def __init__(self, x: Vector):
        super().__init__()
        self.codes = Vector(x.dims // 2)

    def encode(self, x: Tensor) -> Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        return x[:, : self.codes.dims]


def made(label: Any, *, classes: int = 4, dims: int = 8) -> Data:
    """Gaussian x; `label` makes classes of x (n, dims) and a random source."""
    draw, splits = np.random.RandomState(0), {}
    fields: dict[str, Kind] = {"x": Vector(dims), "label": Category(classes)}
    for part, rows in ROWS.items():
        x = draw.standard_normal((rows, dims)).astype(np.float32)
        labels = label(x, draw).astype(np.int64)
        splits[part] = Split({"x": Column(fields["x"], x), "label": Column(fields["label"], labels)})
    return Data(fields, splits, {"spec": "made", "sha256": ""})


def apart(x: np.ndarray, draw: np.random.RandomState) -> np.ndarray:
    """Classes that hyperplanes part: x is moved far along an axis of its own class."""
    label = draw.randint(4, size=len(x))
    x[np.arange(len(x)), label] += 20
    return label


def test_classes_that_hyperplanes_part_are_all_told() -> None:
    score = linear_probe(Half(Vector(8)), made(apart), labels=80)
    assert (score.value, score.standard_error, score.protocol["rows"]) == (1.0, 0.0, ROWS["test"])
    assert score.protocol["dimensions"] == 4


def test_labels_that_mean_nothing_are_told_by_chance() -> None:
    score = raw_probe(made(lambda x, draw: draw.randint(4, size=len(x))), labels=400)
    assert abs(score.value - 1 / 4) < 4 * np.sqrt(1 / 4 * 3 / 4 / ROWS["test"])


def test_the_code_is_what_is_probed() -> None:
    """The label is the sign of a number that the code drops: the model is at chance, x itself is not."""
    data = made(lambda x, draw: x[:, 7] > 0, classes=2)
    assert linear_probe(Half(Vector(8)), data, labels=200).value < 0.55
    assert raw_probe(data, labels=200).value > 0.95


def test_what_C_means_does_not_depend_on_the_scale_of_codes() -> None:
    class Large(Half):
        def encode(self, x: Tensor) -> Tensor:
            return 1000 * super().encode(x) + 5

    data = made(lambda x, draw: (x[:, 0] + 0.5 * draw.standard_normal(len(x)) > 0).astype(int), classes=2)
    small, large = (linear_probe(cls(Vector(8)), data, labels=60) for cls in (Half, Large))
    assert large.value == pytest.approx(small.value, abs=2e-3)
    assert large.protocol["C"] == small.protocol["C"]


def test_C_is_chosen_on_the_validation_split() -> None:
    """Few labels and much noise: of all strengths none does better on the validation split than the one that was chosen."""
    from sklearn.svm import LinearSVC

    data = made(lambda x, draw: (x[:, 0] + draw.standard_normal(len(x)) > 0).astype(int), classes=2)
    score = raw_probe(data, labels=20)
    x, label = (data.splits["train"].read(labelled_rows(data, 20))[name].numpy() for name in ("x", "label"))
    x = x.astype(np.float64)
    centre = x.mean(0)
    scale = np.sqrt(((x - centre) ** 2).sum(1).mean())
    accuracies = {}
    for C in (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0):
        machine = LinearSVC(C=C, random_state=0).fit((x - centre) / scale, label)
        told = [
            machine.score((b["x"].numpy() - centre) / scale, b["label"])
            for b in (data.splits[s].read(range(ROWS[s])) for s in ("valid", "test"))
        ]
        accuracies[C] = told
    best = max(accuracies, key=lambda C: accuracies[C][0])
    assert score.protocol["C"] == best
    assert score.value == pytest.approx(accuracies[best][1])
    assert len({valid for valid, _ in accuracies.values()}) > 1  # the choice matters


def test_labelled_rows_are_as_many_of_each_class_and_drawn_by_the_seed() -> None:
    data = made(lambda x, draw: draw.choice(4, p=[0.1, 0.2, 0.3, 0.4], size=len(x)))
    rows = labelled_rows(data, 100, seed=3)
    assert len(set(rows.tolist())) == 100
    assert np.bincount(data.splits["train"].read(rows)["label"].numpy()).tolist() == [25] * 4
    assert (rows == labelled_rows(data, 100, seed=3)).all()
    assert (rows != labelled_rows(data, 100, seed=4)).any()


def test_where_few_rows_are_labelled_it_is_they_that_are_told() -> None:
    """All of 100 labelled rows are drawn, numbers 0 to 99; x of those numbers are other rows, and would leave it at chance."""
    whole, few = load("digits"), load("digits", labelled=100)
    score = raw_probe(few, labels=100)
    assert score.value > 0.8
    assert score.protocol["labelled_rows_sha256"] == hashlib.sha256(np.arange(100).astype("<i8").tobytes()).hexdigest()
    assert score.value == pytest.approx(raw_probe(whole, labels=100).value, abs=0.1)
    with pytest.raises(UserError, match="in this split label is known of x_labelled only, 100 rows: use another split"):
        raw_probe(few, labels=100, split="train")


def test_errors_say_what_to_write_instead() -> None:
    data = made(lambda x, draw: np.where(np.arange(len(x)) < 12, 3, np.arange(len(x)) % 3))
    with pytest.raises(UserError, match=r"class 3 has 12 training rows, too few for 100 labels: use 48 or fewer"):
        raw_probe(data, labels=100)
    with pytest.raises(UserError, match="use 40 labels, not 42"):
        raw_probe(data, labels=42)
    with pytest.raises(UserError, match=r"no split 'tset'.*test"):
        raw_probe(data, labels=40, split="tset")
    without = Data({"x": data.fields["x"]}, data.splits, data.record)
    with pytest.raises(UserError, match="a linear probe needs labels, but the data has x: Vector"):
        linear_probe(PCA(Vector(8), latent=2), without)
    with pytest.raises(Lacks, match="encode"):
        linear_probe(GAN(Vector(8)), data)


def test_the_protocol_says_how() -> None:
    score = linear_probe(Half(Vector(8)), made(apart), labels=40, seed=5, split="valid", rows=50, about={"weights": "last"})
    p = score.protocol
    assert (p["labels"], p["seed"], p["split"], p["rows"], p["weights"]) == (40, 5, "valid", 50, "last")
    assert {"classifier", "codes", "C", "labelled_rows_sha256"} <= p.keys()
