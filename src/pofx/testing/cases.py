"""Small instances of a model and small data for them: what the checks run on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.testing import assert_close

from pofx.capabilities import Classifies, Clusters, Completes, Decodes, Encodes, Generates, Hashes, Samples, Scores, Translates, can, method
from pofx.data import Column, Data, Split
from pofx.errors import UserError
from pofx.kinds import Kind
from pofx.model import Model
from pofx.plan import Batch, Part, Player
from pofx.randomness import Noise, generator
from pofx.run import seeded
from pofx.train import Training
from pofx.train.loop import Trainer

TRAIN, VALID, BATCH = 20, 7, 6  # examples in the small data, and in a batch: the third batch reaches into the second epoch

Check = Callable[["Case"], None]
_TRAINED: dict[Any, Model] = {}  # each case's small training is done once a process
CHECKS: dict[str, tuple[Callable[[Case], bool], Check]] = {}  # name -> when it applies, the check


def check(applies: Callable[[Case], bool] = lambda case: True) -> Callable[[Check], Check]:
    """Add a function to the contract under its own name, for the cases that it applies to."""

    def add(function: Check) -> Check:
        CHECKS[function.__name__] = (applies, function)
        return function

    return add


@dataclass(frozen=True)
class Case:
    """A model class, and the kinds of data that it is built for in this case.

    Args:
        cls: a model class
        kinds: field -> kind
        densities: only the checks of probabilities are for this case
    """

    cls: type[Model]
    kinds: dict[str, Kind]
    densities: bool = False

    def __str__(self) -> str:
        return ", ".join(f"{name}={kind}" for name, kind in self.kinds.items())

    def can(self, *capabilities: type) -> bool:
        """Whether the model has every one of these capabilities."""
        return all(can(self.cls, capability) for capability in capabilities)

    @property
    def x(self) -> Kind:
        """The kind of the model's first field."""
        return next(iter(self.kinds.values()))

    def model(self, dtype: torch.dtype = torch.float64) -> Any:
        """A small `Model` as constructed; a check asks it what it applies to, so that mypy lets it."""
        with seeded(0):
            return self.cls(**self.kinds, **self.cls.small).to(dtype)

    def trained(self, dtype: torch.dtype = torch.float64) -> Any:
        """A small instance in evaluation mode after a few steps, its weights moved at random: no zero hides an error."""
        key = (self.cls, tuple(self.kinds.items()), dtype)
        if key not in _TRAINED:
            model = self.model(dtype)
            Trainer(model, self.data(), Training(steps=4, batch_size=BATCH, device="cpu")).run()
            _TRAINED[key] = stirred(model).eval()
        return copy.deepcopy(_TRAINED[key])  # what one check does to its model is no other's

    def data(self) -> Data:
        """Random numbers of the case's kinds as a data set."""
        numbers = np.random.default_rng(0)
        splits = {}
        for name, rows in (("train", TRAIN), ("valid", VALID)):
            splits[name] = Split({field: Column(kind, kind.random(rows, numbers)) for field, kind in self.kinds.items()})
        record = {"spec": "random", "sha256": "", "counts": {"train": TRAIN, "valid": VALID}}
        return Data(dict(self.kinds), splits, record)

    def batch(self, rows: int = BATCH, dtype: torch.dtype = torch.float64) -> Batch:
        """The first rows of the training split."""
        batch = self.data().splits["train"].read(range(rows))
        return {name: values.to(dtype) if values.is_floating_point() else values for name, values in batch.items()}

    def given(self, rows: int = BATCH) -> dict[str, Tensor]:
        """The keyword argument `given` of the first rows, for a model that takes labels; empty for one that does not."""
        labels = [name for name, kind in self.kinds.items() if kind.classes and kind is not self.x]
        return {"given": self.batch(rows)[labels[0]]} if labels else {}

    def sources(self, rows: int = BATCH, dtype: torch.dtype = torch.float64, *, same: bool = False) -> dict[str, Tensor]:
        """The keyword argument `given` of a p(x | source): the sources of the first rows, or so many times the `same` one; else empty."""
        if "source" not in self.kinds:
            return {}
        source = self.batch(1 if same else rows, dtype)["source"]
        return {"given": source.expand(rows, *source.shape[1:])}

    def first(self, rows: int = BATCH, dtype: torch.dtype = torch.float64) -> Tensor:
        """The first rows of the first field."""
        return next(iter(self.batch(rows, dtype).values()))


