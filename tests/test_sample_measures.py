"""Samples beside the data: what is drawn, what it is compared with, what is stored, and what is refused before anything is drawn."""

import json
import os
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch

from pofx.cli import main
from pofx.commands.evaluate import _replaces
from pofx.data import load
from pofx.errors import Lacks, UserError
from pofx.evaluate import Score, draw, evaluate, frechet_distance, kernel_distance, prdc, require_comparable, sliced_wasserstein
from pofx.evaluate import features as networks
from pofx.kinds import Category, Image, Vector
from pofx.model import Model
from pofx.options import Size


class Normal(Model):
    """Draws x from N(shift, 1)."""

    def __init__(self, x: Vector, *, shift: float = 0.0):
        super().__init__()
        self.shape, self.shift = x.shape, shift
        self.register_buffer("unused", torch.zeros(1))

    def sample(self, n: int, *, given: None = None, generator: torch.Generator | None = None, wide: float = 1.0):
        return self.shift + wide * torch.randn(n, *self.shape, generator=generator)


class Scored(Normal):
    density: ClassVar = "exact"

    def log_prob(self, x, *, given: None = None, samples: Size = 1):
        return torch.distributions.Normal(self.shift, 1.0).log_prob(x).sum(1)


class Coder(Model):
    def __init__(self, x: Vector):
        super().__init__()
        self.codes = x

    def encode(self, x):
        return x


class ByLabel(Model):
    """Draws pictures that are as bright as their class."""

    def __init__(self, x: Image, label: Category):
        super().__init__()
        self.shape, self.classes, self.seen = x.shape, label.classes, []

    def sample(self, n: int, *, given: torch.Tensor | None = None, generator: torch.Generator | None = None):
        if given is None:
            given = torch.randint(self.classes, (n,), generator=generator)
        self.seen += given.tolist()
        noise = 0.01 * torch.rand(n, *self.shape, generator=generator)
        return noise + 0.9 * given.view(-1, 1, 1, 1) / self.classes


class Rows:
    """A split in memory."""

    def __init__(self, **fields):
        self.columns = self.fields = fields

    def require_paired(self, *names):
        assert {len(self.fields[name]) for name in names} == {len(self)}

    def __len__(self):
        return len(self.fields["x"])

    def read(self, rows, noise=None):
        return {name: field[torch.as_tensor(rows)] for name, field in self.fields.items()}


