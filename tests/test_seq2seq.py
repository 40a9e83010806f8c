"""Recurrent encoder-decoders, without and with attention, and the sequence autoencoder: their equations written out, and learning."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from pofx.data import Column, Data, Split
from pofx.errors import UserError
from pofx.kinds import EOS, PAD, Tokens
from pofx.models.seq2seq.rnn_attention import RecurrentAttention
from pofx.models.seq2seq.seq2seq import Seq2Seq
from pofx.models.seq2seq.sequence_autoencoder import SequenceAutoencoder
from pofx.randomness import Noise, generator
from pofx.run import load, save, seeded
from pofx.train import Training
from pofx.train.loop import Trainer
from tests.test_ngram import padded

V = 7
KIND, SOURCE = Tokens(V, 6), Tokens(V, 7)
X = padded([[2, 3, 5, EOS], [4, 4, 2, 2, 3, EOS], [5, EOS]])
S = padded([[3, 2, EOS], [6, 6, 2, 5, 4, 3, EOS], [4, EOS]])
SCORES = ["additive", "dot", "general", "concat"]


def build(cls, *kinds, **arguments):
    with seeded(0):
        return cls(*kinds, **{"hidden": 8, "embedding": 5, **arguments}).double().eval()


def seq2seq(**arguments) -> Seq2Seq:
    return build(Seq2Seq, KIND, SOURCE, **arguments)


def attention(**arguments) -> RecurrentAttention:
    return build(RecurrentAttention, KIND, SOURCE, **arguments)


def noise(progress: float = 1.0, key: object = 0) -> Noise:
    return Noise(("test", key), slice(0, 3), 3, dtype=torch.float64, progress=progress)


class Times(Noise):
    """Where a share is dropped, each number is doubled instead: an equation shows where that is."""

    def dropout(self, h: Tensor, probability: float) -> Tensor:
        return 2 * h if probability else h


def doubled() -> Times:
    return Times(("doubled",), slice(0, 1), 1, dtype=torch.float64)


def log_p_of(logits_BLV: Tensor, x: Tensor) -> Tensor:
    return logits_BLV[..., EOS:].log_softmax(-1).gather(2, x[..., None] - EOS).sum()


def nats(model, x: Tensor = X, source: Tensor = S, **arguments) -> Tensor:
    return model.train().loss({"x": x, "source": source}, noise(**arguments))["nll"].total


# One vector


def row_of(rows: Tensor, row: int) -> Tensor:
    """A row without what fills it, (1, L)."""
    return rows[row : row + 1, : int((rows[row] != PAD).sum())]


def shifted(x: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)


def through(layers, h: Tensor, states=(None, None), times: int = 1) -> tuple[Tensor, list]:
    """Two of torch's layers, one after the other: what comes out, and the state of each after the last step."""
    after = []
    for k, (layer, state) in enumerate(zip(layers, states, strict=True)):
        h, last = layer(times * h if k else h, state)
        after.append(last)
    return h, after


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_decoder_begins_with_what_the_encoder_ended_with(cell, times):
    """Sutskever's, written with torch's layers: the source from its end, row by row without any filling; and where dropout is."""
    model = seq2seq(cell=cell, layers=2, dropout=0.2)
    for row in range(3):
        source, x = row_of(S, row), row_of(X, row)
        _, states = through(model.encoder.layers, times * model.source_embedding(source.flip(1)), times=times)
        h, _ = through(model.recurrent.layers, times * model.embedding(shifted(x)), states, times)
        log_p = log_p_of(model.out(times * h), x)
        if times == 2:
            assert_close(log_p_of(model.logits(x, model.read(source, doubled()), doubled()), x), log_p)
        else:
            assert_close(model.log_prob(x, given=source)[0], log_p)
            assert_close(model.log_prob(X, given=S)[row], log_p)  # also where the row is filled


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_chos_equations_written_out(cell):
    """c is the last state of the last layer; each layer begins with its own bridge; every step and every readout sees c."""
    model, source, x = seq2seq(cell=cell, layers=2, feed=True), row_of(S, 0), row_of(X, 0)
    _, states = through(model.encoder.layers, model.source_embedding(source.flip(1)))
    bridge = model.bridges
    if cell == "lstm":
        first = [(bridge["h_BKH"](h).tanh(), bridge["c_BKH"](c)) for h, c in states]
    else:
        first = [bridge["h_BKH"](h).tanh() for h in states]
    c_B1C = (states[-1][0] if cell == "lstm" else states[-1]).transpose(0, 1)
    e_BLE = model.embedding(shifted(x))
    c_BLC = c_B1C.expand(-1, e_BLE.shape[1], -1)
    h_BLH, _ = through(model.recurrent.layers, torch.cat([e_BLE, c_BLC], 2), first)
    one_BLE, other_BLE = model.readout(torch.cat([h_BLH, e_BLE, c_BLC], 2)).chunk(2, 2)
    assert_close(model.log_prob(x, given=source)[0], log_p_of(model.out(torch.maximum(one_BLE, other_BLE)), x))


