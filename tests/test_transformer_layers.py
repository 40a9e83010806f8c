"""Blocks and stacks of Transformers against torch's, with copied weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pofx.errors import UserError
from pofx.layers.attention import CrossAttention, SelfAttention
from pofx.layers.transformer import ACTIVATIONS, Activation, Block, Norm, Positions, Stack, place, sinusoids
from pofx.randomness import Noise, generator

B, L, S, D, N = 3, 7, 5, 8, 2


def numbers(*shape: int, key: object = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(key), dtype=torch.float64)


def close(a: Tensor, b: Tensor, atol: float = 1e-12) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


def mask(length: int) -> Tensor:
    return torch.arange(length) < torch.tensor([[length], [1], [3]])


def scattered(module: nn.Module) -> nn.Module:
    """Weights that no two parts share, norms included."""
    for i, p in enumerate(module.parameters()):
        p.data = 0.3 * numbers(*p.shape, key=i)
    return module.double()


def copy_attention(ours: SelfAttention | CrossAttention, theirs: nn.MultiheadAttention) -> None:
    for name in ("weight", "bias"):
        into = getattr(ours.into, name)
        into = torch.cat([getattr(ours.query, name), into]) if isinstance(ours, CrossAttention) else into
        getattr(theirs, f"in_proj_{name}").data.copy_(into)
    theirs.out_proj.load_state_dict(ours.out.state_dict())


def copy_stack(ours: Stack, theirs: nn.TransformerEncoder | nn.TransformerDecoder) -> None:
    """Our weights into torch's layers."""
    for block, layer in zip(ours.blocks, theirs.layers, strict=True):
        copy_attention(block.attention, layer.self_attn)
        norms = [block.norm, block.feed_norm]
        if block.source is not None:
            copy_attention(block.source, layer.multihead_attn)
            norms.insert(1, block.source_norm)
        for i, norm in enumerate(norms, 1):
            getattr(layer, f"norm{i}").load_state_dict(norm.state_dict())
        layer.linear1.load_state_dict(block.up.state_dict())
        layer.linear2.load_state_dict(block.down.state_dict())
    if ours.norm is not None:
        theirs.norm.load_state_dict(ours.norm.state_dict())


def torchs(ours: Stack, norm: Norm, activation: Activation) -> nn.TransformerEncoder | nn.TransformerDecoder:
    options = {"dropout": 0.0, "activation": ACTIVATIONS[activation], "batch_first": True, "norm_first": norm == "pre"}
    last = nn.LayerNorm(D) if norm == "pre" else None
    if ours.blocks[0].source is None:
        theirs = nn.TransformerEncoder(nn.TransformerEncoderLayer(D, N, 12, **options), 2, last, enable_nested_tensor=False)
    else:
        theirs = nn.TransformerDecoder(nn.TransformerDecoderLayer(D, N, 12, **options), 2, last)
    theirs.double()
    copy_stack(ours, theirs)
    return theirs


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_an_encoder_is_torchs(norm: Norm, activation: Activation) -> None:
    ours, h = scattered(Stack(2, D, N, 12, norm=norm, activation=activation)), numbers(B, S, D)
    theirs = torchs(ours, norm, activation)
    close(ours(h), theirs(h))
    for b, n in enumerate(mask(S).sum(1).tolist()):  # torch says something else, or nothing, where there is padding
        close(ours(h, mask(S))[b, :n], theirs(h, src_key_padding_mask=~mask(S))[b, :n])
        close(ours(h, mask(S))[b, :n], ours(h[b : b + 1, :n])[0])


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_decoder_is_torchs(norm: Norm) -> None:
    ours, h, memory = scattered(Stack(2, D, N, 12, causal=True, source=True, norm=norm)), numbers(B, L, D), numbers(B, S, D, key=1)
    forbidden = torch.ones(L, L, dtype=torch.bool).triu(1)
    expected = torchs(ours, norm, "gelu")(h, memory, tgt_mask=forbidden, memory_key_padding_mask=~mask(S))
    close(ours(h, sources=ours.read(memory), mask_BS=mask(S)), expected)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("options", [{}, {"window": 3}, {"source": True}, {"norm": "post", "source": True}])