def normal(n, d=3, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def data_of(splits, **fields):
    return SimpleNamespace(fields=fields, splits=splits, record={"spec": "here", "sha256": "ab"}, problems=[])


@pytest.fixture
def data():
    return data_of({name: Rows(x=normal(250, seed=i)) for i, name in enumerate(("train", "valid", "test"))}, x=Vector(3))


def values(scores):
    return {score.what: score.value for score in scores}


def test_the_first_samples_of_more_are_the_same_ones_and_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    x = draw(Normal(Vector(3)), 250, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert x.shape == (250, 3)
    assert torch.equal(x[:200], draw(Normal(Vector(3)), 200, seed=1))
    assert not torch.equal(x[:100], x[100:200])
    assert not torch.equal(x, draw(Normal(Vector(3)), 250, seed=2))
    assert draw(Normal(Vector(3)), 250, wide=0.0).std() == 0
    with pytest.raises(UserError, match="sample of Normal has no argument 'wied': did you mean wide"):
        draw(Normal(Vector(3)), 2, wied=1.0)
    with pytest.raises(UserError, match="sample 0 is not finite"):
        draw(Normal(Vector(3)), 2, wide=1e300)


def test_a_model_without_density_is_measured_by_its_samples(data):
    model = Normal(Vector(3), shift=0.5)
    scores = evaluate(model, data, seed=4, weights={"ema": 0.99})
    found, x = values(scores), draw(model, 250, seed=4).double().numpy()
    real = data.splits["test"].fields["x"].double().numpy()
    assert found["frechet[pixels]"] == frechet_distance(real, x)
    assert (found["kid[pixels]"], scores[1].standard_error) == kernel_distance(real, x)
    shares = [found[f"{name}[pixels]"] for name in ("precision", "recall", "density", "coverage")]
    assert tuple(shares) == prdc(real, x)
    assert found["sliced Wasserstein[pixels]"] == sliced_wasserstein(real, x, seed=4)
    assert list(found)[7:] == [
        "different bins, NDB/25[pixels]",
        "Jensen-Shannon divergence of 25 bins[pixels]",
        "Parzen-window log-likelihood, 250 samples",
    ]
    for score in scores:
        protocol = score.protocol
        assert (protocol["split"], protocol["rows"], protocol["draws"], protocol["seed"]) == ("test", 250, 250, 4)
        assert protocol["weights"]["ema"] == 0.99
        assert protocol["sampling"] == {"wide": 1.0}
        assert Score.from_json(json.loads(json.dumps(score.to_json()))) == score
    assert scores[0].protocol["features"] == {"name": "pixels"}
    assert scores[2].protocol["k"] == 5


def test_the_note_is_what_training_rows_get_in_place_of_samples(data):
    train, real = (data.splits[name].fields["x"].double().numpy() for name in ("train", "test"))
    notes = {score.what: score.note for score in evaluate(Normal(Vector(3)), data, draws=200)}
    assert (
        notes["frechet[pixels]"] == f"frechet[pixels]: {frechet_distance(real, train[:200]):.4g} of 200 rows of train in place of samples"
    )
    assert notes["density[pixels]"] == f"density[pixels]: {prdc(real, train[:200]).density:.4g} of 200 rows of train in place of samples"
    on_train = {score.what: score.note for score in evaluate(Normal(Vector(3)), data, split="train")}
    assert on_train["kid[pixels]"].endswith("of 250 rows of valid in place of samples")


def test_a_model_with_a_density_draws_only_when_told_to(data):
    assert list(values(evaluate(Scored(Vector(3)), data))) == ["log p"]
    assert list(values(evaluate(Scored(Vector(3)), data, samples=3))) == ["log p"]
    scores = evaluate(Scored(Vector(3)), data, draws=100, samples=3, wide=0.5)
    assert [score.what for score in scores][:2] == ["log p", "frechet[pixels]"]
    assert scores[0].protocol["options"] == {"samples": 3}
    assert scores[1].protocol["sampling"] == {"wide": 0.5}
    assert scores[1].protocol["draws"] == 100
    with pytest.raises(UserError, match="nothing to measure on Normal"):
        evaluate(Normal(Vector(3)), data, draws=0)


def test_scores_of_samples_are_compared_across_models_with_other_options_but_not_other_draws(data):
    one, other = evaluate(Normal(Vector(3)), data)[0], evaluate(Scored(Vector(3)), data, draws=250, wide=2.0)[1]
    require_comparable({"one": one, "other": other})
    fewer = evaluate(Normal(Vector(3)), data, draws=100)[0]
    with pytest.raises(UserError, match=r"compared by frechet\[pixels\]: draws: 250 and 100"):
        require_comparable({"one": one, "fewer": fewer})


class Untouchable(Normal):
    def sample(self, n: int, *, given: None = None, generator: torch.Generator | None = None, wide: float = 1.0):
        raise AssertionError("drew samples before the error")


def test_what_cannot_be_measured_is_refused_before_anything_is_drawn(data, tmp_path):
    model = Untouchable(Vector(3))
    with pytest.raises(UserError, match=r"of 3 features needs 4 samples or more of either set for their covariance, not 3"):
        evaluate(model, data, draws=3)
    with pytest.raises(UserError, match=r"needs 4 samples or more .*, not 2: use more rows and draws"):
        evaluate(model, data, rows=2)
    with pytest.raises(UserError, match="samples of one class are not evaluated"):
        evaluate(model, data, given=1)
    with pytest.raises(UserError, match="no such run folder"):
        evaluate(model, data, features=str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"none are drawn: pass --draws 250 .*or as many as"):
        evaluate(Scored(Vector(3)), data, features="pixels")
    with pytest.raises(UserError, match="wide is of samples, and none are drawn: pass --draws 250"):
        evaluate(Scored(Vector(3)), data, wide=2.0)
    with pytest.raises(UserError, match="Untouchable has no log_prob, so samples means nothing here"):
        evaluate(model, data, samples=3)
    with pytest.raises(Lacks, match="Coder has no sample"):
        evaluate(Coder(Vector(3)), data, draws=10)


class Waiting(Untouchable):
    """Has all capabilities that matter, and must not be asked for anything."""

    density: ClassVar = "exact"

    def __init__(self, x: Vector):
        super().__init__(x)
        self.codes = x

    def log_prob(self, x, *, given: None = None, samples: Size = 1):
        raise AssertionError("log p before the error")

    def encode(self, x):
        raise AssertionError("encoded before the error")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"draws": 100, "wide": "far"}, "wide"),
        ({"draws": 3}, "needs 4 samples or more"),
        ({"draws": 19}, "20 of either or more, not 19"),
        ({"rows": 19, "draws": 100}, "20 of either or more, not 19"),
        ({"rows": 251}, "rows must be between"),
        ({"samples": 0}, "samples must be 1 or more"),
        ({"given": "lable"}, "no field 'lable'"),
        ({"probe": 10}, "a linear probe needs labels"),
    ],
)
@pytest.mark.parametrize("features", [None, "pixels"])
def test_no_work_is_done_before_an_error_that_can_be_known(data, asked, said, features):
    with pytest.raises(UserError, match=said):
        evaluate(Waiting(Vector(3)), data, **{**asked, **({"features": features} if "draws" in asked else {})})


