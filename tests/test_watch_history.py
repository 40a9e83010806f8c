"""Watching adversarial training: which histories of its numbers are worth a warning, and what the warning suggests."""

import json
import math
import re

import pytest
from torch import nn

from pofx.kinds import Vector
from pofx.model import Model
from pofx.models import find
from pofx.options import check_value, from_text
from pofx.testing.cases import cases
from pofx.train.monitor import History, Thresholds, remedies


class Bare(Model):
    """A model without options."""

    def __init__(self, x: Vector):
        super().__init__()
        self.only = nn.Linear(x.dims, 1)


# Histories: TOTAL steps, a row of the players every 20, a check of samples every 100

TOTAL = 3000
CHECKS, LOGGED = Thresholds().checks_in_a_row, Thresholds().moves_in_a_row


def checks(coverage, spread=lambda step: 1.0, count=500, precision=lambda step: 0.5):
    return [
        {
            "step": step,
            "split": "valid",
            "watch.coverage": coverage(step),
            "watch.precision": precision(step),
            "watch.spread": spread(step),
            "watch.rows": count,
            "watch.real_coverage": 0.97,
        }
        for step in range(100, TOTAL + 1, 100)
    ]


def moves(right, generator=lambda step: 1.0, discriminator=lambda step: 1.0):
    """Rows of the players: the discriminator's shares on real and fake, and the norms of both gradients, as functions of the step."""
    return [
        {
            "step": step,
            "stage": "play",
            "discriminator.right_on_real": right(step)[0],
            "discriminator.right_on_fake": right(step)[1],
            "discriminator.gradient_norm": discriminator(step),
            "generator.gradient_norm": generator(step),
        }
        for step in range(20, TOTAL + 1, 20)
    ]


def warned(*histories, history=None):
    """What a history of rows tells: (step, cause)."""
    history = history or History()
    merged = sorted((row for rows in histories for row in rows), key=lambda row: row["step"])
    return [(row["step"], cause) for row in merged for cause, _ in history.add(row, TOTAL)]


def swinging(step, period=240):
    return 0.5 + 0.5 * math.sin(2 * math.pi * step / period)


def test_oscillation_is_normal():
    """Accuracy between 0 and 1, coverage between .1 and .9, norms over two powers of ten, each with a period of its own."""
    for period in (300, 430, 700):
        players = moves(
            lambda step: (swinging(step, 200), 1 - swinging(step, 200)),
            lambda step: 10 ** (2 * swinging(step, 330)),
            lambda step: 10 ** (2 * swinging(step, 510)),
        )
        samples = checks(lambda step, p=period: 0.1 + 0.8 * swinging(step, p), lambda step, p=period: 0.05 + swinging(step, p))
        assert warned(players, samples) == []


def test_a_game_that_goes_well_tells_nothing():
    """The discriminator is right on all at first, coverage rises slowly from nothing, gradients fall to a twentieth."""
    players = moves(lambda step: (1.0, 1.0) if step < 900 else (0.8, 0.7), lambda step: 20 ** (-step / TOTAL))
    samples = checks(lambda step: 0.6 * step / TOTAL, lambda step: min(1.0, step / 1000))
    assert warned(players, samples) == []


def test_coverage_that_falls_and_stays_is_a_collapse_told_once():
    assert warned(checks(lambda step: 0.8 if step < 1000 else 0.3)) == [(1000 + 100 * (CHECKS - 1), "fell")]
    assert warned(checks(lambda step: 0.3 if 1000 <= step < 1000 + 100 * (CHECKS - 1) else 0.8)) == [], "it came back"
    assert warned(checks(lambda step: 0.8 if step < 1000 else 0.5)) == [], "more than half of the best is no collapse"
    assert warned(checks(lambda step: 0.15 if step < 1000 else 0.05)) == [], "what was never covered cannot be lost"
    assert warned(checks(lambda step: 0.8 if step < 1000 else 0.1, count=50)) == [], "of few rows coverage says little"


