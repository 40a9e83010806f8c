"""The recurrent encoder-decoder with attention.

Shapes: B examples, L tokens of x, S tokens of the source, V tokens in the vocabulary of x, E numbers of an embedding, H hidden units, which
are also the width of what is attended to, K layers, A units of a score, I inputs of the decoder.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from pofx.bases.token_model import DecoderCache, EncoderOutput, shift_right
from pofx.bases.translator import RecurrentTranslator
from pofx.errors import UserError
from pofx.kinds import PAD, Tokens
from pofx.layers.attention import SCORES, Score
from pofx.layers.recurrent import Cell, Recurrent
from pofx.options import Dropout, Fraction, Size
from pofx.randomness import Noise

FIRST = "first_"  # in the names of the memory's tensors: the decoder's state before its first token


class Decoded(NamedTuple):
    """What a decoder made of all tokens: readouts (B, L, E), weights over the source (B, L, S), and its cells' inputs (B, L, I)."""

    r_BLE: Tensor
    weights_BLS: Tensor
    inputs_BLI: Tensor


class RecurrentAttention(RecurrentTranslator):
    """Encoder-decoder with attention: at each token of x the decoder looks at the source again, and chooses where.

    The encoder reads the source m = (m_1 .. m_S) and hands its last state to the decoder. With e_t the embedding of x_{t-1}, a softmax over
    the places of the source, and c a mean of m,

        Bahdanau (additive)                              Luong (dot, general, concat)

        a_t = softmax_s score(h_{t-1}, m_s)              h_t = cell(e_t, h_{t-1});  with input feeding, of [e_t; r_{t-1}]
        c_t = sum_s a_ts m_s                             a_t = softmax_s score(h_t, m_s)
        h_t = cell([e_t; c_t], h_{t-1})                  c_t = sum_s a_ts m_s
        r_t = tanh(W [h_t; c_t; e_t])                    r_t = tanh(W [h_t; c_t])

    and p(x_t | x_<t, source) = softmax(U r_t + b). The scores are

        additive  v^T tanh(W_q h + W_m m)    dot  h^T m    general  h^T W_g m    concat  v^T tanh(W_a [h; m])

    Without input feeding, Luong's attention comes after the cells, so that all tokens of training go through them in one pass; the others
    go token by token. Bahdanau's readout is a maxout network there, and his first state is a function of the encoder's.

    References:
        Neural Machine Translation by Jointly Learning to Align and Translate (Bahdanau et al., 2015), arXiv 1409.0473
        Effective Approaches to Attention-based Neural Machine Translation (Luong et al., 2015), arXiv 1508.04025
        Using the Output Embedding to Improve Language Models (Press & Wolf, 2017), arXiv 1608.05859: tied weights
        Rethinking the Inception Architecture for Computer Vision (Szegedy et al., 2016), arXiv 1512.00567: label smoothing

    Args:
        x: sequences of tokens
        source: sequences of tokens that x is given
        score: additive (Bahdanau), dot, general or concat (Luong)
        cell: of encoder and decoder: rnn (tanh), relu, lstm, gru, or gru_cho, whose reset gate comes before the product
        hidden: units of each layer of the decoder, and width of what the encoder makes of each token
        embedding: numbers of each token's embedding, and of the readout
        layers: of encoder and decoder
        bidirectional: half of the encoder's units read the source from its end
        input_feeding: the decoder's cells see the readout of the token before (Luong); additive has its own way to
        dropout: share of the embeddings, of the outputs of layers, and of the readouts that is dropped in training
        smoothing: share of the target that label smoothing gives to all tokens alike
        tie: one matrix is both the embedding of x and U

    Example:
        >>> model = RecurrentAttention(Tokens(9, 5), Tokens(7, 6), hidden=8, embedding=4)
        >>> x, source = torch.tensor([[2, 3, 1]]), torch.tensor([[4, 5, 6, 1, 0]])
        >>> weights = model.attention(x, given=source)["decoder"]
        >>> weights.shape, weights[0, 0, 0, 4].item()
        (torch.Size([1, 1, 3, 5]), 0.0)
    """

    paper: ClassVar = ("Bahdanau et al.", 2015, "1409.0473")
    small: ClassVar = {"hidden": 6, "embedding": 5, "dropout": 0.2, "smoothing": 0.1}

    def __init__(
        self,
        x: Tokens,
        source: Tokens,
        *,
        score: Score = "general",
        cell: Cell = "lstm",
        hidden: Size = 512,
        embedding: Size = 256,
        layers: Size = 1,
        bidirectional: bool = True,
        input_feeding: bool = False,
        dropout: Dropout = 0.2,
        smoothing: Fraction = 0.0,
        tie: bool = True,
    ):
        super().__init__(x, source)
        if bidirectional and hidden % 2:
            raise UserError(f"{self.title()}: hidden must be even, for half of it reads from either end, not {hidden}")
        if input_feeding and score == "additive":
            raise UserError(f"{self.title()}: additive attention comes before the cells, which see what it found: remove input_feeding")
        H, E = hidden, embedding
        self.dropout, self.smoothing, self.looks_first, self.feeds = dropout, smoothing, score == "additive", input_feeding
        self.source_embedding, self.embedding = nn.Embedding(source.vocabulary, E), nn.Embedding(x.vocabulary, E)
        self.encoder = Recurrent(E, H // 2 if bidirectional else H, cell, layers, bidirectional=bidirectional)
        self.score = SCORES[score](query=H, memory=H, hidden=H)
        self.recurrent = Recurrent(E + H * self.looks_first + E * self.feeds, H, cell, layers)
        self.readout = nn.Linear(2 * H + E * self.looks_first, E)
        self.out = nn.Linear(E, x.vocabulary)
        for table in (self.source_embedding, self.embedding):
            nn.init.normal_(table.weight, std=E**-0.5)
        if tie:
            self.out.weight = self.embedding.weight

    # The source

    def read(self, source: Tensor | None, noise: Noise | None = None) -> EncoderOutput:
        assert source is not None  # `asked` has checked it
        mask_BS = source != PAD
        m_BSH, last = self.encoder(self.drop(self.source_embedding(source), noise), mask_BS, dropout=self.dropout, noise=noise)
        m_BSH = self.drop(m_BSH, noise)
        return {"m_BSH": m_BSH, "mask_BS": mask_BS, "keys_BSA": self.score.keys(m_BSH)} | {FIRST + name: h for name, h in last.items()}

    def look(self, query_BLH: Tensor, memory: EncoderOutput) -> tuple[Tensor, Tensor]:
        """What queries find in the source, (B, L, H), and where, (B, L, S)."""
        return self.score(query_BLH, memory["m_BSH"], memory["mask_BS"], memory["keys_BSA"])

    # All tokens

    def logits(self, x_BL: Tensor, memory: EncoderOutput, noise: Noise | None = None) -> Tensor:
        e_BLE = self.drop(self.embedding(shift_right(x_BL)), noise)
        return self.out(self.drop(self.decoded(e_BLE, memory, noise).r_BLE, noise))

    def decoded(self, e_BLE: Tensor, memory: EncoderOutput, noise: Noise | None = None) -> Decoded:
        """What the decoder makes of embeddings."""
        state = self.start(memory, len(e_BLE))
        if self.looks_first or self.feeds:
            steps = []
            for e_BE in e_BLE.unbind(1):
                *step, state = self.further(e_BE, state, memory, noise)
                steps.append(step)
            return Decoded(*(torch.stack(parts, 1) for parts in zip(*steps, strict=True)))
        h_BLH, _ = self.recurrent(e_BLE, state=state, dropout=self.dropout, noise=noise)
        c_BLH, weights_BLS = self.look(h_BLH, memory)
        return Decoded(self.readout(torch.cat([h_BLH, c_BLH], 2)).tanh(), weights_BLS, e_BLE)

    # One token further

    def start(self, memory: EncoderOutput, n: int) -> DecoderCache:
        state = {name.removeprefix(FIRST): h for name, h in memory.items() if name.startswith(FIRST)}
        return state | {"r_BE": self.embedding.weight.new_zeros(n, self.embedding.embedding_dim)} if self.feeds else state

    def step(self, token_B: Tensor, state: DecoderCache, memory: EncoderOutput) -> tuple[Tensor, DecoderCache]:
        r_BE, _, _, state = self.further(self.embedding(token_B), state, memory)
        return self.out(r_BE), state

    def further(
        self, e_BE: Tensor, state: DecoderCache, memory: EncoderOutput, noise: Noise | None = None
    ) -> tuple[Tensor, Tensor, Tensor, DecoderCache]:
        """The readout (B, E), weights (B, S), inputs of the cells (B, I) and state of one token more."""
        if self.looks_first:
            c_B1H, weights_B1S = self.look(state["h_BKH"][:, -1:], memory)
            inputs_BI = torch.cat([e_BE, c_B1H[:, 0]], 1)
            h_BH, state = self.recurrent.step(inputs_BI, state, dropout=self.dropout, noise=noise)
            parts = [h_BH, c_B1H[:, 0], e_BE]
        else:
            inputs_BI = torch.cat([e_BE, state["r_BE"]], 1) if self.feeds else e_BE
            h_BH, state = self.recurrent.step(inputs_BI, state, dropout=self.dropout, noise=noise)
            c_B1H, weights_B1S = self.look(h_BH[:, None], memory)
            parts = [h_BH, c_B1H[:, 0]]
        r_BE = self.readout(torch.cat(parts, 1)).tanh()
        return r_BE, weights_B1S[:, 0], inputs_BI, {**state, "r_BE": r_BE} if self.feeds else state

    # To be looked at

    def attention(self, x: Tensor, *, given: Tensor) -> dict[str, Tensor]:
        """Where the decoder looked for each token of x (B, L), given sources (B, S): "decoder", (B, 1, L, S), rows that sum to 1."""
        memory = self.read(self.asked(given, len(x)))
        return {"decoder": self.decoded(self.embedding(shift_right(x)), memory).weights_BLS[:, None]}

    def cell_inputs(self, x_BL: Tensor, memory: EncoderOutput) -> Tensor:
        return self.decoded(self.embedding(shift_right(x_BL)), memory).inputs_BLI
