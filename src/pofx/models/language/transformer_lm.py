"""The decoder-only Transformer, as GPT-2 has it.

Shapes: B rows, L tokens of x, V tokens in the vocabulary, D width, N heads.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx.bases.token_model import DecoderCache, EncoderOutput, TokenModel, shift_right
from pofx.kinds import Tokens
from pofx.layers.transformer import Activation, Positions, Stack, Where, place
from pofx.options import Dropout, Size
from pofx.plan import Adam, Player, Stage
from pofx.randomness import Noise


class TransformerLM(TokenModel):
    """Decoder-only Transformer: each token is predicted by masked self-attention over those before it.

        h = E[x_{t-1}] + P_t
        h = h + attention(norm(h)),  h = h + W_2 gelu(W_1 norm(h))    in each layer
        p(x_t | x_<t) = softmax(E norm(h))

    E is tied: it embeds tokens and scores them. With sinusoidal P it is multiplied by the root of D where it embeds. What has been read is
    kept as keys and values, so that a token costs one step.

    References:
        Language Models are Unsupervised Multitask Learners (Radford et al., 2019): GPT-2
        Attention Is All You Need (Vaswani et al., 2017), arXiv 1706.03762

    Args:
        x: sequences of tokens
        layers: blocks
        heads: N, a divisor of the width
        width: D
        feed_forward: units between W_1 and W_2; None: four times the width
        positions: P, learned or sinusoidal
        activation: of the feed-forward layers: gelu; GPT-2's approximation of it, gelu_tanh; or relu
        window: in each layer a token attends to itself and the window - 1 tokens before it; None: to all
        dropout: of embeddings and of what each sublayer adds

    Example:
        >>> model = TransformerLM(Tokens(vocabulary=5, length=4), layers=1, heads=2, width=8)
        >>> model.sample(3).shape[0], model.log_prob(torch.tensor([[2, 4, 1, 0]])).shape
        (3, torch.Size([1]))
    """

    paper: ClassVar = ("Radford et al.", 2019, "Language Models are Unsupervised Multitask Learners")
    small: ClassVar = {"layers": 2, "heads": 2, "width": 8, "window": 2}

    def __init__(
        self,
        x: Tokens,
        *,
        layers: Size = 4,
        heads: Size = 4,
        width: Size = 128,
        feed_forward: Size | None = None,
        positions: Where = "learned",
        activation: Activation = "gelu",
        window: Size | None = None,
        dropout: Dropout = 0.0,
    ):
        super().__init__(x)
        self.context, self.dropout, self.reach = x.length, dropout, x.length if window is None else layers * (window - 1) + 1
        self.scale = width**0.5 if positions == "sinusoidal" else 1.0
        self.embedding = nn.Embedding(x.vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.positions = Positions(positions, x.length, width)
        units = feed_forward or 4 * width
        self.stack = Stack(layers, width, heads, units, causal=True, window=window, std=0.02, activation=activation, dropout=dropout)

    def embedded(self, x_BL: Tensor) -> Tensor:
        """What stands before each token, and where, (B, L, D)."""
        return self.scale * self.embedding(shift_right(x_BL)) + self.positions(x_BL.shape[1])

    def logits(self, x_BL: Tensor, memory: EncoderOutput, noise: Noise | None = None) -> Tensor:
        return F.linear(self.stack(self.drop(self.embedded(x_BL), noise), noise=noise), self.embedding.weight)

    def start(self, memory: EncoderOutput, n: int) -> DecoderCache:
        return self.stack.start(n, self.embedding.weight)

    def step(self, token_B: Tensor, state: DecoderCache, memory: EncoderOutput) -> tuple[Tensor, DecoderCache]:
        t = place(state)
        h_BD = self.scale * self.embedding.weight[token_B] + self.positions.at(t)
        return F.linear(self.stack.step(h_BD, t, state), self.embedding.weight), state

    @torch.no_grad()
    def attention(self, x: Tensor, *, given: None = None) -> dict[str, Tensor]:
        """What each layer's heads look at, "self 1" and so on, (B, N, L, L): the row of a token, over what stands before each."""
        return self.stack.weights(self.embedded(x))

    def dependency_matrix(self) -> Tensor:
        return super().dependency_matrix().triu(-self.reach)

    def stages(self) -> list[Stage]:
        adam = Adam(lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1, decays="matrices")
        return [Stage("train", [Player(self.title(), [self], self.loss, adam)])]
