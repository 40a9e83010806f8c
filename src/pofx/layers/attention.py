"""Attention: of a recurrent decoder over its source, and of many heads through torch's fused kernel.

No tensor of L x L numbers is made where nobody asks for the weights: a source has a mask of (B, 1, 1, S), causality is a flag, a window is
cut into blocks. So weights cannot be dropped inside the kernel, and dropout is on what a layer puts out. Keys have no bias: softmax
does not see one, its gradient is rounding, and Adam would make whole steps of that. Caches of keys and values are written in place and
double when full.

Shapes: B examples, L queries, S keys, Q width of a query, D width of what is attended to (or of the model), A units of a score, N heads,
E = D / N width of a head, C = 2: keys and values.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx.errors import UserError

# Of a recurrent decoder

Score = Literal["additive", "dot", "general", "concat"]


class Attention(nn.Module):
    """A mean of what is attended to, weighted by the softmax of a score of query and key.

    A subclass defines `score`, and `keys` if what depends on the source alone is worth computing once.
    """

    def keys(self, memory_BSD: Tensor) -> Tensor:
        """What the score needs of the source alone, (B, S, ...)."""
        return memory_BSD

    @abstractmethod
    def score(self, query_BLQ: Tensor, keys_BSK: Tensor) -> Tensor:
        """How well each key fits each query, (B, L, S)."""

    def forward(
        self, query_BLQ: Tensor, memory_BSD: Tensor, mask_BS: Tensor | None = None, keys_BSK: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What the queries find.

        Args:
            query_BLQ: queries
            memory_BSD: what is attended to
            mask_BS: where there is something to attend to, bool, once or more in each row; None: everywhere
            keys_BSK: `keys(memory_BSD)`, where it has been computed before

        Returns:
            context_BLD, and weights_BLS, whose rows sum to 1
        """
        scores_BLS = self.score(query_BLQ, self.keys(memory_BSD) if keys_BSK is None else keys_BSK)
        if mask_BS is not None:
            scores_BLS = scores_BLS.masked_fill(~mask_BS[:, None], torch.finfo(scores_BLS.dtype).min)
        weights_BLS = scores_BLS.softmax(2)
        return weights_BLS @ memory_BSD, weights_BLS


class Additive(Attention):
    """v^T tanh(W q + U m): a network of one hidden layer.

    References:
        Neural Machine Translation by Jointly Learning to Align and Translate (Bahdanau et al., 2015), arXiv 1409.0473

    Example:
        >>> attention = Additive(query=3, memory=4, hidden=5)
        >>> context_BLD, weights_BLS = attention(torch.zeros(2, 1, 3), torch.ones(2, 6, 4), torch.arange(6).expand(2, 6) < 4)
        >>> context_BLD.shape, weights_BLS[0].tolist()
        (torch.Size([2, 1, 4]), [[0.25, 0.25, 0.25, 0.25, 0.0, 0.0]])
    """

    def __init__(self, query: int, memory: int, hidden: int):
        super().__init__()
        self.W, self.U = nn.Linear(query, hidden, bias=False), nn.Linear(memory, hidden, bias=False)
        self.v = nn.Linear(hidden, 1, bias=False)

    def keys(self, memory_BSD: Tensor) -> Tensor:
        return self.U(memory_BSD)

    def score(self, query_BLQ: Tensor, keys_BSA: Tensor) -> Tensor:
        return self.v((self.W(query_BLQ)[:, :, None] + keys_BSA[:, None]).tanh()).squeeze(3)


class Dot(Attention):
    """q^T m, for queries as wide as what is attended to.

    References:
        Effective Approaches to Attention-based Neural Machine Translation (Luong et al., 2015), arXiv 1508.04025
    """

    def __init__(self, query: int, memory: int, hidden: int = 0):
        super().__init__()
        if query != memory:
            raise UserError(f"attention dot needs a decoder as wide as the encoder's output, {memory}, not {query}: use general")

    def score(self, query_BLQ: Tensor, keys_BSD: Tensor) -> Tensor:
        return query_BLQ @ keys_BSD.mT


