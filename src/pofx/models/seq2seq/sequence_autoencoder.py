"""The sequence autoencoder: the code of a sentence, and the sentence again.

Shapes: B examples, L tokens, V tokens in the vocabulary, E numbers of an embedding, H hidden units, K layers, Z numbers in a code.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx.bases.token_model import Decoder, DecoderCache, EncoderOutput, check_field, shift_right
from pofx.kinds import Tokens, Vector
from pofx.layers.recurrent import Cell, Recurrent
from pofx.options import Dropout, Fraction, Size
from pofx.plan import Batch, Part
from pofx.randomness import Noise, generator


class SequenceAutoencoder(Decoder):
    """Sequence autoencoder: an encoder reads x into a code z, and a decoder that knows z says x again, token by token.

    z = V [last states of the encoder];  h_0 = f(z);  h_t = cell([e_t; z], h_{t-1});  p(x_t | x_<t, z) = softmax(W h_t + b)

    with e_t the embedding of x_{t-1} and f linear, through a tanh for h. It learns to make log p(x | z(x)) large. `decode` takes the
    likeliest token at each step; between the codes of two sentences there are others to be read. Dai and Le hand the encoder's state itself
    to a decoder of the same weights; here the code has a size of its own, and each step sees it.

    References:
        Semi-supervised Sequence Learning (Dai & Le, 2015), arXiv 1511.01432
        A Hierarchical Neural Autoencoder for Paragraphs and Documents (Li et al., 2015), arXiv 1506.01057
        Generating Sentences from a Continuous Space (Bowman et al., 2016), arXiv 1511.06349: dropped tokens, and what is between two codes

    Args:
        x: sequences of tokens
        latent: numbers in the code
        cell: of encoder and decoder: rnn (tanh), relu, lstm, gru, or gru_cho, whose reset gate comes before the product
        hidden: units of each layer of the decoder, and of each direction of the encoder
        embedding: numbers of each token's embedding, which both share
        layers: of encoder and decoder
        bidirectional: the encoder reads from both ends
        dropout: share of the embeddings, and of the outputs of layers, that is dropped in training
        forget: share of the tokens that the decoder is not given in training, so that it looks at the code

    Example:
        >>> model = SequenceAutoencoder(Tokens(9, 5), latent=3, hidden=8, embedding=4)
        >>> z = model.encode(torch.tensor([[2, 3, 1], [4, 1, 0]]))
        >>> z.shape, model.decode(z).shape
        (torch.Size([2, 3]), torch.Size([2, 5]))
    """

    paper: ClassVar = ("Dai & Le", 2015, "1511.01432")
    small: ClassVar = {"latent": 3, "hidden": 6, "embedding": 5, "dropout": 0.2, "forget": 0.2}
    without: ClassVar = {
        "sample": "an autoencoder has no distribution over its codes to draw from: train recurrent_lm",
        "log_prob": "an autoencoder says x again and gives it no probability: train recurrent_lm",
    }

    def __init__(
        self,
        x: Tokens,
        *,
        latent: Size = 128,
        cell: Cell = "lstm",
        hidden: Size = 256,
        embedding: Size = 128,
        layers: Size = 1,
        bidirectional: bool = True,
        dropout: Dropout = 0.0,
        forget: Fraction = 0.0,
    ):
        super().__init__(x)
        E, Z = embedding, latent
        self.codes, self.dropout, self.forget = Vector(latent), dropout, forget
        self.embedding = nn.Embedding(x.vocabulary, E)
        self.encoder = Recurrent(E, hidden, cell, layers, bidirectional=bidirectional)
        self.code = nn.Linear(self.encoder.outputs * layers * len(self.encoder.parts), Z)
        self.bridges = nn.ModuleDict({part: nn.Linear(Z, layers * hidden) for part in self.encoder.parts})
        self.recurrent = Recurrent(E + Z, hidden, cell, layers)
        self.out = nn.Linear(hidden, x.vocabulary)

    # x to its code

    def encode(self, x: Tensor) -> Tensor:
        """Codes of x (B, L), (B, Z)."""
        check_field(self, "x", x)
        return self.read(x)["z_BZ"]

    def read(self, source: Tensor | None, noise: Noise | None = None) -> EncoderOutput:
        assert source is not None  # it is x itself
        e_BLE = self.drop(self.embedding(source), noise)
        _, last = self.encoder(e_BLE, source != self.tokens.pad, dropout=self.dropout, noise=noise)
        return {"z_BZ": self.code(torch.cat([part.flatten(1) for part in last.values()], 1))}

    # A code to x

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """The x that codes (B, Z) stand for, the likeliest token at each step: int64 (B, length), PAD after EOS."""
        likeliest = self.stream({"z_BZ": z}, len(z), temperature=0, generator=generator("likeliest", z.device))
        x_BL = torch.stack(list(likeliest), 1)
        return F.pad(x_BL, (0, self.tokens.length - x_BL.shape[1]), value=self.tokens.pad)

    def logits(self, x_BL: Tensor, memory: EncoderOutput, noise: Noise | None = None) -> Tensor:
        given_BL = shift_right(x_BL)
        if noise is not None and self.forget:
            given_BL = given_BL.masked_fill(noise.uniform(x_BL.shape[1]) < self.forget, self.tokens.pad)
        z_BLZ = memory["z_BZ"][:, None].expand(-1, x_BL.shape[1], -1)
        inputs_BLI = torch.cat([self.drop(self.embedding(given_BL), noise), z_BLZ], 2)
        h_BLH, _ = self.recurrent(inputs_BLI, state=self.start(memory, len(x_BL)), dropout=self.dropout, noise=noise)
        return self.out(self.drop(h_BLH, noise))

    def gates(self, x: Tensor, layer: int = -1) -> dict[str, Tensor]:
        """The gates of a layer of the decoder that predict each token of x (B, L), given its own code, by name, (B, L, H) each.

        Args:
            x: tokens
            layer: which, from 0; -1: the last
        """
        memory = self.read(x)
        z_BLZ = memory["z_BZ"][:, None].expand(-1, x.shape[1], -1)
        return self.recurrent.gates(torch.cat([self.embedding(shift_right(x)), z_BLZ], 2), self.start(memory, len(x)), layer)

    def start(self, memory: EncoderOutput, n: int) -> DecoderCache:
        state = {part: bridge(memory["z_BZ"]).unflatten(1, (len(self.recurrent.layers), -1)) for part, bridge in self.bridges.items()}
        return state | {"h_BKH": state["h_BKH"].tanh()}

    def step(self, token_B: Tensor, state: DecoderCache, memory: EncoderOutput) -> tuple[Tensor, DecoderCache]:
        h_BH, state = self.recurrent.step(torch.cat([self.embedding(token_B), memory["z_BZ"]], 1), state)
        return self.out(h_BH), state

    def loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        """The negative log-likelihood of x given its own code, in nats a token."""
        training = noise if self.training else None  # what is validated is the whole network
        return self.nll(batch["x"], self.read(batch["x"], training), training)
