"""Recurrent layers against torch's, against their equations, and how far gradients reach."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from pofx.layers.recurrent import Cell, Recurrent, gradient_norms
from pofx.randomness import Noise, generator

CELLS = get_args(Cell)
TORCH = {"rnn": nn.RNN, "relu": lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k), "lstm": nn.LSTM, "gru": nn.GRU}
B, L, D, H = 4, 7, 3, 5


def numbers(*shape: int, key: object = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(key), dtype=torch.float64)


def recurrent(cell: Cell, layers: int = 2, **options: bool) -> Recurrent:
    """Weights that no two gates share."""
    layer = Recurrent(D, H, cell, layers, **options).double()
    for i, p in enumerate(layer.parameters()):
        p.data = 0.4 * numbers(*p.shape, key=(cell, i))
    return layer


def lengths() -> Tensor:
    return torch.arange(L) < torch.tensor([[7], [2], [5], [1]])


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", TORCH)
def test_equal_to_torch_with_copied_weights(cell: Cell, bidirectional: bool) -> None:
    ours, x = recurrent(cell, bidirectional=bidirectional), numbers(B, L, D)
    theirs = TORCH[cell](D, H, 2, batch_first=True, bidirectional=bidirectional).double()
    theirs.load_state_dict(
        {name.replace("l0", f"l{k}"): p for k, layer in enumerate(ours.layers) for name, p in layer.state_dict().items()}
    )
    first = {part: numbers(B, 2, ours.outputs, key=part) for part in ours.parts}
    start = tuple(part.unflatten(2, (-1, H)).flatten(1, 2).transpose(0, 1).contiguous() for part in first.values())
    h, last = ours(x, state=first)
    h_torch, last_torch = theirs(x, start if cell == "lstm" else start[0])
    torch.testing.assert_close(h, h_torch, rtol=0, atol=1e-12)
    for part, whole in zip(ours.parts, last_torch if cell == "lstm" else (last_torch,), strict=True):
        torch.testing.assert_close(last[part], whole.transpose(0, 1).unflatten(1, (2, -1)).flatten(2), rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_gates_and_steps_are_the_whole_pass(cell: Cell) -> None:
    layer, x = recurrent(cell), numbers(B, L, D)
    state = {part: numbers(B, 2, H, key=part) for part in layer.parts}
    h, last = layer(x, state=state)
    gates = layer.gates(x, state)
    torch.testing.assert_close(gates["hidden"], h, rtol=0, atol=1e-10)
    torch.testing.assert_close(layer.gates(x, state, layer=0)["hidden"][:, -1], last["h_BKH"][:, 0], rtol=0, atol=1e-10)
    if cell == "lstm":
        torch.testing.assert_close(gates["cell"][:, -1], last["c_BKH"][:, 1], rtol=0, atol=1e-10)
        assert list(gates) == ["input", "forget", "candidate", "output", "cell", "hidden"]
    elif "gru" in cell:
        assert list(gates) == ["reset", "update", "candidate", "hidden"]
    for t in range(L):
        h_step, state = layer.step(x[:, t], state)
        torch.testing.assert_close(h_step, h[:, t], rtol=0, atol=1e-10)
    for part, whole in last.items():
        torch.testing.assert_close(state[part], whole, rtol=0, atol=1e-10)


def test_an_lstms_gates_are_what_their_names_say() -> None:
    """A cell that forgets nothing and takes nothing in keeps what it has; the output gate alone says what is shown."""
    layer = recurrent("lstm", 1)
    with torch.no_grad():
        for p in layer.parameters():
            p.zero_()
        layer.layers[0].bias_ih_l0[:] = torch.cat([torch.full((H,), value) for value in (-100.0, 100.0, 5.0, 0.0)])
    state = {"h_BKH": numbers(B, 1, H), "c_BKH": numbers(B, 1, H, key=1)}
    gates = layer.gates(numbers(B, L, D), state)
    for name, value in (("input", 0), ("forget", 1), ("output", 0.5)):
        torch.testing.assert_close(gates[name], torch.full((B, L, H), float(value), dtype=torch.float64))
    torch.testing.assert_close(gates["cell"], state["c_BKH"].expand(B, L, H))
    torch.testing.assert_close(gates["hidden"], 0.5 * state["c_BKH"].expand(B, L, H).tanh())


def test_chos_gru_is_its_equations_and_not_torchs() -> None:
    """Equations 5 to 8 of Cho et al. (2014), with biases."""
    layer, x = recurrent("gru_cho", 1), numbers(B, L, D)
    (W_r, W_z, W), (U_r, U_z, U) = layer.layers[0].weight_ih_l0.chunk(3), layer.layers[0].weight_hh_l0.chunk(3)
    b_r, b_z, b = (layer.layers[0].bias_ih_l0 + layer.layers[0].bias_hh_l0).chunk(3)
    h = torch.zeros(B, H, dtype=x.dtype)
    for t in range(L):
        r = torch.sigmoid(x[:, t] @ W_r.T + h @ U_r.T + b_r)
        z = torch.sigmoid(x[:, t] @ W_z.T + h @ U_z.T + b_z)
        h = z * h + (1 - z) * torch.tanh(x[:, t] @ W.T + (r * h) @ U.T + b)
    torch.testing.assert_close(layer(x)[0][:, -1], h, rtol=0, atol=1e-12)
    torchs = Recurrent(D, H, "gru").double()
    torchs.load_state_dict(layer.state_dict())
    assert (torchs(x)[0] - layer(x)[0]).abs().max() > 0.01


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_padding_changes_nothing(cell: Cell, bidirectional: bool) -> None:
    layer, x, mask = recurrent(cell, bidirectional=bidirectional), numbers(B, L, D), lengths()
    state = {part: numbers(B, 2, layer.outputs, key=part) for part in layer.parts}
    h, last = layer(x.masked_fill(~mask[:, :, None], 1e3), mask, state)
    for b, n in enumerate(mask.sum(1).tolist()):
        alone, alone_last = layer(x[b : b + 1, :n], state={part: whole[b : b + 1] for part, whole in state.items()})
        torch.testing.assert_close(h[b, :n], alone[0], rtol=0, atol=1e-12)
        assert (h[b, n:] == 0).all()
        for part, whole in alone_last.items():
            torch.testing.assert_close(last[part][b], whole[0], rtol=0, atol=1e-12)


def test_a_row_of_padding_alone_is_zeros() -> None:
    h, _ = recurrent("lstm")(numbers(2, L, D), torch.zeros(2, L, dtype=torch.bool))
    assert h[:, 1:].eq(0).all()
    assert h.isfinite().all()


def test_dropout_is_between_layers_only_and_by_the_given_noise() -> None:
    layer, x = recurrent("gru"), numbers(B, L, D)

    def noisy(step: int) -> Tensor:
        return layer(x, dropout=0.5, noise=Noise((0, step, "x"), slice(0, B), B, dtype=torch.float64))[0]

    assert torch.equal(noisy(1), noisy(1))
    assert not torch.equal(noisy(1), noisy(2))
    one = recurrent("gru", 1)
    assert torch.equal(one(x, dropout=0.5, noise=Noise((0, 1, "x"), slice(0, B), B, dtype=torch.float64))[0], one(x)[0])


def test_forget_bias() -> None:
    layer = Recurrent(D, H, "lstm", forget_bias=2.0).layers[0]
    assert (layer.bias_ih_l0 + layer.bias_hh_l0)[H : 2 * H].tolist() == [2.0] * H


def test_a_bidirectional_layer_has_no_steps() -> None:
    with pytest.raises(TypeError, match="has no step: its states depend on the inputs to come"):
        recurrent("gru", bidirectional=True).step(numbers(B, D), {})


def test_gradients_vanish_and_explode_with_distance() -> None:
    """A plain RNN forgets exponentially, an LSTM whose cells keep what they have hardly; a ReLU recurrence beyond radius 1 explodes."""
    torch.manual_seed(0)
    x, distance = numbers(2, 61, 4), 60
    norms = {cell: gradient_norms(Recurrent(4, 16, cell, forget_bias=4.0).double(), x) for cell in ("rnn", "gru", "lstm")}
    decay = {cell: (norm[0] / norm[-1]).log().item() / distance for cell, norm in norms.items()}  # nats a step
    assert decay["rnn"] < -0.3
    assert -0.1 < decay["lstm"] < 0
    assert decay["rnn"] < decay["gru"] < 0

    relu = Recurrent(4, 16, "relu").double()
    U = relu.layers[0].weight_hh_l0
    with torch.no_grad():
        U.abs_()
        U.mul_(1.1 / torch.linalg.eigvals(U).abs().max())
        relu.layers[0].weight_ih_l0.abs_()
    norm = gradient_norms(relu, x.abs())
    assert (norm[0] / norm[-1]).log().item() / distance == pytest.approx(torch.tensor(1.1).log().item(), rel=0.05)
