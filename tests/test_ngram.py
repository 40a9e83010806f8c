"""The n-gram model: counts by hand, Witten-Bell smoothing written out, and cells that are shared."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import pofx
from pofx import commands
from pofx.errors import UserError
from pofx.kinds import EOS, PAD, Tokens
from pofx.models.language.ngram import NGram, mixed
from pofx.randomness import generator

ROWS = [[2, 3, 2, 4, 2, 3], [3, 3, EOS], [2, 3, 2, 4, EOS], [4, EOS]]


def padded(rows: list[list[int]]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=PAD)


def counted(x_BL: Tensor, kind: Tokens, **arguments: int) -> NGram:
    """A model solved from sums over batches of uneven size, in float64."""
    model = NGram(kind, **arguments).double()
    sums = sum(model.statistics({"x": part})["counts"] for part in x_BL.split(3))
    model.solve({"counts": sums})
    return model


def by_hand(rows: list[list[int]], kind: Tokens, order: int, context: list[int], w: int) -> float:
    """p(w | context) from a dictionary of counts; a row that ends begins with PAD, and running text with nothing at all."""
    counts = Counter[tuple[int, ...]]()
    for row in rows:
        line = [PAD] * kind.ends + row
        for end in range(int(kind.ends), len(line)):
            for k in range(1, order + 1):
                if end + 1 >= k:
                    counts[tuple(line[end + 1 - k : end + 1])] += 1
    first = EOS if kind.ends else EOS + 1
    line, p = [PAD] * kind.ends + context, 1 / (kind.vocabulary - first)
    for k in range(1, min(order, len(line) + 1) + 1):
        after = [counts[(*line[len(line) + 1 - k :], v)] for v in range(first, kind.vocabulary)]
        if sum(after):
            T = sum(c > 0 for c in after)
            p = (after[w - first] + T * p) / (sum(after) + T)
    return p


@pytest.mark.parametrize("cells", [150, 20_000])  # n-grams of 3 tokens share cells, or have their own
@pytest.mark.parametrize("ends", [True, False])
def test_probabilities_are_those_of_witten_bell_by_hand(ends, cells):
    rows = ROWS if ends else [[token for token in row if token != EOS] for row in ROWS[:1] + ROWS[2:3]]
    kind = Tokens(5, 6, ends=ends)
    model = counted(padded(rows), kind, order=3, cells=cells)
    assert model.own == (2 if cells == 150 else 3)
    for row in [*rows, [4, 4, 4]]:
        expected = [math.log(by_hand(rows, kind, 3, row[:t], w)) for t, w in enumerate(row)]
        assert_close(model.conditionals(torch.tensor([row]))[0], torch.tensor(expected, dtype=torch.float64))


def test_one_pair_is_counted_as_it_stands_there():
    kind = Tokens(4, 4, ends=False)
    model = counted(torch.tensor([[2, 3, 2, 2], [3, 3, 2, 3]]), kind, order=2, cells=100)
    pairs = model.counts[model.begins[2] : model.begins[3]].view(4, 4)
    assert pairs[2:, 2:].tolist() == [[1, 2], [2, 1]]  # 2 2 once, 2 3 twice, 3 2 twice, 3 3 once: none across rows
    assert model.counts[model.begins[1] : model.begins[2]].tolist() == [0, 0, 4, 4]


def test_order_1_is_how_often_tokens_come():
    model = counted(padded(ROWS), Tokens(5, 6), order=1, cells=10)
    total = sum(map(len, ROWS))
    expected = (torch.tensor([3, 5, 5, 3], dtype=torch.float64) + 4 / 4) / (total + 4)
    assert_close(model.log_p_next(torch.empty(1, 0, dtype=torch.int64)).exp()[0], expected)


def text(tokens: int, vocabulary: int) -> Tensor:
    """Running text in which a few tokens are likely after each two."""
    u = torch.rand(tokens, generator=generator("text")).tolist()
    line = [2, 3]
    for t in range(2, tokens):
        line.append(2 + (line[-1] * 7 + line[-2] * 3 + int(6 * u[t] ** 3)) % (vocabulary - 2))
    return torch.tensor(line)


def test_shared_cells_keep_n_grams_apart_while_there_are_enough_and_p_sums_to_1_when_there_are_not():
    V, L = 40, 50
    x_BL = text(20_000, V).view(-1, L)
    kind = Tokens(V, L, ends=False)
    exact = counted(x_BL[:300], kind, order=4, cells=5_000_000)
    shared = counted(x_BL[:300], kind, order=4, cells=400_000)
    crowded = counted(x_BL[:300], kind, order=4, cells=5_000)
    assert [model.own for model in (exact, shared, crowded)] == [4, 3, 2]
    nats = [-model.log_prob(x_BL[300:]).mean() / L for model in (exact, shared, crowded)]
    assert_close(nats[1], nats[0], rtol=1e-3, atol=0)
    assert nats[0] + 0.01 < nats[2]  # and it is seen where they are not kept apart
    for model in (exact, shared, crowded):
        context_NC = model.contexts(x_BL[300:310]).flatten(0, 1)
        assert_close(model.log_p_next(context_NC).exp().sum(1), torch.ones(500, dtype=torch.float64))


def test_a_count_in_shared_cells_is_never_too_low():
    V, L = 40, 50
    x_BL = text(5_000, V).view(-1, L)
    model = counted(x_BL, Tokens(V, L, ends=False), order=3, cells=4_000)
    truth = Counter(tuple(gram) for gram in x_BL.unfold(1, 3, 1).flatten(0, 1).tolist())
    grams = torch.tensor(list(truth))
    found = model.counts[model.cells(model.key(grams[:, :2], 3), grams[:, 2], 3)]
    assert found.shape == (len(truth), 4)
    assert (found >= torch.tensor(list(truth.values()))[:, None]).all()


def test_a_count_in_shared_cells_is_no_higher_than_that_of_its_own_end():
    V, L = 40, 50
    x_BL = text(5_000, V).view(-1, L)
    model = counted(x_BL, Tokens(V, L, ends=False), order=4, cells=4_000)
    context, tokens = x_BL[:30, 10:13], torch.arange(2, V)
    p, lower, cut = torch.full((30, V - 2), 1 / (V - 2), dtype=torch.float64), torch.full((30, V - 2), torch.inf).double(), 0
    for k in range(1, 5):
        found = torch.stack([model.counts[model.cells(key.repeat(V - 2), tokens, k)].amin(1) for key in model.key(context, k)])
        cut += int((found > lower).sum())
        lower = found.minimum(lower)
        total, types = lower.sum(1, keepdim=True), (lower > 0).sum(1, keepdim=True)
        p = torch.where(total > 0, (lower + types * p) / (total + types), p)
    assert cut > 100  # so crowded are the cells
    assert_close(model.log_p_next(context).exp(), p)


def test_hashes_spread():
    hashes = mixed(torch.arange(100_000))
    assert len(hashes.unique()) == 100_000
    for shift in (0, 16, 32, 48):
        cells = torch.bincount(hashes >> shift & 0xFF, minlength=256).double()
        assert ((cells - cells.mean()).square() / cells.mean()).sum() < 400  # chi-square over 256 cells: 255 + 6 standard deviations


def test_what_scoring_looks_up_at_once_changes_nothing(monkeypatch):
    x_BL = text(600, 9).view(-1, 20)
    model = counted(x_BL, Tokens(9, 20, ends=False), order=3, cells=5_000)
    whole = model.log_prob(x_BL)
    monkeypatch.setattr("pofx.models.language.ngram.AT_ONCE", 50)
    assert torch.equal(model.log_prob(x_BL), whole)


def test_it_learns_the_order_of_a_chain():
    """Of text where each token follows from the two before it and little noise, order 3 is best of those that have the counts for it."""
    x_BL = text(40_000, 12).view(-1, 100)
    nats = []
    for order in (1, 2, 3, 6):
        model = counted(x_BL[:300], Tokens(12, 100, ends=False), order=order, cells=2**22)
        nats.append(float(-model.log_prob(x_BL[300:]).mean() / 100))
    assert nats[2] + 0.3 < min(nats[0], nats[1])
    assert nats[2] < nats[3] < min(nats[0], nats[1])


def test_running_text_is_counted_in_windows_that_do_not_overlap(tmp_path):
    file = tmp_path / "x.txt"
    file.write_text("the cat sat on the mat. a dog ran.\n" * 40)
    commands.train("ngram", data=str(file), window=16, order=2, cells=1000, out=str(tmp_path / "run"))
    run = pofx.run.Run(tmp_path / "run")
    assert run.config["data"]["stride"] == 16
    windows = run.config["data"]["counts"]["train"]
    assert run.model().counts.sum() == windows * (16 + 15), "tokens, and pairs of them"
    for stride, times in ((None, 16), (1, 16), (5, 4)):
        data = pofx.data.load(file, window=16, stride=stride)
        with pytest.raises(UserError, match=f"a token would count up to {times} times. Load the text with stride=16"):
            pofx.train.train(NGram(data.fields["x"], order=2, cells=1000), data, pofx.train.Training(), tmp_path / "again")