def test_no_network_is_trained_for_too_few_rows(monkeypatch):
    monkeypatch.setattr("pofx.evaluate.request.chosen", lambda *_: pytest.fail("made features before the error"))
    data = load("digits")
    with pytest.raises(UserError, match="64 features needs 65 samples or more"):
        evaluate(Bright(data.fields["x"]), data, draws=64)
    stacked = load("digits", stacked=3)
    with pytest.raises(UserError, match="192 features needs 193 samples or more"):
        evaluate(Bright(stacked.fields["x"]), stacked, draws=192)


def test_scores_of_other_sampling_options_stay_beside_each_other(data):
    one, again, wider = (evaluate(Normal(Vector(3)), data, wide=wide)[0] for wide in (1.0, 1.0, 2.0))
    assert _replaces(again, one)
    assert not _replaces(wider, one)


def test_a_bandwidth_that_training_rows_chose_says_so(data):
    told = {split: evaluate(Normal(Vector(3)), data, split=split)[-1].protocol["sigma"]["chosen on"] for split in ("test", "valid")}
    assert told == {"test": "250 validation rows", "valid": "250 train rows"}


def test_classes_are_counted_only_where_they_are_the_labels():
    by = networks.network(Brightness(Image(1, 2, 2), Category(2, ("cat", "dog"))))
    assert by.tells(Category(2, ("cat", "dog")))
    assert by.tells(Category(2))
    assert not by.tells(Category(2, ("dog", "cat")))
    assert not by.tells(Category(3))


class Bright(Model):
    def __init__(self, x: Image):
        super().__init__()
        self.shape = x.shape

    def sample(self, n: int, *, given: None = None, generator: torch.Generator | None = None):
        return torch.full((n, *self.shape), 1.25)


def test_pictures_outside_their_range_are_named():
    pictures = Rows(x=torch.rand(50, 1, 2, 2))
    with pytest.raises(UserError, match=r"picture number 0 has values from 1.25 to 1.25, but pictures lie in \[0, 1\]"):
        evaluate(Bright(Image(1, 2, 2)), data_of({"test": pictures}, x=Image(1, 2, 2)))


class Brightness(Model):
    """Tells how bright a picture is, as a class and as a code."""

    def __init__(self, x: Image, label: Category):
        super().__init__()
        self.codes, self.classes = Vector(1), label.classes
        self.register_buffer("one", torch.ones(1))

    def encode(self, x):
        return x.flatten(1).mean(1, keepdim=True) * self.one

    def classify(self, x):
        return torch.nn.functional.one_hot((self.encode(x)[:, 0] / 0.9 * self.classes).long().clamp(max=self.classes - 1), self.classes)


