"""Transformers: positions, blocks, and stacks of blocks that run over whole sequences or step by step.

Shapes: B examples, L targets, S sources, D width, N heads, E = D / N, F units of a feed-forward layer, K blocks, C = 2: keys and values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx.errors import UserError
from pofx.layers.attention import CrossAttention, SelfAttention
from pofx.randomness import Noise

Where = Literal["sinusoidal", "learned"]
Norm = Literal["pre", "post"]
Activation = Literal["relu", "gelu", "gelu_tanh"]
Sources = Sequence[Tensor | None]  # of each block, the source's keys and values (B, 2, N, S, E)
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),  # GPT-2's approximation; on CPUs it takes twice as long as what it approximates
}
FIRST = 32  # places of a cache at first; it doubles when it is full


def sinusoids(length: int, width: int) -> Tensor:
    """Each place as sines and cosines of wavelengths from 2 pi to 10000 * 2 pi, float32 (length, width).

    PE(t, 2i) = sin(t / 10000^(2i / D)), PE(t, 2i + 1) = cos(t / 10000^(2i / D)) (Vaswani et al., 2017, section 3.5).

    Example:
        >>> sinusoids(2, 4)
        tensor([[0.0000, 1.0000, 0.0000, 1.0000],
                [0.8415, 0.5403, 0.0100, 0.9999]])
    """
    even = torch.arange(0, width, 2, dtype=torch.float64)
    angle = torch.arange(length, dtype=torch.float64)[:, None] / 10000 ** (even / width)
    return torch.stack([angle.sin(), angle.cos()], 2).flatten(1)[:, :width].float()


class Positions(nn.Module):
    """What is added to a token to say where it stands.

    Args:
        where: sinusoidal, for any length; or learned, for `length` places
        length: places
        width: D
        std: of learned places at first
    """

    table_LD: Tensor

    def __init__(self, where: Where, length: int, width: int, std: float = 0.02):
        super().__init__()
        self.learned = where == "learned"
        if self.learned:
            self.table_LD = nn.Parameter(std * torch.randn(length, width))
        else:
            self.register_buffer("table_LD", sinusoids(length, width), persistent=False)

    def forward(self, L: int) -> Tensor:
        """Of the first `L` places, (L, D)."""
        length, width = self.table_LD.shape
        if length < L:
            if self.learned:
                raise UserError(f"a sequence of {L} tokens is longer than the {length} places that the model has learned")
            self.table_LD = sinusoids(max(L, 2 * length), width).to(self.table_LD)
        return self.table_LD[:L]

    def at(self, t: int) -> Tensor:
        """Of place `t`, (D,)."""
        return self(t + 1)[t]


class Block(nn.Module):
    """Self-attention, attention to a source where there is one, and a feed-forward layer, each around a residual connection.

    With `norm` post, h = LayerNorm(h + f(h)), as Vaswani et al. (2017) have it; with pre, h = h + f(LayerNorm(h)), as GPT-2 does.

    References:
        Attention Is All You Need (Vaswani et al., 2017), arXiv 1706.03762
        On Layer Normalization in the Transformer Architecture (Xiong et al., 2020), arXiv 2002.04745

    Args:
        width: D
        heads: N
        feed_forward: F
        causal: no place sees those after it
        source: whether it attends to a source
        window: of self-attention
        norm: pre or post
        activation: of the feed-forward layer: relu; gelu, or GPT-2's approximation of it, gelu_tanh
        dropout: of what each sublayer adds
    """

    def __init__(
        self,
        width: int,
        heads: int,
        feed_forward: int,
        *,
        causal: bool = False,
        source: bool = False,
        window: int | None = None,
        norm: Norm = "pre",
        activation: Activation = "gelu",
        dropout: float = 0.0,
    ):
        super().__init__()
        self.pre, self.dropout, self.active = norm == "pre", dropout, ACTIVATIONS[activation]
        self.attention, self.norm = SelfAttention(width, heads, causal=causal, window=window), nn.LayerNorm(width)
        self.source = CrossAttention(width, heads) if source else None
        self.source_norm = nn.LayerNorm(width) if source else None
        self.up, self.down, self.feed_norm = nn.Linear(width, feed_forward), nn.Linear(feed_forward, width), nn.LayerNorm(width)

    def forward(
        self,
        h_BLD: Tensor,
        mask_BL: Tensor | None = None,
        source_BCNSE: Tensor | None = None,
        mask_BS: Tensor | None = None,
        noise: Noise | None = None,
    ) -> Tensor:
        h_BLD = self._add(h_BLD, self.norm, lambda h: self.attention(h, mask_BL), noise)
        return self._rest(h_BLD, source_BCNSE, mask_BS, noise)

    def step(self, h_BD: Tensor, t: int, cache_BCNSE: Tensor, source_BCNSE: Tensor | None = None, mask_BS: Tensor | None = None) -> Tensor:
        """Place `t`, given those before it, (B, D); the cache is written in place."""
        h_BD = self._add(h_BD, self.norm, lambda h: self.attention.step(h, cache_BCNSE, t))
        return self._rest(h_BD, source_BCNSE, mask_BS)

    def weights(
        self, h_BLD: Tensor, mask_BL: Tensor | None = None, source_BCNSE: Tensor | None = None, mask_BS: Tensor | None = None
    ) -> dict[str, Tensor]:
        """What is attended to: "self", (B, N, L, L), and "source", (B, N, L, S), where there is one."""
        found = {"self": self.attention.weights(self.norm(h_BLD) if self.pre else h_BLD, mask_BL)}
        if self.source is not None and self.source_norm is not None and source_BCNSE is not None:
            h_BLD = self._add(h_BLD, self.norm, lambda h: self.attention(h, mask_BL))
            found["source"] = self.source.weights(self.source_norm(h_BLD) if self.pre else h_BLD, source_BCNSE, mask_BS)
        return found

    def _rest(self, h: Tensor, source_BCNSE: Tensor | None, mask_BS: Tensor | None, noise: Noise | None = None) -> Tensor:
        look = self.source
        if look is not None and self.source_norm is not None and source_BCNSE is not None:
            h = self._add(h, self.source_norm, lambda h: look(h if h.dim() == 3 else h[:, None], source_BCNSE, mask_BS).view_as(h), noise)
        return self._add(h, self.feed_norm, lambda h: self.down(self.active(self.up(h))), noise)

    def _add(self, h: Tensor, norm: nn.LayerNorm, sublayer: Callable[[Tensor], Tensor], noise: Noise | None = None) -> Tensor:
        more = sublayer(norm(h) if self.pre else h)
        if noise is not None:
            more = noise.dropout(more, self.dropout)
        return h + more if self.pre else norm(h + more)


class Stack(nn.Module):
    """Blocks, one after another; with pre-norm a last LayerNorm.

    With pre-norm, the weights of what sublayers add begin scaled down by the root of their number, as GPT-2's do. Biases begin at 0.

    References:
        Language Models are Unsupervised Multitask Learners (Radford et al., 2019)
        Understanding the difficulty of training deep feedforward neural networks (Glorot & Bengio, 2010)

    Args:
        blocks: K
        width: D
        heads: N
        feed_forward: F
        norm: pre or post
        std: of normal weights at first, 0.02 in GPT-2; None: uniform, as in Glorot & Bengio (2010)
        options: of a `Block`

    Example:
        >>> stack = Stack(2, 8, 2, 32, causal=True)
        >>> h_BLD, state = torch.randn(3, 5, 8), stack.start(3, torch.empty(0))
        >>> steps = [stack.step(h_BD, place(state), state) for h_BD in h_BLD.unbind(1)]
        >>> bool((torch.stack(steps, 1) - stack(h_BLD)).abs().max() < 1e-5)
        True
    """

    def __init__(
        self, blocks: int, width: int, heads: int, feed_forward: int, *, norm: Norm = "pre", std: float | None = None, **options: Any
    ):
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads, feed_forward, norm=norm, **options) for _ in range(blocks))
        self.norm = nn.LayerNorm(width) if norm == "pre" else None
        self.cache = (blocks, 2, heads, width // heads)
        sublayers = blocks * (3 if options.get("source") else 2)
        with torch.no_grad():
            for name, p in self.named_parameters():
                if p.dim() == 2:
                    nn.init.xavier_uniform_(p) if std is None else nn.init.normal_(p, std=std)
                    if norm == "pre" and name.endswith(("out.weight", "down.weight")):
                        p.div_(sublayers**0.5)
                elif name.endswith("bias"):
                    nn.init.zeros_(p)

    def forward(
        self,
        h_BLD: Tensor,
        mask_BL: Tensor | None = None,
        sources: Sources | None = None,
        mask_BS: Tensor | None = None,
        noise: Noise | None = None,
    ) -> Tensor:
        """All places, (B, L, D).

        Args:
            h_BLD: tokens and where they stand
            mask_BL: where there are tokens; None: everywhere. A causal stack needs none: what fills a row comes after its end
            sources: from `read`
            mask_BS: where the source has something; None: everywhere
            noise: of a training step; None: nothing is dropped
        """
        for block, source_BCNSE in self._with(sources):
            h_BLD = block(h_BLD, mask_BL, source_BCNSE, mask_BS, noise)
        return h_BLD if self.norm is None else self.norm(h_BLD)

    def read(self, memory_BSD: Tensor) -> list[Tensor]:
        """Of a source, keys and values for each block, (B, 2, N, S, E)."""
        return [block.source.read(memory_BSD) for block, _ in self._with(None)]

    def start(self, n: int, like: Tensor) -> dict[str, Tensor]:
        """What `step` keeps of `n` rows: keys and values of the places before, cache_BKCNSE, and how many they are, t_B."""
        K, C, N, E = self.cache
        return {"cache_BKCNSE": like.new_zeros(n, K, C, N, FIRST, E), "t_B": torch.zeros(n, dtype=torch.int64, device=like.device)}

    def step(self, h_BD: Tensor, t: int, state: dict[str, Tensor], sources: Sources | None = None, mask_BS: Tensor | None = None) -> Tensor:
        """Place `t`, which `place(state)` says, (B, D); `state` is brought up to date in place, and its cache doubled where it is full."""
        if t == state["cache_BKCNSE"].shape[4]:
            state["cache_BKCNSE"] = torch.cat([state["cache_BKCNSE"], torch.zeros_like(state["cache_BKCNSE"])], 4)
        for k, (block, source_BCNSE) in enumerate(self._with(sources)):
            h_BD = block.step(h_BD, t, state["cache_BKCNSE"][:, k], source_BCNSE, mask_BS)
        state["t_B"] += 1
        return h_BD if self.norm is None else self.norm(h_BD)

    def weights(
        self, h_BLD: Tensor, mask_BL: Tensor | None = None, sources: Sources | None = None, mask_BS: Tensor | None = None
    ) -> dict[str, Tensor]:
        """What is attended to in each block, to be drawn: to the sequence itself, (B, N, L, L), and to a source, (B, N, L, S)."""
        found: dict[str, Tensor] = {}
        for k, (block, source_BCNSE) in enumerate(self._with(sources), 1):
            found |= {f"{name} {k}": weights for name, weights in block.weights(h_BLD, mask_BL, source_BCNSE, mask_BS).items()}
            h_BLD = block(h_BLD, mask_BL, source_BCNSE, mask_BS)
        return found

    def _with(self, sources: Sources | None) -> Iterator[tuple[Any, Tensor | None]]:
        return zip(self.blocks, sources or [None] * len(self.blocks), strict=True)


def place(state: dict[str, Tensor]) -> int:
    """How many places have been read, which is also the number of the next: of `Stack.start` and `Stack.step`."""
    return int(state["t_B"][0]) if len(state["t_B"]) else 0