def test_the_context_is_seen_at_every_step_where_it_is_fed():
    """The decoder's first state aside, only a context that is fed changes what follows."""
    model = seq2seq(feed=True)
    memory, other = model.read(S), model.read(S.flip(0))
    begins_alike = {"h_BKH": memory["h_BKH"], "c_BKH": memory["c_BKH"], "context_BC": other["context_BC"]}
    assert ((model.logits(X, memory) - model.logits(X, begins_alike)).abs().amax((0, 2)) > 1e-6).all()
    assert "context_BC" not in seq2seq().read(S)
    r = model.readout(torch.cat([torch.ones(1, 1, 8), torch.ones(1, 1, 5), torch.ones(1, 1, 8)], 2).double())
    larger = torch.maximum(r[..., :5], r[..., 5:])
    assert_close(model.scores(torch.ones(1, 1, 8).double(), torch.ones(1, 1, 5).double(), {"context_BC": torch.ones(1, 8).double()}),
                 model.out(larger))  # fmt: skip


def test_reading_from_the_end_is_reading_the_mirrored_source():
    forward, backward = seq2seq(reverse=False), seq2seq(reverse=True)
    mirrored = padded([[EOS, 2, 3], [EOS, 3, 4, 5, 2, 6, 6], [EOS, 4]])
    assert_close(backward.read(S), forward.read(mirrored))


def test_scheduled_sampling_at_share_0_is_teacher_forcing():
    forced = nats(seq2seq(dropout=0.0), progress=0.0)
    assert_close(forced, -seq2seq().log_prob(X, given=S))
    assert torch.equal(nats(seq2seq(dropout=0.0, sampling=1.0, sampling_schedule="linear"), progress=0.0), forced)
    assert not torch.allclose(nats(seq2seq(dropout=0.0, sampling=1.0, sampling_schedule="linear"), progress=0.5), forced)
    model = seq2seq(dropout=0.0, sampling=1.0).train()
    assert torch.equal(model.eval().loss({"x": X, "source": S}, noise())["nll"].total, forced)  # what is validated is not sampled


@pytest.mark.parametrize("schedule", ["linear", "inverse_sigmoid"])
def test_shares_follow_their_schedule(schedule):
    model = seq2seq(sampling=0.8, sampling_schedule=schedule)
    shares = [model.share(progress / 10) for progress in range(11)]
    i, k = range(0, 1001, 100), 100
    expected = {"linear": [0.08 * t for t in range(11)], "inverse_sigmoid": [0.8 * (1 - k / (k + math.exp(j / k))) for j in i]}[schedule]
    assert shares == pytest.approx(expected)


def test_its_own_tokens_are_drawn_as_often_as_they_should_be_from_what_it_says():
    n = 4000
    model = seq2seq(sampling=0.5, sampling_schedule="linear")
    memory = {name: h[:1].expand(n, *h.shape[1:]) for name, h in model.read(S).items()}
    given_BL = torch.tensor([PAD, 6, 6, 6]).expand(n, -1)
    many = Noise(("own",), slice(0, n), n, dtype=torch.float64)
    found = model.scheduled_sampling(given_BL, memory, many)
    assert (found[:, 0] == PAD).all()
    p_W = model.log_p(model.logits(torch.tensor([[2]]), {name: h[:1] for name, h in memory.items()}))[0, 0].exp()
    expected = 0.5 * p_W
    expected[6 - EOS] += 0.5
    seen = torch.bincount(found[:, 1] - EOS, minlength=V - EOS) / n
    assert_close(seen.double(), expected, rtol=0, atol=4 * 0.5 / n**0.5)
    # where every token is its own, it goes on from what it drew: a whole pass over that says the same under the same uniform numbers
    many, again = (Noise(("always",), slice(0, n), n, dtype=torch.float64) for _ in range(2))
    always = seq2seq(sampling=1.0, sampling_schedule="linear").scheduled_sampling(given_BL, memory, many)
    _, u_BL = again.uniform(4), again.uniform(4)
    cdf_BLW = model.log_p(model.logits(torch.cat([always[:, 1:], always[:, :1]], 1), memory)).exp().cumsum(2)
    assert torch.equal(always[:, 1:], (cdf_BLW[:, :-1] <= u_BL[:, 1:, None]).sum(2) + EOS)
    filled = model.scheduled_sampling(torch.tensor([PAD, 6, PAD]).expand(n, -1), memory, many)
    assert (filled[:, 2] == PAD).all()


