"""Text to tokens and back: characters, words, or byte-level byte pairs (Sennrich et al., 2016, arXiv 1508.07909).

Text is in Unicode's form NFC throughout. Characters and byte pairs give back exactly what came in. Words do not: they forget how they were
spaced, and those that are rare.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain, pairwise
from typing import Any, Literal

import numpy as np
import tokenizers
from tokenizers import Regex, models, pre_tokenizers, trainers

from pofx.errors import UserError

Tokens = Literal["characters", "words", "bpe"]

# The names of the special tokens, which no text is made into: PAD first and EOS last, as `pofx.kinds.Tokens` has them
OWN = ("<pad>", "<eos>")
OWN_MASKED = ("<pad>", "<mask>", "<eos>")
UNKNOWN = "<unknown>"
WORD = r"\w+(?:['’\-]\w+)*|\p{P}|[^\s\w\p{P}][^\s\p{L}\p{N}\p{P}]*"  # a word, a mark of punctuation, or a run of symbols, as emoji are
LEFT, RIGHT, QUOTES = set("([{“„‚‘¿¡#$£@/"), set(".,!?;:%)]}”’…/"), set("\"'")  # lean on what follows, on what precedes, or on either
CHUNK = 2**16  # characters of a long text that are tokenised at a time


def normal(text: str) -> str:
    """`text` in Unicode's form NFC, in which what looks the same is the same: 한 is one character, and not three.

    Raises:
        UserError: a character of it is none (U+D800 to U+DFFF): JSON may spell such halves, and bytes that are not UTF-8 come as such

    Example:
        >>> normal("ᄒ" + "ᅡ" + "ᆫ")
        '한'
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        what = f"the byte 0x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"half a character (U+{code:04X})"
        raise UserError(f"character {error.start + 1} is {what}, which is not text in UTF-8: write it anew, as UTF-8") from None
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


