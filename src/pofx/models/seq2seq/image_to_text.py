"""Pictures read as text, p(x | picture): an encoder and a decoder that are trained together, apart, or apart and then together.

Shapes: B examples, C channels, R rows and W columns of a picture; S places that the decoder sees, E numbers at each; L tokens, V tokens in
the vocabulary, D width of the decoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx import renamed
from pofx.bases.token_model import DecoderCache, EncoderOutput, check_field, shift_right
from pofx.bases.translator import Translator
from pofx.errors import UserError
from pofx.kinds import Binary, Image, Tokens
from pofx.layers.attention import General
from pofx.layers.bodies import ChannelsLast
from pofx.layers.recurrent import Recurrent
from pofx.layers.transformer import Positions, Stack, place
from pofx.options import Count, Dropout, Range, Size
from pofx.plan import Batch, Part, Player, Stage
from pofx.randomness import Noise


class PictureReader(Translator):
    """Reader: an encoder makes places of a picture, a decoder attends to them and writes text, token after token.

    Convolutions make columns of the picture; a `recurrent` encoder reads them from both sides. What the decoder reads (`decoder_input`) is

        columns   each of them: it looks at one after the other, and where it looks can be drawn
        vector    one vector m = tanh(W columns), which is learned with the rest
        code      c_i = sigmoid(W columns of part i), bits fixed by hand (`context`), such as which digit stands where

    and with s_t its state after the tokens before x_t, the recurrent decoder is

        a_ti = softmax_i(s_t' W m_i)     o_t = tanh(U [s_t; sum_i a_ti m_i])     p(x_t | x_<t, picture) = softmax(V o_t)

    Through a code the two can be trained apart: the encoder from the picture to the code, by the cross-entropy of its bits, and the decoder
    from the true code to the text. Neither then depends on the other's errors, until they are trained together: the loss of the text,
    through the code that the encoder gives. Trained apart, neither loss is that of the reader, so none is validated: the last weights are
    kept.

    In training, a convolution's outputs are normalised over the batch (by batch statistics).

    References:
        Show and Tell: A Neural Image Caption Generator (Vinyals, Toshev, Bengio & Erhan, 2015), arXiv 1411.4555
        Show, Attend and Tell: Neural Image Caption Generation with Visual Attention (Xu et al., 2015), arXiv 1502.03044
        An End-to-End Trainable Neural Network for Image-based Sequence Recognition (Shi, Bai & Yao, 2015), arXiv 1507.05717: columns
        Effective Approaches to Attention-based Neural Machine Translation (Luong, Pham & Manning, 2015), arXiv 1508.04025: attention

    Args:
        x: texts
        source: pictures, of any height and width
        context: a code of each picture, fixed by hand: bits, (bits,) or (places from left to right, bits of each)
        encoder: conv, or recurrent: a bidirectional GRU over the columns that convolutions make
        decoder: recurrent (GRU), or transformer
        decoder_input: what the decoder reads of a picture: its columns, one learned vector, or the code that `context` fixes
        trained: encoder and decoder together, from picture to text; apart, each with the code as it is fixed by hand; or apart and then
            together. The last two need `decoder_input` code
        apart: share of all steps that they are trained apart, where they are trained together then
        channels: of each convolution; each halves the picture
        hidden: numbers at each place, and width of the decoder
        layers: of the decoder
        heads: of a transformer's attention
        dropout: probability that a number at a place, or of the decoder, is dropped in training
        shift: in training each picture is moved by up to so many pixels up or down and to a side; its border is repeated

    Example:
        >>> reader = PictureReader(Tokens(28, 6), Image(1, 28, 28), channels=(4, 8), hidden=8)
        >>> reader.translate(torch.rand(3, 1, 28, 28), length=6).shape[0]
        3
        >>> apart = PictureReader(Tokens(28, 6), Image(1, 28, 28), Binary(10), decoder_input="code", trained="apart_then_together")
        >>> [(stage.name, [player.name for player in stage.players], stage.until) for stage in apart.stages()]
        [('apart', ['encoder', 'decoder'], 0.5), ('together', ['image_to_text'], 1.0)]
    """

    paper: ClassVar = ("Vinyals et al.", 2015, "1411.4555")
    small: ClassVar = {"channels": (3,), "hidden": 4, "dropout": 0.1, "shift": 1}

    def __init__(
        self,
        x: Tokens,
        source: Image,
        context: Binary | None = None,
        *,
        encoder: Literal["conv", "recurrent"] = "conv",
        decoder: Literal["recurrent", "transformer"] = "recurrent",
        decoder_input: Literal["columns", "vector", "code"] = "columns",
        trained: Literal["together", "apart", "apart_then_together"] = "together",
        apart: Annotated[float, Range(0, 0.99, above=True)] = 0.5,
        channels: tuple[Size, ...] = (32, 64, 128),
        hidden: Size = 128,
        layers: Size = 1,
        heads: Size = 4,
        dropout: Dropout = 0.0,
        shift: Count = 0,
    ):
        super().__init__(x, source)
        bits = (1, *context.dims)[-2:] if context is not None else None
        if decoder_input == "code" and (context is None or len(context.dims) > 2):
            raise UserError(
                f"{self.title()}: decoder_input code needs it as context: (bits,) or (places, bits) a picture; or decoder_input columns"
            )
        if trained != "together" and decoder_input != "code":
            raise UserError(
                f"{self.title()}: trained {trained} needs a code that is fixed by hand: decoder_input code, not {decoder_input}"
            )
        self.decoder_input, self.trained, self.apart, self.shift = decoder_input, trained, apart, shift
        places = {"columns": None, "vector": (1, hidden), "code": bits}[decoder_input]
        self.encoder = PictureEncoder(source, channels, hidden, recurrent=encoder == "recurrent", places=places, dropout=dropout)
        text = (x.vocabulary, hidden, layers, dropout)
        seen = self.encoder.places
        self.decoder = RecurrentDecoder(seen, *text) if decoder == "recurrent" else TransformerDecoder(seen, heads, x.length, *text)

    # Learning

    def stages(self) -> Sequence[Stage]:
        together = Stage("together", [Player(self.title(), [self], self.loss, key=renamed.stored(type(self)))])
        if self.trained == "together":
            return [together]
        encoder = Player("encoder", [self.encoder], self.encoder_loss)
        decoder = Player("decoder", [self.decoder], self.decoder_loss)
        if self.trained == "apart":
            return [Stage("apart", [encoder, decoder])]
        return [Stage("apart", [encoder, decoder], until=self.apart), together]

    def encoder_loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        """The encoder alone: cross-entropy of the code's bits, in nats, given the picture."""
        picture_BCRW = batch["source"]
        logits_BSE = self.encoder(self.shifted(picture_BCRW, noise), noise).to(picture_BCRW.dtype)
        c_BSE = batch["context"].view_as(logits_BSE)
        return {"cross_entropy": F.binary_cross_entropy_with_logits(logits_BSE, c_BSE, reduction="none").sum((1, 2))}

    def decoder_loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        """The decoder alone: nats a token of the text, given the code as it is fixed by hand."""
        c_BSE = batch["context"].view(-1, *self.encoder.places)
        return self.nll(batch["x"], self.decoder.memory(c_BSE), noise)

    def shifted(self, picture_BCRW: Tensor, noise: Noise | None) -> Tensor:
        """In training, each picture moved by up to `shift` pixels up or down and to a side; its border is repeated."""
        if not self.shift or noise is None or not self.training:
            return picture_BCRW
        _, C, R, W = picture_BCRW.shape
        by_B2 = noise.integers(2 * self.shift + 1, 2)
        rows_BR, columns_BW = (by_B2[:, i, None] + torch.arange(n, device=by_B2.device) for i, n in enumerate((R, W)))
        wide = F.pad(picture_BCRW, (self.shift,) * 4, mode="replicate")
        one_B, channel_C = torch.arange(len(wide), device=by_B2.device), torch.arange(C, device=by_B2.device)
        return wide[one_B[:, None, None, None], channel_C[:, None, None], rows_BR[:, None, :, None], columns_BW[:, None, None]]

    # Reading

    def read(self, source: Tensor | None, noise: Noise | None = None) -> EncoderOutput:
        assert source is not None  # of this model it always is given
        seen_BSE = self.encoder(self.shifted(source, noise), noise)
        return self.decoder.memory({"columns": seen_BSE, "vector": seen_BSE.tanh(), "code": seen_BSE.sigmoid()}[self.decoder_input])

    def logits(self, x_BL: Tensor, memory: EncoderOutput, noise: Noise | None = None) -> Tensor:
        return self.decoder.logits(x_BL, memory, noise if self.training else None)

    def start(self, memory: EncoderOutput, n: int) -> DecoderCache:
        return self.decoder.start(memory)

    def step(self, token_B: Tensor, state: DecoderCache, memory: EncoderOutput) -> tuple[Tensor, DecoderCache]:
        return self.decoder.step(token_B, state, memory)

    @torch.no_grad()
    def attention(self, x: Tensor, *, given: Tensor | None = None) -> dict[str, Tensor]:
        """Where the decoder looks as it writes each token of `x` (B, L): "decoder", weights of the places, (B, 1, L, S), 1 together.

        Args:
            x: texts
            given: their pictures
        """
        check_field(self, "x", x)
        return {"decoder": self.decoder.weights(x, self.read(self.asked(given, len(x))))[:, None]}


class PictureEncoder(nn.Module):
    """Convolutions that halve the picture, to its columns; with `recurrent`, a bidirectional GRU over them; with `places`, as many parts of
    the picture side by side, and one linear map of the columns of each."""

    def __init__(
        self, source: Image, channels: tuple[int, ...], hidden: int, *, recurrent: bool, places: tuple[int, ...] | None, dropout: float
    ):
        super().__init__()
        height, width = source.height, source.width
        layers: list[nn.Module] = [ChannelsLast()]
        for c_in, c_out in pairwise((source.channels, *channels)):
            kernel = 3 if len(layers) > 1 else 5
            layers += [nn.Conv2d(c_in, c_out, kernel, stride=2, padding=kernel // 2, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()]
            height, width = -(-height // 2), -(-width // 2)
        last = nn.Conv2d((source.channels, *channels)[-1], hidden, (height, 3), padding=(0, 1), bias=False)  # over the whole height
        self.columns = nn.Sequential(*layers, last, nn.BatchNorm2d(hidden), nn.ReLU())
        self.across = Recurrent(hidden, hidden, "gru", bidirectional=True) if recurrent else None
        E = 2 * hidden if recurrent else hidden
        self.places, self.dropout = places or (width, E), dropout
        self.wide = -(-width // self.places[0])  # columns of a part, rounded up
        self.head = nn.Linear(self.wide * E, self.places[1]) if places is not None else None

    def forward(self, picture_BCRW: Tensor, noise: Noise | None = None) -> Tensor:
        """What is seen of the picture at each place, (B, S, E)."""
        h_BSE = self.columns(picture_BCRW)[:, :, 0].transpose(1, 2)
        if self.across is not None:
            h_BSE, _ = self.across(h_BSE)
        if noise is not None and self.training:
            h_BSE = noise.dropout(h_BSE, self.dropout)
        if self.head is None:
            return h_BSE
        parts_BSE = F.adaptive_avg_pool1d(h_BSE.transpose(1, 2), self.places[0] * self.wide).transpose(1, 2)
        return self.head(parts_BSE.unflatten(1, (-1, self.wide)).flatten(2))


class RecurrentDecoder(nn.Module):
    """A GRU that begins with a map of all places, and looks at them again before each token (Luong et al., 2015)."""

    def __init__(self, places: tuple[int, ...], vocabulary: int, width: int, layers: int, dropout: float):
        super().__init__()
        S, E = places
        self.place, self.embedding, self.dropout = Places(S, E, width), nn.Embedding(vocabulary, width), dropout
        self.begin, self.cells = nn.Linear(S * width, layers * width), Recurrent(width, width, "gru", layers)
        self.look = General(width, width) if S > 1 else None  # one place has all the weight
        self.out, self.last = nn.Linear(2 * width, width), nn.Linear(width, vocabulary)

    def memory(self, seen_BSE: Tensor) -> EncoderOutput:
        return {"m_BSD": self.place(seen_BSE)}

    def start(self, memory: EncoderOutput) -> DecoderCache:
        return {"h_BKH": self.begin(memory["m_BSD"].flatten(1)).tanh().unflatten(1, (len(self.cells.layers), -1))}

    def logits(self, x_BL: Tensor, memory: EncoderOutput, noise: Noise | None = None) -> Tensor:
        s_BLD, _ = self.cells(
            self._dropped(self.embedding(shift_right(x_BL)), noise), state=self.start(memory), dropout=self.dropout, noise=noise
        )
        return self._say(s_BLD, memory, noise)

    def step(self, token_B: Tensor, state: DecoderCache, memory: EncoderOutput) -> tuple[Tensor, DecoderCache]:
        s_BD, state = self.cells.step(self.embedding(token_B), state)
        return self._say(s_BD[:, None], memory)[:, 0], state

    def weights(self, x_BL: Tensor, memory: EncoderOutput) -> Tensor:
        s_BLD, _ = self.cells(self.embedding(shift_right(x_BL)), state=self.start(memory))
        return self._seen(s_BLD, memory)[1]

    def _seen(self, s_BLD: Tensor, memory: EncoderOutput) -> tuple[Tensor, Tensor]:
        m_BSD = memory["m_BSD"]
        return (m_BSD.expand_as(s_BLD), torch.ones_like(s_BLD[:, :, :1])) if self.look is None else self.look(s_BLD, m_BSD)

    def _say(self, s_BLD: Tensor, memory: EncoderOutput, noise: Noise | None = None) -> Tensor:
        o_BLD = self.out(torch.cat([s_BLD, self._seen(s_BLD, memory)[0]], 2)).tanh()
        return self.last(self._dropped(o_BLD, noise))

    def _dropped(self, h: Tensor, noise: Noise | None) -> Tensor:
        return h if noise is None else noise.dropout(h, self.dropout)


class TransformerDecoder(nn.Module):
    """Masked self-attention, and attention to the places (Vaswani et al., 2017); a single place is added to each token instead."""

    def __init__(self, places: tuple[int, ...], heads: int, length: int, vocabulary: int, width: int, layers: int, dropout: float):
        super().__init__()
        S, E = places
        self.place, self.embedding = Places(S, E, width), nn.Embedding(vocabulary, width)
        self.positions = Positions("sinusoidal", length, width)
        self.blocks = Stack(layers, width, heads, 4 * width, causal=True, source=S > 1, dropout=dropout)
        self.last, self.looks = nn.Linear(width, vocabulary), S > 1

    def memory(self, seen_BSE: Tensor) -> EncoderOutput:
        m_BSD = self.place(seen_BSE)
        return {"source_BKCNSE": torch.stack(self.blocks.read(m_BSD), 1)} if self.looks else {"m_BSD": m_BSD}

    def start(self, memory: EncoderOutput) -> DecoderCache:
        (first,) = memory.values()
        return self.blocks.start(len(first), first)

    def logits(self, x_BL: Tensor, memory: EncoderOutput, noise: Noise | None = None) -> Tensor:
        h_BLD = self.blocks(self._into(x_BL, memory), sources=self._sources(memory), noise=noise)
        return self.last(h_BLD)

    def step(self, token_B: Tensor, state: DecoderCache, memory: EncoderOutput) -> tuple[Tensor, DecoderCache]:
        t = place(state)
        h_BD = self.embedding(token_B) + self.positions.at(t)
        if not self.looks:
            h_BD = h_BD + memory["m_BSD"][:, 0]
        return self.last(self.blocks.step(h_BD, t, state, self._sources(memory))), state

    def weights(self, x_BL: Tensor, memory: EncoderOutput) -> Tensor:
        if not self.looks:
            return memory["m_BSD"].new_ones(*x_BL.shape, 1)
        found = self.blocks.weights(self._into(x_BL, memory), sources=self._sources(memory))
        return torch.stack([weights_BNLS.mean(1) for name, weights_BNLS in found.items() if name.startswith("source")]).mean(0)

    def _into(self, x_BL: Tensor, memory: EncoderOutput) -> Tensor:
        h_BLD = self.embedding(shift_right(x_BL)) + self.positions(x_BL.shape[1])
        return h_BLD if self.looks else h_BLD + memory["m_BSD"]

    def _sources(self, memory: EncoderOutput) -> list[Tensor] | None:
        return list(memory["source_BKCNSE"].unbind(1)) if self.looks else None


class Places(nn.Linear):
    """m_i = W e_i + b + p_i: the numbers at each place, and which place it is."""

    def __init__(self, S: int, E: int, width: int):
        super().__init__(E, width)
        self.position_SD = nn.Parameter(0.02 * torch.randn(S, width)) if S > 1 else None

    def forward(self, e_BSE: Tensor) -> Tensor:
        m_BSD = super().forward(e_BSE)
        return m_BSD if self.position_SD is None else m_BSD + self.position_SD
