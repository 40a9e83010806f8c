"""What may be asked of a model is declared once; nobody else asks for it by name; a model's own bugs are not the user's errors."""

import ast
import inspect
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
import torch
from torch import nn

import pofx
from pofx import models, run
from pofx.capabilities import (
    CAPABILITIES,
    Attends,
    Decodes,
    Dequantised,
    DrawsInAnyOrder,
    DrawsInOrder,
    Encodes,
    Factorises,
    Gated,
    Generates,
    HasLikelihood,
    HasParts,
    HasRecurrentLayers,
    MixesRows,
    Samples,
    Scores,
    can,
    method,
    require,
)
from pofx.cli import main
from pofx.commands.hints import hint
from pofx.distributions.priors import Gaussian, Joint
from pofx.errors import Lacks, UserError
from pofx.kinds import Binary, Image, Series, Tokens, Vector
from pofx.model import Mismatch, Model

SOURCE = Path(inspect.getfile(pofx)).parent


def members(protocol: type) -> set[str]:
    """All that a protocol has: its methods and its values."""
    return {name for name in vars(protocol) if not name.startswith("_")} | set(inspect.get_annotations(protocol))


WORDS = set().union(*(members(capability.protocol) for capability in CAPABILITIES.values()))


def asked_by_name(text: str) -> list[str]:
    """Where a program asks for a capability by its name: with a word of one, or a model for whatever a variable says."""
    found, tree = [], ast.parse(text)
    forwarded = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "__getattr__"]  # somebody else asked
    allowed = {id(node) for function in forwarded for node in ast.walk(function)}
    for call in ast.walk(tree):
        if (
            id(call) not in allowed
            and isinstance(call, ast.Call)
            and isinstance(call.func, ast.Name)
            and call.func.id in ("hasattr", "getattr")
        ):
            of, word = ast.unparse(call.args[0]), call.args[1]
            by_word = isinstance(word, ast.Constant) and word.value in WORDS
            of_a_model = not isinstance(word, ast.Constant) and of in ("model", "self.model", "blank", "cls", "case.cls", "type(model)")
            if by_word or of_a_model:
                found.append(f"line {call.lineno}: {ast.unparse(call)}")
    return found


@pytest.mark.parametrize("text", ['hasattr(model, "gates")', 'x = getattr(a.b, "order", None)', "getattr(type(model), method, None)"])
def test_asking_by_name_is_noticed(text):
    assert len(asked_by_name(text)) == 1


def test_nobody_asks_for_a_capability_by_its_name():
    files = sorted(SOURCE.rglob("*.py"))
    assert len(files) > 100
    found = [f"{file}: {call}" for file in files if file.name != "capabilities.py" for call in asked_by_name(file.read_text())]
    assert found == []


def test_every_protocol_is_declared_once_and_says_what_it_is():
    module = inspect.getmodule(Samples)
    own = [cls for cls in vars(module).values() if inspect.isclass(cls) and cls.__module__ == module.__name__]
    protocols = [cls for cls in own if Protocol in cls.__bases__]
    assert sorted(capability.protocol.__name__ for capability in CAPABILITIES.values()) == sorted(cls.__name__ for cls in protocols)
    for capability in CAPABILITIES.values():
        assert capability.protocol.__doc__
        assert capability.means
        assert set(capability.members) <= members(capability.protocol)
    assert [name for name, capability in CAPABILITIES.items() if capability.listed] == [
        "samples", "scores", "encodes", "decodes", "generates", "clusters", "completes", "translates", "classifies", "hashes",
    ]  # fmt: skip


class Trap(Model):
    """A model with a mistake of its own in each of its methods."""

    paper = ("Nobody", 2026, "made up")

    def __init__(self, x: Vector):
        super().__init__()
        self.layer, self.codes = nn.Linear(x.size, x.size), x
        self.attention = nn.Linear(1, 1)  # a layer of this name is no capability
        self.register_buffer("order", torch.arange(x.size))

    @property
    def prior(self):
        raise AssertionError("a property was read")

    def sample(self, n, *, given=None, generator=None):
        return self.misspelled

    def encode(self, x):
        return self.decode(x)

    def generate(self, z):
        return z


def test_can_asks_nothing_and_takes_classes_and_objects():
    model = Trap(Vector(3))
    for subject in (model, Trap):
        assert can(subject, Generates)  # whose prior is a property that must not be read
        assert can(subject, Samples)
        assert not can(subject, Scores)
        assert not can(subject, Attends)
    assert can(model, DrawsInOrder)  # a buffer
    assert not can(model, DrawsInAnyOrder)
    assert (method(Trap, Samples), method(Trap, Scores)) == (Trap.sample, None)
    assert method(model, Samples) == model.sample
    with pytest.raises(TypeError, match="is no capability"):
        can(model, Model)


