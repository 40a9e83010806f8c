"""The Transformer: an encoder of the source, and a decoder that attends to it.

Shapes: B examples, L tokens of x, S tokens of the source, V tokens in the vocabulary of x, D width, N heads, E = D / N,
C = 2: keys and values.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx.bases.token_model import DecoderCache, EncoderOutput, shift_right
from pofx.bases.translator import Translator
from pofx.errors import UserError
from pofx.kinds import PAD, Tokens
from pofx.layers.transformer import Activation, Norm, Positions, Stack, Where, place
from pofx.options import Dropout, Fraction, Size
from pofx.plan import Adam, Player, Stage
from pofx.randomness import Noise


class Transformer(Translator):
    """Transformer: self-attention over the source, then over what x has so far and over the source, token by token.

        memory = encoder(sqrt(D) E_source[source] + P)
        h_t = decoder(sqrt(D) E[x_{t-1}] + P_t; those before it, memory)
        p(x_t | x_<t, source) = softmax(W h_t)

    Every layer adds what attention finds and then what a feed-forward layer makes of it. The memory is read once: each layer of the decoder
    keeps its keys and values.

    References:
        Attention Is All You Need (Vaswani et al., 2017), arXiv 1706.03762
        On Layer Normalization in the Transformer Architecture (Xiong et al., 2020), arXiv 2002.04745: pre-norm
        Using the Output Embedding to Improve Language Models (Press & Wolf, 2017), arXiv 1608.05859: tied embeddings

    Args:
        x: sequences of tokens that end
        source: sequences of tokens
        layers: blocks of the encoder, and as many of the decoder
        heads: N, a divisor of the width
        width: D
        feed_forward: units of a feed-forward layer; None: four times the width
        positions: P, sinusoidal or learned
        norm: where LayerNorm stands: pre, before each sublayer, or post, after what it adds, as in 2017; post needs a warm-up
        activation: of the feed-forward layers: relu, gelu, or an approximation of it, gelu_tanh
        dropout: of embeddings and of what each sublayer adds
        smoothing: share of each target that is spread over all tokens
        tie: output: W is E; all: E_source too, where both sides have one vocabulary; none: three matrices

    Example:
        >>> model = Transformer(Tokens(vocabulary=5, length=4), Tokens(vocabulary=7, length=6), layers=1, heads=2, width=8)
        >>> source = torch.tensor([[2, 6, 1], [3, 1, 0]])
        >>> model.log_prob(torch.tensor([[4, 1], [2, 3]]), given=source).shape, model.translate(source).shape[0]
        (torch.Size([2]), 2)
    """

    paper: ClassVar = ("Vaswani et al.", 2017, "1706.03762")
    small: ClassVar = {"layers": 2, "heads": 2, "width": 6, "feed_forward": 16}

    def __init__(
        self,
        x: Tokens,
        source: Tokens,
        *,
        layers: Size = 3,
        heads: Size = 8,
        width: Size = 256,
        feed_forward: Size | None = None,
        positions: Where = "sinusoidal",
        norm: Norm = "pre",
        activation: Activation = "relu",
        dropout: Dropout = 0.1,
        smoothing: Fraction = 0.1,
        tie: Literal["none", "output", "all"] = "output",
    ):
        super().__init__(x, source)
        if tie == "all" and (x.vocabulary, x.tokenizer) != (source.vocabulary, source.tokenizer):
            raise UserError("transformer: tie all needs one vocabulary for source and x: make it with --shared, or use tie output")
        self.context = x.length if positions == "learned" else None
        self.scale, self.dropout, self.smoothing = width**0.5, dropout, smoothing

        def embedding(vocabulary: int) -> nn.Embedding:
            made = nn.Embedding(vocabulary, width)
            nn.init.normal_(made.weight, std=width**-0.5)
            return made

        self.embedding = embedding(x.vocabulary)
        self.source_embedding = None if tie == "all" else embedding(source.vocabulary)
        self.output = embedding(x.vocabulary) if tie == "none" else None
        self.positions, self.source_positions = (Positions(positions, kind.length, width) for kind in (x, source))

        def stack(**options: bool) -> Stack:
            units = feed_forward or 4 * width
            return Stack(layers, width, heads, units, norm=norm, activation=activation, dropout=dropout, **options)

        self.encoder, self.decoder = stack(), stack(causal=True, source=True)

    def read(self, source: Tensor | None, noise: Noise | None = None) -> EncoderOutput:
        """Where the source has tokens, mask_BS, and its keys and values for each layer of the decoder, (B, 2, N, S, E)."""
        assert source is not None  # which the base has checked
        mask_BS = source != PAD
        mask_BS[:, 0] = True  # of a source without tokens, what fills it is read once
        memory_BSD = self.encoder(self.embedded_source(source, noise), mask_BS, noise=noise)
        return {"mask_BS": mask_BS} | {f"source_{k}_BCNSE": h for k, h in enumerate(self.decoder.read(memory_BSD))}

    def logits(self, x_BL: Tensor, memory: EncoderOutput, noise: Noise | None = None) -> Tensor:
        h_BLD = self.decoder(self.embedded(x_BL, noise), None, self.sources(memory), memory["mask_BS"], noise)
        return F.linear(h_BLD, self.W())

    def start(self, memory: EncoderOutput, n: int) -> DecoderCache:
        return self.decoder.start(n, self.embedding.weight)

    def step(self, token_B: Tensor, state: DecoderCache, memory: EncoderOutput) -> tuple[Tensor, DecoderCache]:
        t = place(state)
        h_BD = self.scale * self.embedding.weight[token_B] + self.positions.at(t)
        return F.linear(self.decoder.step(h_BD, t, state, self.sources(memory), memory["mask_BS"]), self.W()), state

    @torch.no_grad()
    def attention(self, x: Tensor, *, given: Tensor | None = None) -> dict[str, Tensor]:
        """What each layer's heads look at, (B, N, ., .), rows that sum to 1.

        "encoder 1": the row of a token of the source, over the source; "self 1": the row of a token of x, over what stands before each;
        "source 1": the row of a token of x, over the source.
        """
        source = self.asked(given, len(x))
        assert source is not None
        memory = self.read(source)
        found = self.encoder.weights(self.embedded_source(source), memory["mask_BS"])
        encoder = {name.replace("self", "encoder"): weights for name, weights in found.items()}
        return encoder | self.decoder.weights(self.embedded(x), None, self.sources(memory), memory["mask_BS"])

    def embedded(self, x_BL: Tensor, noise: Noise | None = None) -> Tensor:
        """What stands before each token of x, and where, (B, L, D)."""
        return self.drop(self.scale * self.embedding(shift_right(x_BL)) + self.positions(x_BL.shape[1]), noise)

    def embedded_source(self, source_BS: Tensor, noise: Noise | None = None) -> Tensor:
        """The tokens of the source, and where they stand, (B, S, D)."""
        embedding = self.embedding if self.source_embedding is None else self.source_embedding
        return self.drop(self.scale * embedding(source_BS) + self.source_positions(source_BS.shape[1]), noise)

    def sources(self, memory: EncoderOutput) -> list[Tensor]:
        """Of a memory, the source's keys and values for each layer."""
        return [memory[f"source_{k}_BCNSE"] for k in range(len(self.decoder.blocks))]

    def W(self) -> Tensor:
        """What scores tokens, (V, D)."""
        return (self.embedding if self.output is None else self.output).weight

    def stages(self) -> list[Stage]:
        return [Stage("train", [Player(self.title(), [self], self.loss, Adam(lr=5e-4, betas=(0.9, 0.98), eps=1e-9))])]
