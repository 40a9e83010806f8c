"""The base of models of tokens: exact probabilities, what sampling options do, beam search, contexts that are full, and bad questions."""

import itertools
import math
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from pofx.bases.token_model import Decoder, Reader, TokenModel, filter_logits, penalty, shift_right
from pofx.bases.translator import Translator
from pofx.errors import UserError
from pofx.kinds import EOS, PAD, Image, Tokens
from pofx.layers.recurrent import Recurrent
from pofx.models import files, find
from pofx.models.language.ngram import NGram
from pofx.models.language.transformer_lm import TransformerLM
from pofx.models.seq2seq.transformer import Transformer
from pofx.randomness import Noise, generator
from pofx.testing import Case, checks

V = 5


class Trigram(TokenModel):
    """A token given the two before it, from a table: small enough to be written out."""

    paper: ClassVar = ("Shannon", 1948, "BSTJ 27")

    def __init__(self, x: Tokens):
        super().__init__(x)
        self.table = nn.Parameter(torch.randn(V, V, V, generator=generator("table"), dtype=torch.float64) * 2)

    def logits(self, x_BL, memory, noise=None):
        newest_BL = shift_right(x_BL)
        return self.table[shift_right(newest_BL), newest_BL]

    def start(self, memory, n):
        return {"newest_B": torch.full((n,), PAD)}

    def step(self, token_B, state, memory):
        return self.table[state["newest_B"], token_B], {"newest_B": token_B}


class Given(Translator):
    """The same, and what is given is added to every score."""

    paper: ClassVar = Trigram.paper
    start = Trigram.start

    def __init__(self, x: Tokens, source: Image | Tokens):
        super().__init__(x, source)
        self.table = nn.Parameter(torch.randn(V, V, V, generator=generator("table"), dtype=torch.float64) * 3)
        self.weight = nn.Parameter(torch.randn(source.size, V, generator=generator("weight"), dtype=torch.float64))

    def read(self, source, noise=None):
        return {"score_BV": source.double().flatten(1) @ self.weight}

    def logits(self, x_BL, memory, noise=None):
        return Trigram.logits(self, x_BL, memory) + memory["score_BV"][:, None]

    def step(self, token_B, state, memory):
        score_BV, state = Trigram.step(self, token_B, state, memory)
        return score_BV + memory["score_BV"], state


def by_hand(model, tokens):
    """log p of one row from the table: a product of softmaxes over what may be drawn."""
    past, total = [PAD, PAD], 0.0
    for token in tokens:
        scores = model.table[past[-2], past[-1], model.first :].detach().tolist()
        total += model.table[past[-2], past[-1], token].item() - math.log(sum(map(math.exp, scores)))
        past.append(token)
    return total


@pytest.mark.parametrize("ends", [True, False])
def test_log_prob_is_the_product_of_conditionals_over_what_may_be_drawn(ends):
    model = Trigram(Tokens(V, 4, ends=ends))
    rows = [[2, 3, 2, 4], [4, 4, 4, 4]] + [[3, EOS, PAD, PAD], [EOS, PAD, PAD, PAD]] * ends
    expected = [by_hand(model, [t for t in row if t != PAD]) for row in rows]
    with torch.no_grad():
        assert_close(model.log_prob(torch.tensor(rows)).tolist(), expected)
        assert (model.conditionals(torch.tensor(rows))[torch.tensor(rows) == PAD] == 0).all()


def test_the_loss_is_nats_a_token_and_label_smoothing_adds_its_part_in_training_only():
    model, x = Trigram(Tokens(V, 4)), torch.tensor([[2, 3, 2, 4], [3, EOS, PAD, PAD]])
    noise = Noise((0,), slice(0, 2), 2, dtype=torch.float64)
    total, counted = model.loss({"x": x}, noise)["nll"]
    assert_close(total, -model.log_prob(x))
    assert counted.tolist() == [4, 2]
    model.smoothing = 0.1
    parts = model.loss({"x": x}, noise)
    smoothed = torch.nn.functional.cross_entropy(
        model.logits(x, {})[..., EOS:].flatten(0, 1), x.flatten() - EOS, ignore_index=PAD - EOS, label_smoothing=0.1, reduction="sum"
    )
    assert_close(parts["nll"].total.sum() + parts["smoothing"].total.sum(), smoothed)
    assert model.eval().loss({"x": x}, noise).keys() == {"nll"}


