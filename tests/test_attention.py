"""Attention against torch's, against its equations, and its memory against length."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from pofx.errors import UserError
from pofx.layers.attention import SCORES, CrossAttention, SelfAttention, windowed
from pofx.randomness import generator

B, L, S, D, N = 3, 7, 5, 8, 2


def numbers(*shape: int, key: object = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(key), dtype=torch.float64)


def close(a: Tensor, b: Tensor, atol: float = 1e-12) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


def mask() -> Tensor:
    return torch.arange(S) < torch.tensor([[5], [1], [3]])


def test_scores_are_their_equations() -> None:
    """Bahdanau et al. (2015), appendix A.1.2; Luong et al. (2015), equation 8: query by query and key by key."""
    queries, memory = numbers(B, L, D), numbers(B, S, D, key=1)
    for name, score in SCORES.items():
        attention = score(D, D, 4).double()
        p = dict(attention.named_parameters())

        def one(q: Tensor, m: Tensor, name: str = name, p: Mapping[str, Tensor] = p) -> Tensor:
            if name == "additive":
                return p["v.weight"][0] @ torch.tanh(p["W.weight"] @ q + p["U.weight"] @ m)
            if name == "dot":
                return q @ m
            if name == "general":
                return q @ p["W.weight"] @ m
            return p["v.weight"][0] @ torch.tanh(p["W.weight"] @ torch.cat([q, m]))

        context, weights = attention(queries, memory, mask())
        again, _ = attention(queries, memory, mask(), attention.keys(memory))
        assert torch.equal(context, again)
        for b, n in enumerate(mask().sum(1).tolist()):
            for t in range(L):
                expected = torch.stack([one(queries[b, t], memory[b, s]) for s in range(n)]).softmax(0)
                close(weights[b, t, :n], expected)
                assert (weights[b, t, n:] == 0).all()
                close(context[b, t], expected @ memory[b, :n])


def test_widths_that_dot_cannot_compare() -> None:
    with pytest.raises(UserError, match="attention dot needs a decoder as wide as the encoder's output, 6, not 4: use general"):
        SCORES["dot"](4, 6, 8)


def test_heads_that_do_not_divide_the_width() -> None:
    with pytest.raises(UserError, match="heads must divide width 8, such as 2, not 3"):
        SelfAttention(8, 3)


def torchs(ours: SelfAttention | CrossAttention) -> nn.MultiheadAttention:
    theirs = nn.MultiheadAttention(D, N, batch_first=True).double()
    into = {"weight": ours.into.weight, "bias": ours.into.bias}
    if isinstance(ours, CrossAttention):
        into = {name: torch.cat([getattr(ours.query, name), p]) for name, p in into.items()}
    out = {f"out_proj.{name}": p for name, p in ours.out.state_dict().items()}
    theirs.load_state_dict({f"in_proj_{name}": p for name, p in into.items()} | out)
    return theirs


@pytest.mark.parametrize("causal", [False, True])
def test_self_attention_is_torchs(causal: bool) -> None:
    ours, h = SelfAttention(D, N, causal=causal).double(), numbers(B, S, D)
    forbidden = torch.ones(S, S, dtype=torch.bool).triu(1) if causal else None
    y, weights = torchs(ours)(h, h, h, attn_mask=forbidden, average_attn_weights=False)
    close(ours(h), y)
    close(ours.weights(h), weights)
    if not causal:
        y, weights = torchs(ours)(h, h, h, key_padding_mask=~mask(), average_attn_weights=False)
        close(ours(h, mask()), y)
        close(ours.weights(h, mask()), weights)


def test_cross_attention_is_torchs() -> None:
    ours, h, memory = CrossAttention(D, N).double(), numbers(B, L, D), numbers(B, S, D, key=1)
    y, weights = torchs(ours)(h, memory, memory, key_padding_mask=~mask(), average_attn_weights=False)
    close(ours(h, ours.read(memory), mask()), y)
    close(ours.weights(h, ours.read(memory), mask()), weights)


@pytest.mark.parametrize("window", [1, 2, 3, 6, 7, 20])
def test_a_window_is_a_band_of_the_weights(window: int) -> None:
    """In value and in gradient, for lengths that blocks divide and that they do not."""
    q, k, v = (numbers(B, N, L, 4, key=i).requires_grad_() for i in range(3))
    back = torch.arange(L)[:, None] - torch.arange(L)
    scores = (q @ k.mT / 2).masked_fill((back < 0) | (back >= window), -math.inf)
    expected = scores.softmax(3) @ v
    close(windowed(q, k, v, window), expected)
    weigh = numbers(*expected.shape, key=3)
    for ours, plain in zip(
        torch.autograd.grad((windowed(q, k, v, window) * weigh).sum(), (q, k, v)),
        torch.autograd.grad((expected * weigh).sum(), (q, k, v)),
        strict=True,
    ):
        close(ours, plain)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("window", [None, 1, 3])
def test_steps_and_weights_are_the_whole_pass(window: int | None, dtype: torch.dtype, atol: float) -> None:
    attention, h = SelfAttention(D, N, causal=True, window=window).to(dtype), numbers(B, L, D).to(dtype)
    whole, cache = attention(h), torch.zeros(B, 2, N, L + 2, D // N, dtype=dtype)
    with torch.no_grad():
        close(torch.stack([attention.step(h[:, t], cache, t) for t in range(L)], 1), whole, atol)
    values = attention.into(h)[..., 2 * D :].view(B, L, N, -1).transpose(1, 2)
    close(attention.out((attention.weights(h) @ values).transpose(1, 2).flatten(2)), whole, atol)


def held(attention: SelfAttention, length: int, record: Path) -> int:
    """The most bytes that a pass and its gradient hold at once, by the allocator's own account: a process's resident memory is that of its
    neighbours too. Each thread of the kernel has a workspace beside that, so this is for one thread, as tests have."""
    h = numbers(1, length, 64).float()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        attention(h).sum().backward()
    watched.export_chrome_trace(str(record))
    events = [event for event in json.loads(record.read_text())["traceEvents"] if event["name"] == "[memory]"]
    return max(accumulate(event["args"]["Bytes"] for event in sorted(events, key=lambda event: event["ts"])))


@pytest.mark.parametrize("window", [None, 256])
def test_memory_grows_linearly_with_length(window: int | None, tmp_path: Path) -> None:
    """Peak memory of a pass and its gradient at four times the length is at most four times as much; n x n would be 16 times."""
    attention = SelfAttention(64, 8, causal=True, window=window)
    short, long = (held(attention, length, tmp_path / "trace.json") for length in (1024, 4096))
    assert 4096 * 64 * 4 < long <= 4 * short  # at least what comes out
    assert long < 4096**2 * 4  # one head's n x n matrix; there are 8
