"""Measures against closed forms, on models small enough to be worked out by hand."""

import dataclasses
import json
import math
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch

from pofx.data import load
from pofx.errors import UserError
from pofx.evaluate import (
    Score,
    apply_attribute,
    attribute_vector,
    bits_per_dimension,
    code_report,
    differences,
    error_rate,
    evaluate,
    interpolate,
    log_likelihood,
    log_probs,
    reconstruction_error,
    require_comparable,
    traverse,
)
from pofx.kinds import Category, Image, Vector
from pofx.model import Model
from pofx.options import Size


class Gaussian(Model):
    """A standard normal over vectors, whose code is a rotation and a stretch of x, so that decoding gives x back."""

    density: ClassVar = "exact"
    stretch: torch.Tensor

    def __init__(self, x: Vector, label: Category | None = None, *, keep: Size = 3):
        super().__init__()
        self.codes = Vector(keep)
        stretch = torch.tensor([2.0, 3.0, 5.0][: x.dims])
        self.register_buffer("rotation", torch.linalg.qr(torch.randn(x.dims, x.dims, generator=torch.Generator().manual_seed(0)))[0])
        self.register_buffer("stretch", stretch)

    def log_prob(self, x, *, given: None = None):
        return -0.5 * (x.double() ** 2).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi)

    def encode(self, x):
        return ((x @ self.rotation) * self.stretch)[:, : self.codes.dims]

    def decode(self, z):
        return (torch.nn.functional.pad(z, (0, len(self.stretch) - z.shape[1])) / self.stretch) @ self.rotation.T

    def classify(self, x):
        return torch.stack([-x[:, 0], x[:, 0]], 1)


class Bound(Model):
    """An estimate of log p that needs randomness: -sum(x) plus the mean of `samples` normal draws for each example."""

    density: ClassVar = "bound"

    def __init__(self, x: Image):
        super().__init__()
        self.dropout = torch.nn.Dropout(0.5)

    def log_prob(self, x, *, given: None = None, samples: Size = 1, generator: torch.Generator | None = None):
        noise_B = torch.randn(samples, len(x), generator=generator).mean(0)
        return -self.dropout(x.flatten(1)).sum(1) + noise_B


class Rows:
    """A split in memory."""

    def __init__(self, **fields):
        self.columns = self.fields = {name: torch.as_tensor(field) for name, field in fields.items()}
        self.largest = 0

    def require_paired(self, *names):
        assert {len(self.fields[name]) for name in names} == {len(self)}

    def __len__(self):
        return len(self.fields["x"])

    def read(self, rows, noise=None):
        self.largest = max(self.largest, len(rows))
        return {name: field[torch.as_tensor(rows)] for name, field in self.fields.items()}


def normal(n, *shape, seed=0):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def pictures():
    return Rows(x=torch.rand(250, 1, 4, 4, generator=torch.Generator().manual_seed(0)))


def test_exact_log_likelihood_is_the_closed_form_with_its_standard_error():
    x = normal(250, 3)
    score = log_likelihood(Gaussian(Vector(3)), Rows(x=x))
    values = torch.distributions.Normal(0.0, 1.0).log_prob(x.double()).sum(1)
    assert score.what == "log p"
    assert score.unit == "nats per example"
    assert score.value == pytest.approx(values.mean().item(), rel=1e-12)
    assert score.standard_error == pytest.approx(values.std().item() / math.sqrt(250), rel=1e-12)
    assert score.protocol["rows"] == 250
    assert score.protocol["density"] == "exact"


def test_a_bound_is_called_a_bound_and_states_its_samples(pictures):
    model = Bound(Image(1, 4, 4))
    assert log_likelihood(model, pictures, samples=7).what == "log p, importance-weighted bound, 7 samples"
    assert log_likelihood(model, pictures).what == "log p, evidence lower bound, 1 sample"
    assert log_likelihood(model, pictures).protocol["options"] == {"samples": 1}
    bits = bits_per_dimension(log_likelihood(model, pictures), Image(1, 4, 4))
    assert bits.what == "bits per dimension, upper bound from the evidence lower bound, 1 sample"


def test_chosen_rows_are_scored_and_named_by_their_hash():
    x = normal(250, 3)
    every, _ = log_probs(Gaussian(Vector(3)), Rows(x=x))
    assert log_probs(Gaussian(Vector(3)), Rows(x=x[:1]))[0] == every[:1]  # one row has a log p, though no standard error
    score = log_likelihood(Gaussian(Vector(3)), Rows(x=x), rows=np.array([7, 3, 240]))
    assert score.value == pytest.approx(every[[7, 3, 240]].mean(), rel=1e-12)
    other = log_likelihood(Gaussian(Vector(3)), Rows(x=x), rows=3)
    with pytest.raises(UserError, match=r"row_numbers_sha256: .* and not stated"):
        require_comparable({"one": score, "other": other})