def test_tokens_are_drawn_at_a_temperature_and_among_the_likeliest():
    model, n = Trigram(Tokens(V, 1, ends=False)), 40_000
    p = model.table[0, 0, 2:].detach().softmax(0)
    for options, expected in {
        (1.0, None, 1.0): p,
        (0.5, None, 1.0): p**2 / (p**2).sum(),
        (1.0, 2, 1.0): torch.where(p >= p.sort().values[1], p, 0) / p.sort().values[1:].sum(),
        (1.0, None, p.max().item() - 0.01): (p == p.max()).double(),
        (0.0, None, 1.0): (p == p.max()).double(),
    }.items():
        temperature, top_k, top_p = options
        drawn = model.sample(n, generator=generator(options), temperature=temperature, top_k=top_k, top_p=top_p)
        seen = torch.bincount(drawn[:, 0] - 2, minlength=3) / n
        assert_close(seen.double(), expected, atol=5 * math.sqrt(0.25 / n), rtol=0, msg=lambda m, o=options: f"{o}: {m}")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", [1e-4, 1e-40, 1e-320])
@pytest.mark.parametrize(("top_k", "top_p"), [(None, 1.0), (2, 1.0), (None, 0.5)])
def test_a_small_temperature_takes_the_likeliest_and_is_a_number(dtype, temperature, top_k, top_p):
    p = torch.tensor([[0.0, 0.3, 0.5, 0.2], [0.25, 0.25, 0.5, 0.0]], dtype=dtype)
    assert filter_logits(p.log(), temperature, top_k, top_p).exp().tolist() == [[0, 0, 1, 0], [0, 0, 1, 0]]
    x = Trigram(Tokens(V, 4)).sample(3, temperature=temperature, top_k=top_k, top_p=top_p)
    assert torch.equal(x, Trigram(Tokens(V, 4)).sample(3, temperature=0))


def test_top_p_keeps_the_fewest_tokens_that_reach_it():
    p = torch.tensor([[0.1, 0.4, 0.2, 0.3]], dtype=torch.float64)
    for top_p, kept in ((0.39, [1]), (0.41, [1, 3]), (0.71, [1, 2, 3]), (1.0, [0, 1, 2, 3])):
        assert filter_logits(p.log(), 1.0, None, top_p)[0].isfinite().nonzero().flatten().tolist() == kept


def test_a_sequence_ends_with_its_end_mark_and_drawing_stops_when_all_have_ended():
    model = Trigram(Tokens(V, 50))
    with torch.no_grad():
        model.table[..., EOS] += 2
    steps = list(model.stream({}, 8, generator=generator(0)))
    x = torch.stack(steps, 1)
    ends = (x == EOS).int().argmax(1)
    assert len(steps) == ends.max() + 1 < 50
    for row, end in zip(x.tolist(), ends.tolist(), strict=True):
        assert all(t > EOS for t in row[:end])
        assert set(row[end + 1 :]) <= {PAD}


def test_a_prompt_is_kept_and_what_follows_depends_on_it():
    model = Trigram(Tokens(V, 6, ends=False))
    x = model.sample(3, prompt=torch.tensor([2, 4]), generator=generator(1))
    assert x[:, :2].tolist() == [[2, 4]] * 3
    assert x.shape == (3, 6)
    likeliest = model.sample(1, prompt=torch.tensor([[2, 4]]), temperature=0, length=3)
    assert likeliest[0, 2] == model.table[2, 4, 2:].argmax() + 2


