"""Both Transformers beside those of others, with copied weights, and what the contract cannot know."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pofx.bases.token_model import shift_right
from pofx.errors import UserError
from pofx.kinds import PAD, Tokens
from pofx.layers.transformer import sinusoids
from pofx.models.language.transformer_lm import TransformerLM
from pofx.models.seq2seq.transformer import Transformer
from pofx.randomness import Noise, generator
from pofx.run import seeded
from tests.test_transformer_layers import close, copy_stack, scattered

X, SOURCE = Tokens(vocabulary=9, length=7), Tokens(vocabulary=11, length=8)


def tokens(kind: Tokens, rows: int = 5) -> Tensor:
    """Rows of all lengths."""
    drawn = torch.randint(2, kind.vocabulary, (rows, kind.length), generator=generator(kind))
    place, end = torch.arange(kind.length), torch.arange(rows)[:, None] + kind.length - rows
    return torch.where(place < end, drawn, (place == end).long())


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_the_transformer_is_torchs(norm: str) -> None:
    """torch.nn.Transformer over embeddings that are written out here."""
    ours = scattered(Transformer(X, SOURCE, layers=2, heads=2, width=8, feed_forward=12, norm=norm, tie="none"))
    options = {"dropout": 0.0, "batch_first": True, "norm_first": norm == "pre"}
    theirs = nn.Transformer(8, 2, 2, 2, 12, **options).double()
    if norm == "post":  # torch adds a last norm, which the paper has not
        theirs.encoder.norm = theirs.decoder.norm = None
    copy_stack(ours.encoder, theirs.encoder)
    copy_stack(ours.decoder, theirs.decoder)
    x, source = tokens(X), tokens(SOURCE)

    def embedded(table: nn.Embedding, tokens: Tensor) -> Tensor:
        return table.weight[tokens] * 8**0.5 + sinusoids(tokens.shape[1], 8).double()

    padding, forbidden = source == PAD, torch.ones(7, 7, dtype=torch.bool).triu(1)
    h = theirs(
        embedded(ours.source_embedding, source),
        embedded(ours.embedding, shift_right(x)),
        tgt_mask=forbidden,
        src_key_padding_mask=padding,
        memory_key_padding_mask=padding,
    )
    close(ours.logits(x, ours.read(source)), h @ ours.output.weight.T)


@pytest.mark.parametrize(("tie", "matrices"), [("none", 3), ("output", 2), ("all", 1)])
def test_what_is_tied(tie: str, matrices: int) -> None:
    model, free = (Transformer(X, X, layers=1, heads=2, width=8, tie=t) for t in (tie, "none"))
    assert free.parameter_count - model.parameter_count == (3 - matrices) * 9 * 8
    assert model.log_prob(tokens(X), given=tokens(X)).isfinite().all()
    assert len({p.data_ptr() for p in model.state_dict().values()}) == len(model.state_dict())  # a file of weights has no two names for one


def test_tying_all_needs_one_vocabulary() -> None:
    with pytest.raises(UserError, match="tie all needs one vocabulary for source and x: make it with --shared, or use tie output"):
        Transformer(X, SOURCE, width=8, tie="all")


def test_a_source_without_tokens_has_a_probability() -> None:
    model = Transformer(X, SOURCE, layers=1, heads=2, width=8)
    assert model.log_prob(tokens(X)[:1], given=torch.zeros(1, 3, dtype=torch.int64)).isfinite().all()


def test_learned_places_are_as_many_as_x_may_have() -> None:
    model = Transformer(X, SOURCE, layers=1, heads=2, width=8, positions="learned")
    with pytest.raises(UserError, match="length must be 7 or less for transformer, not 8"):
        model.translate(tokens(SOURCE), length=8)
    assert Transformer(X, SOURCE, layers=1, heads=2, width=8).translate(tokens(SOURCE), length=40).shape[1] <= 40


def test_attention_of_the_transformer() -> None:
    model, x, source = scattered(Transformer(X, SOURCE, layers=2, heads=2, width=8)), tokens(X), tokens(SOURCE)
    found = model.attention(x, given=source)
    assert {name: tuple(weights.shape) for name, weights in found.items()} == {
        f"{part} {k}": (5, 2, *shape) for part, shape in (("encoder", (8, 8)), ("self", (7, 7)), ("source", (7, 8))) for k in (1, 2)
    }
    for name, weights in found.items():
        close(weights.sum(3), torch.ones(weights.shape[:3], dtype=weights.dtype))
        if not name.startswith("self"):
            assert (weights.transpose(1, 3)[source == PAD] == 0).all()
        else:
            assert (weights.triu(1) == 0).all()


def test_a_window_is_seen_in_the_attention_of_the_language_model() -> None:
    model = scattered(TransformerLM(X, layers=2, heads=2, width=8, window=3))
    weights = model.attention(tokens(X))["self 2"]
    assert (weights.triu(1) == 0).all()
    assert (weights.tril(-3) == 0).all()
    assert (weights.tril(-2) != 0).any()


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
def test_running_text_longer_than_the_window_of_training(positions: str) -> None:
    """Cached and naive draw the same where the model has to begin again."""
    model = scattered(TransformerLM(Tokens(9, 7, ends=False), layers=1, heads=2, width=8, positions=positions))
    cached, naive = (model.sample(2, generator=generator(0), length=40, sampler=sampler) for sampler in ("cached", "naive"))
    assert cached.shape == (2, 40)
    assert torch.equal(cached, naive)


def test_the_language_model_is_gpt2() -> None:
    """The logits of `transformers`' GPT-2, whose weights are copied over."""
    transformers = pytest.importorskip("transformers")
    sizes = {"vocab_size": 9, "n_positions": 7, "n_embd": 8, "n_layer": 2, "n_head": 2}
    config = transformers.GPT2Config(**sizes, bos_token_id=0, eos_token_id=1)
    theirs = scattered(transformers.GPT2LMHeadModel(config)).eval()
    ours = from_gpt2(theirs.transformer, X)
    x = tokens(X)
    close(ours.logits(x, {}), theirs(shift_right(x)).logits, atol=1e-10)