def test_samples_that_are_alike_are_a_collapse_once_they_had_time():
    assert warned(checks(lambda step: 0.02, lambda step: 0.05)) == [(TOTAL // 3, "alike")]
    assert warned(checks(lambda step: 0.02, lambda step: 0.05 if step < 1000 else 0.9)) == []
    assert warned(checks(lambda step: 0.02, lambda step: 0.05 if step > 2000 else 0.9)) == [(2100 + 100 * (CHECKS - 1), "alike")]


def test_one_collapse_does_not_silence_another_of_another_kind():
    """Samples that are alike at first, then apart, and then part of what they reached is lost."""
    samples = checks(lambda step: 0.02 if step < 1500 else 0.8 if step < 2200 else 0.2, lambda step: 0.05 if step < 1500 else 0.9)
    assert warned(samples) == [(TOTAL // 3, "alike"), (2200 + 100 * (CHECKS - 1), "fell")]


def test_good_samples_of_a_part_of_the_data_are_modes_that_are_missing():
    """Two of eight modes from first to last; the same with poor samples, more of the data, coverage that rises, few rows; a lost mode."""
    few = lambda step: 0.25  # noqa: E731
    good = {"precision": lambda step: 0.95}
    assert warned(checks(few, **good)) == [(TOTAL // 3, "missing")]
    assert warned(checks(few, precision=lambda step: 0.95 if step > 2000 else 0.5)) == [(2100 + 100 * (CHECKS - 1), "missing")]
    assert warned(checks(few, precision=lambda step: 0.8)) == []
    assert warned(checks(lambda step: 0.55, **good)) == []
    assert warned(checks(lambda step: 0.45 * step / TOTAL, **good)) == []
    assert warned(checks(few, count=50, **good)) == []
    assert warned(checks(few, lambda step: 0.1, **good)) == [(TOTAL // 3, "alike")], "one cause, one warning"
    assert warned(checks(lambda step: 0.8 if step < 1000 else 0.25, **good)) == [(1000 + 100 * (CHECKS - 1), "fell")]
    old = [{name: value for name, value in row.items() if name != "watch.precision"} for row in checks(few, **good)]
    assert warned(old) == [], "rows of runs from before the number was logged"


def test_a_discriminator_wins_outright_if_it_is_right_for_long_and_the_others_get_nowhere():
    def won(step):
        return (0.99, 1.0) if step > 1000 else (0.8, 0.9)

    for_long = 1020 + TOTAL // 10
    assert warned(moves(won)) == [], "gradients are as they were, and nothing is known of samples"
    assert warned(moves(won), checks(lambda step: 0.5 * step / TOTAL)) == [], "coverage rises"
    assert warned(moves(won, lambda step: 1.0 if step < 1000 else 0.005)) == [(for_long, "discriminator")]
    assert warned(moves(won), checks(lambda step: 0.05)) == [(for_long, "discriminator")]
    assert warned(moves(lambda step: (1.0, 0.7) if step > 1000 else (0.8, 0.9)), checks(lambda step: 0.05)) == [], "wrong on fake"
    early = moves(lambda step: (1.0, 1.0) if step < 800 else (0.8, 0.8))
    assert warned(early, checks(lambda step: 0.05)) == [], "being right early is normal"
    always = moves(lambda step: (1.0, 1.0))
    assert warned(always, checks(lambda step: 0.05)) == [(TOTAL // 3, "discriminator")]
    assert warned(always, checks(lambda step: 0.05 + 0.1 * step / TOTAL)) == [], "coverage rises"


def test_the_names_of_players_and_of_what_a_discriminator_is_right_on_do_not_matter():
    names = {"discriminator": "judge", "generator": "encoder", "right_on_real": "right_on_real_y"}

    def renamed(row):
        out = {}
        for name, value in row.items():
            for old, new in names.items():
                name = name.replace(old, new)
            out[name] = value
        return out

    rows = moves(lambda step: (1.0, 1.0), lambda step: 1.0 if step < 1000 else 0.005)
    assert warned(rows) == warned(map(renamed, rows)) == [(1000 + 20 * (LOGGED - 1), "discriminator")]


def test_a_gradient_vanishes_that_stays_far_below_its_early_median():
    balanced = lambda step: (0.7, 0.7)  # noqa: E731
    for player in ("generator", "discriminator"):
        norms = {player: lambda step: (1e4 if step == 20 else 1.0) if step < 600 else 5e-4}
        assert warned(moves(balanced, **norms)) == [(600 + 20 * (LOGGED - 1), "vanishing")]
    assert warned(moves(balanced, lambda step: 1.0 if step < 600 else 5e-3)) == []
    assert warned(moves(balanced, lambda step: 5e-4 if 600 <= step < 600 + 20 * (LOGGED - 1) else 1.0)) == [], "it came back"
    assert warned(moves(balanced, lambda step: 0.0)) == [(40 * LOGGED, "vanishing")], "a player that never moved"


def test_a_gradient_that_fades_is_warned_of_only_where_one_player_scores_another():
    rows = [{"step": step, "one.gradient_norm": 1.0 if step < 600 else 1e-6} for step in range(20, TOTAL, 20)]
    assert warned(rows) == []
    assert warned([row | {"other.right_on_real": 0.7} for row in rows]) == [(600 + 20 * (LOGGED - 1), "vanishing")]


def test_another_stage_begins_another_history():
    rows = moves(lambda step: (0.7, 0.7), lambda step: 1.0 if step < 600 else 5e-4)
    later = [row | {"stage": "finer"} if row["step"] >= 600 else row for row in rows]
    assert warned(later) == []


def test_what_was_told_and_the_best_coverage_are_those_of_the_stage():
    def stages(step):
        return {"step": step, "stage": "coarse" if step < 1500 else "fine"}

    entered = [stages(step) for step in range(50, TOTAL, 100)]
    end = 100 * (CHECKS - 1)
    twice = checks(lambda step: 0.8 if step < 500 or 1500 <= step < 2000 else 0.1)
    assert warned(entered, twice) == [(500 + end, "fell"), (2000 + end, "fell")]
    assert warned(twice) == [(500 + end, "fell")]
    lower = checks(lambda step: 0.8 if step < 1600 else 0.3)
    assert warned(entered, lower) == [], "a new stage has a best of its own"
    assert warned(lower) == [(1600 + end, "fell")]


@pytest.mark.parametrize("cut", [0, 4, 30, 90, 179])
def test_a_history_goes_on_from_its_state(cut):
    players = moves(lambda step: (1.0, 1.0), lambda step: 1.0 if step < 600 else 5e-4)
    rows = sorted(players + checks(lambda step: 0.8 if step < 1000 else 0.1), key=lambda row: row["step"])
    whole = warned(rows)
    assert {symptom for _, symptom in whole} == {"fell", "discriminator", "vanishing"}
    first, second = History(), History()
    before = warned(rows[:cut], history=first)
    second.__dict__ |= json.loads(json.dumps(first.__dict__))
    assert before + warned(rows[cut:], history=second) == whole


@pytest.mark.parametrize("name", ["gan", "dcgan", "infogan", "aae"])
@pytest.mark.parametrize("cause", ["alike", "fell", "missing", "discriminator", "vanishing"])
def test_what_is_to_be_tried_are_options_that_the_model_has(name, cause):
    model = cases(find(name))[0].model()
    model.config |= {"loss": "minimax"}
    text = remedies(model, cause)
    offered = {p.name: p for p in model.hyper_parameters()}
    tried = re.findall(r"--([a-z-]+)(?: ([^,-]+))?", text)
    assert tried, text
    for flag, value in tried:
        option = offered[flag.replace("-", "_")]
        found = from_text(option.annotation, value) if value else True
        check_value(flag, option.annotation, found)
        assert found != model.config[option.name]


def test_options_that_are_on_are_not_suggested_and_a_model_without_any_is_told_of_the_learning_rate():
    gan = find("gan")(Vector(2), packing=2, minibatch_std=True, spectral_norm=True)
    assert remedies(gan, "missing") == "Train again with one of: --penalty r1"
    assert remedies(Bare(Vector(3)), "missing") == "Train again with a lower --lr"


@pytest.mark.parametrize("name", ["gan", "dcgan", "infogan", "aae"])
def test_where_lr_overrides_the_players_rates_all_of_them_are_suggested_in_its_place(name):
    model = cases(find(name))[0].model()
    text = remedies(model, "vanishing", 1e-3)
    rates = dict(re.findall(r"--(lr-[a-z]+) ([0-9.e-]+)", text))
    assert {flag: float(rate) for flag, rate in rates.items()} == {
        option.name.replace("_", "-"): 5e-4 if option.name == "lr_discriminator" else 1e-3
        for option in model.hyper_parameters()
        if option.name.startswith("lr_")
    }
    assert text.endswith(" in place of --lr")
    assert "--lr-discriminator" in remedies(model, "vanishing")
    assert "--lr " not in remedies(model, "vanishing")


def test_samples_that_were_never_apart_may_need_more_time():
    for apart, spread in ((False, lambda step: 0.05), (True, lambda step: 0.05 if step > 300 else 0.9)):
        history = History()
        (what,) = [what for row in checks(lambda step: 0.02, spread) for _, what in history.add(row, TOTAL)]
        assert ("they were never apart: more steps or a higher --lr may do" in what) is not apart
