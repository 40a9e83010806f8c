"""Clusters against labels: the matching by brute force, the rules, and what cannot be measured. Information over draws."""

from itertools import permutations
from typing import ClassVar

import numpy as np
import pytest
import torch

from pofx.data import Column, Data, Split
from pofx.errors import Lacks, UserError
from pofx.evaluate.clusters import clustering_accuracy, information
from pofx.kinds import Category, Image, Vector
from pofx.metrics.clustering import majority, matched
from pofx.model import Model
from pofx.models.adversarial.gan import GAN
from pofx.models.adversarial.infogan import InfoGAN
from pofx.randomness import generator
from pofx.run import seeded


@pytest.mark.parametrize(("K", "L"), [(4, 4), (3, 5), (5, 3), (2, 2)])
def test_matching_is_the_best_of_all(K, L):
    for seed in range(20):
        numbers = np.random.default_rng(seed)
        clusters, labels = np.append(numbers.integers(K, size=30), K - 1), np.append(numbers.integers(L, size=30), L - 1)
        found = matched(clusters, labels)
        named = found[found >= 0]
        assert len(named) == len(set(named)) == min(K, L)
        slots = [*range(L), *[-1] * (K - min(K, L))]  # -1: a cluster that is left without a label
        best = max((np.array(p[:K])[clusters] == labels).sum() for p in permutations(slots, min(K, len(slots))))
        assert (found[clusters] == labels).sum() == best


def test_majority_takes_the_commonest_label():
    clusters, labels = np.array([0, 0, 0, 2, 2, 2]), np.array([1, 1, 0, 1, 1, 3])
    assert majority(clusters, labels).tolist() == [1, -1, 1]


class Groups(Model):
    """Clusters by the first number of x; how sure it is is the second.

    References:
        none
    """

    paper: ClassVar = ("nobody", 2000, "none")

    def __init__(self, x: Vector, *, clusters: int = 3):
        super().__init__()
        self.clusters = clusters

    def cluster(self, x):
        return x[:, 0].long()

    def memberships(self, x):
        likely = ((1 - x[:, 1:]) / (self.clusters - 1)).repeat(1, self.clusters)
        likely[torch.arange(len(x)), x[:, 0].long()] = x[:, 1]
        return likely


def data_of(**splits):
    fields = {"x": Vector(2), "label": Category(3)}
    made = {
        name: Split({
            "x": Column(fields["x"], np.array([[c, sure] for c, sure, _ in rows], np.float32)),
            "label": Column(fields["label"], np.array([y for *_, y in rows])),
        })
        for name, rows in splits.items()
    }  # fmt: skip
    return Data(fields, made, {"spec": "by hand", "sha256": "", "counts": {name: len(rows) for name, rows in splits.items()}})


def test_each_rule_gives_the_accuracy_that_is_counted_by_hand():
    test = [(0, 0.5, 2), (0, 0.5, 2), (0, 0.5, 1), (1, 0.5, 0), (2, 0.5, 2), (2, 0.5, 1)] * 30  # more than a block
    valid = [(0, 0.6, 2), (0, 0.9, 1), (0, 0.5, 2), (1, 0.5, 1), (2, 0.1, 0), (2, 0.2, 2)]
    data, model = data_of(test=test, valid=valid), Groups(Vector(2))
    score = clustering_accuracy(model, data)
    assert score.value == pytest.approx(4 / 6)  # 0 -> 2, 1 -> 0, 2 -> 1
    assert score.protocol["rule"] == "one cluster a label, matched on the same rows"
    assert score.standard_error == pytest.approx(np.std([1, 1, 0, 1, 0, 1] * 30, ddof=1) / np.sqrt(180))
    by_majority = clustering_accuracy(model, data, by="majority")
    assert by_majority.value == pytest.approx(2 / 6)  # 0 -> 2, 1 -> 1, 2 -> 0 (the lowest of two)
    assert by_majority.protocol["rule"].endswith("another split: valid")
    assert clustering_accuracy(model, data, by="exemplar").value == pytest.approx(2 / 6)  # 0 -> 1, 1 -> 1, 2 -> 2
    assert clustering_accuracy(Groups(Vector(2), clusters=4), data).value == by_majority.value  # more clusters than labels


