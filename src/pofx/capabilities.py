"""Capabilities: what may be asked of a model, each declared once, as a protocol. A model has those whose methods it defines.

The command line, the contract, the docs and mypy read this file; nobody else asks for a method by its name. `can(model, Samples)` says
whether it may be asked, and narrows the type; `require(model, Samples)` raises the user's error, which says why not.

Shapes: B examples, *shape one x, D numbers of x, d numbers of a code, L tokens of x, S of its source, V in the vocabulary, K clusters,
H units of a layer, N heads of an attention, P parameters of a likelihood.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar, runtime_checkable

from pofx.errors import Lacks

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from typing_extensions import TypeIs

    from pofx.distributions.likelihoods import Likelihood
    from pofx.distributions.priors import Prior
    from pofx.kinds import Kind, Vector
    from pofx.layers.recurrent import Recurrent
    from pofx.model import Model

P = TypeVar("P")

# What `pofx models` shows


@runtime_checkable
class Samples(Protocol):
    """Draws x, (n, *shape)."""

    def sample(self, n: int, *, given: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor: ...


@runtime_checkable
class Scores(Protocol):
    """log p(x) in nats, shape (B,): exact or a lower bound, as the class's `density` says."""

    density: ClassVar[Literal["exact", "bound"] | None]

    def log_prob(self, x: Tensor, *, given: Tensor | None = None) -> Tensor: ...


@runtime_checkable
class Encodes(Protocol):
    """x to a code of kind `codes`, (B, d): deterministic."""

    codes: Kind

    def encode(self, x: Tensor) -> Tensor: ...


@runtime_checkable
class Decodes(Protocol):
    """A code (B, d) to x, (B, *shape): the mean."""

    def decode(self, z: Tensor) -> Tensor: ...


@runtime_checkable
class Generates(Protocol):
    """x of a code z (B, d) from a prior whose parts may have names: what a sample is made of, open to be steered."""

    prior: Prior

    def generate(self, z: Tensor) -> Tensor: ...


@runtime_checkable
class Clusters(Protocol):
    """x to the number of its group, int64 (B,), from 0 to `clusters` - 1: groups that were found without labels."""

    clusters: int

    def cluster(self, x: Tensor) -> Tensor: ...


@runtime_checkable
class Completes(Protocol):
    """x with the parts where `known` is False filled in; what is known is kept."""

    def complete(self, x: Tensor, known: Tensor, *, generator: torch.Generator | None = None) -> Tensor: ...


@runtime_checkable
class Translates(Protocol):
    """A source of one kind to a target of another."""

    def translate(self, source: Tensor) -> Tensor: ...


@runtime_checkable
class Classifies(Protocol):
    """x to logits (B, classes)."""

    def classify(self, x: Tensor) -> Tensor: ...


@runtime_checkable
class Hashes(Protocol):
    """x to packed bits, uint8 (B, bits / 8)."""

    def hash(self, x: Tensor) -> Tensor: ...


# What else a model may be asked


@runtime_checkable
class Attends(Protocol):
    """Attention weights by name, (B, N, L, S) each, every row of them summing to 1.

    What is called "self ..." looks at what stands before each token of x, "encoder ..." from the source at the source, any other from x at
    the source; "... 2" is of the second layer.
    """

    def attention(self, x: Tensor, *, given: Any = None) -> dict[str, Tensor]: ...


@runtime_checkable
class Gated(Protocol):
    """What the gates of a recurrent layer do at each token, numbers (B, L, H) by name.

    One that is given a source takes it as `given`, and one that `HasRecurrentLayers` takes which `layer`, from 0; -1 is the last.
    """

    def gates(self, x: Tensor, **asked: Any) -> dict[str, Tensor]: ...


@runtime_checkable
class HasRecurrentLayers(Protocol):
    """The recurrent layers whose gates can be looked at: `recurrent.layers`."""

    recurrent: Recurrent


@runtime_checkable
class HasPosterior(Protocol):
    """Mean and standard deviation of a Gaussian code given x, (B, d) each; its prior is N(0, 1)."""

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]: ...


