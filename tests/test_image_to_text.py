"""The reader of pictures: what each of its parts hears of, where it looks, and that it learns to read."""

import numpy as np
import pytest
import torch

from pofx.data import Column, Data, Split
from pofx.errors import UserError
from pofx.kinds import EOS, Binary, Image, Tokens
from pofx.layers.attention import General
from pofx.models.seq2seq.image_to_text import PictureReader
from pofx.randomness import Noise
from pofx.run import seeded
from pofx.testing import check_model
from pofx.train import Training, train
from pofx.train.loop import Trainer

X, PICTURE, CODE = Tokens(7, 5), Image(1, 6, 8), Binary(2, 3)
SMALL = {"channels": (4,), "hidden": 8, "heads": 2}
CODED = SMALL | {"decoder_input": "code"}


def made(x=X, source=PICTURE, context=None, **asked):
    with seeded(0):
        return PictureReader(x, source, context, **SMALL | asked).double()


def batch(B=6, x=X, source=PICTURE, code=CODE):
    g = torch.Generator().manual_seed(1)
    text = torch.randint(2, x.vocabulary, (B, x.length), generator=g)
    text[:, -1] = EOS
    bits = torch.randint(2, (B, *code.shape), generator=g)
    return {"x": text, "source": torch.rand(B, *source.shape, generator=g).double(), "context": bits.double()}


def noise(B=6, key=0):
    return Noise((key,), slice(0, B), B, dtype=torch.float64)


# Training, together and apart


def total(parts):
    return sum(part.sum() if isinstance(part, torch.Tensor) else part.total.sum() for part in parts.values())


def hears(model, loss):
    """The parts of the model that get a gradient from a loss."""
    model.zero_grad()
    loss.backward()
    return {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}


@pytest.mark.parametrize("decoder_input", ["columns", "vector", "code"])
@pytest.mark.parametrize("encoder", ["conv", "recurrent"])
@pytest.mark.parametrize("decoder", ["recurrent", "transformer"])
def test_together_the_loss_of_the_text_reaches_every_parameter(encoder, decoder, decoder_input):
    model = made(context=CODE, encoder=encoder, decoder=decoder, decoder_input=decoder_input).train()
    total(model.loss(batch(), noise())).backward()
    deaf = [name for name, p in model.named_parameters() if p.grad is None or p.grad.abs().max() < 1e-12]
    assert not deaf


def test_what_is_between_layers_of_the_recurrent_decoder_is_dropped(monkeypatch):
    dropped = []

    def dropout(self, h, probability):
        dropped.append(probability)
        return h

    monkeypatch.setattr(Noise, "dropout", dropout)
    for layers in (1, 3):
        model = made(layers=layers, dropout=0.3).train()
        dropped.clear()
        model.decoder.logits(batch()["x"], model.read(batch()["source"]), noise())
        assert dropped == [0.3] * (layers + 1)


@pytest.mark.parametrize("decoder", ["recurrent", "transformer"])
@pytest.mark.parametrize("code", [CODE, Binary(3)])
def test_apart_neither_hears_of_the_other(decoder, code):
    model, data = made(context=code, decoder=decoder, trained="apart", **CODED), batch(code=code)
    ((encoder, its_loss), (decoder, text_loss)) = [(player, player.loss(data, noise())) for player in model.stages()[0].players]
    assert hears(model, total(its_loss)) == {"encoder"}
    assert hears(model, total(text_loss)) == {"decoder"}
    assert [player.modules for player in (encoder, decoder)] == [[model.encoder], [model.decoder]]

    other = data | {"source": data["source"].roll(1, 0)}
    assert total(decoder.loss(other, noise())) == total(text_loss), "the decoder sees the picture"
    assert total(encoder.loss(other, noise())) != total(its_loss)
    other = data | {"x": data["x"].roll(1, 0)}
    assert total(encoder.loss(other, noise())) == total(its_loss), "the encoder sees the text"
    other = data | {"context": 1 - data["context"]}
    assert total(decoder.loss(other, noise())) != total(text_loss)