# Attention


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("feeding", [False, True])
def test_attention_is_a_mean_over_the_source_and_never_looks_at_what_fills_it(score, feeding):
    if feeding and score == "additive":
        with pytest.raises(UserError, match="remove input_feeding"):
            attention(score=score, input_feeding=True)
        return
    model = attention(score=score, input_feeding=feeding)
    weights = model.attention(X, given=S)["decoder"]
    assert weights.shape == (3, 1, 6, 7)
    assert_close(weights.sum(3), torch.ones(3, 1, 6, dtype=torch.float64))
    assert (weights[(S == PAD)[:, None, None].expand_as(weights)] == 0).all()
    assert (weights[(S != PAD)[:, None, None].expand_as(weights)] > 0).all()


@pytest.mark.parametrize("layers", [1, 2])
def test_bahdanaus_equations_written_out(layers):
    """With several layers it is the last that looks."""
    model = attention(score="additive", cell="gru", bidirectional=False, layers=layers)
    memory = model.read(S[:1, :3])
    m_SH, h_KH = memory["m_BSH"][0], list(memory["first_h_BKH"][0])
    W, U, v = model.score.W.weight, model.score.U.weight, model.score.v.weight[0]
    log_p, looked_LS = torch.zeros((), dtype=torch.float64), model.attention(X[:1, :4], given=S[:1, :3])["decoder"][0, 0]
    for t, (x, newest) in enumerate(zip([2, 3, 5, EOS], [PAD, 2, 3, 5], strict=True)):
        a_S = torch.stack([v @ torch.tanh(W @ h_KH[-1] + U @ m_H) for m_H in m_SH]).softmax(0)
        assert_close(looked_LS[t], a_S)
        c_H, e_E = sum(a * m_H for a, m_H in zip(a_S, m_SH, strict=True)), model.embedding.weight[newest]
        h_H = torch.cat([e_E, c_H])
        for k, layer in enumerate(model.recurrent.layers):
            h_H = h_KH[k] = layer(h_H[None, None], h_KH[k][None, None])[1][0, 0]
        r_E = torch.tanh(model.readout.weight @ torch.cat([h_H, c_H, e_E]) + model.readout.bias)
        log_p += (model.embedding.weight @ r_E + model.out.bias)[EOS:].log_softmax(0)[x - EOS]
    assert_close(model.log_prob(X[:1, :4], given=S[:1, :3])[0], log_p)


