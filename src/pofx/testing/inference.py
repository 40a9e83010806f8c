"""Checks of asking a model: batches may be cut anywhere, the same generator gives the same sample, copies give the same numbers."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from pofx.capabilities import Classifies, Clusters, Completes, Encodes, Generates, Hashes, Samples, Scores, method
from pofx.randomness import generator
from pofx.run import load, save
from pofx.testing.cases import BATCH, Case, answers, check, close, global_generator_untouched

ABOUT_X = (Scores, Encodes, Classifies, Clusters, Hashes)  # what is asked about an example


@check(lambda case: any(case.can(capability) for capability in ABOUT_X))
def cutting_the_batch(case: Case) -> None:
    """What is said about an example does not depend on its neighbours."""
    model, x, given = case.trained(), case.first(), case.sources()
    rows = (slice(0, 1), slice(1, 4), slice(4, BATCH))
    for capability in ABOUT_X:
        if (ask := method(model, capability)) is not None:
            keywords = given if capability is Scores else {}
            with torch.no_grad():
                whole = ask(x, **keywords)
                cut = torch.cat([ask(x[part], **{name: values[part] for name, values in keywords.items()}) for part in rows])
            close(cut, whole, f"what {ask.__name__} gives depends on how the batch is cut")


@check(lambda case: case.can(Generates, Samples))
def samples_are_generated(case: Case) -> None:
    """A sample is what the model generates from a code of its prior, whatever codes stand beside it."""
    model = case.trained()
    like = next(model.parameters())
    z_Bd = model.prior.sample(BATCH, like, generator("codes"))
    assert z_Bd.shape == (BATCH, model.prior.dims), f"the prior gives codes {tuple(z_Bd.shape)}, not ({BATCH}, {model.prior.dims})"
    swept = model.prior.sweep(3)
    assert swept.shape == (len(swept), model.prior.dims), f"a sweep of the prior gives {tuple(swept.shape)}"
    with torch.no_grad():
        whole, cut = model.generate(z_Bd), torch.cat([model.generate(part) for part in z_Bd.split((1, 3, BATCH - 4))])
        close(cut, whole, "what is generated depends on how the batch is cut")
        close(model.sample(BATCH, generator=generator("codes")), whole, "samples are not generated from the prior")


@check()
def randomness(case: Case) -> None:
    """Answers are a function of the model, the question and the generator."""
    model = case.trained()
    with global_generator_untouched():
        first, second = answers(model, case), answers(model, case)
    _equal(second, first, "asked twice")
    if case.can(Samples):
        with torch.no_grad():
            other = model.sample(BATCH, **case.sources(), generator=generator("another"))
        assert not torch.equal(other, first["sample"]), "sample does not listen to its generator"


@check(lambda case: case.can(Completes))
def completing(case: Case) -> None:
    """What is known is kept, whatever the mask; the rest is drawn from the generator, and what stood in its place is not looked at."""
    model, x = case.trained(), case.first()
    known = torch.rand(x.shape, generator=generator("known")) < 0.5
    known[0], known[1] = True, False
    before = x.clone()
    with torch.no_grad():
        done = model.complete(x, known, generator=generator("complete"))
        assert torch.equal(x, before), "complete wrote into the x it was given"
        assert torch.equal(done[known], x[known]), "complete changed what is known"
        elsewhere = torch.where(known, x, x.roll(1, 0))
        again = model.complete(elsewhere, known, generator=generator("complete"))
        assert torch.equal(again, done), "complete looked at what is not known"
        other = model.complete(x, known, generator=generator("another"))
        assert not torch.equal(other, done), "complete does not listen to its generator"


@check()
def copies(case: Case) -> None:
    """copy.deepcopy, and save and load, give a model with the same answers; asking changes nothing in the model."""
    model = case.trained(torch.float32)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    before = answers(model, case, torch.float32)
    _equal(model.state_dict(), weights, "after asking")
    clone = copy.deepcopy(model)
    assert clone.config == model.config
    _equal(answers(clone, case, torch.float32), before, "copied")
    with tempfile.TemporaryDirectory() as folder:
        loaded = load(save(model, Path(folder) / "run"), trust=True)
    assert loaded.config == model.config
    assert not loaded.training, "a loaded model is in training mode"
    _equal(answers(loaded, case, torch.float32), before, "saved and loaded")


def _equal(found: dict[str, Tensor], expected: dict[str, Tensor], what: str) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), f"{name} differs, {what}"
