"""The recurrent language model: the same numbers as torch's layers give, readable gates, dropout in its places, and tied weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from pofx.data import Column, Data, Split
from pofx.errors import UserError
from pofx.kinds import EOS, PAD, Tokens
from pofx.model import Model
from pofx.models.language.recurrent_lm import RecurrentLM
from pofx.randomness import Noise, generator
from pofx.run import load, save, seeded
from pofx.train import Training
from pofx.train.loop import Trainer
from tests.test_ngram import padded

KIND = Tokens(6, 8)
X = padded([[2, 3, 5, EOS], [4, 4, 2, 2, 3, EOS], [5, EOS]])


def build(**arguments) -> RecurrentLM:
    with seeded(0):
        return RecurrentLM(KIND, **{"hidden": 7, **arguments}).double().eval()


@pytest.mark.parametrize("cell", ["rnn", "relu", "lstm", "gru"])
def test_scores_are_those_of_torchs_layers_with_the_same_weights(cell):
    model = build(cell=cell, layers=2, embedding=4)
    make = {"rnn": nn.RNN, "relu": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[cell]
    whole = make(4, 7, 2, batch_first=True, **({"nonlinearity": "relu"} if cell == "relu" else {})).double()
    weights = {f"{name}_l{k}": p for k, layer in enumerate(model.recurrent.layers) for name, p in renamed(layer)}
    whole.load_state_dict(weights)
    inputs = torch.cat([torch.full((3, 1), PAD), X[:, :-1]], 1)
    scores = whole(model.embedding.weight[inputs])[0] @ model.out.weight.T + model.out.bias
    log_p = scores[..., EOS:].log_softmax(-1).gather(2, (X - EOS).clamp(min=0)[..., None])[..., 0]
    assert_close(model.conditionals(X), log_p * (X != PAD))


def renamed(layer: nn.Module) -> list[tuple[str, torch.Tensor]]:
    return [(name.removesuffix("_l0"), p) for name, p in layer.state_dict().items()]


@pytest.mark.parametrize("cell", ["rnn", "relu", "lstm", "gru", "gru_cho"])
def test_gates_are_those_that_the_scores_come_from(cell):
    model = build(cell=cell, layers=2)
    gates = model.gates(X)
    assert_close(model.out(gates["hidden"]), model.logits(X, {}))
    lower = model.gates(X, layer=0)
    assert not torch.allclose(lower["hidden"], gates["hidden"])


def test_dropout_is_of_inputs_and_outputs_of_layers_alone():
    """Without a recurrence's own dropout, a state that is kept does not forget: what the first layer does is a function of its inputs."""
    model = build(dropout=0.5, layers=2).train()
    seen: list[torch.Tensor] = []
    for layer in model.recurrent.layers:
        layer.register_forward_hook(lambda module, inputs, outputs: seen.append(inputs[0]))
    model.out.register_forward_hook(lambda module, inputs, outputs: seen.append(inputs[0]))
    model.loss({"x": X}, Noise(("dropout",), slice(0, 3), 3, dtype=torch.float64))
    assert len(seen) == 3
    for h in seen:
        dropped = float((h == 0).double().mean())
        assert 0.35 < dropped < 0.65
    quiet = model.loss({"x": X}, Noise(("dropout",), slice(0, 3), 3, dtype=torch.float64))["nll"].total
    assert not torch.allclose(quiet, -model.eval().log_prob(X))
    assert_close(model.loss({"x": X}, None)["nll"].total, -model.log_prob(X))


def test_tied_weights_are_one_matrix_also_after_loading(tmp_path):
    model = build(tie=True)
    assert model.parameter_count == build().parameter_count - 6 * 7
    loaded = load(save(model.float(), tmp_path / "run"))
    assert isinstance(loaded, Model)
    assert loaded.out.weight is loaded.embedding.weight
    assert_close(loaded.log_prob(X), model.log_prob(X))
    with pytest.raises(UserError, match="tie needs an embedding as wide as hidden, 7, not 3"):
        build(tie=True, embedding=3)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_learns_a_rhythm(precision):
    """A row of period 4: after the first tokens, nothing is left to be guessed."""
    kind = Tokens(6, 24, ends=False)
    x_BL = torch.tensor([[2 + (t + start) % 4 for t in range(24)] for start in range(4)])
    split = Split({"x": Column(kind, x_BL.numpy())})
    data = Data({"x": kind}, {"train": split, "valid": split}, {"spec": "rhythm", "sha256": "", "counts": {"train": 4, "valid": 4}})
    with seeded(0):
        model = RecurrentLM(kind, hidden=32)
    Trainer(model, data, Training(steps=150, batch_size=4, lr=0.01, precision=precision, device="cpu")).run()
    conditionals = model.eval().conditionals(x_BL)
    assert conditionals[:, 0].exp().mean() < 0.4
    assert conditionals[:, 1:].exp().min() > 0.9
    drawn = model.sample(3, prompt=torch.tensor([4, 5]), temperature=0.0, length=10, generator=generator("rhythm"))
    assert drawn[0].tolist() == [4, 5, 2, 3, 4, 5, 2, 3, 4, 5]