def test_what_the_zoo_can_is_known_without_building_it():
    optional = {word: found.protocol for word, found in CAPABILITIES.items() if not found.listed}
    has = {}
    for name in ("vae", "recurrent_lm", "transformer", "nade", "infogan"):
        cls = models.find(name)
        has[name] = [word for word, protocol in optional.items() if can(cls, protocol)]
    assert has == {
        "vae": ["has a posterior", "has a latent likelihood"],
        "recurrent_lm": ["shows gates", "factorises", "says what depends on what", "steps over tokens", "streams"],
        "transformer": ["shows attention", "factorises", "says what depends on what", "steps over tokens", "streams"],
        "nade": [
            "has a likelihood",
            "factorises",
            "says what depends on what",
            "draws in an order",
            "names its completion context",
            "steps",
        ],
        "infogan": ["has memberships", "bounds information"],
    }
    small = models.find("recurrent_lm")(Tokens(5, 4), **models.find("recurrent_lm").small)
    assert can(small, Gated)
    assert can(small, HasRecurrentLayers)
    vae = models.find("vae")(Vector(4), **models.find("vae").small)
    assert can(vae, HasLikelihood)
    assert can(vae.likelihood, Dequantised)
    assert not can(vae, Factorises)


def test_priors_and_layers_are_asked_alike():
    assert can(Joint({"a": Gaussian(2)}), HasParts)
    assert not can(Gaussian(2), HasParts)
    assert not can(nn.Linear(1, 1), MixesRows)


def test_require_alone_raises_the_users_error():
    model = Trap(Vector(3))
    assert require(model, Encodes, Samples) is model
    said = (
        "Trap has no decode (it is not a model that decodes): what it can: samples, encodes, generates; "
        "`pofx models` shows which models can"
    )
    with pytest.raises(Lacks) as caught:
        require(model, Encodes, Decodes)
    assert str(caught.value) == said
    assert not isinstance(caught.value, AttributeError)
    with pytest.raises(AttributeError) as asked:
        _ = model.decode
    assert str(asked.value) == said
    assert not isinstance(asked.value, UserError)
    with pytest.raises(Lacks, match=r"Trap has no gates \(it is not a model that shows gates\): what it can"):
        require(model, Gated)


@pytest.mark.parametrize(("name", "missing"), [("sample", "misspelled"), ("embed", "decode")])
def test_a_mistake_inside_a_model_is_no_error_of_the_user(tmp_path, name, missing):
    file = tmp_path / "trap.py"
    imports = "import torch\nfrom torch import nn\nfrom pofx.kinds import Vector\nfrom pofx.model import Model\n\n\n"
    file.write_text(imports + inspect.getsource(Trap))
    folder = run.save(models.find(str(file))(Vector(3)), tmp_path / "run")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((30, 3)).astype(np.float32))
    data = ["--data", str(tmp_path / "x.npy")] if name == "embed" else []
    with pytest.raises(AttributeError, match=missing):
        main([name, str(folder), *data, "--trust"])


@pytest.mark.parametrize(
    ("mismatch", "said"),
    [
        (("nade", "x", (Binary,), {"x": Image(1, 8, 8)}), "--binarize dynamic or --binarize threshold"),
        (("ar", "x", (Series,), {"x": Vector(3)}), "how many make an example with --window"),
        (("semi", "x_labelled", (Image,), {"x": Image(1, 8, 8), "label": Vector(1)}), "--labelled 100"),
        (("lm", "x", (Tokens,), {"x": Image(1, 8, 8)}), "with --target caption"),
        (("lm", "x", (Tokens,), {}), "name a text file with --data"),
        (("mt", "source", (Tokens,), {"x": Tokens(5, 6)}), "--source de --target en"),
        (("mt", "source", (Tokens,), {"source": Image(1, 8, 8)}), "pass it with --source"),
        (("vae", "x", (Image, Vector), {"x": Tokens(5, 6)}), "that is text"),
        (("gan", "x", (Image,), {"x": Vector(3)}), "pictures are uint8"),
        (("gan", "x", (Image,), {}), ""),
    ],
)
def test_hints_name_the_flag(mismatch, said):
    found = hint(Mismatch(*mismatch))
    assert found == "" if not said else (found.startswith("; ") and said in found)