def test_bits_per_dimension_of_a_uniform_picture_are_its_bits():
    uniform = Score("log p", -3 * 32 * 32 * math.log(256), "nats per example", 3 * 32 * 32 * math.log(2))
    bits = bits_per_dimension(uniform, Image(3, 32, 32))
    assert bits.value == pytest.approx(8.0, rel=1e-12)
    assert bits.standard_error == pytest.approx(1.0, rel=1e-12)


def test_the_noise_of_a_row_depends_on_its_place_and_the_seed_alone(pictures):
    model = Bound(Image(1, 4, 4))
    whole, _ = log_probs(model, pictures, samples=3)
    again, _ = log_probs(model, pictures, samples=3)
    first, _ = log_probs(model, pictures, samples=3, rows=200)
    other, _ = log_probs(model, pictures, samples=3, seed=1)
    assert (whole == again).all()
    assert (whole[:200] == first).all()
    assert (whole != other).all()
    assert pictures.largest == 100


def test_evaluation_touches_neither_the_global_generator_nor_the_mode_of_the_model(pictures):
    model = Bound(Image(1, 4, 4)).train()
    before = torch.get_rng_state()
    values, _ = log_probs(model, pictures)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    assert model.dropout.training
    assert values.mean() == pytest.approx(
        -pictures.fields["x"].flatten(1).sum(1).mean().item(), abs=0.3
    )  # no dropout: that alone adds +- 1


def test_a_killed_evaluation_goes_on_and_gives_the_same_number(tmp_path, pictures):
    model = Bound(Image(1, 4, 4))
    want = log_likelihood(model, pictures, samples=2)

    def kill(done, total):
        assert total == 250
        if done == 200:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        log_likelihood(model, pictures, samples=2, unfinished=tmp_path / "unfinished", progress=kill)
    (file,) = (tmp_path / "unfinished").iterdir()
    assert len(json.loads(file.read_text())) == 200
    log_likelihood(model, pictures, samples=3, unfinished=tmp_path / "unfinished")  # another evaluation leaves it alone
    done = []
    got = log_likelihood(model, pictures, samples=2, unfinished=tmp_path / "unfinished", progress=lambda *counts: done.append(counts))
    assert got == want
    assert done == [(250, 250)]  # only the last block was computed
    assert not list(tmp_path.iterdir())


def test_an_evaluation_killed_after_its_last_block_ends_at_once(tmp_path, pictures):
    def kill(done, total):
        if done == total:
            raise KeyboardInterrupt

    model = Bound(Image(1, 4, 4))
    with pytest.raises(KeyboardInterrupt):
        log_likelihood(model, pictures, unfinished=tmp_path, progress=kill)
    assert log_likelihood(model, pictures, unfinished=tmp_path, progress=kill) == log_likelihood(model, pictures)