def test_where_the_context_is_full_the_newest_half_is_read_again():
    class Limited(Trigram):
        context = 4

        def step(self, token_B, state, memory):  # says how much it has read: the score of token 2
            read_B = state.get("read_B", torch.zeros(len(token_B))) + 1
            return torch.stack([read_B * (v == 2) for v in range(V)], 1), {"read_B": read_B}

    reader, seen = Reader(Limited(Tokens(V, 4, ends=False)), {}, 1), []
    for token in [PAD, 2, 3, 4, 2, 3, 4, 2]:
        seen.append(int(reader.next(torch.tensor([token]))[0, 2]))
    # PAD and three tokens fill it; then it begins again with PAD and the newest, and so on
    assert seen == [1, 2, 3, 4, 3, 4, 3, 4]


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 2.0])
def test_a_wide_beam_is_exhaustive_and_a_narrow_one_finds_no_better(length_penalty):
    L = 4
    model = Given(Tokens(V, L), Image(1, 1, 2))
    source = torch.rand(100, 1, 1, 2, generator=generator("source"), dtype=torch.float64)
    ordinary = range(2, V)
    strings = [[*s, EOS] + [PAD] * (L - 1 - n) for n in range(L) for s in itertools.product(ordinary, repeat=n)]
    x = torch.tensor(strings)
    divisor = torch.tensor([penalty(int((row != PAD).sum()), length_penalty) for row in x])
    with torch.no_grad():
        score = torch.stack([model.log_prob(x, given=s.expand(len(x), 1, 1, 2)) for s in source]) / divisor
    best = x[score.argmax(1)]
    found = model.translate(source, beam=len(ordinary) ** (L - 1), length_penalty=length_penalty)
    assert torch.equal(found, best[:, : found.shape[1]])
    reached = []
    for beam in (1, 2, 4):
        narrow = model.translate(source, beam=beam, length_penalty=length_penalty)
        padded = torch.nn.functional.pad(narrow, (0, L - narrow.shape[1]))
        at = (x == padded[:, None]).all(2).int().argmax(1)
        reached.append(score.gather(1, at[:, None]).sum().item())
    assert max(reached) <= score.max(1).values.sum() + 1e-9
    assert reached[-1] >= reached[0]


@pytest.mark.parametrize("length_penalty", [0.0, 2.0])
def test_greedy_takes_the_likeliest_token_until_it_is_the_end_mark(length_penalty):
    model = Given(Tokens(V, 30), Image(1, 1, 2))
    source = torch.rand(50, 1, 1, 2, generator=generator("greedy"), dtype=torch.float64)
    drawn = model.sample(50, given=source, temperature=0)
    found = model.translate(source, beam=1, length_penalty=length_penalty)
    ended_B = (drawn == EOS).any(1)
    assert (drawn[ended_B] != PAD).sum(1).unique().tolist() != [1], "some rows are more than EOS"
    assert torch.equal(found[ended_B], drawn[ended_B, : found.shape[1]])


def test_an_end_that_is_not_among_the_likeliest_ways_to_go_on_is_none():
    class Fixed(Given):
        """After PAD, EOS has 0.2 and two tokens 0.4 each; after those it has 0.5."""

        def step(self, token_B, state, memory):
            p = {PAD: [0, 0.2, 0.4, 0.4, 0], 2: [0, 0.45, 0, 0, 0.55], 3: [0, 0.4, 0, 0, 0.6], 4: [0, 0.5, 0.5, 0, 0]}
            return torch.tensor([p[token] for token in token_B.tolist()], dtype=torch.float64).log(), state

    model, source = Fixed(Tokens(V, 4), Image(1, 1, 2)), torch.zeros(1, 1, 1, 2)
    found = {beam: model.translate(source, beam=beam, length_penalty=0.0)[0].tolist() for beam in (1, 2, 3)}
    # p: [1] 0.2, [2 1] 0.18, [3 1] 0.16, [2 4 1] 0.11, [3 4 1] 0.12
    assert found == {1: [2, 4, EOS], 2: [3, 4, EOS], 3: [EOS]}


def test_rows_of_a_search_do_not_see_each_other():
    model = Given(Tokens(V, 12), Image(1, 1, 2))
    source = torch.rand(9, 1, 1, 2, generator=generator("rows"), dtype=torch.float64)
    together = model.translate(source, beam=3)
    for row in range(9):
        alone = model.translate(source[row : row + 1], beam=3)
        assert torch.equal(together[row, : alone.shape[1]], alone[0])
        assert (together[row, alone.shape[1] :] == PAD).all()