def test_steps_are_the_whole_pass(options: dict, dtype: torch.dtype, atol: float) -> None:
    """Also where the cache has to grow, and where rows are picked from a state as a beam does."""
    stack, long = scattered(Stack(2, D, N, 12, causal=True, **options)).to(dtype), 70
    h, memory = numbers(B, long, D).to(dtype), numbers(B, S, D, key=1).to(dtype)
    sources, mask_BS = (stack.read(memory), mask(S)) if "source" in options else (None, None)
    whole, state, pick = stack(h, None, sources, mask_BS), stack.start(B, h), torch.tensor([2, 0, 1])
    with torch.no_grad():
        for t in range(long):
            assert place(state) == t
            close(stack.step(h[:, t], t, state, sources, mask_BS), whole[:, t], atol)
            if t == 40:
                state, h, whole = {name: part[pick] for name, part in state.items()}, h[pick], whole[pick]
                sources, mask_BS = (None, None) if sources is None else ([part[pick] for part in sources], mask_BS[pick])


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_weights_are_those_of_the_pass(norm: Norm) -> None:
    """What each block attends to: the values, weighted with them, are what its attention says."""
    stack, h, memory = scattered(Stack(2, D, N, 12, causal=True, source=True, norm=norm)), numbers(B, L, D), numbers(B, S, D, key=1)
    heard: dict[str, Tensor] = {}

    def hook(name: str):
        return lambda module, inputs, output: heard.update({name: module.weights(*inputs), f"{name} shape": torch.tensor(output.shape)})

    for k, block in enumerate(stack.blocks, 1):
        block.attention.register_forward_hook(hook(f"self {k}"))
        block.source.register_forward_hook(hook(f"source {k}"))
    sources = stack.read(memory)
    stack(h, sources=sources, mask_BS=mask(S))
    expected = dict(heard)
    for name, weights in stack.weights(h, sources=sources, mask_BS=mask(S)).items():
        assert weights.shape == (B, N, L, S if "source" in name else L)
        close(weights, expected[name])
        close(weights.sum(3), torch.ones(B, N, L, dtype=h.dtype))


def test_dropout_is_of_what_sublayers_add() -> None:
    """With everything dropped nothing is added: a pre-norm block is the identity. Without noise nothing is dropped."""
    block, h = scattered(Block(D, N, 12, dropout=0.5)), numbers(B, L, D)

    class All(Noise):
        def dropout(self, h: Tensor, probability: float) -> Tensor:
            assert probability == 0.5
            return torch.zeros_like(h)

    assert torch.equal(block(h, noise=All((), slice(0, B), B)), h)
    assert torch.equal(block(h), block(h))


def test_sinusoids() -> None:
    """A shift by k places is a rotation that does not depend on the place (Vaswani et al., 2017, section 3.5)."""
    table = sinusoids(50, 6).double()
    products = table @ table.T  # so a product of two depends on their distance alone
    close(products.diagonal(5), products[0, 5].expand(45), atol=1e-5)
    assert table[:, 0].allclose(torch.arange(50.0).sin().double(), atol=1e-6)
    assert table[1, 5].item() == pytest.approx(torch.tensor(10000 ** (-4 / 6)).cos().item())


def test_positions_beyond_their_length() -> None:
    close(Positions("sinusoidal", 4, 6)(9), sinusoids(9, 6))
    with pytest.raises(UserError, match="a sequence of 9 tokens is longer than the 4 places that the model has learned"):
        Positions("learned", 4, 6)(9)


def test_first_weights() -> None:
    """GPT-2's where a deviation is given, else Glorot's; with pre-norm, of what is added, divided by the root of the sublayers."""
    torch.manual_seed(0)
    gpt, glorot = Stack(8, 64, 2, 256, std=0.02), Stack(8, 64, 2, 256, norm="post")
    for weight, std in (
        (gpt.blocks[0].up.weight, 0.02),
        (gpt.blocks[0].down.weight, 0.02 / 4),
        (gpt.blocks[0].attention.out.weight, 0.02 / 4),
        (glorot.blocks[0].up.weight, (2 / (64 + 256)) ** 0.5),
        (glorot.blocks[0].down.weight, (2 / (64 + 256)) ** 0.5),
    ):
        assert weight.std().item() == pytest.approx(std, rel=0.05)
    assert all((p == 0).all() for name, p in gpt.named_parameters() if name.endswith("bias"))