@runtime_checkable
class HasLatentLikelihood(Protocol):
    """log p(x | z) of a code of its own, for z ~ N(0, 1), in nats: x (B, *shape) and K codes of each (B, K, d) to (B, K)."""

    codes: Vector
    likelihood: Likelihood
    decoder: Callable[[Tensor], Tensor]  # z (B, d) to the likelihood's parameters

    def log_likelihood(self, x: Tensor, z_BKZ: Tensor) -> Tensor: ...
    def decode(self, z: Tensor) -> Tensor: ...


@runtime_checkable
class HasLikelihood(Protocol):
    """What its network's parameters say about x."""

    likelihood: Likelihood


@runtime_checkable
class Dequantised(Protocol):
    """Of a likelihood: whether the density is that of whole levels with uniform noise added."""

    dequantised: bool


@runtime_checkable
class Factorises(Protocol):
    """log p of each number of x given what it sees, in nats, (B, D): their sum is `log_prob`. One that takes labels has `given`, too."""

    def conditionals(self, x: Tensor) -> Tensor: ...


@runtime_checkable
class SaysWhatDepends(Protocol):
    """Whether conditional i may depend on number j, bool (D, D), in places of the flattened example."""

    def dependency_matrix(self) -> Tensor: ...


@runtime_checkable
class DrawsInOrder(Protocol):
    """The places of the flattened example in the order in which they are drawn, int64 (D,)."""

    order: Tensor


@runtime_checkable
class DrawsInAnyOrder(Protocol):
    """The places of the flattened example in order `number`, int64 (D,)."""

    def order_of(self, number: int) -> Tensor: ...


@runtime_checkable
class NamesContext(Protocol):
    """What of all that is known each number sees that `complete` draws, in words."""

    completion_context: str


@runtime_checkable
class StepsNumbers(Protocol):
    """The parameters of every number's distribution, (B, P, *shape), in one pass (`params`) and one number after another (`stepper`).

    `stepper(x)` is a function of d = 0, 1, ..., to be called in turn while x is filled in: (B, P) each. `pofx.bases.autoregressive` has
    them with the classes that x is given; `pofx.bases.order_agnostic` with `known` beside x.
    """

    def params(self, x: Tensor, *about: Any) -> Tensor: ...
    def stepper(self, x: Tensor, *about: Any) -> Callable[[int], Tensor]: ...


@runtime_checkable
class StepsTokens(Protocol):
    """Scores of what each token may be, (B, L, V), in one pass (`logits`), and of the next, (B, V), one token after another (`step`).

    Both look at what `read` keeps of the source; `start` is the state of n sequences of which nothing has been read. As
    `pofx.bases.token_model` has them.
    """

    def read(self, source: Tensor | None) -> dict[str, Tensor]: ...
    def logits(self, x_BL: Tensor, memory: dict[str, Tensor]) -> Tensor: ...
    def start(self, memory: dict[str, Tensor], n: int) -> dict[str, Tensor]: ...
    def step(self, token_B: Tensor, state: dict[str, Tensor], memory: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]: ...


@runtime_checkable
class Streams(Protocol):
    """The next token of each of n sequences, int64 (n,), as they are drawn, until all have ended; further arguments as in `sample`."""

    def read(self, source: Tensor | None) -> dict[str, Tensor]: ...
    def stream(self, memory: dict[str, Tensor], n: int, **asked: Any) -> Iterator[Tensor]: ...


@runtime_checkable
class HasMemberships(Protocol):
    """The probabilities of the clusters, (B, K)."""

    def memberships(self, x: Tensor) -> Tensor: ...


@runtime_checkable
class BoundsInformation(Protocol):
    """How much of each code can be told from what is generated of it: log Q(c | G(z)) + H(c) of each, in nats, (B,) by name."""

    def information(self, z: Tensor) -> dict[str, Tensor]: ...


@runtime_checkable
class HasParts(Protocol):
    """Of a prior: its parts by name, and the columns of a code that are one part's."""

    parts: Mapping[str, Prior]

    def where(self, name: str) -> slice: ...