def test_the_exemplar_is_the_most_certain_row_where_probabilities_are_rounded_to_one():
    class Sure(Groups):
        """As certain as softmax makes it of a logit, the second number of x.

        References:
            none
        """

        def memberships(self, x):
            return (x[:, 1:] * torch.nn.functional.one_hot(x[:, 0].long(), self.clusters)).softmax(1)

    valid = [(0, 20, 1), (0, 30, 2), (0, 25, 1), (1, 1, 0), (2, 1, 1)]
    data, model = data_of(test=[(0, 1, 2)] * 2, valid=valid), Sure(Vector(2))
    assert (model.memberships(data.splits["valid"].read(range(3))["x"])[:, 0] == 1).all()  # in float32
    assert clustering_accuracy(model, data, by="exemplar").value == 1


def test_a_cluster_that_the_other_split_has_not_got_is_always_wrong():
    data = data_of(test=[(3, 0.5, 0), (0, 0.5, 1)], valid=[(0, 0.5, 1), (0, 0.5, 1)])
    assert clustering_accuracy(Groups(Vector(2), clusters=4), data).value == 0.5


def test_what_cannot_be_measured_is_an_error_in_one_line():
    data, model = data_of(test=[(0, 0.5, 0), (1, 0.5, 1)], valid=[(0, 0.5, 0), (1, 0.5, 1)]), Groups(Vector(2))
    with pytest.raises(UserError, match="did you mean test"):
        clustering_accuracy(model, data, split="tset")
    with pytest.raises(UserError, match="no labels in a field 'lable': did you mean label"):
        clustering_accuracy(model, data, field="lable")
    with pytest.raises(Lacks, match="cluster"):
        clustering_accuracy(GAN(Vector(2), latent=2), data)
    with pytest.raises(UserError, match="gan does not tell its codes from x"):
        information(GAN(Vector(2), latent=2))
    with pytest.raises(UserError, match="2 or more"):
        information(InfoGAN(Image(1, 8, 8), latent=2, hidden=(2, 2), dense=4, recognition=3), n=1)


def test_labels_of_other_rows_are_an_error():
    x, label = np.zeros((6, 2), np.float32), np.zeros(2, np.int64)
    fields = {"x": Vector(2), "x_labelled": Vector(2), "label": Category(3)}
    columns = {
        "x": Column(fields["x"], x),
        "x_labelled": Column(fields["x_labelled"], x[:2], group="labelled"),
        "label": Column(fields["label"], label, group="labelled"),
    }
    data = Data(fields, {"train": Split(columns)}, {"spec": "by hand", "sha256": ""})
    with pytest.raises(UserError, match="label is known of x_labelled only, 2 rows"):
        clustering_accuracy(Groups(Vector(2)), data, split="train")


def test_information_is_the_mean_over_draws_of_the_prior_whatever_the_mode():
    with seeded(0):
        model = InfoGAN(Image(1, 8, 8), latent=2, hidden=(2, 2), dense=4, recognition=3).train()
    found = information(model, n=250, seed=3)
    assert list(found) == ["c1", "c2", "c3"]
    assert model.training
    assert found["c1"].protocol["draws"] == 250
    assert information(model, n=250, seed=3)["c2"].value == found["c2"].value  # batch statistics were left alone
    assert information(model, n=250, seed=4)["c2"].value != found["c2"].value
    expected_B = model.eval().information(model.prior.sample(20_000, torch.zeros(1), generator(0)))["c1"]
    assert abs(found["c1"].value - expected_B.mean().item()) < 5 * expected_B.std().item() / 250**0.5