class Tokenizer:
    """Text to tokens and back.

    Args:
        kind: characters, words or bpe
        learned: of characters, all of them in order; else the record of the `tokenizers` package
        masked: the vocabulary has MASK (1) too, and EOS is 2

    Attributes:
        vocabulary: how many tokens there are, PAD (0) and EOS (1) among them
        own: what the special tokens are called, the first of all
        names: what each token is called: its text, or as much of it as is text

    Example:
        >>> tokenizer = Tokenizer.train("characters", ["삼백사십칠", "이십"])
        >>> tokenizer.vocabulary, tokenizer.encode("사백이십"), tokenizer.decode([4, 3, 7, 1, 0, 0])
        (8, [3, 2, 6, 5], '삼사칠')
    """

    def __init__(self, kind: Tokens, learned: Any, *, masked: bool = False):
        self.kind, self.learned, self.masked = kind, learned, masked
        self.own = OWN_MASKED if masked else OWN
        if kind == "characters":
            self.codes = _codes(learned)  # sorted
            self.names: tuple[str, ...] = (*self.own, *learned)
            self.vocabulary = len(self.names)
            return
        self.rust = tokenizers.Tokenizer.from_str(json.dumps(learned))
        self.vocabulary = len(self.own) + self.rust.get_vocab_size()
        numbers = self.rust.get_vocab()
        tokens = sorted(numbers, key=numbers.__getitem__)
        if kind == "bpe":
            self.bytes = [bytes(BYTE_OF[c] for c in token) for token in tokens]
            tokens = [token.decode("utf-8", "replace") for token in self.bytes]
        self.names = (*self.own, *tokens)

    @staticmethod
    def train(kind: Tokens, texts: Iterable[str], vocabulary: int | None = None, *, masked: bool = False) -> Tokenizer:
        """A tokenizer learned from `texts`; the same texts give the same tokenizer, byte for byte.

        Args:
            kind: characters, words or bpe
            texts: what it is learned from
            vocabulary: of words or bpe, how many tokens there are at most, the special ones among them
            masked: MASK is among the special ones

        Raises:
            UserError: there is no text, or the vocabulary is too small
        """
        texts = map(normal, texts)
        if kind == "characters":
            alphabet = "".join(sorted(set().union(*texts)))
            if not alphabet:
                raise UserError("there is no text to learn an alphabet from")
            return Tokenizer(kind, alphabet, masked=masked)
        special = len(OWN_MASKED if masked else OWN)
        least = special + (256 if kind == "bpe" else 1)
        if vocabulary is None or vocabulary < least + 1:
            what = "every byte is a token" if kind == "bpe" else f"{'four' if masked else 'three'} tokens are no words"
            raise UserError(f"--vocabulary must be {least + 1} or more for {kind}, where {what}, not {vocabulary}")
        size = vocabulary - special
        if kind == "words":
            rust = tokenizers.Tokenizer(models.WordLevel({UNKNOWN: 0}, unk_token=UNKNOWN))
            rust.pre_tokenizer = pre_tokenizers.Split(Regex(WORD), "removed", invert=True)
            trainer: Any = trainers.WordLevelTrainer(vocab_size=size, special_tokens=[UNKNOWN], show_progress=False)
        else:
            rust = tokenizers.Tokenizer(models.BPE())
            rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=2, initial_alphabet=sorted(BYTE_OF), show_progress=False)
        rust.train_from_iterator(chain.from_iterable(map(_chunks, texts)), trainer)
        return Tokenizer(kind, json.loads(rust.to_str()), masked=masked)

    def encode(self, text: str) -> list[int]:
        """The tokens of `text`, without EOS.

        Raises:
            UserError: a character is outside the vocabulary, or is none
        """
        return self.encode_all([text])[0].tolist()

    def encode_all(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The tokens of all texts one after another, int64 (N,), and where each text begins, and the last one ends, int64 (texts + 1,)."""
        texts = [normal(text) for text in texts]
        if self.kind == "characters":
            codes = _codes("".join(texts))
            places = np.searchsorted(self.codes, codes).clip(max=len(self.codes) - 1)
            if (outside := self.codes[places] != codes).any():
                character = chr(codes[outside.argmax()])
                called = f"U+{ord(character):04X} {unicodedata.name(character, '')}".strip()
                raise UserError(f"the character {character!r} ({called}) is not among the {len(self.codes)} of the vocabulary")
            return places + len(self.own), np.cumsum([0, *map(len, texts)])
        pieces = [_chunks(text) for text in texts]
        encoded = [code.ids for code in self.rust.encode_batch_fast(list(chain.from_iterable(pieces)), add_special_tokens=False)]
        flat = np.fromiter(chain.from_iterable(encoded), np.int64) + len(self.own)
        ends = np.cumsum([0, *map(len, encoded)])
        return flat, ends[np.cumsum([0, *map(len, pieces)])]

    def unknown(self, text: str) -> list[str]:
        """The words of `text` that the vocabulary has not got, of which the tokens tell no more than that they are unknown.

        Example:
            >>> Tokenizer.train("words", ["a small dog"], 20).unknown("a big dog, and a small cat")
            ['big', ',', 'and', 'cat']
        """
        if self.kind != "words":
            return []
        text, never = normal(text), self.rust.token_to_id(UNKNOWN)
        found = self.rust.encode(text, add_special_tokens=False)
        return [text[begin:end] for token, (begin, end) in zip(found.ids, found.offsets, strict=True) if token == never]

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of `tokens` up to the first EOS; what is no text, as half a character, is shown as U+FFFD."""
        before_eos = []
        for token in map(int, tokens):
            if token == len(self.own) - 1:  # EOS
                break
            if token >= len(self.own):
                before_eos.append(token)
        if self.kind == "bpe":
            return b"".join(self.bytes[token - len(self.own)] for token in before_eos).decode("utf-8", "replace")
        return "".join(self.pieces(before_eos))

    def pieces(self, tokens: Iterable[int]) -> Iterator[str]:
        """What each token adds to the text, one at a time, as a stream shows it.

        Where a character is of several tokens, the last one adds it and the others nothing. Neither do special tokens add anything.

        Example:
            >>> tokenizer = Tokenizer.train("words", ["It's a (small) dog."], 20)
            >>> list(tokenizer.pieces(tokenizer.encode("a dog (small).")))
            ['a', ' dog', ' (', 'small', ')', '.']
        """
        utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        before, opened = "(", set[str]()  # nothing has been written: no space, as after a bracket
        for token in map(int, tokens):
            if token < len(self.own):
                yield ""
            elif self.kind == "bpe":
                yield utf8.decode(self.bytes[token - len(self.own)])
            elif self.kind == "characters":
                yield self.names[token]
            else:
                word = self.names[token]
                closes = word in RIGHT or word in opened
                yield word if closes or before in LEFT else f" {word}"
                before = word
                if word in QUOTES:
                    opened ^= {word}
                    before = "(" if word in opened else word

    @cached_property
    def sha256(self) -> str:
        """Of what `to_json` writes."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """All there is to it, as one JSON object."""
        return json.dumps({"kind": self.kind, "learned": self.learned} | ({"masked": True} if self.masked else {}), ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> Tokenizer:
        """The tokenizer that `to_json` wrote.

        Example:
            >>> tokenizer = Tokenizer.train("bpe", ["낮말은 새가 듣고 밤말은 쥐가 듣는다"], 300)
            >>> Tokenizer.from_json(tokenizer.to_json()).decode(tokenizer.encode("새가\\t말은"))
            '새가\\t말은'
        """
        try:
            record = json.loads(text)
            return Tokenizer(record["kind"], record["learned"], masked=record.get("masked", False))
        except Exception as error:  # the package raises bare exceptions at what it cannot read
            raise UserError(
                f"this is no tokenizer that pofx wrote ({type(error).__name__}: {' '.join(str(error).split())[:100]})"
            ) from None


def _codes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), "<u4").astype(np.int64)


def _chunks(text: str) -> list[str]:
    """`text` in pieces whose tokens are the same as in the whole: each begins with a line's end that stands between two words."""
    if len(text) <= CHUNK:
        return [text]
    cuts = [0]
    while (found := re.compile(r"(?<=\S)\n(?=\S)").search(text, cuts[-1] + CHUNK)) is not None:
        cuts.append(found.start())
    return [text[begin:end] for begin, end in pairwise([*cuts, len(text)])]


def _bytes() -> dict[str, int]:
    """The character that stands for each byte in the tokens of the `tokenizers` package, which are printable (as GPT-2's were)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


BYTE_OF = _bytes()
