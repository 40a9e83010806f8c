"""The recurrent encoder-decoder: the whole source in one vector.

Shapes: B examples, L tokens of x, S tokens of the source, V tokens in the vocabulary of x, E numbers of an embedding, H hidden units of the
decoder, C numbers of the context (the encoder's last states), K layers.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from pofx import renamed
from pofx.bases.token_model import DecoderCache, EncoderOutput, shift_right
from pofx.bases.translator import RecurrentTranslator
from pofx.kinds import PAD, Tokens
from pofx.layers.recurrent import Cell, Recurrent
from pofx.options import Dropout, Fraction, Size
from pofx.randomness import Noise

Schedule = Literal["inverse_sigmoid", "linear"]


class Seq2Seq(RecurrentTranslator):
    """Encoder-decoder: an encoder reads the source into one vector c, and a decoder that begins with it says x token by token.

    c = last state of the encoder;  h_0 = f(c);  h_t = cell(e_t, h_{t-1});  p(x_t | x_<t, source) = softmax(W h_t + b)

    with e_t the embedding of x_{t-1}. As Sutskever et al. have it, the source is read from its end, so that the beginnings of both are near
    each other; where encoder and decoder are alike, h_0 is c itself, and else a linear map of it, through a tanh for h. With `feed`, as
    Cho et al. have it, every step sees c: h_t = cell([e_t; c], h_{t-1}), and what is read out is the larger of two linear maps of
    [h_t; e_t; c], number by number.

    In training, e_t is the embedding of the true x_{t-1} (teacher forcing). Scheduled sampling puts a token of the model's own there
    instead, drawn from p(x_{t-1} | ...), with a probability that grows from 0 to `sampling` as training goes on; no gradient flows through
    draws. linear: in proportion to training; inverse_sigmoid: as 1 - k / (k + exp(i / k)) with k = 100 and i from 0 to 1000, which is half
    after 46 % of training.

    References:
        Sequence to Sequence Learning with Neural Networks (Sutskever, Vinyals & Le, 2014), arXiv 1409.3215
        Learning Phrase Representations using RNN Encoder-Decoder (Cho et al., 2014), arXiv 1406.1078
        Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks (Bengio et al., 2015), arXiv 1506.03099
        Maxout Networks (Goodfellow et al., 2013), arXiv 1302.4389: Cho's readout

    Args:
        x: sequences of tokens
        source: sequences of tokens that x is given
        cell: of encoder and decoder: rnn (tanh), relu, lstm, gru, or gru_cho, whose reset gate comes before the product
        hidden: units of each layer of the decoder, and of each direction of the encoder
        embedding: numbers of each token's embedding
        layers: of encoder and decoder
        reverse: the encoder reads the source from its end
        bidirectional: another chain of the encoder reads it the other way
        feed: every step of the decoder sees c
        dropout: share of the embeddings, and of the outputs of layers, that is dropped in training
        smoothing: share of the target that label smoothing gives to all tokens alike
        sampling: probability, at the end of training, that the decoder is given a token of its own
        sampling_schedule: how that probability grows: inverse_sigmoid or linear

    Example:
        >>> model = Seq2Seq(Tokens(9, 5), Tokens(7, 6), hidden=8, embedding=4)
        >>> source = torch.tensor([[4, 5, 6, 1, 0]])
        >>> model.conditionals(torch.tensor([[2, 3, 1]]), given=source).shape, model.translate(source, length=4).shape[0]
        (torch.Size([1, 3]), 1)
    """

    paper: ClassVar = ("Sutskever et al.", 2014, "1409.3215")
    small: ClassVar = {"hidden": 6, "embedding": 5, "dropout": 0.2, "sampling": 0.5, "sampling_schedule": "linear"}

    def __init__(
        self,
        x: Tokens,
        source: Tokens,
        *,
        cell: Cell = "lstm",
        hidden: Size = 512,
        embedding: Size = 256,
        layers: Size = 1,
        reverse: bool = True,
        bidirectional: bool = False,
        feed: bool = False,
        dropout: Dropout = 0.2,
        smoothing: Fraction = 0.0,
        sampling: Fraction = 0.0,
        sampling_schedule: Schedule = "inverse_sigmoid",
    ):
        super().__init__(x, source)
        H, E = hidden, embedding
        self.reverse, self.feed, self.dropout, self.smoothing = reverse, feed, dropout, smoothing
        self.sampling, self.sampling_schedule = sampling, sampling_schedule
        self.source_embedding, self.embedding = nn.Embedding(source.vocabulary, E), nn.Embedding(x.vocabulary, E)
        self.encoder = Recurrent(E, H, cell, layers, bidirectional=bidirectional)
        C = self.encoder.outputs
        self.recurrent = Recurrent(E + C * feed, H, cell, layers)
        alike = not (bidirectional or feed)
        self.bridges = nn.ModuleDict({} if alike else {part: nn.Linear(C, H) for part in self.recurrent.parts})
        self.readout = nn.Linear(H + E + C, 2 * E) if feed else None
        self.out = nn.Linear(E if feed else H, x.vocabulary)

    # The source

    def read(self, source: Tensor | None, noise: Noise | None = None) -> EncoderOutput:
        assert source is not None  # `asked` has checked it
        mask_BS = source != PAD
        e_BSE = self.drop(self.source_embedding(reverse_source(source, mask_BS) if self.reverse else source), noise)
        _, last = self.encoder(e_BSE, mask_BS, dropout=self.dropout, noise=noise)
        memory = {part: self.bridges[part](c_BKC) if part in self.bridges else c_BKC for part, c_BKC in last.items()}
        if "h_BKH" in self.bridges:
            memory["h_BKH"] = memory["h_BKH"].tanh()
        return memory | {"context_BC": last["h_BKH"][:, -1]} if self.feed else memory

    # All tokens

    def logits(self, x_BL: Tensor, memory: EncoderOutput, noise: Noise | None = None) -> Tensor:
        given_BL = shift_right(x_BL)
        if noise is not None and self.share(noise.progress):
            given_BL = self.scheduled_sampling(given_BL, memory, noise)
        e_BLE = self.drop(self.embedding(given_BL), noise)
        inputs_BLI = self.with_context(e_BLE, memory)
        h_BLH, _ = self.recurrent(inputs_BLI, state=self.start(memory, len(x_BL)), dropout=self.dropout, noise=noise)
        return self.scores(self.drop(h_BLH, noise), e_BLE, memory)

    def with_context(self, e_BLE: Tensor, memory: EncoderOutput) -> Tensor:
        """[e_t; c] at each step, (B, L, E + C), or e_t alone where the context is not fed."""
        return torch.cat([e_BLE, along(memory["context_BC"], e_BLE)], 2) if self.feed else e_BLE

    def scores(self, h_BLH: Tensor, e_BLE: Tensor, memory: EncoderOutput) -> Tensor:
        """Scores of the next token, (B, L, V)."""
        if self.readout is not None:
            both_BL2E = self.readout(torch.cat([h_BLH, e_BLE, along(memory["context_BC"], e_BLE)], 2))
            h_BLH = both_BL2E.unflatten(2, (2, -1)).amax(2)
        return self.out(h_BLH)

    # One token further

    def start(self, memory: EncoderOutput, n: int) -> DecoderCache:
        return {part: memory[part] for part in self.recurrent.parts}

    def step(self, token_B: Tensor, state: DecoderCache, memory: EncoderOutput) -> tuple[Tensor, DecoderCache]:
        e_B1E = self.embedding(token_B)[:, None]
        h_BH, state = self.recurrent.step(self.with_context(e_B1E, memory)[:, 0], state)
        return self.scores(h_BH[:, None], e_B1E, memory)[:, 0], state

    # Scheduled sampling

    def share(self, progress: float) -> float:
        """The probability of a token of the model's own after so much of training, from 0 to 1.

        Example:
            >>> model = Seq2Seq(Tokens(4, 5), Tokens(4, 6), hidden=2, sampling=0.5)
            >>> [round(model.share(progress), 3) for progress in (0, 0.25, 0.46, 0.75, 1)]
            [0.005, 0.054, 0.249, 0.474, 0.498]
        """
        if self.sampling_schedule == "linear":
            return self.sampling * progress
        return self.sampling * (1 - 100 / (100 + math.exp(10 * progress)))

    @torch.no_grad()
    def scheduled_sampling(self, given_BL: Tensor, memory: EncoderOutput, noise: Noise) -> Tensor:
        """What the decoder is given, (B, L), some tokens of it replaced by draws from what the model says there; PAD stays."""
        own_BL, u_BL = noise.uniform(given_BL.shape[1]) < self.share(noise.progress), noise.uniform(given_BL.shape[1])
        token_B, state, given = given_BL[:, 0], self.start(memory, len(given_BL)), [given_BL[:, 0]]
        for t in range(1, given_BL.shape[1]):
            logits_BV, state = self.step(token_B, state, memory)
            cdf_BW = self.log_p(logits_BV).exp().cumsum(1)
            drawn_B = (cdf_BW <= u_BL[:, t, None] * cdf_BW[:, -1:]).sum(1).clamp(max=cdf_BW.shape[1] - 1) + self.first
            token_B = torch.where(own_BL[:, t] & (given_BL[:, t] != self.tokens.pad), drawn_B, given_BL[:, t])
            given.append(token_B)
        return torch.stack(given, 1)

    # To be looked at

    def cell_inputs(self, x_BL: Tensor, memory: EncoderOutput) -> Tensor:
        return self.with_context(self.embedding(shift_right(x_BL)), memory)


def reverse_source(source_BS: Tensor, mask_BS: Tensor) -> Tensor:
    """The tokens of each row from its last to its first; what fills it stays behind.

    Example:
        >>> source = torch.tensor([[4, 5, 6, 1], [7, 1, 0, 0]])
        >>> reverse_source(source, source != 0).tolist()
        [[1, 6, 5, 4], [1, 7, 0, 0]]
    """
    place_S = torch.arange(source_BS.shape[1], device=source_BS.device)
    mirrored_BS = mask_BS.sum(1, keepdim=True) - 1 - place_S
    return torch.where(mask_BS, source_BS.gather(1, mirrored_BS.clamp(min=0)), source_BS)


def along(context_BC: Tensor, e_BLE: Tensor) -> Tensor:
    """The context at each step, (B, L, C)."""
    return context_BC[:, None].expand(-1, e_BLE.shape[1], -1)


__getattr__ = renamed.stayed(__name__)  # names that are called otherwise now, or are elsewhere
