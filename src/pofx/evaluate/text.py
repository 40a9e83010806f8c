"""What models of text are worth: nats a token, perplexity and bits a character of whole texts; translations beside references.

Shapes: N tokens of a running text, W of them in a window, B windows or examples, L tokens of x.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pofx.capabilities import Decodes, Encodes, Factorises, Scores, Translates, can, require
from pofx.data.blocks import BLOCK, Progress, chosen_rows, rows_record
from pofx.errors import UserError
from pofx.evaluate.likelihood import log_likelihood_of, log_probs
from pofx.evaluate.protocol import Score, environment, mean_score
from pofx.evaluate.registry import measure
from pofx.evaluate.request import Request, encoded
from pofx.inference.arguments import translating_options
from pofx.kinds import PAD
from pofx.model import Model, device_of, evaluating

if TYPE_CHECKING:
    from pofx.data.tokenizer import Tokenizer

AT_ONCE, SCORES = 2**14, 2**24  # tokens of windows that are scored together, and the numbers that a model says of them: one for each word
RESAMPLED = 1000  # times, for the interval of a corpus score
SENTENCES = 4  # tokens that a reference has on average, for BLEU, which counts n-grams of four
UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")  # scripts without spaces between words
MAKING = ("tokens", "vocabulary", "length", "shared", "tokenizers", "fields", "window", "stride")  # of data: how text became tokens


def running_text(split: Any, rows: int | None = None) -> np.ndarray:
    """All tokens of a split whose rows are windows of a running text, in order, int64 (N,).

    Args:
        split: of a data set whose x are `Tokens` that do not end
        rows: only as far as so many windows from the first reach
    """
    column = split.columns["x"]
    values, first = np.asarray(column.values), column.rows
    if values.strides[0] < values[0].nbytes:  # windows that overlap: each begins one token after the one before
        flat, stride = np.concatenate([values[:, 0], values[-1, 1:]]), 1
    else:
        flat, stride = values.reshape(-1), values.shape[1]
    if rows is not None:
        last = rows - 1 if first is None else int(first[rows - 1])
        flat = flat[: last * stride + values.shape[1]]
    return flat.astype(np.int64)


def running_log_probs(model: Model, tokens: np.ndarray, window: int, progress: Progress | None = None) -> np.ndarray:
    """log p of each token of a running text given those before it in its window, in nats, float64 (N,).

    Windows of `window` tokens begin half a window apart, and each token is scored in the first one that it is in. So what comes after
    the first window is predicted from at least half a window, and at most all of it but one token.

    Args:
        model: that has `conditionals`, of running text
        tokens: int64 (N,)
        window: W, no more than the model takes at once
        progress: called with (tokens done, N)
    """
    factorised = require(model, Factorises)
    N, text_N = len(tokens), torch.as_tensor(tokens, dtype=torch.int64)
    window = min(window, N)
    begins = [*range(0, N - window, max(1, window // 2)), N - window]
    together = max(1, min(AT_ONCE, SCORES // model.inputs["x"].levels) // window)
    log_p_N, done = np.zeros(N), 0
    with evaluating(model):
        for some in torch.tensor(begins).split(together):
            x_BL = torch.stack([text_N[begin : begin + window] for begin in some.tolist()]).to(device_of(model))
            for begin, log_p_L in zip(some.tolist(), factorised.conditionals(x_BL).double().cpu().numpy(), strict=True):
                log_p_N[done : begin + window] = log_p_L[done - begin :]
                done = begin + window
            if progress is not None:
                progress(done, N)
    return log_p_N


def context_rule(window: int) -> str:
    """What a protocol says of how much a token of running text is predicted from."""
    return f"windows of {window} tokens, {max(1, window // 2)} apart; each token in the first window that it is in"


def text_scores(
    model: Model,
    data: Any,
    *,
    split: str = "test",
    rows: int | np.ndarray | None = None,
    about: dict[str, Any] | None = None,
    **asked: Any,
) -> list[Score]:
    """log p, nats a token, perplexity, and bits a character where tokens are characters or byte pairs.

    log p of tokens with their EOS is exact. Under byte pairs a text has many tokenisations, and only that of the tokenizer is
    scored. So the bits a character are an upper bound, and are called one. EOS counts among the tokens and costs bits, but is no
    character.

    Args:
        model: that scores x of kind `Tokens`
        data: with the fields that the model was made for
        split: which of its splits; running text is scored whole, as `running_log_probs` does it
        rows: so many rows from the first, or the rows' numbers; by default all
        about: what the caller knows of the data and the weights, stored in the protocol
        asked: as in `pofx.evaluate.likelihood.log_probs`
    """
    require(model, Scores)
    kind, rows_of, tokenizer = model.inputs["x"], data.splits[split], data.tokenizers.get("x")
    if not kind.ragged and can(model, Factorises):
        if isinstance(rows, np.ndarray):
            raise UserError("a running text is scored whole: pass rows as a number of windows from the first, or remove them")
        tokens_N = running_text(rows_of, rows)
        (window,) = kind.shape
        values = running_log_probs(model, tokens_N, window, asked.get("progress"))
        protocol = {**(about or {}), "rows": rows, "context": context_rule(window), "density": model.density, **environment(model)}
        scores, counted, texts = [], np.ones(len(tokens_N)), [tokens_N]
    else:
        chosen = chosen_rows(rows_of, rows)
        given = "source" if "source" in model.inputs else None
        values, options = log_probs(model, rows_of, rows=rows, given=given, **asked)
        log_p = log_likelihood_of(model, values, chosen, seed=asked.get("seed", 0), options=options, given=given, about=about)
        x = [rows_of.read(some)["x"] for some in np.array_split(chosen, -(-len(chosen) // BLOCK))]
        counted, texts = np.concatenate([(x_BL != PAD).sum(1).numpy() for x_BL in x]), [x_L.numpy() for x_BL in x for x_L in x_BL]
        scores, protocol = [log_p], log_p.protocol
    given_it = " given source" if "source" in model.inputs else ""
    nats, error = ratio(-values, counted)
    error = error if kind.ragged else None
    of_tokens = {**protocol, "tokens": int(counted.sum())}
    scores.append(Score(f"nats per token{given_it}", nats, "nats", error, of_tokens))
    perplexity = math.exp(min(nats, 700.0))
    scores.append(Score(f"perplexity{given_it}", perplexity, "per token", None if error is None else perplexity * error, of_tokens))
    if tokenizer is not None and tokenizer.kind != "words":
        characters = np.array([len(tokenizer.decode(text)) for text in texts])
        exact = tokenizer.kind == "characters"
        of_text = {
            **untokenised(protocol, tokenizer),
            "characters": int(characters.sum()),
            "density": model.density if exact else "bound",
            "of": "the text" if exact else "one tokenisation of the text, a lower bound on its log p",
        }
        bits, error = (
            ratio(-values / math.log(2), characters) if kind.ragged else (nats * len(values) / math.log(2) / characters.sum(), None)
        )
        bound = "" if exact else ", upper bound"
        scores.append(Score(f"bits per character{given_it}{bound}", float(bits), "bits", error, of_text))
    return scores


def ratio(total: np.ndarray, counted: np.ndarray) -> tuple[float, float | None]:
    """Sum of `total` over sum of `counted`, and its standard error over examples.

    Example:
        >>> ratio(np.array([2.0, 4.0]), np.array([1, 2]))
        (2.0, 0.0)
    """
    value, n = float(total.sum() / counted.sum()), len(total)
    if n < 2:
        return value, None
    return value, float(math.sqrt(np.square(total - value * counted).sum() * n / (n - 1)) / counted.sum())


def untokenised(protocol: dict[str, Any], tokenizer: Tokenizer) -> dict[str, Any]:
    """A protocol of what does not depend on how text became tokens, which is recorded beside."""
    data = {name: value for name, value in protocol.get("data", {}).items() if name not in MAKING}
    about = {"kind": tokenizer.kind, "vocabulary": tokenizer.vocabulary, "sha256": tokenizer.sha256}
    return {**protocol, **({"data": data} if "data" in protocol else {}), "tokenizer": about}


# Translations


def translations(
    model: Model, split: Any, rows: np.ndarray, options: dict[str, Any] | None = None, progress: Progress | None = None
) -> list[np.ndarray]:
    """What the model makes of the sources of these rows, int64 (L,) each, without padding.

    Rows about as long are translated together, which changes speed and nothing else.

    Args:
        model: that translates
        split: with a field source
        rows: the rows' numbers
        options: keyword arguments of the model's `translate`
        progress: called with (rows done, rows in all)
    """
    translator = require(model, Translates)
    order = np.arange(len(rows))
    if model.inputs["source"].ragged:
        lengths = np.concatenate([(split.read(some)["source"] != PAD).sum(1).numpy() for some in _cut(rows)])
        order = np.argsort(lengths, kind="stable")
    found: list[np.ndarray] = [np.empty(0, np.int64)] * len(rows)
    done = 0
    with evaluating(model):
        for places in _cut(order):
            x_BL = translator.translate(split.read(rows[places])["source"].to(device_of(model)), **(options or {})).cpu()
            for place, x_L in zip(places.tolist(), x_BL, strict=True):
                found[place] = x_L[x_L != PAD].numpy()
            done += len(places)
            if progress is not None:
                progress(done, len(rows))
    return found


def translation_scores(
    model: Model,
    data: Any,
    *,
    split: str = "test",
    rows: int | np.ndarray | None = None,
    about: dict[str, Any] | None = None,
    progress: Progress | None = None,
    **asked: Any,
) -> list[Score]:
    """Translations beside their references: exact match; chrF, and of sentences BLEU, as sacrebleu computes them, with its signature.

    Both are of whole texts as they are decoded; BLEU is cased and lowercased, and `bleu_tokenizer` says by what. Where the references have
    fewer than four tokens on average it is left out, and a note says so; so is chrF, of pictures. The standard errors are those of 1000
    resamples of the sentences, whose 95 % interval is in the protocol.

    Args:
        model: that translates
        data: with fields x and source, and what made x into tokens
        split: which of its splits
        rows: as in `text_scores`
        about: likewise
        progress: called with (rows done, rows in all)
        asked: keyword arguments of the model's `translate`

    References:
        BLEU: a Method for Automatic Evaluation of Machine Translation (Papineni et al., 2002)
        A Call for Clarity in Reporting BLEU Scores (Post, 2018), arXiv 1804.08771
        chrF: character n-gram F-score for automatic MT evaluation (Popovic, 2015)
    """
    from sacrebleu.metrics import BLEU

    from pofx.evaluate.sacrebleu_private import ChrF, resampled_score

    tokenizer, rows_of, options = data.tokenizers["x"], data.splits[split], translating_options(model, asked)
    chosen = chosen_rows(rows_of, rows)
    found = [tokenizer.decode(x_L) for x_L in translations(model, rows_of, chosen, options, progress)]
    wanted = [tokenizer.decode(x_L) for some in _cut(chosen) for x_L in rows_of.read(some)["x"].numpy()]
    protocol = untokenised({**(about or {}), **rows_record(chosen), "sampling": options, **environment(model)}, tokenizer)
    same = np.array([one == other for one, other in zip(found, wanted, strict=True)], dtype=np.float64)
    scores = [mean_score("exact match", same, "share of examples", protocol)]
    tokenize = bleu_tokenizer(wanted)
    bleu: dict[str, Any] = {"BLEU": BLEU(tokenize=tokenize), "BLEU, lowercased": BLEU(tokenize=tokenize, lowercase=True)}
    each = sum(len(bleu["BLEU"].tokenizer(text).split()) for text in wanted) / len(wanted)
    notes = []
    if each < SENTENCES:
        left_out = "no BLEU" if model.inputs["source"].text else "neither BLEU nor chrF"
        notes = [f"{left_out}: the references have {each:.2g} tokens on average ({tokenize}), and BLEU counts n-grams of four"]
        if not model.inputs["source"].text:  # readings of labels
            return [replace(scores[0], note=notes[0])]
    if tokenizer.kind == "words":
        notes.append("the references are decoded from words: what is rare is <unknown> in them, and spaces are put where they usually are")
    resampled, note = {**(bleu if each >= SENTENCES else {}), "chrF2": ChrF()}, "; ".join(notes) or None
    for name, of in resampled.items():
        score = resampled_score(of, found, wanted, RESAMPLED)
        signature = str(of.get_signature())
        shown = json.loads(score.format(width=30, signature=signature, is_json=True))  # as text alone; and nothing where all are 0
        middle, half = shown.get("confidence_mean", 0.0), shown.get("confidence_var", 0.0)
        with_it = {**protocol, "signature": signature, "chosen": {"interval_95": [middle - half, middle + half]}}
        scores.append(Score(name, score.score, "of 100", half / 1.96, with_it, note))
    return scores


def bleu_tokenizer(texts: list[str]) -> str:
    """What sacrebleu makes tokens by: 13a; in scripts without spaces zh, of which each Chinese character is one, or char.

    Example:
        >>> [bleu_tokenizer([text]) for text in ("A red bike.", "红色的自行车。", "赤いじてんしゃ")]
        ['13a', 'zh', 'char']
    """
    scripts = Counter(unicodedata.name(character, "").split(" ")[0] for text in texts for character in text if character.isalpha())
    unspaced = sum(scripts[script] for script in UNSPACED)
    return "13a" if 2 * unspaced <= scripts.total() else "zh" if unspaced == scripts["CJK"] else "char"


def reconstruction_match(
    model: Model,
    split: Any,
    *,
    rows: int | np.ndarray | None = None,
    codes: Tensor | None = None,
    about: dict[str, Any] | None = None,
) -> tuple[Score, Score]:
    """How much of a text survives encode and decode: the share of texts that come back exactly, and that of tokens in their place.

    Args:
        model: that encodes and decodes x of kind `Tokens`
        split: a split of a data set
        rows: as in `text_scores`
        codes: of these rows, where somebody has them
        about: as in `text_scores`
    """
    _, decoder = require(model, Encodes), require(model, Decodes)
    chosen = chosen_rows(split, rows)
    z_of = (encoded(model, split, chosen) if codes is None else codes).split(BLOCK)
    whole: list[float] = []
    places: list[float] = []
    with evaluating(model):
        for some, z_Bd in zip(_cut(chosen), z_of, strict=True):
            x_BL = split.read(some)["x"].to(device_of(model))
            same_BL = padded(decoder.decode(z_Bd.to(x_BL.device)), x_BL.shape[1])[:, : x_BL.shape[1]] == x_BL
            there_BL = x_BL != PAD
            places += ((same_BL & there_BL).sum(1) / there_BL.sum(1)).tolist()
            whole += (same_BL | ~there_BL).all(1).double().tolist()
    protocol = {**(about or {}), **rows_record(chosen), **environment(model)}
    return (
        mean_score("reconstruction, exact match", np.array(whole), "share of examples", protocol),
        mean_score("reconstruction, tokens in place", np.array(places), "share of an example's tokens", protocol),
    )


def padded(x_BL: Tensor, length: int) -> Tensor:
    """`x` (B, L) with PAD behind it, as wide as `length` at least."""
    return torch.nn.functional.pad(x_BL, (0, max(0, length - x_BL.shape[1])), value=PAD)


def _cut(rows: np.ndarray) -> list[np.ndarray]:
    return np.split(rows, range(BLOCK, len(rows), BLOCK))


# As measures


@measure("log p of text", needs=(Scores,), when=lambda request: request.x.text, place=100)
def text_likelihoods(request: Request) -> list[Score]:
    """log p, nats a token, perplexity, bits a character."""
    return text_scores(
        request.model,
        request.data,
        split=request.split,
        seed=request.seed,
        rows=request.rows,
        about=request.about,
        unfinished=request.unfinished,
        progress=request.progress,
        **request.scoring,
    )


@measure("translations", needs=(Translates,), when=lambda request: "x" in request.data.tokenizers, place=200)
def translated(request: Request) -> list[Score]:
    """Translations beside their references."""
    return translation_scores(
        request.model,
        request.data,
        split=request.split,
        rows=request.rows,
        about=request.about,
        progress=request.progress,
        **request.translating,
    )


@measure("reconstruction of text", needs=(Encodes, Decodes), when=lambda request: request.x.text, place=300)
def text_reconstructions(request: Request) -> tuple[Score, Score]:
    """How much of a text survives encoding and decoding."""
    return reconstruction_match(request.model, request.rows_of, rows=request.rows, codes=request.codes, about=request.about)
