"""Measures register themselves: one file adds one, with its options, and what several of them need is computed once."""

import ast
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch

import pofx.evaluate
from pofx.capabilities import Clusters, Encodes, Samples
from pofx.cli import main
from pofx.errors import Lacks, UserError
from pofx.evaluate import Features, Request, Score, evaluate, measure, measures, registry, require_measurable, sample_scores
from pofx.evaluate.features import pixels
from pofx.kinds import Category, Vector
from pofx.model import Model
from pofx.options import Size

FILE = '''"""A standard normal, and how far from 0 it draws."""

import torch

from pofx.capabilities import Samples
from pofx.evaluate import Features, Request, Score, measure
from pofx.kinds import Image
from pofx.model import Model
from pofx.options import Size


class Normal(Model):
    """A normal over vectors.

    Args:
        x: vectors
    """

    def __init__(self, x: Image):
        super().__init__()
        self.shape = x.shape
        self.mean = torch.nn.Parameter(torch.zeros(x.shape))

    def loss(self, batch, noise):
        return {"square": (batch["x"] - self.mean).square().flatten(1).sum(1)}

    def sample(self, n: int, *, given: None = None, generator: torch.Generator | None = None):
        return (self.mean.detach() + 0.1 * torch.rand(n, *self.shape, generator=generator)).clamp(0, 1)


@measure("distance from 0", needs=(Samples,))
def distance_from_0(request: Request, *, power: Size = 2):
    """How far from 0 samples are.

    Args:
        power: of each number
    """
    yield Score(f"distance from 0, power {power}", float(request.samples.pow(power).mean()), "", None, request.of_samples)
'''


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """What a test registers is gone after it."""
    measures()
    monkeypatch.setattr(registry, "_KNOWN", dict(registry._KNOWN))


class Rows:
    """A split in memory."""

    def __init__(self, **fields):
        self.columns = self.fields = fields

    def require_paired(self, *names):
        if len({len(self.fields[name]) for name in names}) > 1:
            raise UserError(f"{' and '.join(names)} are not paired")

    def __len__(self):
        return len(self.fields["x"])

    def read(self, rows, noise=None):
        return {name: field[torch.as_tensor(rows)] for name, field in self.fields.items()}


def normal(n, seed=0):
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(seed))


def data_of(fields=None, **splits):
    return SimpleNamespace(fields=fields or {"x": Vector(3)}, splits=splits, record={"spec": "here"}, tokenizers={}, problems=[])


@pytest.fixture
def data():
    return data_of(**{name: Rows(x=normal(250, seed)) for seed, name in enumerate(("train", "valid", "test"))})


class Counted(Model):
    """Draws, encodes and decodes, and counts how often it is asked."""

    def __init__(self, x: Vector):
        super().__init__()
        self.codes, self.drawn, self.encoded = x, 0, 0
        self.register_buffer("unused", torch.zeros(1))

    def sample(self, n: int, *, given: None = None, generator: torch.Generator | None = None):
        self.drawn += n
        return torch.randn(n, 3, generator=generator)

    def encode(self, x):
        self.encoded += len(x)
        return x

    def decode(self, z):
        return z


def registered(**about):
    """A toy measure of 1, and the requests that it was asked."""
    seen = []

    @measure("toy", **about)
    def toy(request: Request, *, times: Size = 1) -> list[Score]:
        """Nothing.

        Args:
            times: the value
        """
        seen.append(request)
        return [Score("toy", float(times), "")]

    return seen