@runtime_checkable
class MixesRows(Protocol):
    """Of a layer: whether an example's numbers depend on its neighbours in training."""

    mixes_rows: bool


@dataclass(frozen=True)
class Capability:
    """What is known of a capability.

    Args:
        protocol: what may be asked, with its shapes and units
        members: that show it: who defines all of them has it
        means: in one line
        listed: whether `pofx models` lists it, and a model without it says why
    """

    protocol: type
    members: tuple[str, ...]
    means: str
    listed: bool = True


CAPABILITIES: dict[str, Capability] = {  # what a model that has it does -> what it is
    "samples": Capability(Samples, ("sample",), "draws new x"),
    "scores": Capability(Scores, ("log_prob",), "says log p(x), or a lower bound of it"),
    "encodes": Capability(Encodes, ("encode",), "makes a code of x"),
    "decodes": Capability(Decodes, ("decode",), "makes x of a code"),
    "generates": Capability(Generates, ("generate",), "makes x of a code that is drawn from a prior, and can be steered by it"),
    "clusters": Capability(Clusters, ("cluster",), "puts x into groups that were found without labels"),
    "completes": Capability(Completes, ("complete",), "fills in what is not known of x"),
    "translates": Capability(Translates, ("translate",), "makes the likeliest x of a source"),
    "classifies": Capability(Classifies, ("classify",), "tells the class of x"),
    "hashes": Capability(Hashes, ("hash",), "makes packed bits of x"),
    "shows attention": Capability(Attends, ("attention",), "shows where it looks", listed=False),
    "shows gates": Capability(Gated, ("gates",), "shows what the gates of a recurrent layer do", listed=False),
    "has recurrent layers": Capability(HasRecurrentLayers, ("recurrent",), "says how many layers have gates", listed=False),
    "has a posterior": Capability(HasPosterior, ("posterior",), "gives the distribution of the code of x", listed=False),
    "has a latent likelihood": Capability(HasLatentLikelihood, ("log_likelihood",), "says log p(x | z)", listed=False),
    "has a likelihood": Capability(HasLikelihood, ("likelihood",), "says what its parameters mean for x", listed=False),
    "is dequantised": Capability(Dequantised, ("dequantised",), "of a likelihood: may add noise to whole levels", listed=False),
    "factorises": Capability(Factorises, ("conditionals",), "says log p of each number of x given others", listed=False),
    "says what depends on what": Capability(
        SaysWhatDepends, ("dependency_matrix",), "which conditionals may depend on which numbers", listed=False
    ),
    "draws in an order": Capability(DrawsInOrder, ("order",), "draws one number after another", listed=False),
    "draws in any order": Capability(DrawsInAnyOrder, ("order_of",), "draws one number after another, in orders by number", listed=False),
    "names its completion context": Capability(
        NamesContext, ("completion_context",), "says what each drawn number sees of what is known", listed=False
    ),
    "steps": Capability(
        StepsNumbers, ("stepper", "params"), "samples number by number, each at the cost of what the newest one changes", listed=False
    ),
    "steps over tokens": Capability(
        StepsTokens, ("step", "logits"), "samples token by token, each at the cost of what the newest one changes", listed=False
    ),
    "streams": Capability(Streams, ("stream",), "draws a text token by token", listed=False),
    "has memberships": Capability(HasMemberships, ("memberships",), "says how sure it is of a cluster", listed=False),
    "bounds information": Capability(BoundsInformation, ("information",), "tells codes from what is generated of them", listed=False),
    "has parts": Capability(HasParts, ("parts", "where"), "of a prior: is made of parts with names", listed=False),
    "mixes rows": Capability(MixesRows, ("mixes_rows",), "of a layer: may look at the rest of a batch", listed=False),
}
_NAMES = {capability.protocol: name for name, capability in CAPABILITIES.items()}
_HELD = {found.protocol for found in CAPABILITIES.values() if {*found.members} & {*inspect.get_annotations(found.protocol)}}  # values
_LISTED = {member: name for name, capability in CAPABILITIES.items() if capability.listed for member in capability.members}