def cases(cls: type[Model], kinds: dict[str, Kind] | None = None) -> list[Case]:
    """A case for each kind that the model's first field accepts, one more with all optional fields, and tiny ones for an exact density.

    Raises:
        UserError: the model takes none of the small kinds
    """
    if kinds is not None:
        return [Case(cls, kinds)]
    needs = cls.needs()
    (first, (accepted, _)), *others = needs.items()
    found, tiny = list[Case](), list[Case]()
    refused = UserError(f"{cls.title()} accepts no kind of data that the checks know; give kinds=")
    if not all(options[0].small() for _, (options, _) in others):
        raise refused
    required = {name: options[0].small()[0] for name, (options, needed) in others if needed}
    optional = {name: options[0].small()[0] for name, (options, needed) in others if not needed}
    for options in accepted:
        for kind in options.small():
            case = Case(cls, {first: kind, **required})
            try:
                case.model()
            except UserError as error:
                refused = error
            else:
                found.append(case)
                break
        for kind in options.tiny() if cls.density == "exact" else ():
            case = Case(cls, {first: kind, **required}, densities=True)
            with suppress(UserError):
                case.model()
                tiny.append(case)
    if not found:
        raise refused
    if optional:
        found.append(Case(cls, {**found[0].kinds, **optional}))
        tiny += [Case(cls, {**case.kinds, **optional}, densities=True) for case in tiny[:1]]
    return found + tiny


def close(found: Tensor, expected: Tensor, what: str, *, rtol: float = 1e-9, atol: float = 1e-9) -> None:
    """Fail, naming `what`, unless the numbers are equal up to rounding."""
    assert_close(found, expected, rtol=rtol, atol=atol, msg=lambda m: f"{what}: {m}")


def stirred(model: Model) -> Model:
    """The model with its weights moved at random."""
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=source, dtype=torch.float64).to(p.dtype))
    return model


def every(kind: Kind, dtype: torch.dtype = torch.float64) -> Tensor:
    """Every example of a small kind as a tensor: whole numbers stay what they are."""
    return torch.from_numpy(kind.every()).to(dtype if kind.dtype == "float32" else torch.int64)


def number(x: Tensor, kind: Kind) -> Tensor:
    """Where each example (B, *shape) stands in `every(kind)`, (B,)."""
    return torch.from_numpy(kind.number(x.numpy()))


def moves(model: Model) -> Iterator[Player]:
    """Each player of each stage in turn, entering the stages on the way; the model is in training mode."""
    model.train()
    for number, stage in enumerate(model.stages()):
        if stage.on_enter is not None:
            with seeded(1 + number):
                stage.on_enter()
        yield from stage.players


def noise(rows: slice = slice(0, BATCH), *, key: object = 0, dtype: torch.dtype = torch.float64) -> Noise:
    """The noise of a step on these rows of a batch."""
    return Noise(("check", key), rows, BATCH, dtype=dtype, progress=0.5)


def values(part: Part) -> tuple[Tensor, ...]:
    """The tensors in a part of a loss."""
    return (part,) if isinstance(part, Tensor) else tuple(part)


@contextmanager
def global_generator_untouched() -> Iterator[None]:
    """Fail if what happens inside draws from torch's global generator."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state()), "drew from torch's global generator: use the one that is handed in"


def answers(model: Model, case: Case, dtype: torch.dtype = torch.float64, rows: int = BATCH) -> dict[str, Tensor]:
    """What the model answers to every question that it can be asked about the first rows of the data."""
    x, given, found = case.first(rows, dtype), case.sources(rows, dtype), dict[str, Tensor]()
    with torch.no_grad():
        if can(model, Scores):
            found["log_prob"] = model.log_prob(x, **given)
        for capability in (Encodes, Classifies, Clusters, Hashes):
            if (ask := method(model, capability)) is not None:
                found[ask.__name__] = ask(x)
        if can(model, Translates):
            found["translate"] = model.translate(given["given"])
        if can(model, Decodes) and "encode" in found:
            found["decode"] = model.decode(found["encode"])
        if can(model, Generates):
            found["generate"] = model.generate(model.prior.sample(rows, x, generator("generate")))
        if can(model, Completes):
            found["complete"] = model.complete(x, halves(x), generator=generator("complete"))
        if can(model, Samples):
            found["sample"] = model.sample(rows, **given, generator=generator("sample"))
    return found


def halves(x: Tensor) -> Tensor:
    """A mask that keeps the first half of each example."""
    known = torch.arange(x[0].numel()) < x[0].numel() // 2
    return known.view(x.shape[1:]).expand_as(x)


def refuses(build: Callable[[], Any], what: str) -> str:
    """The message of the UserError that `build` raises; anything else fails."""
    try:
        build()
    except UserError as error:
        message = str(error)
        assert "\n" not in message, f"{what}: the error takes more than one line: {message}"
        return message
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__} instead of a UserError: {error}") from error
    raise AssertionError(f"{what}: no UserError")
