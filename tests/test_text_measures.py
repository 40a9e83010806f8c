"""Measures of text against sums done by hand."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from texts import Bigram, Coded, Spelling

from pofx.data import load
from pofx.errors import UserError
from pofx.evaluate import (
    Score,
    evaluate,
    log_probs,
    require_measurable,
    running_log_probs,
    sacrebleu_private,
    text_scores,
    translation_scores,
)
from pofx.evaluate.text import context_rule, running_text
from pofx.kinds import EOS, PAD

LINES = ["abba", "ab", "baab", "aaab", "b", "abab", "bb", "aab"] * 4


def bigram(kind):
    model = Bigram(kind).eval()
    with torch.no_grad():
        model.table.copy_(torch.randn(model.table.shape, generator=torch.Generator().manual_seed(0)))
    return model.double()


def by_hand(model, tokens):
    """log p of each token, one at a time."""
    found, last = [], PAD
    for token in tokens:
        scores = model.table[last].tolist()
        total = sum(math.exp(score) for score in scores[model.first :])
        found.append(scores[token] - math.log(total))
        last = token
    return found


@pytest.fixture
def lines(tmp_path):
    file = tmp_path / "lines.txt"
    file.write_text("\n".join(LINES) + "\n")
    return load(file, valid=0.25, test=0.25)


@pytest.fixture
def running(tmp_path):
    file = tmp_path / "running.txt"
    file.write_text("".join(np.random.default_rng(0).choice(list("ab \n"), 400)))
    return load(file, window=8)


def test_nats_perplexity_and_bits_of_lines(lines):
    model, split = bigram(lines.fields["x"]), lines.splits["test"]
    scores = {score.what: score for score in evaluate(model, lines)}
    tokenizer = lines.tokenizers["x"]
    rows = [split.read([i])["x"][0].tolist() for i in range(len(split))]
    sums = [sum(by_hand(model, row)) for row in rows]
    counted, characters = sum(map(len, rows)), sum(len(tokenizer.decode(row)) for row in rows)
    assert characters == counted - len(rows), "EOS is a token, and no character"
    assert scores["log p"].value == pytest.approx(np.mean(sums))
    assert scores["nats per token"].value == pytest.approx(-sum(sums) / counted)
    assert scores["perplexity"].value == pytest.approx(math.exp(-sum(sums) / counted))
    assert scores["bits per character"].value == pytest.approx(-sum(sums) / math.log(2) / characters)
    assert scores["bits per character"].protocol["density"] == "exact"
    assert scores["bits per character"].protocol["characters"] == characters


def test_the_error_of_a_ratio_is_that_of_resampled_lines(lines):
    model, split = bigram(lines.fields["x"]), lines.splits["train"]
    [score] = [score for score in text_scores(model, lines, split="train") if score.what == "nats per token"]
    values, _ = log_probs(model, split)
    counted = np.array([int((split.read([i])["x"] != PAD).sum()) for i in range(len(split))])
    source = np.random.default_rng(0)
    resampled = [-(values[rows].sum() / counted[rows].sum()) for rows in source.integers(len(values), size=(4000, len(values)))]
    assert score.standard_error == pytest.approx(np.std(resampled), rel=0.2)


@pytest.mark.parametrize("window", [2, 5, 8, 400, 1000])
def test_each_token_of_a_running_text_is_scored_once_and_from_half_a_window(window, running):
    seen = {}

    class Spy(Bigram):
        def conditionals(self, x, *, given=None):
            for row in x.tolist():
                for t, token in enumerate(row):
                    seen.setdefault(token, []).append(t)
            return x.double()

    model = Spy(running.fields["x"])
    N = 37
    found = running_log_probs(model, np.arange(N), window)
    assert found.tolist() == list(range(N)), "each token has its own number"
    first = min(window, N)
    half = first // 2
    for token in range(first, N):
        assert max(seen[token]) >= half, f"token {token} was seen after {seen[token]} tokens only"
    assert max(map(len, seen.values())) <= 3, "and no more windows than that"


def test_what_is_scored_at_once_is_bounded_by_the_vocabulary_too_and_changes_nothing(running, monkeypatch):
    model, tokens = bigram(running.fields["x"]), running_text(running.splits["train"])
    whole, sizes, conditionals = running_log_probs(model, tokens, 8), [], model.conditionals

    def measured(x_BL):
        sizes.append(x_BL.numel())
        return conditionals(x_BL)

    monkeypatch.setattr(model, "conditionals", measured)
    for scores, most in ((100 * model.tokens.vocabulary, 100), (1, 8)):  # a window at least
        sizes.clear()
        monkeypatch.setattr("pofx.evaluate.text.SCORES", scores)
        assert np.array_equal(running_log_probs(model, tokens, 8), whole)
        assert most - 8 < max(sizes) <= most


def test_a_running_text_is_scored_whole(running):
    model, split = bigram(running.fields["x"]), running.splits["test"]
    whole = running_text(split)
    assert Path(running.record["spec"]).read_text().endswith(running.tokenizers["x"].decode(whole))
    scores = {score.what: score for score in evaluate(model, running)}
    assert "log p" not in scores, "windows are no examples"
    expected = by_hand(model, whole.tolist())  # of two tokens, so the window makes no difference
    assert scores["nats per token"].value == pytest.approx(-np.mean(expected))
    assert scores["bits per character"].value == pytest.approx(-np.mean(expected) / math.log(2))
    assert scores["nats per token"].protocol["context"] == context_rule(8)
    assert scores["nats per token"].protocol["tokens"] == len(whole)
    some = {score.what: score for score in evaluate(model, running, rows=3)}
    n = len(running_text(split, 3))
    assert 8 <= n < len(whole)
    assert some["nats per token"].value == pytest.approx(-np.mean(expected[:n]))


def test_a_running_text_of_one_window_and_a_part_is_scored_whole(running):
    long = load(running.record["spec"], window=30)
    assert len(long.splits["test"]) == 1
    scores = {score.what: score for score in evaluate(bigram(long.fields["x"]), long)}
    assert scores["nats per token"].protocol["tokens"] == 40


def test_byte_pairs_give_a_bound_and_words_no_bits(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("\n".join(["the cat sat on the mat", "the dog sat on the cat", "a cat and a dog"] * 6))
    for tokens, vocabulary, name in (("bpe", 270, "bits per character, upper bound"), ("words", 20, None)):
        data = load(file, tokens=tokens, vocabulary=vocabulary)
        scores = {score.what: score for score in evaluate(bigram(data.fields["x"]), data, split="valid")}
        assert [what for what in scores if "bits" in what] == ([name] if name else [])
        if name:
            assert scores[name].protocol["density"] == "bound"
            assert scores[name].protocol["tokenizer"]["kind"] == "bpe"
            assert "tokens" not in scores[name].protocol["data"], "bits a character are compared across tokenizers"


# Translations


PAIRS = [("un chat noir dort ici", "a black cat sleeps here"), ("un chien noir court ici", "a black dog runs here")]


@pytest.fixture
def pairs(tmp_path):
    file = tmp_path / "pairs.tsv"
    file.write_text("\n".join(f"{source}\t{x}" for source, x in PAIRS * 12))
    return load(file, tokens="words", vocabulary=30)


class Says(Spelling):
    """Translates everything into what it is told to."""

    says: tuple[int, ...] = ()

    def translate(self, source, *, beam: int = 4):
        return torch.tensor([self.says]).expand(len(source), -1)


def test_bleu_is_that_of_sacrebleu_with_its_interval(pairs):
    from sacrebleu import corpus_bleu

    model = Says(pairs.fields["x"], pairs.fields["source"])
    tokenizer, split = pairs.tokenizers["x"], pairs.splits["train"]
    model.says = (*tokenizer.encode(PAIRS[0][1]), EOS)
    wanted = [tokenizer.decode(split.read([i])["x"][0].tolist()) for i in range(len(split))]
    [same, *_] = translation_scores(model, pairs, split="train", beam=2)
    assert same.what == "exact match"
    assert same.value == pytest.approx(np.mean([text == PAIRS[0][1] for text in wanted]))
    assert 0 < same.value < 1
    says = f"{PAIRS[0][1]} here"  # longer than any reference, so that it matters which is which
    model.says = (*tokenizer.encode(says), EOS)
    scores = {score.what: score for score in translation_scores(model, pairs, split="train", beam=2)}
    bleu = scores["BLEU"]
    assert Score.from_json(json.loads(json.dumps(bleu.to_json()))) == bleu
    assert bleu.value == pytest.approx(corpus_bleu([says] * len(wanted), [wanted]).score)
    assert "tok:13a" in bleu.protocol["signature"]
    assert "case:lc" in scores["BLEU, lowercased"].protocol["signature"]
    assert bleu.protocol["sampling"] == {"beam": 2}
    low, high = bleu.protocol["chosen"]["interval_95"]
    assert low < bleu.value < high
    assert bleu.standard_error == pytest.approx((high - low) / 2 / 1.96)
    assert bleu.note
    assert "words" in bleu.note


@pytest.mark.parametrize("says", [f"{PAIRS[0][1]} here", ""])
def test_the_interval_is_read_off_sacrebleu_to_the_last_bit(says, pairs, monkeypatch):
    """It is shown as text, and not at all where every resample is worth 0."""
    made, score_of = [], sacrebleu_private.resampled_score

    def kept(*asked):
        made.append(score_of(*asked))
        return made[-1]

    monkeypatch.setattr(sacrebleu_private, "resampled_score", kept)
    model = Says(pairs.fields["x"], pairs.fields["source"])
    model.says = (*pairs.tokenizers["x"].encode(says), EOS)
    [_, *scores] = translation_scores(model, pairs, split="train")
    assert [score.what for score in scores] == ["BLEU", "BLEU, lowercased", "chrF2"]
    for score, its in zip(scores, made, strict=True):
        assert score.protocol["chosen"]["interval_95"] == [float(its._mean) - float(its._ci), float(its._mean) + float(its._ci)]
        assert score.standard_error == float(its._ci) / 1.96
        assert (score.value > 0) == (score.standard_error > 0) == bool(says)


def of_lines(tmp_path, texts):
    file = tmp_path / "pairs.tsv"
    file.write_text("\n".join(f"{n}\t{texts[n % len(texts)]}" for n in range(24)))
    data = load(file)
    model = Spelling(data.fields["x"], data.fields["source"]).eval()
    return {score.what: score for score in translation_scores(model, data, split="valid")}


def test_of_single_words_there_is_no_bleu_and_a_note_says_so(tmp_path):
    scores = of_lines(tmp_path, ["zero", "one", "two", "three"])
    assert list(scores) == ["exact match", "chrF2"]
    assert scores["chrF2"].note == "no BLEU: the references have 1 tokens on average (13a), and BLEU counts n-grams of four"


@pytest.mark.parametrize(("text", "tokens"), [("我喜欢在公园里跑步。", "zh"), ("ねこがいえでねている", "char"), ("ผมชอบวิ่งในสวน", "char")])
def test_of_a_language_without_spaces_bleu_counts_characters_and_says_so(text, tokens, tmp_path):
    scores = of_lines(tmp_path, [text])
    assert list(scores) == ["exact match", "BLEU", "BLEU, lowercased", "chrF2"]
    assert f"tok:{tokens}|" in scores["BLEU"].protocol["signature"]
    assert scores["BLEU"].note is None


def test_of_readings_of_pictures_only_exact_match_is_measured():
    data = load("digits", spell="english")
    [score] = translation_scores(Spelling(data.fields["x"], data.fields["source"]).eval(), data, rows=4)
    assert score.what == "exact match"
    assert score.note.startswith("neither BLEU nor chrF: the references have 1 tokens on average")


def test_a_reconstruction_counts_texts_and_tokens_in_place(lines):
    model = Coded(lines.fields["x"]).eval()
    scores = {score.what: score for score in evaluate(model, lines, split="train")}
    split, tokenizer = lines.splits["train"], lines.tokenizers["x"]
    whole, places = [], []
    for i in range(len(split)):
        x = split.read([i])["x"]
        back = tokenizer.decode(model.decode(model.encode(x))[0].tolist())
        text = tokenizer.decode(x[0].tolist())
        whole.append(back == text)
        places.append(np.mean([(text + "$")[k] == (back + "$" + " " * 9)[k] for k in range(len(text) + 1)]))
    assert 0 < np.mean(whole) < 1
    assert scores["reconstruction, exact match"].value == pytest.approx(np.mean(whole))
    assert scores["reconstruction, tokens in place"].value == pytest.approx(np.mean(places))


# Validation


def test_validation_is_of_all_tokens_however_they_are_batched(lines):
    """Rows are read by length, and fewer at once where there are many tokens; the number is the same."""
    from pofx.train import Training
    from pofx.train.loop import Trainer

    found = []
    for size in (3, 32):
        model = bigram(lines.fields["x"])
        trainer = Trainer(model, lines, Training(steps=1, batch_size=size, device="cpu"))
        loss, row = trainer.validation(trainer.stages[0].players[0])
        found.append(loss)
        assert row["bigram.nll"] == loss
    split = lines.splits["valid"]
    rows = [split.read([i])["x"][0].tolist() for i in range(len(split))]
    expected = -sum(sum(by_hand(model, row)) for row in rows) / sum(map(len, rows))
    assert found == pytest.approx([expected, expected], rel=1e-6)


# Bad input


def test_what_cannot_be_measured_is_said_first(lines, pairs):
    for data in (lines,):
        with pytest.raises(UserError, match="samples of text are not compared"):
            require_measurable(bigram(data.fields["x"]), data, draws=10)
    model = Spelling(pairs.fields["x"], pairs.fields["source"])
    with pytest.raises(UserError, match="the model was made for x"):
        require_measurable(model, lines)
    lone = load(pairs.record["spec"], tokens="words", vocabulary=30)
    del lone.fields["source"]
    with pytest.raises(UserError, match="the model is given a source"):
        require_measurable(model, lone, split="valid")
    with pytest.raises(UserError, match="beam must be 1 or more, not 0"):
        require_measurable(model, pairs, split="valid", beam=0)


def test_rows_of_a_running_text_are_windows(running):
    with pytest.raises(UserError, match="a running text is scored whole"):
        text_scores(bigram(running.fields["x"]), running, rows=np.array([0, 5]))