def test_finished_blocks_of_other_weights_or_data_are_not_taken(tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    model = Gaussian(Vector(3))
    with pytest.raises(KeyboardInterrupt):
        log_likelihood(model, Rows(x=normal(250, 3)), unfinished=tmp_path, progress=stop)
    other = Rows(x=normal(250, 3, seed=1))
    assert log_likelihood(model, other, unfinished=tmp_path).value == log_likelihood(model, other).value
    model.stretch += 1
    done = []
    log_likelihood(model, Rows(x=normal(250, 3)), unfinished=tmp_path, progress=lambda *counts: done.append(counts))
    assert len(done) == 3


@pytest.mark.parametrize("damage", ["[1.0, 2.0", "[1.0]", '{"a": 1}'])
def test_a_damaged_file_of_finished_blocks_is_named(tmp_path, pictures, damage):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        log_likelihood(Bound(Image(1, 4, 4)), pictures, unfinished=tmp_path, progress=stop)
    (file,) = tmp_path.iterdir()
    file.write_text(damage)
    with pytest.raises(UserError, match=f"{file.name} is damaged: delete it"):
        log_likelihood(Bound(Image(1, 4, 4)), pictures, unfinished=tmp_path)


def test_reconstruction_error_is_the_energy_that_the_code_drops():
    x = normal(250, 3)
    model = Gaussian(Vector(3), keep=2)
    per_example, per_dimension = reconstruction_error(model, Rows(x=x))
    dropped = (x.double() @ model.rotation.double())[:, 2] ** 2
    assert per_example.value == pytest.approx(dropped.mean().item(), rel=1e-5)
    assert per_example.standard_error == pytest.approx(dropped.std().item() / math.sqrt(250), rel=1e-5)
    assert per_dimension.value == pytest.approx(per_example.value / 3, rel=1e-12)
    assert per_dimension.unit == "per dimension"
    assert reconstruction_error(Gaussian(Vector(3)), Rows(x=x))[0].value == pytest.approx(0, abs=1e-10)


def test_error_rate_counts_wrong_labels():
    x = torch.tensor([[1.0, 0, 0]] * 120 + [[-1.0, 0, 0]] * 80)
    label = torch.tensor([1] * 110 + [0] * 90)  # ten of the first 120 are wrong
    score = error_rate(Gaussian(Vector(3)), Rows(x=x, label=label))
    assert score.value == pytest.approx(10 / 200)
    assert score.standard_error == pytest.approx(math.sqrt(0.05 * 0.95 / 199))
    with pytest.raises(UserError, match="needs labels, but the data has x"):
        error_rate(Gaussian(Vector(3)), Rows(x=x))


def test_interpolation_of_a_linear_code_is_the_straight_line_between_the_examples():
    x0, x1 = normal(4, 3), normal(4, 3, seed=1)
    got = interpolate(Gaussian(Vector(3)), x0, x1, 5)
    want = torch.stack([torch.lerp(x0, x1, t) for t in (0, 0.25, 0.5, 0.75, 1)], 1)
    assert got.shape == (4, 5, 3)
    np.testing.assert_allclose(got, want, atol=1e-6)


def test_spherical_interpolation_turns_by_equal_angles_and_keeps_the_norm():
    model = Gaussian(Vector(3))
    z0 = torch.tensor([[2.0, 0, 0], [0, 2.0, 0]])
    z1 = torch.tensor([[0, 0, 2.0], [0, -1.0, math.sqrt(3)]])
    x = torch.as_tensor(interpolate(model, model.decode(z0), model.decode(z1), 4, spherical=True))
    z = model.encode(x.flatten(0, 1)).unflatten(0, (2, 4)).double()
    np.testing.assert_allclose(z.norm(dim=2), torch.full((2, 4), 2.0), atol=1e-5)
    angles = (z[:, :-1] * z[:, 1:]).sum(2).div(4).arccos()
    np.testing.assert_allclose(angles, torch.tensor([[math.pi / 6] * 3, [math.pi * 2 / 9] * 3]), atol=1e-5)
    np.testing.assert_allclose(z[:, 0], z0, atol=1e-5)
    np.testing.assert_allclose(z[:, -1], z1, atol=1e-5)


def test_spherical_interpolation_of_codes_that_span_no_circle_is_straight():
    model = Gaussian(Vector(3))
    z0 = torch.tensor([[1.0, 0, 0], [1.0, 1, 0]])
    z1 = torch.tensor([[-1.0, 0, 0], [3.0, 3, 0]])
    ends = model.decode(z0), model.decode(z1)
    np.testing.assert_allclose(interpolate(model, *ends, 5, spherical=True), interpolate(model, *ends, 5), atol=1e-5)


def test_traversal_changes_one_dimension_of_the_code():
    model = Gaussian(Vector(3))
    x = normal(2, 3)
    moved = torch.as_tensor(traverse(model, x, 1, [-3.0, 0.0, 3.0]))
    z = model.encode(moved.flatten(0, 1)).unflatten(0, (2, 3))
    np.testing.assert_allclose(z[:, :, 1], [[-3, 0, 3]] * 2, atol=1e-5)
    np.testing.assert_allclose(z[:, :, [0, 2]], model.encode(x)[:, None, [0, 2]].expand(2, 3, 2), atol=1e-5)
    np.testing.assert_allclose(moved, traverse(model, model.encode(x), 1, [-3.0, 0.0, 3.0], code=True), atol=1e-5)


def test_attribute_arithmetic_of_a_linear_code_adds_the_difference_of_means():
    model, shift = Gaussian(Vector(3)), torch.tensor([1.0, -2.0, 0.5])
    without = normal(50, 3)
    attribute = attribute_vector(model, without + shift, without)
    x = normal(2, 3, seed=2)
    got = apply_attribute(model, x, attribute, [-1.0, 0.0, 2.0])
    want = x[:, None] + torch.tensor([-1.0, 0.0, 2.0])[:, None] * shift
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_code_functions_name_the_shapes_that_do_not_fit():
    model = Gaussian(Vector(3), keep=2)
    with pytest.raises(UserError, match=r"takes x of shape \(n, 3\), not \(4, 2\)"):
        interpolate(model, normal(4, 2), normal(4, 2), 3)
    with pytest.raises(UserError, match=r"takes codes of shape \(n, 2\), not \(4, 3\)"):
        traverse(model, normal(4, 3), 0, [1.0], code=True)
    with pytest.raises(UserError, match="dimension must be from 0 to 1, not 2"):
        traverse(model, normal(4, 3), 2, [1.0])
    with pytest.raises(UserError, match="as many x0 as x1, not 4 and 3"):
        interpolate(model, normal(4, 3), normal(3, 3), 3)
    with pytest.raises(UserError, match=r"the attribute has shape \(3,\), but a code of Gaussian has \(2,\)"):
        apply_attribute(model, normal(4, 3), torch.ones(3))
    with pytest.raises(UserError, match="at least one example with"):
        attribute_vector(model, normal(4, 3), normal(0, 3))
    with pytest.raises(UserError, match="steps must be 2 or more, not 1"):
        interpolate(model, normal(4, 3), normal(4, 3), 1)


class Collapsed(Gaussian):
    """Two of three code dimensions do not vary; offers its posterior's KL."""

    def encode(self, x):
        return super().encode(x) * torch.tensor([1.0, 0.0, 0.01])

    def posterior(self, x):
        return self.encode(x), torch.tensor([0.5, 1.0, 1.0]).expand(len(x), 3)


def test_active_units_are_those_whose_mean_varies_over_the_data():
    x = normal(250, 3)
    healthy, collapsed = code_report(Gaussian(Vector(3)), Rows(x=x)), code_report(Collapsed(Vector(3)), Rows(x=x))
    assert healthy.active == 3
    assert healthy.warning is None
    assert healthy.kl is None
    np.testing.assert_allclose(healthy.variance, Gaussian(Vector(3)).encode(x).double().var(0), rtol=1e-6)
    assert collapsed.active == 1
    assert collapsed.kl is not None
    assert str(collapsed.warning).startswith("posterior collapse: 2 of 3 code dimensions")
    normal_of = torch.distributions.Normal
    mean, std = (moment.double() for moment in Collapsed(Vector(3)).posterior(x))
    np.testing.assert_allclose(
        collapsed.kl, torch.distributions.kl_divergence(normal_of(mean, std), normal_of(0.0, 1.0)).mean(0), rtol=1e-6
    )
    assert str(collapsed.score()) == "active units: 1 of 3 code dimensions"
    assert collapsed.score().note == collapsed.warning
    assert dataclasses.replace(collapsed, kl=None).warning is None, "a code without posterior has none that could collapse"


def data_of(splits, **fields):
    return SimpleNamespace(fields=fields, splits=splits, record={"spec": "here", "sha256": "ab", "binarize": "none"}, problems=[])


def test_evaluate_measures_what_the_capabilities_allow(pictures):
    model = Gaussian(Vector(3))
    x, label = normal(250, 3), torch.zeros(250, dtype=torch.int64)
    scores = evaluate(model, data_of({"test": Rows(x=x, label=label)}, x=Vector(3), label=Category(2)), weights={"rule": "best on valid"})
    whats = [score.what for score in scores]
    assert whats == ["log p", "reconstruction squared error", "reconstruction MSE", "active units", "error rate"]
    for score in scores:
        assert score.protocol["data"] == {"spec": "here", "sha256": "ab", "binarize": "none"}
        assert score.protocol["split"] == "test"
        assert score.protocol["rows"] == 250
        assert score.protocol["weights"]["rule"] == "best on valid"
        assert {"pofx", "torch", "numpy", "threads", "machine"} < score.protocol.keys()
        assert Score.from_json(json.loads(json.dumps(score.to_json()))) == score
    scores = evaluate(Bound(Image(1, 4, 4)), data_of({"valid": pictures}, x=Image(1, 4, 4)), split="valid", samples=2, rows=50)
    assert [score.what.partition(",")[0] for score in scores] == ["log p", "bits per dimension"]
    assert {score.protocol["rows"] for score in scores} == {50}


class Unmeasured(Model):
    def __init__(self, x: Vector):
        super().__init__()


def test_evaluate_says_what_to_write_instead(pictures):
    data = data_of({"train": Rows(x=normal(250, 3)), "valid": Rows(x=normal(1, 3))}, x=Vector(3))
    with pytest.raises(UserError, match="no split 'vaild': did you mean valid"):
        evaluate(Gaussian(Vector(3)), data, split="vaild")
    with pytest.raises(UserError, match="rows must be between 2 and the split's 1, not 1"):
        evaluate(Gaussian(Vector(3)), data, split="valid")
    with pytest.raises(UserError, match="rows must be between 2 and the split's 250, not 251"):
        evaluate(Gaussian(Vector(3)), data, split="train", rows=251)
    with pytest.raises(UserError, match="rows must be 2 or more row numbers from 0 to 249"):
        log_likelihood(Gaussian(Vector(3)), data.splits["train"], rows=np.array([0, 250]))
    with pytest.raises(UserError, match=r"made for x: Vector\(dims=2\), but the data has x: Vector\(dims=3\)"):
        evaluate(Gaussian(Vector(2)), data, split="train")
    with pytest.raises(UserError, match="log_prob of Bound has no argument 'sampels': did you mean samples"):
        evaluate(Bound(Image(1, 4, 4)), data_of({"test": pictures}, x=Image(1, 4, 4)), sampels=3)
    with pytest.raises(UserError, match="samples must be 1 or more, not 0"):
        evaluate(Bound(Image(1, 4, 4)), data_of({"test": pictures}, x=Image(1, 4, 4)), samples=0)
    with pytest.raises(UserError, match="Unmeasured has no log_prob, so samples means nothing here"):
        evaluate(Unmeasured(Vector(3)), data, split="train", samples=3)
    with pytest.raises(UserError, match="nothing to measure on Unmeasured"):
        evaluate(Unmeasured(Vector(3)), data, split="train")


def test_a_row_that_is_not_finite_is_named():
    x = normal(250, 3)
    x[130] = math.nan
    with pytest.raises(UserError, match="log p of row 130 is not a number"):
        log_probs(Gaussian(Vector(3)), Rows(x=x))
    x[130] = math.inf
    assert log_probs(Gaussian(Vector(3)), Rows(x=x))[0][130] == -math.inf
    with pytest.raises(UserError, match="log p of row 130 is -inf, so there is no mean"):
        log_likelihood(Gaussian(Vector(3)), Rows(x=x))


def test_scores_are_compared_only_under_one_protocol():
    data = {"spec": "mnist", "sha256": "ab", "binarize": "dynamic"}
    protocol = {"data": data, "split": "test", "seed": 0, "threads": 1}
    one = Score("log p", -90.0, "nats per example", 0.2, protocol)
    same = Score("log p", -88.0, "nats per example", 0.2, {**protocol, "threads": 2, "data": {**data, "spec": "/copy/of/mnist"}})
    require_comparable({"one": one, "same": same})
    assert differences(one.protocol, same.protocol, strict=True) == ["data.spec: mnist and /copy/of/mnist", "threads: 1 and 2"]
    other = Score("log p", -88.0, "nats per example", 0.2, {**protocol, "data": {**data, "binarize": "none"}, "options": {"samples": 5}})
    with pytest.raises(UserError, match=r"one and other .* by log p: data\.binarize: dynamic and none; options\.samples: not stated and 5"):
        require_comparable({"one": one, "same": same, "other": other})
    bound = Score("log p, lower bound", -88.0, "nats per example", 0.2, protocol)
    with pytest.raises(UserError, match="cannot be compared: one is log p, the other log p, lower bound"):
        require_comparable({"one": one, "bound": bound})


def test_how_few_training_rows_were_labelled_does_not_hinder():
    few, whole = (load("digits", labelled=labelled).record for labelled in (50, None))
    assert differences({"data": few}, {"data": whole}) == []
    assert "data.labelled: 50 and not stated" in differences({"data": few}, {"data": whole}, strict=True)


def test_a_foreign_score_is_refused():
    with pytest.raises(UserError, match="unknown key 'valeu' in a score: did you mean value"):
        Score.from_json({"what": "log p", "valeu": 1.0})
    with pytest.raises(UserError, match="a score lacks unit, standard_error, protocol"):
        Score.from_json({"what": "log p", "value": 1.0})


@pytest.mark.parametrize(
    ("value", "error", "text"), [(-86.7642, 0.2149, "-86.76 ± 0.21"), (0.015, 0.00122, "0.0150 ± 0.0012"), (-1234.5, 12.3, "-1234 ± 12")]
)
def test_a_score_is_printed_to_two_digits_of_its_error(value, error, text):
    assert str(Score("w", value, "u", error)) == f"w: {text} u"