class General(Attention):
    """q^T W m (Luong et al., 2015)."""

    def __init__(self, query: int, memory: int, hidden: int = 0):
        super().__init__()
        self.W = nn.Linear(memory, query, bias=False)

    def keys(self, memory_BSD: Tensor) -> Tensor:
        return self.W(memory_BSD)

    def score(self, query_BLQ: Tensor, keys_BSQ: Tensor) -> Tensor:
        return query_BLQ @ keys_BSQ.mT


class Concat(Attention):
    """v^T tanh(W [q; m]) (Luong et al., 2015): the score of `Additive`, with one matrix, and so one scale, for query and source."""

    def __init__(self, query: int, memory: int, hidden: int):
        super().__init__()
        self.query, self.W, self.v = query, nn.Linear(query + memory, hidden, bias=False), nn.Linear(hidden, 1, bias=False)

    def keys(self, memory_BSD: Tensor) -> Tensor:
        return F.linear(memory_BSD, self.W.weight[:, self.query :])

    def score(self, query_BLQ: Tensor, keys_BSA: Tensor) -> Tensor:
        query_BLA = F.linear(query_BLQ, self.W.weight[:, : self.query])
        return self.v((query_BLA[:, :, None] + keys_BSA[:, None]).tanh()).squeeze(3)


SCORES: dict[str, type[Additive] | type[Dot] | type[General] | type[Concat]] = {
    "additive": Additive,
    "dot": Dot,
    "general": General,
    "concat": Concat,
}


