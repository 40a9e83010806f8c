"""Models that are broken in one way each, named after the check that must notice: what the contract is worth."""

from typing import ClassVar, Literal

import torch
from torch import nn
from torch.nn import functional as F

from pofx.bases.token_model import shift_right
from pofx.bases.translator import Translator
from pofx.distributions.priors import Gaussian
from pofx.errors import UserError
from pofx.kinds import PAD, Binary, Category, Tokens, Vector
from pofx.model import Model
from pofx.options import Size
from pofx.plan import Player, Stage


class Sound(Model):
    """A chain of logistic regressions that keeps the contract: the others differ from it in one place.

    References:
        Does the wake-sleep algorithm produce good density estimators? (Frey, Hinton & Dayan, 1996)

    Args:
        x: bits
        latent: numbers in a code
    """

    paper: ClassVar = ("Frey et al.", 1996, "NIPS 8")
    density: ClassVar[Literal["exact", "bound"] | None] = "exact"
    kinds: ClassVar = {"x": Binary(1, 3, 3)}

    def __init__(self, x: Binary | Vector, *, latent: Size = 2):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(x.size, x.size)), nn.Parameter(torch.zeros(x.size))
        self.shape, self.codes, self.order = x.shape, Vector(latent), torch.arange(x.size)

    def dependency_matrix(self):
        return torch.ones(self.weight.shape, dtype=torch.bool).tril(-1)

    def logits(self, x_BD):
        return F.linear(x_BD, self.weight.tril(-1), self.bias)

    def params(self, x):
        return self.logits(x.flatten(1)).view(len(x), 1, *self.shape)

    def stepper(self, x):
        return lambda d: self.params(x).flatten(2)[:, :, d]

    def conditionals(self, x):
        x_BD = x.flatten(1)
        return -F.binary_cross_entropy_with_logits(self.logits(x_BD), x_BD, reduction="none")

    def log_prob(self, x, *, given=None):
        return self.conditionals(x).sum(1)

    def encode(self, x):
        return self.logits(x.flatten(1))[:, : self.codes.dims]

    def loss(self, batch, noise):
        return {"nll": -self.conditionals(batch["x"]).sum(1)}

    @torch.no_grad()
    def sample(self, n, *, given=None, generator=None, sampler: Literal["cached", "naive"] = "cached"):
        x = torch.zeros(n, *self.shape, dtype=self.bias.dtype)
        return Sound.complete(self, x, x.bool(), generator=generator)

    @torch.no_grad()
    def complete(self, x, known, *, generator=None):
        x_BD, known_BD = x.flatten(1).clone(), known.flatten(1)
        uniform_BD = torch.rand(x_BD.shape, generator=generator, dtype=x_BD.dtype)
        for d in range(x_BD.shape[1]):
            drawn = (uniform_BD[:, d] < self.logits(x_BD)[:, d].sigmoid()).to(x_BD.dtype)
            x_BD[:, d] = torch.where(known_BD[:, d], x_BD[:, d], drawn)
        return x_BD.unflatten(1, self.shape)


class SumsToOne(Sound):
    def logits(self, x_BD):  # a bit sees those after it, too
        return F.linear(x_BD, self.weight - self.weight.diag().diag(), self.bias)


class SamplesFollowTheDensity(Sound):
    @torch.no_grad()
    def sample(self, n, *, given=None, generator=None, sampler: Literal["cached", "naive"] = "cached"):
        logits = self.bias.expand(n, -1)  # as if the bits were independent
        return torch.bernoulli(logits.sigmoid(), generator=generator).unflatten(1, self.shape)


class BoundStaysBelow(Sound):
    density = "bound"

    def log_prob(self, x, *, given=None):
        return super().log_prob(x) + 0.1


class IntegratesToOne(Sound):
    kinds: ClassVar = {"x": Vector(2)}

    def conditionals(self, x):
        return -(x - self.logits(x)).square()  # pi ** (-D / 2) is missing


class ConditionalsSeeWhatTheyMay(SumsToOne):
    pass