def can(model: object, protocol: type[P]) -> TypeIs[P]:
    """Whether a model has a capability; mypy then knows what it may be asked. Nothing is asked or computed, no property is read.

    Args:
        model: a model, or a model's class, which is not constructed; or a layer, a prior, a likelihood
        protocol: one of those in `CAPABILITIES`

    Example:
        >>> from pofx.models.autoencoders.pca import PCA
        >>> can(PCA, Encodes), can(PCA, Samples)
        (True, False)
    """
    return _missing(_asked(model), protocol) is None


def _asked(model: Any) -> Any:
    """A model; of a session, which answers for one, its model."""
    return getattr(model, "__wrapped__", model)


def require(model: Model, protocol: type[P], *others: type) -> P:
    """Raise the user's error, which says why, unless the model has every one of these capabilities; else return it, typed as the first.

    Args:
        model: who is asked
        protocol: one of those in `CAPABILITIES`, or its name there
        others: more of them

    Raises:
        Lacks: it has not

    Example:
        >>> from pofx.kinds import Vector
        >>> from pofx.models.autoencoders.pca import PCA
        >>> require(PCA(Vector(4), latent=2), Encodes).codes
        Vector(dims=2)
    """
    model = _asked(model)
    for asked in (protocol, *others):
        wanted = CAPABILITIES[asked].protocol if isinstance(asked, str) and asked in CAPABILITIES else asked  # by its shown name
        if (member := _missing(model, wanted)) is not None:
            raise Lacks(lacking(model, _NAMES[wanted], member))
    return model  # type: ignore[return-value]  # it has just been seen to be one


def method(model: object, protocol: type) -> Any:
    """The method that shows a capability, of a model or of its class; None where there is none."""
    model = _asked(model)
    return None if _missing(model, protocol) is not None else getattr(model, CAPABILITIES[_NAMES[protocol]].members[0])


def listed(cls: object) -> tuple[str, ...]:
    """The capabilities of a model or a model's class that `pofx models` lists, in its order."""
    return tuple(name for name, capability in CAPABILITIES.items() if capability.listed and can(cls, capability.protocol))


def lacking(model: Model, name: str, member: str) -> str:
    """Why a model has no such member, in one line.

    Args:
        model: which
        name: of the capability, as in `CAPABILITIES`
        member: that would show it
    """
    title, has = model.title(), ", ".join(listed(model)) or "nothing yet"
    why = model.without.get(member) or f"what it can: {has}; `pofx models` shows which models can"
    return f"{title} has no {member} (it is not a model that {name}): {why}"


def why_not(model: Model, member: str) -> str | None:
    """Why a model has no such member, if it would show a capability that is listed."""
    return lacking(model, _LISTED[member], member) if member in _LISTED else None


def _missing(model: object, protocol: type) -> str | None:
    """The first member of a capability that is not there."""
    if protocol not in _NAMES:
        raise TypeError(f"{protocol!r} is no capability: those are in pofx.capabilities.CAPABILITIES")
    there = _has_method if protocol not in _HELD else _holds
    return next((member for member in CAPABILITIES[_NAMES[protocol]].members if not there(model, member)), None)


def _has_method(model: object, member: str) -> bool:
    """Whether a class, or an object's class, defines a method. What an object holds is no method, such as a layer of that name."""
    cls = model if isinstance(model, type) else type(model)
    return any(member in vars(base) for base in cls.__mro__ if base not in _NAMES)


def _holds(model: object, member: str) -> bool:
    """Whether an object holds a value, itself or by its class; or a class defines or declares it."""
    if _has_method(model, member):
        return True
    if isinstance(model, type):
        return any(member in inspect.get_annotations(base) for base in model.__mro__ if base not in _NAMES)
    held: dict[str, Any] = getattr(model, "__dict__", {})
    return member in held or any(member in (held.get(store) or ()) for store in ("_parameters", "_buffers", "_modules"))