LM, MT = Trigram(Tokens(V, 4)), Given(Tokens(V, 4), Tokens(7, 3))
X, S = torch.tensor([[2, 3, EOS, PAD]]), torch.tensor([[2, EOS, PAD]])


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: LM.log_prob(X.float()), "x must be tokens, int64"),
        (lambda: LM.log_prob(X + 3), "x has token 5, outside the vocabulary of 5"),
        (lambda: LM.log_prob(torch.tensor([[2, EOS, 3]])), "x has tokens after its end"),
        (lambda: LM.log_prob(torch.tensor([[2, PAD, 3]])), "x has tokens after its end"),
        (lambda: Trigram(Tokens(V, 4, ends=False)).log_prob(X), "x has an EOS, but Trigram was made for running text"),
        (lambda: LM.log_prob(X, given=S), "Trigram is a p\\(x\\), so nothing can be given"),
        (lambda: MT.log_prob(X), "Given is a p\\(x | source\\): give the source, Tokens"),
        (lambda: MT.log_prob(X, given=S.repeat(2, 1)), "1 examples need as many sources, not 2"),
        (lambda: MT.translate(torch.tensor([[2, 2, 2, EOS]])), "a source of at most 3 tokens, not 4"),
        (lambda: MT.translate(S, beam=0), "beam must be 1 or more, not 0"),
        (lambda: MT.translate(S, length=0), "length must be 1 or more, not 0"),
        (lambda: MT.translate(S, length_penalty=-1.0), "length_penalty must be 0 or more"),
        (lambda: LM.sample(2, temperature=-1.0), "temperature must be 0 or more"),
        (lambda: LM.sample(2, top_k=0), "top_k must be 1 or more"),
        (lambda: LM.sample(2, top_p=0.0), "top_p must be between 0 \\(not included\\) and 1"),
        (lambda: LM.sample(2, length=0), "length must be 1 or more"),
        (lambda: LM.sample(2, prompt=torch.tensor([2, 2, 2, 2])), "the prompt has 4 tokens, and x is to have 4"),
        (lambda: LM.sample(2, prompt=torch.tensor([9])), "prompt has token 9, outside the vocabulary"),
        (lambda: LM.sample(2, prompt=torch.tensor([2, EOS])), "the prompt has ended"),
        (lambda: Given(Tokens(V, 4, ends=False), Image(1, 1, 2)), "finds x with an end, and running text has none"),
        (lambda: Given(Tokens(V, 4), Image(1, 1, 2)).translate(torch.full((1, 1, 1, 2), 7.0)), "source must be from 0 to 1"),
        (lambda: Tokens(2, 4), "vocabulary must be 3 or more"),
    ],
)
def test_bad_questions_are_answered_in_one_line(ask, message):
    with pytest.raises(UserError, match=message) as error:
        ask()
    assert "\n" not in str(error.value)


ZOO = [name for name, path in files().items() if path.parent.name in ("language", "seq2seq") and issubclass(find(name), Decoder)]
ASKED = ("log_prob", "conditionals", "sample", "translate", "attention", "gates", "encode", "decode")


@pytest.fixture(params=ZOO)
def of_zoo(request):
    """A model of tokens, and what it is given: all its methods, with so many rows of so many tokens."""
    cls = find(request.param)
    source = {} if "source" not in cls.needs() else {"source": Image(1, 8, 8) if request.param == "image_to_text" else Tokens(V, 3)}
    model = cls(Tokens(V, 4), **source, **cls.small).eval()

    def ask(rows, width, **options):
        x = torch.full((rows, width), 2)
        given = {"given": torch.rand(rows, 1, 8, 8) if "image_to_text" in request.param else torch.full((rows, 3), 2)} if source else {}
        methods = {
            "sample": lambda: model.sample(rows, **given, **options),
            "translate": lambda: model.translate(*given.values()),
            "encode": lambda: model.encode(x),
            "decode": lambda: model.decode(torch.zeros(rows, *model.codes.shape)),
        }
        return {name: methods.get(name, lambda name=name: getattr(model, name)(x, **given)) for name in ASKED if hasattr(model, name)}

    return model, ask