class ConditionalsSeeLessThanTheySay(Sound):
    check = "conditionals_see_what_they_may"

    def logits(self, x_BD):
        return F.linear(x_BD, self.weight.tril(-3), self.bias)


class LabelsMatter(Sound):
    """It takes a label and looks at none."""

    kinds: ClassVar = {"x": Binary(1, 3, 3), "label": Category(3)}

    def __init__(self, x: Binary, label: Category):
        super().__init__(x)
        self.of_label = nn.Parameter(torch.zeros(label.classes))

    def log_prob(self, x, *, given=None):
        return super().log_prob(x)


class LabelsMatterMixed(LabelsMatter):
    """The mean over labels of log p(x | label) instead of the log of the mean."""

    check = "labels_matter"

    def log_prob(self, x, *, given=None):
        logit_BY = self.of_label * x.flatten(1).sum(1, keepdim=True)
        if given is None:
            return super().log_prob(x) + logit_BY.mean(1)
        if given.shape != x.shape[:1] or not 0 <= given.min() <= given.max() < 3:
            raise UserError("no such label")
        return super().log_prob(x) + logit_BY.gather(1, given[:, None])[:, 0]


class LabelsMatterUnchecked(LabelsMatterMixed):
    """A negative label is taken for one from the end."""

    check = "labels_matter"
    density = "bound"

    def log_prob(self, x, *, given=None):
        return super().log_prob(x, given=None if given is None else given % 3)


class SamplersAgree(Sound):
    @torch.no_grad()
    def sample(self, n, *, given=None, generator=None, sampler: Literal["cached", "naive"] = "cached"):
        x = super().sample(n, generator=generator)
        return x.flip(2) if sampler == "cached" else x


class StepsEqualTheWhole(Sound):
    def stepper(self, x):
        first = self.params(x)  # never looks at what has been filled in since
        return lambda d: first.flatten(2)[:, :, d]


class Gradients(Sound):
    def __init__(self, x: Binary):
        super().__init__(x)
        self.forgotten = nn.Linear(2, 2)


class GradientsByAnother(Sound):
    check = "gradients"

    def __init__(self, x: Binary):
        super().__init__(x)
        self.layer = nn.Linear(x.size, 1)

    def stages(self):
        return [Stage("s", [Player("p", [self.layer], self.loss)])]

    def loss(self, batch, noise):
        with torch.no_grad():
            self.bias += 0.1  # of no player
        return {"l": self.layer(batch["x"].flatten(1)).square().sum(1)}


class LossParts(Sound):
    def loss(self, batch, noise):
        return {"nll": super().loss(batch, noise)["nll"] + torch.rand(len(batch["x"])).to(self.bias.dtype)}


class LossPartsMean(Sound):
    check = "loss_parts"

    def loss(self, batch, noise):
        return {"nll": super().loss(batch, noise)["nll"].mean()}


class LossPartsMixed(Sound):
    check = "loss_parts"

    def loss(self, batch, noise):
        nll_B = super().loss(batch, noise)["nll"]
        return {"nll": nll_B - nll_B.mean()}


class CuttingTheBatch(Sound):
    def encode(self, x):
        z = super().encode(x)
        return z - z.mean(0)


class Randomness(Sound):
    @torch.no_grad()
    def sample(self, n, *, given=None, generator=None, sampler: Literal["cached", "naive"] = "cached"):
        return super().sample(n)


class SamplesAreGenerated(Sound):
    prior = Gaussian(9)

    def generate(self, z):  # its samples come from elsewhere
        return z.sigmoid().round().unflatten(1, self.shape)


class Completing(Sound):
    def complete(self, x, known, *, generator=None):
        return super().complete(x, known & (torch.arange(x.shape[-1]) > 0), generator=generator)


class CompletingWithAGlance(Sound):
    check = "completing"

    def complete(self, x, known, *, generator=None):
        done = super().complete(x, known, generator=generator)
        done[:, 0, 0, 0] = x[:, 0, 0, 0]
        return done