# Of many heads. torch's fused kernel goes through the keys in pieces, forward and backward: no tensor L x S is ever made, as long as no
# mask of that size is given. So a mask of the source is (B, 1, 1, S), causality is a flag, and a window is cut into blocks.


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence to itself: heads of softmax(Q K^T / sqrt(E)) V, side by side, and a linear map of them.

    Dropout belongs on its output: the weights are inside of the kernel, where the noise of a training step does not reach.

    References:
        Attention Is All You Need (Vaswani et al., 2017), arXiv 1706.03762
        Generating Long Sequences with Sparse Transformers (Child et al., 2019), arXiv 1904.10509: attention to a window

    Args:
        width: D
        heads: N, a divisor of the width
        causal: each place attends to itself and those before it
        window: each place attends to itself and the `window` - 1 before it, if causal; None: to all
        bias: of the linear maps

    Example:
        >>> attention = SelfAttention(8, heads=2, causal=True)
        >>> h_BLD = torch.zeros(3, 5, 8)
        >>> attention(h_BLD).shape, attention.weights(h_BLD)[0, 0, 1].tolist()
        (torch.Size([3, 5, 8]), [0.5, 0.5, 0.0, 0.0, 0.0])
    """

    def __init__(self, width: int, heads: int, *, causal: bool = False, window: int | None = None, bias: bool = True):
        super().__init__()
        if window is not None and not causal:
            raise ValueError("a window is of the past: it needs causal=True")
        self.heads, self.head, self.causal, self.window = heads, head_width(width, heads), causal, window
        self.into = Keyless(width, 3 * width, keys=slice(width, 2 * width), bias=bias)
        self.out = nn.Linear(width, width, bias)

    def forward(self, h_BLD: Tensor, mask_BL: Tensor | None = None) -> Tensor:
        """(B, L, D), where each place attends to those where `mask_BL` is True (None: to all)."""
        q_BNLE, k_BNLE, v_BNLE = self._heads(h_BLD)
        if self.window is not None and self.window < h_BLD.shape[1]:
            if mask_BL is not None:
                raise ValueError("a window takes no mask: what comes after the end of a row is not seen from before it")
            y_BNLE = windowed(q_BNLE, k_BNLE, v_BNLE, self.window)
        else:
            y_BNLE = fused(q_BNLE, k_BNLE, v_BNLE, mask_BL, causal=self.causal)
        return self.out(y_BNLE.transpose(1, 2).flatten(2))

    def weights(self, h_BLD: Tensor, mask_BL: Tensor | None = None) -> Tensor:
        """What each place attends to, (B, N, L, L), rows that sum to 1: to be drawn, for it takes memory of that size."""
        q_BNLE, k_BNLE, _ = self._heads(h_BLD)
        seen = None if mask_BL is None else mask_BL[:, None, None]
        if self.causal:
            place_L = torch.arange(h_BLD.shape[1], device=h_BLD.device)
            back_LL = place_L[:, None] - place_L
            past_LL = (back_LL >= 0) & (back_LL < (self.window or len(place_L)))
            seen = past_LL if seen is None else past_LL & seen
        return attention_weights(q_BNLE, k_BNLE, seen)

    def step(self, h_BD: Tensor, cache_BCNSE: Tensor, t: int) -> Tensor:
        """Place `t`, given those before it, (B, D): equal to that place of the whole pass.

        Args:
            h_BD: what stands at place t
            cache_BCNSE: keys and values of the places before t; those of t are written into it
            t: from 0, below S
        """
        qkv_BCNE = self.into(h_BD).view(len(h_BD), 3, self.heads, self.head)
        cache_BCNSE[:, :, :, t] = qkv_BCNE[:, 1:]
        first = 0 if self.window is None else max(0, t + 1 - self.window)
        keys_BNSE, values_BNSE = cache_BCNSE[:, :, :, first : t + 1].unbind(1)
        return self.out(F.scaled_dot_product_attention(qkv_BCNE[:, 0, :, None], keys_BNSE, values_BNSE).flatten(1))

    def _heads(self, h_BLD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q_BNLE, k_BNLE, v_BNLE = self.into(h_BLD).unflatten(2, (3, self.heads, self.head)).permute(2, 0, 3, 1, 4).unbind(0)
        return q_BNLE, k_BNLE, v_BNLE


class CrossAttention(nn.Module):
    """Multi-head attention of a sequence to another, a source, whose keys and values are computed once (`read`).

    Args:
        width: D
        heads: N, a divisor of the width
        memory: width of the source; None: D
        bias: of the linear maps

    Example:
        >>> attention = CrossAttention(8, heads=2, memory=6)
        >>> source_BCNSE = attention.read(torch.zeros(3, 4, 6))
        >>> attention(torch.zeros(3, 5, 8), source_BCNSE).shape
        torch.Size([3, 5, 8])
    """

    def __init__(self, width: int, heads: int, memory: int | None = None, *, bias: bool = True):
        super().__init__()
        self.heads, self.head = heads, head_width(width, heads)
        self.query = nn.Linear(width, width, bias)
        self.into = Keyless(memory or width, 2 * width, keys=slice(width), bias=bias)
        self.out = nn.Linear(width, width, bias)

    def read(self, memory_BSD: Tensor) -> Tensor:
        """Keys and values of a source, (B, 2, N, S, E)."""
        return self.into(memory_BSD).unflatten(2, (2, self.heads, self.head)).permute(0, 2, 3, 1, 4)

    def forward(self, h_BLD: Tensor, source_BCNSE: Tensor, mask_BS: Tensor | None = None) -> Tensor:
        """(B, L, D), where all attend to the places of the source where `mask_BS` is True (None: to all)."""
        keys_BNSE, values_BNSE = source_BCNSE.unbind(1)
        return self.out(fused(self._queries(h_BLD), keys_BNSE, values_BNSE, mask_BS).transpose(1, 2).flatten(2))

    def weights(self, h_BLD: Tensor, source_BCNSE: Tensor, mask_BS: Tensor | None = None) -> Tensor:
        """What each place attends to, (B, N, L, S), rows that sum to 1: to be drawn."""
        return attention_weights(self._queries(h_BLD), source_BCNSE[:, 0], None if mask_BS is None else mask_BS[:, None, None])

    def _queries(self, h_BLD: Tensor) -> Tensor:
        return self.query(h_BLD).unflatten(2, (self.heads, self.head)).transpose(1, 2)


class Keyless(nn.Linear):
    """A linear map without a bias for the outputs `keys`, whatever stands there.

    A bias of the keys adds the same to all scores of a query, which softmax does not see. Its gradient is 0 but for rounding, of which Adam
    would make whole steps.
    """

    has_bias: Tensor

    def __init__(self, inputs: int, outputs: int, *, keys: slice, bias: bool):
        super().__init__(inputs, outputs, bias)
        has_bias = torch.ones(outputs)
        has_bias[keys] = 0
        self.register_buffer("has_bias", has_bias, persistent=False)

    def forward(self, h: Tensor) -> Tensor:
        return F.linear(h, self.weight, None if self.bias is None else self.bias * self.has_bias)


def head_width(width: int, heads: int) -> int:
    """E = D / N, or a UserError where the heads do not divide the width."""
    if width % heads:
        near = min((n for n in range(1, width + 1) if width % n == 0), key=lambda n: abs(n - heads))
        raise UserError(f"heads must divide width {width}, such as {near}, not {heads}")
    return width // heads


def fused(q_BNLE: Tensor, k_BNSE: Tensor, v_BNSE: Tensor, mask_BS: Tensor | None = None, *, causal: bool = False) -> Tensor:
    """softmax(Q K^T / sqrt(E)) V by torch's kernel, (B, N, L, E), in memory linear in L and S."""
    if causal and mask_BS is not None:
        raise ValueError("a causal pass takes no mask: what comes after the end of a row is not seen from before it")
    return F.scaled_dot_product_attention(q_BNLE, k_BNSE, v_BNSE, None if mask_BS is None else mask_BS[:, None, None], is_causal=causal)