def test_apart_the_losses_are_those_of_the_code_and_of_the_text_given_the_code():
    """By hand: an encoder that says nothing (logit 0) pays log 2 for each bit; one that says each bit as it is makes the decoder's text."""
    model, data = made(context=CODE, trained="apart", **CODED).eval(), batch()
    with torch.no_grad():
        for p in model.encoder.head.parameters():
            p.zero_()
        assert model.encoder_loss(data, noise())["cross_entropy"].tolist() == pytest.approx([6 * np.log(2)] * 6)
        sure = 60 * (2 * data["context"] - 1)
        model.encoder.forward = lambda *_: sure
        nll = model.decoder_loss(data, noise())["nll"].total
        torch.testing.assert_close(-model.log_prob(data["x"], given=data["source"]), nll)


def test_one_network_is_trained_in_three_ways():
    """The same parameters and the same steps; apart_then_together first moves two players, then the whole."""
    ways = {way: made(context=CODE, trained=way, apart=0.25, **CODED) for way in ("together", "apart", "apart_then_together")}
    shapes = {way: [(name, p.shape) for name, p in model.named_parameters()] for way, model in ways.items()}
    assert shapes["together"] == shapes["apart"] == shapes["apart_then_together"]
    stages = {way: [([p.name for p in s.players], s.until) for s in model.stages()] for way, model in ways.items()}
    assert stages == {
        "together": [(["image_to_text"], 1.0)],
        "apart": [(["encoder", "decoder"], 1.0)],
        "apart_then_together": [(["encoder", "decoder"], 0.25), (["image_to_text"], 1.0)],
    }