class Copies(Sound):
    """References: Args: x: bits"""

    def __init__(self, x: Binary):
        super().__init__(x)
        self.seen = 0

    def loss(self, batch, noise):
        self.seen += 1  # kept nowhere
        return super().loss(batch, noise)

    def encode(self, x):
        return super().encode(x) + self.seen


class Resume(Copies):
    def loss(self, batch, noise):
        return {"nll": super().loss(batch, noise)["nll"] * self.seen}


class Replicas(Sound):
    def loss(self, batch, noise):
        x = batch["x"] * (torch.rand(batch["x"].shape, generator=torch.Generator().manual_seed(len(batch["x"]))) < 0.9)
        return {"nll": -self.conditionals(x.to(self.bias.dtype)).sum(1)}


class Arguments(Sound):
    def __init__(self, x: Binary, *, sizes: tuple[Size, ...] = (1,)):
        super().__init__(x)
        self.config["sizes"] = list(sizes)


class ArgumentsWithoutHelp(Sound):
    check = "arguments"

    def __init__(self, x: Binary, *, unexplained: Size = 3):
        super().__init__(x)


class Documentation(Sound):
    """No word on where it is from."""


class DocumentationOfDensity(Sound):
    check = "documentation"
    __doc__ = Sound.__doc__
    density = None


class Lacks(Sound):
    without: ClassVar = {"sample": "it has, though"}


class LacksAndHoldsOneAllTheSame(Sound):
    check = "lacks"

    def __init__(self, x: Binary):
        super().__init__(x)
        self.decode = lambda z: z  # of this object alone


class LacksWithoutSayingWhy(Sound):
    check = "lacks"

    def __getattr__(self, name):
        return nn.Module.__getattr__(self, name)


class Outputs(Sound):
    def __init__(self, x: Binary):
        super().__init__(x)
        self.codes = Vector(len(self.bias) + 1)  # one more than there are


class OutputsOutOfRange(Sound):
    check = "outputs"

    def sample(self, n, *, given=None, generator=None, sampler: Literal["cached", "naive"] = "cached"):
        return 2 * super().sample(n, generator=generator)


class BadArguments(Sound):
    def __init__(self, x: Binary, *, latent: Size = 2):
        super().__init__(x)

    @classmethod
    def _bind(cls, args, kwargs):  # checks nothing
        return {"x": args[0] if args else kwargs["x"], "latent": 2}


class SoundTranslator(Translator):
    """A token given the one before it and how often each stands in the source: the others differ from it in one place.

    References:
        A statistical approach to machine translation (Brown et al., 1990)

    Args:
        x: tokens
        source: tokens
    """

    paper: ClassVar = ("Brown et al.", 1990, "Computational Linguistics 16")
    kinds: ClassVar = {"x": Tokens(4, 3), "source": Tokens(5, 6)}

    def __init__(self, x: Tokens, source: Tokens):
        super().__init__(x, source)
        self.after = nn.Embedding(x.vocabulary, x.vocabulary)
        self.among = nn.Embedding(source.vocabulary, x.vocabulary)

    def read(self, source, noise=None):
        return {"counts_BV": (self.among(source) * (source != PAD)[..., None]).sum(1)}

    def logits(self, x_BL, memory, noise=None):
        return self.after(shift_right(x_BL)) + memory["counts_BV"][:, None]

    def start(self, memory, n):
        return {}

    def step(self, token_B, state, memory):
        return self.after(token_B) + memory["counts_BV"], state


class StepsEqualAllTokensAtOnce(SoundTranslator):
    def step(self, token_B, state, memory):
        return self.after(token_B), state  # forgets the source


class Padding(SoundTranslator):
    def read(self, source, noise=None):
        return {"counts_BV": self.among(source).sum(1)}


class WideBeamsAreExhaustive(SoundTranslator):
    def search(self, memory, n, *, beam=1, length_penalty=0.0, length=None):
        return super().search(memory, n, beam=1, length_penalty=length_penalty, length=length)


class SumsToOneOverTokens(SoundTranslator):
    check = "sums_to_one"

    def logits(self, x_BL, memory, noise=None):
        return self.after(x_BL) + memory["counts_BV"][:, None]  # of the token itself