def test_first_embeddings() -> None:
    """GPT-2's are small, for they are added as they are; Vaswani's are scaled up by the root of D to numbers of variance 1."""
    with seeded(0):
        gpt = TransformerLM(Tokens(500, 64), layers=1, heads=2, width=64)
        vaswani = Transformer(Tokens(500, 64), Tokens(400, 64), layers=1, heads=2, width=64)
    for table in (gpt.embedding.weight, gpt.positions.table_LD):
        assert table.std().item() == pytest.approx(0.02, rel=0.05)
    for embedding in (vaswani.embedding, vaswani.source_embedding):
        assert (vaswani.scale * embedding.weight).std().item() == pytest.approx(1, rel=0.05)


def from_gpt2(theirs: nn.Module, kind: Tokens) -> TransformerLM:
    """The weights of `transformers`' GPT-2 in ours: its linear maps are stored the other way round."""
    sizes = {"layers": theirs.config.n_layer, "heads": theirs.config.n_head, "width": theirs.config.n_embd}
    ours = TransformerLM(kind, **sizes, activation="gelu_tanh")
    copied = {"embedding.weight": theirs.wte.weight, "positions.table_LD": theirs.wpe.weight}
    modules = {"stack.norm": theirs.ln_f}
    for k, block in enumerate(theirs.h):
        modules |= {
            f"stack.blocks.{k}.{name}": module
            for name, module in (
                ("norm", block.ln_1),
                ("attention.into", block.attn.c_attn),
                ("attention.out", block.attn.c_proj),
                ("feed_norm", block.ln_2),
                ("up", block.mlp.c_fc),
                ("down", block.mlp.c_proj),
            )
        }
    for name, module in modules.items():
        copied |= {f"{name}.weight": module.weight.t(), f"{name}.bias": module.bias}
    ours.to(theirs.dtype).load_state_dict(copied)
    return ours


def test_dropout_is_everywhere_that_the_paper_has_it() -> None:
    """On embeddings and on what each sublayer adds: 1 + 2 a layer in the encoder, 1 + 3 in the decoder."""
    dropped = []

    class Counting(Noise):
        def dropout(self, h: Tensor, probability: float) -> Tensor:
            dropped.append(probability)
            return h

    model, noise = Transformer(X, SOURCE, layers=2, heads=2, width=8, dropout=0.3), Counting((), slice(0, 5), 5)
    model.logits(tokens(X), model.read(tokens(SOURCE), noise), noise)
    assert dropped == [0.3] * (1 + 2 * 2 + 1 + 2 * 3)
    dropped.clear()
    TransformerLM(X, layers=2, heads=2, width=8, dropout=0.2).logits(tokens(X), {}, noise)
    assert dropped == [0.2] * (1 + 2 * 2)


def test_smoothing_is_cross_entropy_with_softened_targets() -> None:
    """As torch's label smoothing over the tokens that may be drawn."""
    model, x, source = scattered(Transformer(X, SOURCE, layers=1, heads=2, width=8, smoothing=0.2, dropout=0.0)), tokens(X), tokens(SOURCE)
    parts = model.loss({"x": x, "source": source}, Noise((0,), slice(0, 5), 5, dtype=torch.float64))
    total = sum(part.total.sum() for part in parts.values()) / parts["nll"].counted.sum()
    logits = model.logits(x, model.read(source))[..., 1:].flatten(0, 1)
    targets = (x - 1).flatten()  # PAD, which is not counted, is then -1
    expected = nn.functional.cross_entropy(logits, targets, ignore_index=-1, label_smoothing=0.2)
    close(total, expected)