def run(capsys, line):
    capsys.readouterr()
    assert main([*line.split(), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_measure_in_a_model_s_own_file_is_asked_and_its_option_is_a_flag(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("normal.py").write_text(FILE)
    run(capsys, "train normal.py:Normal --data digits --steps 2 --out run")
    report = run(capsys, "evaluate run --trust --features pixels --power 3")
    assert report["scores"][-1]["what"] == "distance from 0, power 3"
    assert report["scores"][-1]["protocol"]["draws"] == 180
    assert [score["what"] for score in json.loads(Path("run/scores.json").read_text())][-1] == "distance from 0, power 3"
    assert main(["evaluate", "run", "--trust", "--features", "pixels", "--power", "0"]) == 2
    assert "--power must be 1 or more" in capsys.readouterr().err
    assert main(["evaluate", "run", "--trust", "--help"]) == 0
    assert "of each number (1 or more; default 2)" in " ".join(capsys.readouterr().out.split())


def test_a_measure_in_a_file_beside_pofx_s_own_is_found_by_the_file(tmp_path, monkeypatch, capsys):
    """So adding one touches one file: no list names it."""
    head, _, tail = FILE.partition("\n\nclass Normal")
    (tmp_path / "toy_of_a_test.py").write_text(head + "\n\n@measure" + tail.partition("@measure")[2])
    monkeypatch.setattr(pofx.evaluate, "__path__", [*pofx.evaluate.__path__, str(tmp_path)])
    monkeypatch.chdir(tmp_path)
    run(capsys, "train gan --data digits --hidden 8 --latent 2 --steps 2 --out gan")
    try:
        report = run(capsys, "evaluate gan --features pixels --power 1")
    finally:
        sys.modules.pop("pofx.evaluate.toy_of_a_test", None)
    assert report["scores"][-1]["what"] == "distance from 0, power 1"


@pytest.mark.parametrize("room", ["evaluate", "inference", "metrics"])
def test_kinds_are_asked_and_not_told_apart(room):
    """Who names no kind of data needs no change for a new one."""
    files = sorted((Path(pofx.__file__).parent / room).glob("*.py"))
    found = {
        (file.name, name.name)
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("pofx.kinds")
        for name in node.names
    }
    assert len(files) > 4
    assert {(file, name) for file, name in found if name not in ("Kind", "PAD", "EOS")} == set()
    assert not [file.name for file in files if re.search(r"""\["kind"\]|type\((kind|x|\w+\.x)\)|(kind|\.x)\.__class__""", file.read_text())]


def test_pofx_s_own_measures_are_asked_in_an_order():
    assert [known.name for known in measures()] == [
        *("log p", "log p of text", "translations", "reconstruction", "reconstruction of text", "active units", "error rate"),
        *("clustering accuracy", "linear probe", "what is told of codes", "distances and shares of features", "bins"),
        *("classes of samples", "modes", "Parzen window"),
    ]


def test_samples_features_and_codes_are_computed_once(data):
    model, by = Counted(Vector(3)), []

    def function(x):
        by.append(len(x))
        return x.flatten(1)

    features = Features("counted", Vector(3), function)
    registered(needs=(Samples, Encodes))
    found = [score.what for score in evaluate(model, data, features=features, draws=200)]
    assert {"reconstruction MSE", "active units", "toy", "kid[counted]", "different bins, NDB/20[counted]"} < {*found}
    assert "Parzen-window log-likelihood, 200 samples" in found
    assert model.drawn == 200
    assert model.encoded == 250
    assert sum(by) == 1 + 250 + 200 + 200  # how many features there are is asked of one row; then rows, samples, and rows of train


def test_what_is_kept_is_kept_for_one_request(data):
    request = Request(Counted(Vector(3)), data, draws=30)
    assert request.samples is request.samples
    assert request.codes is request.codes
    assert request.row_features is request.row_features
    assert request.sample_features is request.sample_features
    assert request.other_features.shape == (30, 3)
    assert Request(request.model, data, draws=20).samples.shape == (20, 3)


def test_samples_are_measured_of_a_model_with_a_density_if_that_is_asked_for_by_name(data):
    class Scored(Counted):
        density: ClassVar = "exact"

        def log_prob(self, x, *, given: None = None):
            return -x.square().sum(1)

    scores = sample_scores(Scored(Vector(3)), data, pixels(Vector(3)), k=3, rows=40)
    assert [score.protocol["draws"] for score in scores] == [40] * len(scores)
    assert scores[2].protocol["k"] == 3
    assert sample_scores(Scored(Vector(3)), data, pixels(Vector(3)))[2].protocol["k"] == 5
    with pytest.raises(UserError, match="31 of either or more, not 25"):
        sample_scores(Scored(Vector(3)), data, pixels(Vector(3)), k=30, draws=25)


def test_a_measure_is_asked_where_model_and_data_have_what_it_needs(data):
    labelled = data_of({"x": Vector(3), "label": Category(2)}, test=Rows(x=normal(50), label=torch.zeros(50, dtype=torch.int64)))
    for about, asked in (
        ({}, [True, True]),
        ({"needs": (Encodes,)}, [True, True]),
        ({"needs": (Clusters,)}, [False, False]),
        ({"fields": ("label",)}, [False, True]),
        ({"when": lambda request: request.split == "train"}, [False, False]),
    ):
        seen = registered(**about)
        for given in (data, labelled):
            evaluate(Counted(Vector(3)), given, draws=0)
        assert [any(request.data is given for request in seen) for given in (data, labelled)] == asked, about
    seen = registered(needs=(Samples,))
    evaluate(Counted(Vector(3)), data, draws=0)
    assert not seen, "none are drawn"
    evaluate(Counted(Vector(3)), data)
    assert len(seen) == 1


def test_fields_that_a_measure_needs_are_row_by_row_with_x():
    unpaired = data_of({"x": Vector(3), "label": Category(2)}, test=Rows(x=normal(50), label=torch.zeros(20, dtype=torch.int64)))
    require_measurable(Counted(Vector(3)), unpaired, draws=0)
    registered(fields=("label",))
    with pytest.raises(UserError, match="x and label are not paired"):
        require_measurable(Counted(Vector(3)), unpaired, draws=0)


def test_options_of_measures_are_checked_and_none_is_ignored(data):
    model = Counted(Vector(3))
    registered()
    assert evaluate(model, data, draws=0, times=4)[-1].value == 4
    assert evaluate(model, data, draws=0)[-1].value == 1
    with pytest.raises(UserError, match="times must be 1 or more, not 0"):
        evaluate(model, data, draws=0, times=0)
    with pytest.raises(UserError, match="no log_prob, so tims means nothing here"):
        evaluate(model, data, draws=0, tims=1)
    registered(needs=(Clusters,))
    with pytest.raises(Lacks, match="Counted has no cluster"):
        evaluate(model, data, draws=0, times=1)
    registered(fields=("label",))
    with pytest.raises(UserError, match="times is of toy, which is not measured here: remove it"):
        evaluate(model, data, draws=0, times=1)
    registered(needs=(Samples,))
    with pytest.raises(UserError, match="times is of samples, and none are drawn: pass --draws 250"):
        evaluate(model, data, draws=0, times=1)


def test_a_check_comes_before_all_work(data):
    def check(request, *, times: int = 1):
        raise UserError(f"not {times}")

    seen = registered(check=check)
    model = Counted(Vector(3))
    with pytest.raises(UserError, match="not 7"):
        evaluate(model, data, times=7)
    assert (seen, model.drawn, model.encoded) == ([], 0, 0)
    with pytest.raises(UserError, match="not 1"):
        require_measurable(model, data)


def test_a_name_of_pofx_s_own_measures_is_taken_and_another_import_of_a_file_takes_the_place_of_the_first():
    with pytest.raises(UserError, match=r"pofx has a measure 'modes' of its own \(pofx.evaluate.modes\): choose another name"):
        measure("modes")(lambda request: [])
    registered()
    first = len(measures())
    registered()
    assert len(measures()) == first


def test_an_option_that_could_not_be_given_is_refused():
    def seeded(request, *, seed: int = 0): ...
    def wanting(request, *, power: int): ...

    with pytest.raises(UserError, match=r"measure 'toy': seed is asked of every request: read it off the request"):
        measure("toy")(seeded)
    with pytest.raises(UserError, match="measure 'toy': option power needs a default"):
        measure("toy")(wanting)


def test_where_data_are_read_by_an_option_s_name_the_measure_s_says_that_it_is_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run(capsys, "train pca --data digits --latent 2 --out run")

    @measure("toy", needs=(Encodes,))
    def toy(request: Request, *, size: Size = 1) -> list[Score]:
        return [Score("toy", float(size), "")]

    assert run(capsys, "evaluate run --measure-size 5")["scores"][-1]["value"] == 5
    assert main(["evaluate", "run", "--size", "5"]) == 2
    assert "made for x: Image" in capsys.readouterr().err
