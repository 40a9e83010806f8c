"""The recurrent language model.

Shapes: B rows, L tokens, V tokens in the vocabulary, E numbers of a token's embedding, H hidden units, K layers.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from pofx.bases.token_model import DecoderCache, EncoderOutput, TokenModel, shift_right
from pofx.errors import UserError
from pofx.kinds import Tokens
from pofx.layers.recurrent import Cell, Recurrent
from pofx.options import Dropout, Size
from pofx.randomness import Noise


class RecurrentLM(TokenModel):
    """Recurrent language model: a state h that reads one token after another, and says what the next may be.

    h_t = cell(E x_{t-1}, h_{t-1});  p(x_t | x_<t) = softmax(W h_t + b)

    Each row, and so each window of running text, is read from a state of zeros.

    References:
        Recurrent neural network based language model (Mikolov et al., 2010), Interspeech
        Generating Sequences With Recurrent Neural Networks (Graves, 2013), arXiv 1308.0850: LSTMs, character by character
        Recurrent Neural Network Regularization (Zaremba et al., 2014), arXiv 1409.2329: dropout between layers, never between steps
        Using the Output Embedding to Improve Language Models (Press & Wolf, 2017), arXiv 1608.05859: tied weights

    Args:
        x: sequences of tokens
        cell: rnn (tanh), relu, lstm, gru, or gru_cho, whose reset gate comes before the product
        hidden: units of each layer
        layers: one over the other
        embedding: numbers of each token's embedding; as many as hidden where left out
        dropout: share of the embeddings, and of every layer's outputs, that is dropped in training
        tie: one matrix is both the embedding and W; it needs an embedding as wide as hidden

    Example:
        >>> import torch
        >>> model = RecurrentLM(Tokens(vocabulary=4, length=3), hidden=8)
        >>> model.conditionals(torch.tensor([[2, 3, 1], [3, 1, 0]])).shape, list(model.gates(torch.tensor([[2, 3, 1]])))
        (torch.Size([2, 3]), ['input', 'forget', 'candidate', 'output', 'cell', 'hidden'])
    """

    paper: ClassVar = ("Mikolov et al.", 2010, "Interspeech 2010")
    small: ClassVar = {"hidden": 6, "layers": 2, "dropout": 0.2}

    def __init__(
        self,
        x: Tokens,
        *,
        cell: Cell = "lstm",
        hidden: Size = 256,
        layers: Size = 1,
        embedding: Size | None = None,
        dropout: Dropout = 0.0,
        tie: bool = False,
    ):
        super().__init__(x)
        width = embedding or hidden
        if tie and width != hidden:
            raise UserError(f"{self.title()}: tie needs an embedding as wide as hidden, {hidden}, not {width}: remove embedding")
        self.dropout = dropout
        self.embedding = nn.Embedding(x.vocabulary, width)
        self.recurrent = Recurrent(width, hidden, cell, layers)
        self.out = nn.Linear(hidden, x.vocabulary)
        nn.init.normal_(self.embedding.weight, std=hidden**-0.5)
        if tie:
            self.out.weight = self.embedding.weight

    def logits(self, x_BL: Tensor, memory: EncoderOutput, noise: Noise | None = None) -> Tensor:
        e_BLE = self.drop(self.embedding(shift_right(x_BL)), noise)
        h_BLH, _ = self.recurrent(e_BLE, dropout=self.dropout, noise=noise)
        return self.out(self.drop(h_BLH, noise))

    def start(self, memory: EncoderOutput, n: int) -> DecoderCache:
        return self.recurrent.start(n, self.embedding.weight)

    def step(self, token_B: Tensor, state: DecoderCache, memory: EncoderOutput) -> tuple[Tensor, DecoderCache]:
        h_BH, state = self.recurrent.step(self.embedding(token_B), state)
        return self.out(h_BH), state

    def gates(self, x: Tensor, layer: int = -1) -> dict[str, Tensor]:
        """The gates of a layer that predict each token of x (B, L), by name, (B, L, H) each; `hidden`, and of an LSTM `cell`, among them.

        Args:
            x: tokens
            layer: which, from 0; -1: the last
        """
        return self.recurrent.gates(self.embedding(shift_right(x)), layer=layer)