def windowed(q_BNLE: Tensor, k_BNLE: Tensor, v_BNLE: Tensor, window: int) -> Tensor:
    """Causal attention to the `window` newest places, (B, N, L, E): blocks of queries over their own keys and those of the block before.

    Memory and work are linear in L: two blocks of keys for each block of queries, and one mask for all.

    Example:
        >>> q, k, v = torch.randn(3, 1, 1, 10, 4).unbind()
        >>> bool((windowed(q, k, v, window=1) - v).abs().max() < 1e-6)  # each place sees itself alone
        True
    """
    B, _, L, _ = q_BNLE.shape
    blocks = math.ceil(L / window)
    q, k, v = (F.pad(h, (0, 0, 0, blocks * window - L)).unflatten(2, (blocks, window)) for h in (q_BNLE, k_BNLE, v_BNLE))
    first_BNwE = F.scaled_dot_product_attention(q[:, :, 0], k[:, :, 0], v[:, :, 0], is_causal=True)
    k, v = (torch.cat([h[:, :, :-1], h[:, :, 1:]], 3) for h in (k, v))
    q, k, v = (h.transpose(1, 2).flatten(0, 1) for h in (q[:, :, 1:], k, v))  # blocks are rows of a batch: (B blocks, N, places, E)
    place = torch.arange(2 * window, device=q.device)
    back = place[window:, None] - place
    rest = F.scaled_dot_product_attention(q, k, v, (back >= 0) & (back < window))
    rest_BNLE = rest.unflatten(0, (B, blocks - 1)).transpose(1, 2).flatten(2, 3)
    return torch.cat([first_BNwE, rest_BNLE], 2)[:, :, :L]


def attention_weights(q_BNLE: Tensor, k_BNSE: Tensor, seen: Tensor | None) -> Tensor:
    """softmax(Q K^T / sqrt(E)), (B, N, L, S), over the places where `seen`, which broadcasts to it, is True."""
    scores_BNLS = q_BNLE @ k_BNSE.mT * q_BNLE.shape[3] ** -0.5
    if seen is not None:
        scores_BNLS = scores_BNLS.masked_fill(~seen, torch.finfo(scores_BNLS.dtype).min)
    return scores_BNLS.softmax(3)
