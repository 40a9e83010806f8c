"""The base of models of p(x | source) = prod_t p(x_t | x_<t, source), where x is a sequence of tokens; decoding, written once.

A context that is full starts again from its newest half, in every sampler; running text is scored by the same rule, which its protocol
names.

Shapes: B examples, L tokens of x, V tokens in the vocabulary, W of them that may be drawn (the last ones), K hypotheses of a beam.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Literal, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from pofx.errors import UserError
from pofx.kinds import PAD, Kind, Tokens
from pofx.model import Model, unconditional
from pofx.options import NonNegative, Range, Size, annotations_of, check_value
from pofx.plan import Batch, Part, Ratio
from pofx.randomness import Noise

EncoderOutput = dict[str, Tensor]  # what a model keeps of its source, batch first
DecoderCache = dict[str, Tensor]  # what it keeps of the tokens that it has read, batch first
Sampler = Literal["cached", "naive"]


def shift_right(x_BL: Tensor) -> Tensor:
    """What stands before each token: PAD before the first, and then the token before.

    Example:
        >>> shift_right(torch.tensor([[5, 6, 1]])).tolist()
        [[0, 5, 6]]
    """
    return F.pad(x_BL, (1, 0), value=PAD)[:, :-1]


class Decoder(Model):
    """A model that says what the next token may be, in one pass over all tokens of x and one token at a time.

    A subclass defines `logits`, `start` and `step`; where x is given a source, also `read`. Both ways of computing say the same.

    References:
        Sequence to Sequence Learning with Neural Networks (Sutskever, Vinyals & Le, 2014), arXiv 1409.3215: beam search
        Google's Neural Machine Translation System (Wu et al., 2016), arXiv 1609.08144: length penalty
        The Curious Case of Neural Text Degeneration (Holtzman et al., 2020), arXiv 1904.09751: top-p

    Args:
        x: sequences of tokens
        source: the kind of what x is given, if it is given something
    """

    context: int | None = None  # most tokens that one pass takes; None: any number
    smoothing: float = 0.0  # share of the target that label smoothing gives to all tokens alike
    dropout: float = 0.0  # share of numbers that `drop` sets to 0 in training

    def __init__(self, x: Tokens, source: Kind | None = None):
        super().__init__()
        self.tokens, self.source = x, source
        self.first = x.eos if x.ends else x.first  # the first token that may be drawn

    def read(self, source: Tensor | None, noise: Noise | None = None) -> EncoderOutput:
        """What the model keeps of the source (B, ...), every tensor batch first. `noise` is there in training."""
        return {}

    @abstractmethod
    def logits(self, x_BL: Tensor, memory: EncoderOutput, noise: Noise | None = None) -> Tensor:
        """Scores of what each token of x may be, given those before it, (B, L, V). `noise` is there in training."""

    @abstractmethod
    def start(self, memory: EncoderOutput, n: int) -> DecoderCache:
        """The state of `n` sequences of which nothing has been read, every tensor batch first."""

    @abstractmethod
    def step(self, token_B: Tensor, state: DecoderCache, memory: EncoderOutput) -> tuple[Tensor, DecoderCache]:
        """Read one token further (PAD at first): scores of the next, (B, V), and the new state; the old one may be overwritten."""

    def drop(self, h: Tensor, noise: Noise | None) -> Tensor:
        """`h` (B, ...), in training with some of it dropped."""
        return h if noise is None else noise.dropout(h, self.dropout)

    def log_p(self, logits_V: Tensor) -> Tensor:
        """log probabilities (..., W) of the tokens from `first`, of scores (..., V): nothing else is ever drawn."""
        return logits_V[..., self.first :].log_softmax(-1)

    def nll(self, x_BL: Tensor, memory: EncoderOutput, noise: Noise | None = None) -> dict[str, Part]:
        """The loss of x: nats a token, and in training what label smoothing adds to them."""
        logits_BLW = self.logits(x_BL, memory, noise)[..., self.first :]
        counted_BL = x_BL != self.tokens.pad
        log_p_BLW = logits_BLW.to(torch.promote_types(logits_BLW.dtype, torch.float32)).log_softmax(-1)
        at_BL = (x_BL - self.first).clamp(min=0)
        nll_BL = -log_p_BLW.gather(-1, at_BL[..., None])[..., 0] * counted_BL
        counted_B = counted_BL.sum(1)
        parts: dict[str, Part] = {"nll": Ratio(nll_BL.sum(1), counted_B)}
        if self.smoothing and noise is not None:
            uniform_BL = -log_p_BLW.mean(-1) * counted_BL
            parts["smoothing"] = Ratio(self.smoothing * (uniform_BL - nll_BL).sum(1), counted_B)
        return parts

    # Decoding

    @torch.no_grad()
    def stream(
        self,
        memory: EncoderOutput,
        n: int,
        *,
        generator: torch.Generator | None = None,
        prompt: Tensor | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float = 1.0,
        length: int | None = None,
        sampler: Sampler = "cached",
    ) -> Iterator[Tensor]:
        """The next token of each of `n` sequences, (n,), again and again until all have ended; arguments as in `TokenModel.sample`.

        The same uniform numbers give the same tokens, whatever the sampler.
        """
        like = self._like()
        length = self.tokens.length if length is None else length
        prompt_BP = torch.empty(n, 0, dtype=torch.int64, device=like.device) if prompt is None else prompt.expand(n, -1)
        u_BL = torch.rand(n, length, generator=generator, device=like.device, dtype=like.dtype)
        reader = Reader(self, memory, n, cached=sampler == "cached")
        logits_BV = reader.next(prompt_BP.new_full((n,), self.tokens.pad))
        for token_B in prompt_BP.unbind(1):
            logits_BV = reader.next(token_B)
        ended_B = torch.zeros(n, dtype=torch.bool, device=like.device)
        for t in range(prompt_BP.shape[1], length):
            log_p_BW = filter_logits(self.log_p(logits_BV), temperature, top_k, top_p)
            cdf_BW = log_p_BW.exp().cumsum(-1)
            drawn_B = (cdf_BW <= u_BL[:, t, None] * cdf_BW[:, -1:]).sum(-1).clamp(max=cdf_BW.shape[-1] - 1) + self.first
            token_B = drawn_B.masked_fill(ended_B, self.tokens.pad)
            yield token_B
            ended_B = ended_B | (token_B == self.tokens.eos)
            if t + 1 == length or ended_B.all():
                return
            logits_BV = reader.next(token_B)

    @torch.no_grad()
    def search(self, memory: EncoderOutput, n: int, *, beam: int = 1, length_penalty: float = 0.0, length: int | None = None) -> Tensor:
        """The best finished sequence that beam search finds for each of `n` rows of the memory, int64 (n, L).

        The best is the one of highest log p / ((5 + tokens) / 6)^length_penalty, its EOS counted. A hypothesis ends where its EOS is among
        the `beam` likeliest ways to go on; of those that reach `length`, all end. A row is left when nothing that is still open can become
        better than the best that has ended; with a beam of 1, when it has ended. A beam that drops nothing is exhaustive.

        Args:
            memory: from `read`
            n: how many rows it has
            beam: hypotheses that are kept of each row; 1 is greedy
            length_penalty: exponent; 0 compares log p as it is, more favours longer sequences
            length: most tokens, EOS counted; by default as many as x may have
        """
        like, V, first = self._like(), self.tokens.vocabulary, self.first
        length = self.tokens.length if length is None else length
        if not n:
            return torch.empty(0, 1, dtype=torch.int64, device=like.device)
        if not self.tokens.ends:
            raise UserError(f"{self.title()} was made for running text, which has no ends to search for: sample instead")
        if self.context is not None and length > self.context:
            raise UserError(f"length must be {self.context} or less for {self.title()}, not {length}")
        K, rows_B = beam, torch.arange(n, device=like.device)
        memory = {name: tensor.repeat_interleave(K, 0) for name, tensor in memory.items()}
        state, token = self.start(memory, n * K), rows_B.new_full((n * K,), self.tokens.pad)
        x_BKL = rows_B.new_full((n, K, length), self.tokens.pad)
        score_BK = torch.full((n, K), -math.inf, device=like.device, dtype=like.dtype)
        score_BK[:, 0] = 0  # of one hypothesis: all are alike
        best_B, found_BL = score_BK.new_full((n,), -math.inf), x_BKL[:, 0].clone()
        for t in range(length):
            logits, state = self.step(token, state, memory)
            log_p_BKW = self.log_p(logits).unflatten(0, (-1, K)) + score_BK[..., None]
            end_BK = log_p_BKW[..., 0]  # EOS comes first of all that may be drawn
            if t + 1 < length:
                end_BK = end_BK.masked_fill(end_BK < log_p_BKW.flatten(1).topk(K, dim=1).values[:, -1:], -math.inf)
            value_B, k_B = (end_BK / penalty(t + 1, length_penalty)).max(1)
            better_B = value_B > best_B[rows_B]
            improved_B = rows_B[better_B]
            best_B[improved_B] = value_B[better_B]
            found_BL[improved_B] = x_BKL[better_B, k_B[better_B]]
            found_BL[improved_B, t] = self.tokens.eos
            if t + 1 == length:
                break
            score_BK, flat_BK = log_p_BKW[..., 1:].flatten(1).topk(K, dim=1)
            parent_BK = flat_BK // (V - first - 1)
            open_B = score_BK[:, 0] / penalty(length, length_penalty) > best_B[rows_B]  # the best that it could become
            if K == 1:
                open_B &= end_BK[:, 0].isinf()
            left_b = open_B.nonzero()[:, 0]
            if not len(left_b):
                break
            score_BK, flat_BK, parent_BK = score_BK[left_b], flat_BK[left_b], parent_BK[left_b]
            x_BKL = x_BKL[left_b[:, None], parent_BK]
            x_BKL[..., t] = flat_BK % (V - first - 1) + first + 1
            token = x_BKL[..., t].flatten()
            if K > 1 or len(left_b) < len(rows_B):
                state = {name: tensor[(left_b[:, None] * K + parent_BK).flatten()] for name, tensor in state.items()}
            if len(left_b) < len(rows_B):
                memory = {name: tensor.unflatten(0, (-1, K))[left_b].flatten(0, 1) for name, tensor in memory.items()}
                rows_B = rows_B[left_b]
        return found_BL[:, : max(1, int((found_BL != self.tokens.pad).sum(1).max()))]

    def _like(self) -> Tensor:
        """A tensor on the device and of the precision of the model."""
        return next(t for t in self.state_dict().values() if t.is_floating_point())


class Reader:
    """A decoder that reads tokens one after another and says what the next may be.

    Where more tokens come than its `context`, it starts again from the newest half of them: what comes next always depends on
    between half and all of `context` tokens.

    Args:
        decoder: whose steps are taken
        memory: of the source
        n: sequences
        cached: take steps; else the whole network runs over all tokens for each
    """

    def __init__(self, decoder: Decoder, memory: EncoderOutput, n: int, *, cached: bool = True):
        self.decoder, self.memory, self.n, self.cached = decoder, memory, n, cached
        self.read: list[Tensor] = []  # the inputs since the last start: PAD, then tokens
        self.state = decoder.start(memory, n) if cached else {}

    def next(self, token_B: Tensor) -> Tensor:
        """Scores of what comes after `token_B`, the newest token, (n, V)."""
        limit = self.decoder.context
        if limit is not None and len(self.read) == limit:
            again = [torch.full_like(token_B, self.decoder.tokens.pad), *self.read[limit - limit // 2 + 1 :]] if limit > 1 else []
            self.read, self.state = [], self.decoder.start(self.memory, self.n) if self.cached else {}
            for old_B in again:
                self._step(old_B)
        return self._step(token_B)

    def _step(self, token_B: Tensor) -> Tensor:
        self.read.append(token_B)
        if self.cached:
            logits_BV, self.state = self.decoder.step(token_B, self.state, self.memory)
            return logits_BV
        x_BL = torch.stack([*self.read[1:], torch.full_like(token_B, self.decoder.tokens.pad)], 1)  # what the last one is does not matter
        return self.decoder.logits(x_BL, self.memory)[:, -1]


def filter_logits(log_p_BW: Tensor, temperature: float, top_k: int | None, top_p: float) -> Tensor:
    """log probabilities (B, W) at a temperature, of the likeliest tokens only; they sum to 1 again.

    Args:
        log_p_BW: log probabilities
        temperature: what they are divided by; 0 leaves the likeliest token alone
        top_k: only so many of the likeliest; None: all
        top_p: only the likeliest that together have this probability: the fewest that reach it

    Example:
        >>> p = torch.tensor([[0.5, 0.25, 0.125, 0.125]], dtype=torch.float64)
        >>> filter_logits(p.log(), 1.0, None, 0.75).exp().round(decimals=3).tolist()
        [[0.667, 0.333, 0.0, 0.0]]
        >>> filter_logits(p.log(), 0.5, 2, 1.0).exp().round(decimals=3).tolist()
        [[0.8, 0.2, 0.0, 0.0]]
    """
    W = log_p_BW.shape[-1]
    if temperature == 0:
        top_k, temperature = 1, 1.0
    log_p_BW = log_p_BW - log_p_BW.amax(-1, keepdim=True)  # so that the likeliest is divided into 0, however small what divides
    log_p_BW = log_p_BW / max(temperature, torch.finfo(log_p_BW.dtype).tiny)
    if (top_k is None or top_k >= W) and top_p >= 1:
        return log_p_BW.log_softmax(-1)
    sorted_BW, order_BW = log_p_BW.log_softmax(-1).sort(dim=-1, descending=True, stable=True)
    if top_k is not None:
        sorted_BW = sorted_BW.masked_fill(torch.arange(W, device=sorted_BW.device) >= top_k, -math.inf).log_softmax(-1)
    p_BW = sorted_BW.exp()
    sorted_BW = sorted_BW.masked_fill(p_BW.cumsum(-1) - p_BW >= top_p, -math.inf) if top_p < 1 else sorted_BW  # the mass before it
    return torch.empty_like(sorted_BW).scatter(-1, order_BW, sorted_BW).log_softmax(-1)


def penalty(tokens: int, exponent: float) -> float:
    """What a log probability of so many tokens is divided by: ((5 + tokens) / 6)^exponent (Wu et al., 2016, arXiv 1609.08144)."""
    return ((5 + tokens) / 6) ** exponent


class TokenModel(Decoder):
    """A `Decoder` with its exact density: log p(x | source) of tokens with their EOS; of x without one, that of such a beginning.

    So the probabilities of all x of at most `length` tokens and of all beginnings of `length` tokens sum to 1.

    Args:
        x: sequences of tokens
        source: the kind of what x is given, if it is given something
    """

    density: ClassVar = "exact"

    def conditionals(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        """log p(x_t | x_<t, source) of each token, in nats, (B, L); 0 where there is PAD. Their sum is `log_prob`."""
        check_field(self, "x", x)
        if self.context is not None and x.shape[1] > self.context:
            raise UserError(f"{self.title()} takes at most {self.context} tokens at once, not {x.shape[1]}: cut x into windows")
        memory = self.read(self.asked(given, len(x)))
        log_p_BLW = self.log_p(self.logits(x, memory))
        at_BL = (x - self.first).clamp(min=0)
        return log_p_BLW.gather(-1, at_BL[..., None])[..., 0].masked_fill(x == self.tokens.pad, 0)

    def log_prob(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        """Exact log p(x | source) of x (B, L), int64, given sources (B, ...) where the model takes them, in nats, (B,)."""
        return self.conditionals(x, given=given).sum(1)

    def dependency_matrix(self) -> Tensor:
        """Whether the conditional of token i may depend on token j, bool (L, L)."""
        return torch.ones(self.tokens.length, self.tokens.length, dtype=torch.bool).tril(-1)

    def loss(self, batch: Batch, noise: Noise) -> dict[str, Part]:
        """The negative log-likelihood, in nats a token."""
        training = noise if self.training else None  # what is validated is the whole network
        return self.nll(batch["x"], self.read(batch.get("source"), training), training)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        *,
        given: Tensor | None = None,
        generator: torch.Generator | None = None,
        prompt: Tensor | None = None,
        temperature: NonNegative = 1.0,
        top_k: Size | None = None,
        top_p: Annotated[float, Range(0, 1, above=True)] = 1.0,
        length: Size | None = None,
        sampler: Sampler = "cached",
    ) -> Tensor:
        """Draw x, int64 (n, L): PAD after EOS, as long as the longest.

        Args:
            n: how many
            given: sources (n, ...), where the model takes them
            generator: of the draws
            prompt: tokens that x begins with, (P,) or (n, P)
            temperature: below 1 the likely becomes likelier; 0 always takes the likeliest token
            top_k: draw from so many of the likeliest tokens only
            top_p: draw from the fewest of the likeliest tokens that together have this probability
            length: most tokens, the prompt counted; by default as many as x may have
            sampler: cached computes only what the newest token changes; naive runs the whole network for each. Both draw the same
        """
        check_options(self.sample, temperature=temperature, top_k=top_k, top_p=top_p, length=length, sampler=sampler)
        beginning = torch.empty(n, 0, dtype=torch.int64)
        if prompt is not None:
            check_field(self, "prompt", prompt if prompt.dim() > 1 else prompt[None])
            if prompt.dim() > 1 and len(prompt) not in (1, n):
                raise UserError(f"the prompt has {len(prompt)} rows for {n} examples: give as many, or one for all")
            beginning = prompt.expand(n, -1)
            if (beginning < (first := self.tokens.first)).any():
                raise UserError(f"the prompt has ended: give tokens of an ordinary kind alone, from {first}, without EOS or PAD")
            if beginning.shape[1] >= (length or self.tokens.length):
                raise UserError(
                    f"the prompt has {beginning.shape[1]} tokens, and x is to have {length or self.tokens.length}: pass a longer --length"
                )
        drawn = self.stream(
            self.read(self.asked(given, n)), n, generator=generator, prompt=prompt, temperature=temperature, top_k=top_k, top_p=top_p,
            length=length, sampler=sampler,
        )  # fmt: skip
        return torch.cat([beginning.to(self._like().device), torch.stack(list(drawn), 1)], 1)

    def asked(self, given: Tensor | None, n: int) -> Tensor | None:
        """`given`, checked: the sources of `n` examples, or None where the model takes none."""
        if self.source is None:
            unconditional(self, given)
            return None
        if given is None:
            raise UserError(f"{self.title()} is a p(x | source): give the source, {self.source}")
        check_field(self, "source", given)
        if len(given) != n:
            raise UserError(f"{n} examples need as many sources, not {len(given)}")
        return given


def check_options(method: Callable[..., Any], **values: Any) -> None:
    """Raise a UserError unless each of these arguments of `method` is what its annotation allows."""
    annotations = annotations_of(getattr(method, "__func__", method))
    for name, value in values.items():
        check_value(name, annotations[name], value)


def check_field(model: Model, name: str, values: Tensor) -> None:
    """Raise a UserError unless `values` (B, ...) are of the kind that the model was made for.

    Args:
        model: what is asked
        name: "x", "source", or "prompt", which is the beginning of an x
        values: tokens, pictures or other numbers
    """
    kind, title = model.inputs["source" if name == "source" else "x"], model.title()
    kind.check(values, name=name, model=title, strict=name == "x")
    if kind.text:
        eos = cast(Tokens, kind).eos
        if name != "prompt" and not values.shape[1]:
            raise UserError(f"{name} has no tokens, and its rows need a place for one: an empty text is EOS ({eos}), and PAD is 0")
        if name == "source" and values.shape[1] > kind.size:  # its PAD have places too
            raise UserError(f"{title} was made for a source of at most {kind.size} tokens, not {values.shape[1]}: shorten it")