def test_no_rows_give_no_rows(of_zoo):
    for name, asked in of_zoo[1](0, 3).items():
        found = asked()
        assert all(len(one) == 0 for one in (found.values() if isinstance(found, dict) else [found])), name


def test_rows_that_no_model_of_tokens_takes(of_zoo):
    model, ask = of_zoo
    for name, asked in ask(2, 0).items():
        if name in ("log_prob", "conditionals", "encode"):
            with pytest.raises(UserError, match="x has no tokens"):
                asked()
    for name, asked in ask(2, 5).items():
        if name in ("log_prob", "conditionals", "encode"):
            with pytest.raises(UserError, match="was made for x of at most 4 tokens with their EOS, not 5"):
                asked()
    if isinstance(model.source, Tokens):
        with pytest.raises(UserError, match="source has no tokens"):
            model.translate(torch.full((2, 0), 2))
    if hasattr(model, "sample"):
        for shape, message in (((3, 2), "the prompt has 3 rows for 2 examples"), ((2, 2, 2), "prompt must be")):
            with pytest.raises(UserError, match=message):
                ask(2, 3, prompt=torch.full(shape, 2))["sample"]()
        assert len(ask(2, 3, prompt=torch.full((1, 2), 2))["sample"]()) == 2


def test_a_text_that_ends_is_no_longer_than_the_model_s_and_running_text_is():
    padded = torch.tensor([[2, 3, 2, EOS, PAD, PAD]])
    assert_close(Trigram(Tokens(V, 4)).log_prob(padded), Trigram(Tokens(V, 4)).log_prob(padded[:, :4]))
    assert Trigram(Tokens(V, 4, ends=False)).log_prob(torch.full((1, 50), 2)).isfinite().all()


@pytest.mark.parametrize("bidirectional", [False, True])
def test_layers_take_no_rows(bidirectional):
    h_BLH, last = Recurrent(3, 4, bidirectional=bidirectional)(torch.empty(0, 5, 3), torch.ones(0, 5, dtype=torch.bool))
    assert (h_BLH.shape[:2], len(last["h_BKH"])) == ((0, 5), 0)


@pytest.mark.parametrize("cls", [NGram, TransformerLM], ids=lambda cls: cls.title())
@pytest.mark.parametrize("kind", [Tokens(6, 6, masked=True), Tokens(5, 3, masked=True), Tokens(5, 3, ends=False, masked=True)], ids=str)
def test_models_keep_the_contract_on_tokens_with_mask(cls, kind):
    for name, held_to in checks(cls, kinds={"x": kind}):
        if not name.startswith(("replicas", "documentation")):  # which know of no tokens
            held_to()


@pytest.mark.parametrize("ends", [True, False])
def test_neither_pad_nor_mask_is_drawn_and_eos_ends(ends):
    kind = Tokens(5, 6, ends=ends, masked=True)
    model = Case(TransformerLM, {"x": kind}).trained()
    x = model.sample(500, generator=generator("masked"))
    kind.check(x)
    ended = x == kind.eos
    assert not (x == kind.mask).any()
    assert bool(ended.any()) == ends
    behind = ended.cumsum(1) - ended.long() > 0
    assert ((x == kind.pad) == behind).all()


def test_a_prompt_with_mask_or_the_eos_of_its_kind_is_refused():
    model = Case(TransformerLM, {"x": Tokens(6, 6, masked=True)}).model()
    assert model.sample(2, prompt=torch.tensor([3])).shape[0] == 2
    for token in (0, 1, 2):
        with pytest.raises(UserError, match=r"^the prompt has ended: give tokens of an ordinary kind alone, from 3, without EOS or PAD$"):
            model.sample(2, prompt=torch.tensor([token]))
    with pytest.raises(UserError, match=r"an empty text is EOS \(2\), and PAD is 0"):
        model.log_prob(torch.empty(1, 0, dtype=torch.int64))


def test_beam_search_ends_with_the_eos_of_its_kind():
    kind = Tokens(5, 4, masked=True)
    case = Case(Transformer, {"x": kind, "source": Tokens(5, 6)})
    x = case.trained().translate(case.sources()["given"], beam=3)
    kind.check(x)
    assert ((x == kind.eos).sum(1) == 1).all()