def test_luongs_equations_written_out():
    model = attention(score="general", input_feeding=True, tie=False)
    layer, memory = model.recurrent.layers[0], model.read(S[:1, :3])
    m_SH, h_H, s_H = memory["m_BSH"][0], memory["first_h_BKH"][0, 0], memory["first_c_BKH"][0, 0]
    r_E, log_p = torch.zeros(5, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for x, newest in zip([2, 3, 5, EOS], [PAD, 2, 3, 5], strict=True):
        inputs = torch.cat([model.embedding.weight[newest], r_E])
        h, s = layer(inputs[None, None], (h_H[None, None], s_H[None, None]))[1]
        h_H, s_H = h[0, 0], s[0, 0]
        a_S = torch.stack([h_H @ model.score.W.weight @ m_H for m_H in m_SH]).softmax(0)
        c_H = sum(a * m_H for a, m_H in zip(a_S, m_SH, strict=True))
        r_E = torch.tanh(model.readout.weight @ torch.cat([h_H, c_H]) + model.readout.bias)
        log_p += (model.out.weight @ r_E + model.out.bias)[EOS:].log_softmax(0)[x - EOS]
    assert_close(model.log_prob(X[:1, :4], given=S[:1, :3])[0], log_p)


def test_where_attention_drops():
    """Both embeddings, what is between the layers of both sides, what the encoder makes, and the readouts."""
    model, source, x = attention(layers=2, dropout=0.2), row_of(S, 0), row_of(X, 0)
    m_BSH, _ = through(model.encoder.layers, 2 * model.source_embedding(source), times=2)
    memory = model.read(source, doubled())
    assert_close(memory["m_BSH"], 2 * m_BSH)
    states = list(zip(*(memory[f"first_{part}_BKH"].transpose(0, 1)[:, None] for part in "hc"), strict=True))
    h_BLH, _ = through(model.recurrent.layers, 2 * model.embedding(shifted(x)), states, times=2)
    r_BLE = torch.tanh(model.readout(torch.cat([h_BLH, model.look(h_BLH, memory)[0]], 2)))
    assert_close(model.logits(x, memory, doubled()), model.out(2 * r_BLE))


@pytest.mark.parametrize("model", [
    lambda: attention(score="additive"), lambda: attention(score="concat", input_feeding=True, cell="gru"),
    lambda: attention(score="dot", layers=2, cell="relu"), lambda: seq2seq(layers=2), lambda: seq2seq(feed=True, cell="gru"),
])  # fmt: skip
def test_steps_say_what_the_whole_pass_says(model):
    model = model()
    memory = model.read(S)
    whole, state, token = model.logits(X, memory), model.start(memory, 3), torch.full((3,), PAD)
    for t in range(X.shape[1]):
        logits, state = model.step(token, state, memory)
        assert_close(logits, whole[:, t])
        token = X[:, t]
    assert_close(model.log_prob(X[:1, :4], given=S[:1, :3]), model.log_prob(X, given=S)[:1])  # and what fills x and source says nothing


@pytest.mark.parametrize("arguments", [{"score": "additive"}, {"score": "general"}, {"score": "general", "input_feeding": True}], ids=str)
def test_what_is_between_layers_of_the_decoder_is_dropped(arguments):
    for layers in (1, 2):
        model = attention(layers=layers, dropout=0.5, **arguments)
        memory, e_BLE = model.read(S), model.embedding(X)
        whole, thinned = (model.decoded(e_BLE, memory, *some).r_BLE for some in ((), (noise(),)))
        assert torch.equal(whole, thinned) == (layers == 1)


@pytest.mark.parametrize("model", [
    lambda: attention(), lambda: attention(score="additive", cell="gru"), lambda: attention(input_feeding=True, cell="gru_cho"),
    lambda: seq2seq(), lambda: seq2seq(feed=True, bidirectional=True, cell="gru", layers=2),
])  # fmt: skip
def test_gates_are_those_that_the_scores_come_from(model):
    model = model()
    gates, memory = model.gates(X, given=S), model.read(S)
    if isinstance(model, Seq2Seq):
        e_BLE = model.embedding(shifted(X))
        assert_close(model.scores(gates["hidden"], e_BLE, memory), model.logits(X, memory))
    else:
        state, token = model.start(memory, 3), torch.full((3,), PAD)
        for t in range(X.shape[1]):
            _, state = model.step(token, state, memory)
            assert_close(gates["hidden"][:, t], state["h_BKH"][:, -1])
            token = X[:, t]
    assert {"lstm": "forget", "gru": "update", "gru_cho": "update"}[model.recurrent.cell] in gates


def test_half_of_the_encoder_reads_from_the_end():
    assert attention().read(S)["m_BSH"].shape == attention(bidirectional=False).read(S)["m_BSH"].shape == (3, 7, 8)
    with pytest.raises(UserError, match="hidden must be even"):
        attention(hidden=7)


# All of them


@pytest.mark.parametrize("build_model", [attention, seq2seq], ids=["attention", "seq2seq"])
def test_label_smoothing_is_a_share_of_the_target_for_all_tokens(build_model):
    model = build_model(smoothing=0.3, dropout=0.0)
    log_p_BLW = model.log_p(model.logits(X, model.read(S)))
    uniform_B = -(log_p_BLW.mean(2) * (X != PAD)).sum(1)
    parts = model.train().loss({"x": X, "source": S}, noise())
    assert_close(parts["smoothing"].total, 0.3 * (uniform_B - parts["nll"].total))


@pytest.mark.parametrize("build_model", [attention, seq2seq], ids=["attention", "seq2seq"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_turning_a_word_around_is_learned(build_model, precision, tmp_path):
    """x is the source from its end: every token is needed, and the order of them."""
    source = torch.cartesian_prod(*[torch.arange(2, 5)] * 3)
    end = torch.full((27, 1), EOS)
    rows = {"x": torch.cat([source.flip(1), end], 1), "source": torch.cat([source, end], 1)}
    kinds = {"x": KIND, "source": SOURCE}
    model = build_model(hidden=32, embedding=16, dropout=0.0).float()
    train(model, kinds, rows, steps=250, precision=precision)
    found = model.eval().translate(rows["source"], beam=1)
    assert (found[:, :4] == rows["x"]).all(1).double().mean() > 0.9
    loaded = load(save(model, tmp_path / "run"))
    assert torch.equal(loaded.translate(rows["source"], beam=1), found)


def train(model, kinds, rows, *, steps: int, precision: str = "fp32") -> None:
    split = Split({name: Column(kind, rows[name].numpy()) for name, kind in kinds.items()})
    n = len(rows["x"])
    data = Data(kinds, {"train": split, "valid": split}, {"spec": "rows", "sha256": "", "counts": {"train": n, "valid": n}})
    Trainer(model, data, Training(steps=steps, batch_size=n, lr=0.01, precision=precision, device="cpu", eval_every=steps)).run()


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_sequence_autoencoder_written_out(cell, times):
    """The code is a map of every last state, cells too; the decoder begins with it and sees it at each step; and where dropout is."""
    model, x = build(SequenceAutoencoder, KIND, latent=3, cell=cell, layers=2, dropout=0.2), row_of(X, 0)
    _, last = through(model.encoder.layers, times * model.embedding(x), times=times)
    parts = zip(*last, strict=True) if cell == "lstm" else [last]
    z_BZ = model.code(torch.cat([torch.cat([chain for h in part for chain in h.unbind(0)], 1) for part in parts], 1))
    memory = model.read(x, doubled() if times == 2 else None)
    assert_close(memory["z_BZ"], z_BZ)
    begin = {part: bridge(z_BZ).chunk(2, 1) for part, bridge in model.bridges.items()}
    first = [h[None].tanh() for h in begin["h_BKH"]]
    if cell == "lstm":
        first = [(h, c[None]) for h, c in zip(first, begin["c_BKH"], strict=True)]
    inputs_BLI = torch.cat([times * model.embedding(shifted(x)), z_BZ[:, None].expand(-1, x.shape[1], -1)], 2)
    h_BLH, _ = through(model.recurrent.layers, inputs_BLI, first, times)
    assert_close(model.logits(x, memory, doubled() if times == 2 else None), model.out(times * h_BLH))
    state, token = model.start(memory, 1), torch.full((1,), PAD)
    for t in range(x.shape[1] if times == 1 else 0):
        logits, state = model.step(token, state, memory)
        assert_close(logits, model.out(h_BLH)[:, t])
        token = x[:, t]
    said = row_of(model.decode(z_BZ), 0)
    assert torch.equal(model.log_p(model.logits(said, {"z_BZ": z_BZ})).argmax(2) + EOS, said)


def test_a_sequence_is_restored_from_its_code_and_codes_between_two_are_sequences():
    x = torch.cat([torch.cartesian_prod(*[torch.arange(2, 5)] * 3), torch.full((27, 1), EOS)], 1)
    model = build(SequenceAutoencoder, KIND, latent=8, hidden=32, embedding=16).float()
    train(model, {"x": KIND}, {"x": x}, steps=300)
    z = model.eval().encode(x)
    assert z.shape == (27, 8)
    assert (model.decode(z)[:, :4] == x).all(1).double().mean() > 0.9
    between = model.decode(torch.lerp(z[:1], z[-1:], torch.linspace(0, 1, 9)[:, None]))
    assert torch.equal(between[[0, -1], :4], x[[0, -1]])
    assert len(between.unique(dim=0)) > 2
    assert (between[:, -1] == PAD).all()  # they end


def test_a_code_does_not_depend_on_what_fills_the_row_and_forgotten_tokens_leave_the_code_to_be_looked_at():
    model = build(SequenceAutoencoder, KIND, latent=3, forget=1.0)
    assert_close(model.encode(X)[:1], model.encode(X[:1, :4]))
    batch = {"x": X}
    forgot = model.train().loss(batch, noise())["nll"].total
    again = model.nll(X, model.read(X), None)["nll"].total
    assert not torch.allclose(forgot, again)
    assert torch.equal(model.eval().loss(batch, noise())["nll"].total, again)  # what is validated forgets nothing
    steps = [model.logits(torch.full_like(X, token), model.read(X), noise()) for token in (2, 5)]
    assert torch.equal(*steps)  # nothing of x is given to the decoder
    hidden_BLH = model.eval().gates(X)["hidden"]
    assert_close(model.out(hidden_BLH), model.logits(X, model.read(X)))
    window = build(SequenceAutoencoder, Tokens(V, 6, ends=False), latent=3)
    assert (window.decode(torch.randn(4, 3, generator=generator("codes"), dtype=torch.float64)) > EOS).all()