def bars(rows=64):
    """Pictures with a bright column at one of four places, and two tokens that say which: which half, and which place in it."""
    place = np.arange(rows) % 4
    picture = np.random.default_rng(0).integers(0, 60, (rows, 1, 4, 8)).astype(np.uint8)
    picture[np.arange(rows), 0, :, 2 * place] = 255
    text = np.stack([2 + place // 2, 4 + place % 2, np.full(rows, EOS)], 1)
    code = np.eye(4, dtype=np.uint8)[place]
    kinds = {"x": Tokens(6, 3), "source": Image(1, 4, 8), "context": Binary(4)}
    columns = {name: Column(kind, values) for (name, kind), values in zip(kinds.items(), (text, picture, code), strict=True)}
    return Data(kinds, {"train": Split(columns), "valid": Split(columns)}, {"spec": "bars", "sha256": ""})


@pytest.mark.parametrize("trained", ["together", "apart", "apart_then_together"])
@pytest.mark.parametrize("decoder", ["recurrent", "transformer"])
def test_each_way_learns_to_read(decoder, trained):
    data = bars()
    with seeded(0):
        model = PictureReader(**data.fields, channels=(8,), hidden=16, heads=2, decoder=decoder, decoder_input="code", trained=trained)
    Trainer(model, data, Training(steps=120, batch_size=16, lr=1e-2, device="cpu")).run()
    rows = data.splits["valid"].read(range(64))
    assert torch.equal(model.translate(rows["source"]), rows["x"])
    if trained != "together":  # together, what the code means is up to the two of them
        seen = model.read(rows["source"])
        assert torch.equal(model.encoder(rows["source"])[:, 0].argmax(1), rows["context"].argmax(1)), seen


# Where it looks


def test_where_two_are_trained_apart_there_is_nothing_to_stop_by(tmp_path):
    data = bars()
    for trained in ("apart", "apart_then_together"):
        model = made(data.fields["x"], data.fields["source"], data.fields["context"], decoder_input="code", trained=trained)
        training, out = Training(steps=2, batch_size=8, patience=3, device="cpu"), tmp_path / trained
        if trained == "apart":
            with pytest.raises(UserError, match="is trained by encoder, decoder, whose losses together say nothing of when to stop"):
                train(model, data, training, out)
            assert not out.exists()
        else:
            train(model, data, training, out)


@pytest.mark.parametrize("decoder", ["recurrent", "transformer"])
def test_attention_says_which_columns_change_a_token(decoder):
    """Rows sum to 1, one for each token; a column without weight changes nothing."""
    model, data = made(decoder=decoder).eval(), batch()
    weights_BLS = model.attention(data["x"], given=data["source"])["decoder"][:, 0]
    assert weights_BLS.shape == (6, 5, 4)  # 8 columns, halved once
    torch.testing.assert_close(weights_BLS.sum(2), torch.ones(6, 5).double())
    alone = made(context=Binary(3), decoder_input="code", decoder=decoder).eval()
    assert alone.attention(data["x"], given=data["source"])["decoder"].unique().tolist() == [1.0], "one place has all the weight"


def test_the_recurrent_decoder_mixes_columns_by_its_attention():
    """With a score that points at one column, the text depends on that column and on the first state alone."""
    model, data = made().eval(), batch()
    assert isinstance(model.decoder.look, General)
    with torch.no_grad():
        memory = model.read(data["source"])
        begun = model.decoder.start(memory)
        model.decoder.start = lambda _: begun  # the first state sees all places
        model.decoder.look.score = lambda query_BLQ, keys_BSQ: torch.full((6, 5, 4), -1e9).double().index_fill(2, torch.tensor(2), 0.0)
        before = model.logits(data["x"], memory)
        for i in range(4):
            moved = {"m_BSD": memory["m_BSD"].index_fill(1, torch.tensor(i), 9.0)}
            assert torch.equal(model.logits(data["x"], moved), before) == (i != 2)


# In training


def test_shifted_pictures_are_moved_by_whole_pixels_in_training_alone():
    model, picture = made(source=Image(2, 5, 7), shift=2).train(), torch.rand(400, 2, 5, 7).double()
    moved, seen = model.shifted(picture, noise(400)), set()
    for one, other in zip(picture, moved, strict=True):
        wide = torch.nn.functional.pad(one, (2, 2, 2, 2), mode="replicate")
        found = [(i, j) for i in range(5) for j in range(5) if torch.equal(wide[:, i : i + 5, j : j + 7], other)]
        assert len(found) == 1, "not a moved picture"
        seen |= set(found)
    assert len(seen) == 25, "each of the 25 moves is drawn"
    assert torch.equal(model.eval().shifted(picture, noise(400)), picture)
    assert torch.equal(model.train().shifted(picture, None), picture)


# The contract, of every way


@pytest.mark.parametrize(
    ("context", "asked"),
    [
        (None, {"encoder": "recurrent", "decoder_input": "vector"}),
        (None, {"decoder": "transformer"}),
        (Binary(3), {"decoder_input": "code", "trained": "apart_then_together", "decoder": "transformer"}),
        (Binary(2, 3), {"decoder_input": "code", "trained": "apart"}),
    ],
    ids=["vector", "transformer", "apart then together", "apart"],
)
def test_every_way_keeps_the_contract(context, asked, monkeypatch):
    monkeypatch.setattr(PictureReader, "small", PictureReader.small | {"heads": 2} | asked)
    kinds = {"x": Tokens(4, 3), "source": Image(1, 4, 4, levels=4)}
    check_model(PictureReader, kinds=kinds if context is None else kinds | {"context": context})


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"decoder_input": "code"}, "decoder_input code needs it as context"),
        ({"trained": "apart"}, "trained apart needs a code that is fixed by hand"),
        ({"context": Binary(1, 2, 3), "decoder_input": "code"}, "decoder_input code needs it as context"),
        ({"decoder": "transformer", "hidden": 6, "heads": 4}, "heads must divide"),
    ],
)
def test_what_does_not_fit_is_refused(asked, message):
    with pytest.raises(UserError, match=message):
        made(**asked)