def test_classes_of_samples_are_counted_beside_the_data_and_labels_can_be_given():
    kinds = {"x": Image(1, 2, 2), "label": Category(4)}
    label = torch.tensor([0, 1, 1, 2] * 10 + [3] * 10)
    maker, by = ByLabel(**kinds), networks.network(Brightness(**kinds))
    split = Rows(x=draw(maker, 50, given=label), label=label)
    data = data_of({"train": split, "test": split}, **kinds)
    maker.seen.clear()
    given = evaluate(maker, data, features=by, given="label", draws=70)
    assert maker.seen == (label.tolist() * 2)[:70]  # in the order of the split, again from its first row
    assert values(given)[f"classes[{by.name}]"] == 4
    share = np.bincount(maker.seen) / 70
    assert values(given)[f"KL of classes[{by.name}]"] == pytest.approx(
        (share * np.log(share / np.array([0.2, 0.4, 0.2, 0.2]))).sum(), rel=1e-9
    )
    assert (given[0].protocol["given"], given[0].protocol["sampling"]) == ("label", {})
    maker.seen.clear()
    free = evaluate(maker, data, features=by)
    share = np.bincount(maker.seen) / 50  # as the model draws them
    assert values(free)[f"KL of classes[{by.name}]"] == pytest.approx(
        (share * np.log(share / np.array([0.2, 0.4, 0.2, 0.2]))).sum(), rel=1e-9
    )
    with pytest.raises(UserError, match="given: label and not stated"):
        require_comparable({"given": given[0], "free": evaluate(maker, data, features=by, draws=70)[0]})
    missing = data_of({"test": Rows(x=split.fields["x"])}, x=kinds["x"])
    with pytest.raises(UserError, match="the split has no field 'label'"):
        evaluate(maker, missing, features=by, given="label")


def test_known_modes_are_counted():
    data = load("ring")
    scores = values(evaluate(Normal(Vector(2)), data, draws=2500, rows=500))
    assert scores["modes"] >= 1
    assert scores["samples of high quality"] < 0.1


def test_data_in_one_piece_can_be_compared_by_pixels_without_notes():
    data = data_of({"all": Rows(x=normal(60))}, x=Vector(3))
    scores = evaluate(Normal(Vector(3)), data, split="all")
    assert len(scores) == 7
    assert {score.note for score in scores} == {None}


def pofx_json(capsys, line):
    capsys.readouterr()
    assert main([*line.split(), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_game_is_evaluated_and_compared_beside_a_likelihood_model(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(networks, "TRAINING", {"steps": 3, "batch_size": 10})
    monkeypatch.setenv("POFX_CACHE", str(tmp_path / "cache"))
    pofx_json(capsys, "train gan --data digits --hidden 8 --latent 2 --steps 2 --out gan")
    pofx_json(capsys, "train vae --data digits --hidden 8 --latent 2 --steps 2 --out vae")
    report = pofx_json(capsys, "evaluate gan --draws 120")
    (name,) = {score["protocol"]["features"]["name"] for score in report["scores"] if "features" in score["protocol"]}
    assert name.startswith("convnet@")
    assert len(report["notes"]) >= 7
    alone = pofx_json(capsys, "evaluate vae")
    assert not any("frechet" in score["what"] for score in alone["scores"])
    assert main(["evaluate", "vae", "--features", "pixels"]) == 2
    assert "none are drawn: pass --draws 180" in capsys.readouterr().err
    pofx_json(capsys, "evaluate vae --draws 120 --draw")
    table = {row["what"]: row for row in pofx_json(capsys, "compare gan vae --out c.png")["table"]}
    assert table[f"frechet[{name}]"]["gan"] != table[f"frechet[{name}]"]["vae"]
    assert table["log p, evidence lower bound, 1 sample"]["gan"] is None
    assert os.path.exists("c.png")
    probed = pofx_json(capsys, "evaluate vae --probe 100")
    assert any("100 labels" in score["what"] for score in probed["scores"])
    assert main(["evaluate", "gan", "--features", "vae"]) == 0  # any run that encodes
    assert main(["evaluate", "gan", "--features", "gan"]) == 2
    assert "gan has no encode" in capsys.readouterr().err
