"""A model's constructor is its configuration; what it can be asked is what it defines; data bind to it by kind."""

import copy
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from pofx import models
from pofx.capabilities import Decodes, Encodes, Hashes, Samples, Scores, can, require
from pofx.commands.hints import bound
from pofx.errors import Lacks, UserError
from pofx.kinds import Binary, Category, Image, Series, Vector
from pofx.model import Mismatch, Model, bind
from pofx.options import Fraction, Size


class Coder(Model):
    """A code.

    Args:
        x: what is coded
        label: its class
        units: of the code, in
            two lines of help
        drop: of units
    """

    without = {"sample": "a code has no distribution: train vae"}  # noqa: RUF012

    def __init__(
        self, x: Image | Vector, label: Category | None = None, *, units: Size = 3, drop: Fraction = 0.5, sizes: tuple[Size, ...] = (2,)
    ):
        super().__init__()
        self.codes, self.layer = Vector(units), nn.Linear(x.size, units)

    def encode(self, x):
        return self.layer(x.flatten(1))


def test_arguments_are_the_configuration_before_the_body_runs():
    sizes = (4, 5)
    model = Coder(Vector(2), units=7, sizes=sizes)
    assert model.config == {"x": Vector(2), "label": None, "units": 7, "drop": 0.5, "sizes": (4, 5)}
    assert model.config["sizes"] is sizes
    assert model.inputs == {"x": Vector(2)}
    assert Coder(Vector(2), Category(3)).inputs == {"x": Vector(2), "label": Category(3)}


@pytest.mark.parametrize(
    ("arguments", "named", "message"),
    [
        ((), {"units": 3}, "Coder: missing a required argument: 'x'"),
        ((Vector(2),), {"unit": 3}, "Coder has no argument 'unit': did you mean units?"),
        ((Vector(2),), {"units": 0}, "Coder: units must be 1 or more, not 0"),
        ((Vector(2),), {"drop": 2}, "Coder: drop must be between 0 and 1, not 2"),
        ((Series(3),), {}, "Coder: x must be Image, not Series(length=3, channels=1)"),
        ((Vector(2), Vector(2)), {}, "Coder: label must be Category, not Vector(dims=2)"),
        ((Vector(2), None, 3), {}, "Coder: too many positional arguments"),
    ],
)
def test_wrong_arguments_are_named_in_one_line(arguments, named, message):
    with pytest.raises(UserError, match=r"^[^\n]*$") as found:
        Coder(*arguments, **named)
    assert message in str(found.value)


def test_an_argument_without_annotation_is_named():
    class Loose(Model):
        def __init__(self, x: Vector, *, width=3):
            super().__init__()

    with pytest.raises(UserError, match="argument 'width' of __init__ has no annotation"):
        Loose(Vector(2))


def test_capabilities_are_the_methods_that_are_there():
    model = Coder(Vector(2))
    assert Coder.capabilities() == ("encodes",)
    assert isinstance(model, Encodes)
    assert can(model, Encodes)
    assert not any(isinstance(model, capability) or can(model, capability) for capability in (Samples, Scores, Decodes, Hashes))
    assert require(model, Encodes) is model
    with pytest.raises(Lacks, match=r"Coder has no sample \(it is not a model that samples\): a code has no distribution: train vae"):
        require(model, Encodes, Samples)
    with pytest.raises(AttributeError, match=r"Coder has no decode .*: what it can: encodes; `pofx models` shows which models can"):
        _ = model.decode
    with pytest.raises(Lacks, match=r"Coder has no decode .*: what it can: encodes; `pofx models` shows which models can"):
        require(model, Decodes)
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = model.no_such_thing


def test_needs_and_hyper_parameters_come_from_the_signature():
    assert Coder.needs() == {"x": ((Image, Vector), True), "label": ((Category,), False)}
    units, drop, sizes = Coder.hyper_parameters()
    assert (units.name, units.default, units.help) == ("units", 3, "of the code, in two lines of help")
    assert (drop.name, drop.help, sizes.help) == ("drop", "of units", "")


def test_copies_keep_the_configuration():
    model = Coder(Vector(2), units=4)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.config == model.config
        assert torch.equal(other.layer.weight, model.layer.weight)
        assert other.layer.weight is not model.layer.weight


def test_data_bind_by_name_and_kind():
    fields = {"x": Vector(2), "label": Category(3), "other": Series(4)}
    assert bind(Coder, fields) == {"x": Vector(2), "label": Category(3)}
    assert bind(Coder, {"x": Image(1, 2, 2), "label": Vector(1)}) == {"x": Image(1, 2, 2)}  # an optional field of another kind is left out
    with pytest.raises(UserError, match=r"Coder needs x: Image or Vector, but the data has x: Series\(length=4, channels=1\)"):
        bind(Coder, {"x": Series(4)})
    with pytest.raises(UserError, match="but the data has nothing"):
        bind(Coder, {})


def test_a_mismatch_says_what_is_wanted_and_found_and_knows_no_flags():
    fields = {"x": Series(4), "label": Category(3)}
    with pytest.raises(Mismatch) as caught:
        bind(Coder, fields)
    error = caught.value
    assert (error.model, error.field, error.wanted, error.found, error.fields) == ("Coder", "x", (Image, Vector), Series(4), fields)
    assert "--" not in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    with pytest.raises(Mismatch) as caught:
        bind(Coder, {"label": Category(3)})
    assert caught.value.found is None


def test_pictures_for_a_model_of_bits_get_a_hint():
    class Bits(Model):
        def __init__(self, x: Binary):
            super().__init__()

    with pytest.raises(UserError, match="make it binary with --binarize dynamic or --binarize threshold"):
        bound(Bits, {"x": Image(1, 2, 2)})


def test_a_model_without_loss_says_so():
    with pytest.raises(TypeError, match="Coder defines neither `loss` nor `stages`"):
        Coder(Vector(2)).loss({}, None)  # type: ignore[arg-type]


# Finding models


def test_a_file_is_a_models_name():
    for name, path in models.files().items():
        cls = models.find(name)
        assert cls.title() == name
        assert cls.family() == path.parent.name
        assert not name.startswith("_")


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (None, "vea", "no model is called 'vea': did you mean vae?"),
        (None, "no/such.py:Thing", "no file no/such.py"),
        ("x = 1\n", "", "holds 0 models (none)"),
        ("import nothing_of_this_name\n", "", "does not run: ModuleNotFoundError"),
        ("from pofx.model import Model\nclass A(Model): ...\nclass B(Model): ...\n", "", "holds 2 models (A, B)"),
        ("from pofx.model import Model\nclass Alpha(Model): ...\n", ":Alhpa", "has no Model called 'Alhpa': did you mean Alpha?"),
        ("Alpha = 3\n", ":Alpha", "has no Model called 'Alpha'"),
    ],
)
def test_what_cannot_be_found_is_named(tmp_path, text, name, message):
    if text is not None:
        (tmp_path / "mine.py").write_text(text)
        name = f"{tmp_path / 'mine.py'}{name}"
    with pytest.raises(UserError, match=r"^[^\n]*$") as found:
        models.find(name)
    assert message in str(found.value)


def test_a_file_of_the_users_own_is_found_with_and_without_its_class():
    file = Path(__file__).parent / "games" / "chain.py"
    assert models.find(str(file)) is models.find(f"{file}:Chain")
    assert models.find(str(file)).family() == "yours"
    assert models.find(str(file)).title() == "Chain"
