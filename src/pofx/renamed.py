"""Every word that pofx has given up, and the word that is used now: nothing else in the tree knows an old one.

What people wrote with old words (module paths, names, arguments, flags, models' names) goes on working until 1.0, with one notice a
word. What was stored with them (configurations, tensors, training states, metrics, scores) is read as if it had been written today.
Keys of noise, and the names that `weights_hash` is taken over, are format: they keep the old words for ever.
"""

from __future__ import annotations

import functools
import importlib
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, TypeVar

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

MODULES: dict[str, tuple[str, ...]] = {  # old module -> where its names are now, looked through in this order
    "pofx.data.arrays": ("pofx.data.sources.arrays",),
    "pofx.data.cutting": ("pofx.data.splitting",),
    "pofx.data.hub": ("pofx.data.sources.hub",),
    "pofx.data.images": ("pofx.data.sources.images",),
    "pofx.data.lines": ("pofx.data.sources.lines",),
    "pofx.data.orders": ("pofx.data.batching",),
    "pofx.data.packing": ("pofx.data.cache",),
    "pofx.data.pairs": ("pofx.data.sources.pairs",),
    "pofx.data.reading": ("pofx.data.sources.digit_reading",),
    "pofx.data.series": ("pofx.data.sources.series",),
    "pofx.data.split": ("pofx.data.columns",),
    "pofx.data.synthetic": ("pofx.data.sources.synthetic",),
    "pofx.data.tables": ("pofx.data.sources.tables",),
    "pofx.data.text": ("pofx.data.sources.text",),
    "pofx.data.tokenizing": ("pofx.data.tokenizer",),
    "pofx.evaluate.annealed": ("pofx.metrics.annealing",),
    "pofx.evaluate.blocks": ("pofx.model", "pofx.data.blocks"),
    "pofx.evaluate.forecast": ("pofx.inference.forecasting",),
    "pofx.evaluate.frechet": ("pofx.metrics.frechet",),
    "pofx.evaluate.kid": ("pofx.metrics.kid",),
    "pofx.evaluate.likeness": ("pofx.evaluate.sample_quality",),
    "pofx.evaluate.manifold": ("pofx.metrics.manifold",),
    "pofx.evaluate.samples": ("pofx.inference.sampling",),
    "pofx.evaluate.sliced": ("pofx.metrics.sliced",),
    "pofx.evaluate.steering": ("pofx.inference.steering",),
    "pofx.game": ("pofx.randomness", "pofx.plan"),
    "pofx.heat": ("pofx.render.heatmap",),
    "pofx.models.autoencoders.denoising": ("pofx.models.autoencoders.denoising_autoencoder",),
    "pofx.models.autoregressive.multi_scale": ("pofx.models.autoregressive.multiscale_pixelrnn",),
    "pofx.models.seq2seq.attention": ("pofx.models.seq2seq.rnn_attention",),
    "pofx.models.seq2seq.reader": ("pofx.models.seq2seq.image_to_text",),
    "pofx.nn": ("pofx.layers",),
    "pofx.nn.adversarial": ("pofx.bases.gan",),
    "pofx.nn.adversarial_codes": ("pofx.bases.adversarial_autoencoder",),
    "pofx.nn.attention": ("pofx.layers.attention",),
    "pofx.nn.autoregressive": ("pofx.bases.autoregressive",),
    "pofx.nn.inception": ("pofx.layers.inception",),
    "pofx.nn.likelihoods": ("pofx.distributions.likelihoods",),
    "pofx.nn.lstm": ("pofx.layers.conv_lstm",),
    "pofx.nn.masked": ("pofx.layers.masked",),
    "pofx.nn.nade_kernel": ("pofx.models.autoregressive._nade_kernel",),
    "pofx.nn.networks": ("pofx.layers.bodies",),
    "pofx.nn.noise": ("pofx.layers.corruption",),
    "pofx.nn.order_agnostic": ("pofx.bases.order_agnostic",),
    "pofx.nn.pixel_rnn": ("pofx.bases.pixel_rnn",),
    "pofx.nn.pose": ("pofx.layers.spatial_transformer",),
    "pofx.nn.priors": ("pofx.distributions.priors",),
    "pofx.nn.recurrent": ("pofx.layers.recurrent",),
    "pofx.nn.series": ("pofx.bases.series",),
    "pofx.nn.tables": ("pofx.bases.tables",),
    "pofx.nn.tokens": ("pofx.bases.translator", "pofx.bases.token_model"),
    "pofx.nn.transformer": ("pofx.layers.transformer",),
    "pofx.pictures": ("pofx.render.pictures",),
    "pofx.train.average": ("pofx.train.averaging",),
    "pofx.train.metrics": ("pofx.train.log",),
    "pofx.train.replicas": ("pofx.train.strategy",),
    "pofx.train.trainer": ("pofx.train.loop",),
    "pofx.train.watch": ("pofx.train.monitor",),
    "pofx.verbs": ("pofx.commands",),
    "pofx.verbs.anneal": ("pofx.commands.anneal",),
    "pofx.verbs.ask": (
        "pofx.commands.sample",
        "pofx.commands.score",
        "pofx.commands.embed",
        "pofx.commands.reconstruct",
        "pofx.commands.prepare",
        "pofx.commands.files",
    ),
    "pofx.verbs.codes": ("pofx.commands.traverse", "pofx.commands.interpolate", "pofx.commands.attribute", "pofx.commands.codes"),
    "pofx.verbs.completing": ("pofx.commands.complete",),
    "pofx.verbs.files": ("pofx.commands.files",),
    "pofx.verbs.flags": ("pofx.commands.flags",),
    "pofx.verbs.forecast": ("pofx.commands.forecast",),
    "pofx.verbs.given": ("pofx.commands.condition",),
    "pofx.verbs.illustrate": ("pofx.commands.illustrate",),
    "pofx.verbs.inspecting": ("pofx.commands.inspect",),
    "pofx.verbs.judge": ("pofx.commands.compare", "pofx.commands.evaluate"),
    "pofx.verbs.known": ("pofx.commands.masks",),
    "pofx.verbs.learn": ("pofx.commands.train", "pofx.commands.resume", "pofx.commands.finish"),
    "pofx.verbs.lines": ("pofx.commands.texts",),
    "pofx.verbs.look": ("pofx.commands.models", "pofx.model", "pofx.commands.data"),
    "pofx.verbs.prepared": ("pofx.commands.prepare",),
    "pofx.verbs.progress": ("pofx.commands.progress",),
    "pofx.verbs.show": ("pofx.commands.show",),
    "pofx.verbs.sources": ("pofx.commands.sources",),
    "pofx.verbs.sweep": ("pofx.commands.arithmetic", "pofx.commands.sweep"),
    "pofx.verbs.texts": ("pofx.commands.sample", "pofx.commands.score", "pofx.commands.interpolate", "pofx.commands.reconstruct"),
    "pofx.verbs.translating": ("pofx.commands.translate",),
}

STAYED = {  # modules that are where they were, less some names
    "pofx.kinds": ("pofx.options",),
    "pofx.model": ("pofx.capabilities", "pofx.options", "pofx.plan", "pofx.randomness"),
    "pofx.evaluate.protocol": ("pofx.model",),
    "pofx.evaluate.likelihood": ("pofx.data.blocks",),
    "pofx.evaluate.codes": ("pofx.inference.latent",),
}

NAMES = {  # of classes, functions and constants
    "Watched": "Logged",
    "NOTHING": "PAD",
    "END": "EOS",
    "Memory": "EncoderOutput",
    "State": "DecoderCache",
    "before": "shift_right",
    "restricted": "filter_logits",
    "from_the_end": "reverse_source",
    "field": "receptive_field",
    "judgement": "discriminator_loss",
    "steepness": "gradient_penalty",
    "distorted": "random_affine",
    "few": "stratified_subset",
    "told": "given_condition",
    "Aloud": "DigitReading",
    "Critic": "Discriminator",
    "MaxoutCritic": "MaxoutDiscriminator",
}

MEMBERS = {  # of models, which people's own models may define or ask for
    "depends": "dependency_matrix",
    "sees": "completion_context",
    "critic": "discriminator",
    "critics": "discriminators",
    "critic_loss": "discriminator_loss",
    "judged": "packed_scores",
    "recalled": "from_pool",
    "sometimes_its_own": "scheduled_sampling",
}

MODELS = {
    "attention": "rnn_attention",
    "reader": "image_to_text",
    "denoising": "denoising_autoencoder",
    "multi_scale": "multiscale_pixelrnn",
}

_GAME = {
    "critic_hidden": "discriminator_hidden",
    "critic_width": "discriminator_width",
    "critic_steps": "discriminator_steps",
    "lr_critic": "lr_discriminator",
    "distortion": "discriminator_augment",
}
_CODES = _GAME | {"distortion": "encoder_augment"}
ARGUMENTS: dict[str, dict[str, str]] = {  # of a model's constructor
    "gan": _GAME,
    "dcgan": _GAME,
    "infogan": _GAME,
    "aae": _CODES,
    "aae_clustering": _CODES,
    "aae_semi_supervised": _CODES,
    "image_to_text": {"sees": "decoder_input"},
}

DATA = {"read": "spell", "things": "groups"}  # how data are read, and what their record says

_OLD = {new: old for old, new in MODELS.items()}
_GAMES = ("pofx.bases.gan", "pofx.bases.adversarial_autoencoder")


@functools.cache
def notice(old: str, new: str) -> None:
    """Say once that `old` is called `new` now."""
    warnings.warn(f"{old} is called {new} now; the old word works until pofx 1.0", FutureWarning, stacklevel=2)


# What people wrote


class _OldModule(ModuleType):
    """A module under the path that it had: each name is looked up where it is now."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return attribute(self.__name__, MODULES[self.__name__], name)


class _OldModules:  # a finder and loader by what it has: importlib.abc would cost a tenth of the time of `pofx --help`
    def find_spec(self, path: str, folders: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        return ModuleSpec(path, self, is_package=True) if path in MODULES else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _OldModule(spec.name, f"Names of `{spec.name}` as they are called now.")

    def exec_module(self, module: ModuleType) -> None:
        notice(module.__name__, " and ".join(MODULES[module.__name__]))


def install() -> None:
    """Let old module paths be imported."""
    if not any(isinstance(finder, _OldModules) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OldModules())  # before what an older installation may have left behind


def attribute(module: str, homes: Sequence[str], name: str) -> Any:
    """What `module` had under `name`, from where it is now.

    Raises:
        AttributeError: it never had it, as Python says it
    """
    for new in (name, *((NAMES[name],) if name in NAMES else ())):
        for home in homes:
            found = vars(importlib.import_module(home)).get(new)
            if found is not None:
                if new != name or module in STAYED:
                    notice(f"{module}.{name}", f"{home}.{new}")
                return found
    raise AttributeError(f"module {module!r} has no attribute {name!r}")


def stayed(module: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module that some names have left or that has names by another word."""
    return functools.partial(attribute, module, (module, *STAYED.get(module, ())))


def model(name: str) -> str:
    """The name of a model as it is now.

    Example:
        >>> model("denoising"), model("vae")
        ('denoising_autoencoder', 'vae')
    """
    return MODELS.get(name, name)


def arguments(title: str, given: Mapping[str, T]) -> dict[str, T]:
    """Arguments of the model `title` by the names that they have now.

    Example:
        >>> arguments("gan", {"critic_steps": 2, "latent": 8})
        {'discriminator_steps': 2, 'latent': 8}
    """
    return {ARGUMENTS.get(title, {}).get(name, name): value for name, value in given.items()}


def said(title: str, given: dict[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """`arguments` that somebody wrote, with a notice for each that is not among those `known`."""
    known, now = set(known), ARGUMENTS.get(title, {})
    for name in given:
        if name not in known and name in now:
            notice(name, now[name])
    return {name if name in known else now.get(name, name): value for name, value in given.items()}


def keywords(**names: str) -> Callable[[F], F]:
    """A function that takes old keywords too: `@keywords(old="new")`."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def takes_old(*args: Any, **given: Any) -> Any:
            for old in names.keys() & given.keys():
                notice(f"{old}=", f"{names[old]}=")
                given[names[old]] = given.pop(old)
            return function(*args, **given)

        return takes_old  # type: ignore[return-value]

    return decorate


def flag(word: str, known: Iterable[str]) -> str:
    """A flag as it is written now, whose old word somebody wrote; the same where it is known or never was one.

    Example:
        >>> flag("--spell", ["--spell"]), flag("--no-such-flag", ["--spell"])
        ('--spell', '--no-such-flag')
    """
    old, equals, value = word.partition("=")
    known = set(known)
    if not old.startswith("--") or old in known:
        return word
    name = old.removeprefix("--").replace("-", "_")
    for table in (DATA, *ARGUMENTS.values()):
        new = f"--{table.get(name, name).replace('_', '-')}"
        if new != old and new in known:
            notice(old, new)
            return new + equals + value
    return word


class _Former:
    """A member under the word that it had, of the class that has it: `super().old` finds it, too."""

    def __init__(self, old: str, new: str, member: Any):
        self.old, self.new, self.member = old, new, member

    def __get__(self, instance: Any, owner: type) -> Any:
        notice(self.old, self.new)
        return self.member.__get__(instance, owner) if hasattr(self.member, "__get__") else self.member


def members(cls: type) -> None:
    """Give what a class has under a new name its old word too; and what it defines under an old word, the name that a base asks for."""
    for old, new in MEMBERS.items():
        own = vars(cls)
        if new in own and old not in own:
            setattr(cls, old, _Former(old, new, own[new]))
        elif old in own and new not in own and any(new in vars(base) for base in cls.__mro__[1:]):
            notice(f"{cls.__name__}.{old}", new)
            setattr(cls, new, own[old])


# What was stored


def stored(cls: Any) -> str:
    """The name of a model in keys of noise: the first that it had."""
    return _OLD.get(cls.title(), cls.title()) if cls.family() != "yours" else cls.title()


def _plays(cls: type) -> bool:
    return any(base.__module__.startswith(("pofx.models.", *_GAMES)) for base in cls.__mro__)


def _now(word: str) -> str:
    word = re.sub(r"(?<![^ ./])critic(s?)(?![^ ./])", r"discriminator\1", word)
    return re.sub(r"(?<=\.)fooling(?![a-z])", "adversarial", word)


def tensors(found: Mapping[str, T], cls: type) -> dict[str, T]:
    """Stored tensors by the names that they have now in a model of class `cls`."""
    return {_now(name) if _plays(cls) else name: tensor for name, tensor in found.items()}


def stored_tensor(name: str, cls: type) -> str:
    """The name that `weights_hash` is taken over.

    Example:
        >>> from pofx.models.adversarial.gan import GAN
        >>> stored_tensor("discriminator.0.weight", GAN)
        'critic.0.weight'
    """
    return re.sub(r"(?<![^.])discriminator(s?)(?![^.])", r"critic\1", name) if _plays(cls) else name


def state(tensors: Mapping[str, T], record: dict[str, Any], cls: type) -> tuple[dict[str, T], dict[str, Any]]:
    """A training state, tensors and record, by the words of today."""
    if not _plays(cls):
        return dict(tensors), record

    def word(text: str) -> str:  # begins with a player's name
        return re.sub(r"^[^/ .]+", lambda found: model(found[0]), _now(text))

    record = dict(record)
    record["updates"] = {word(player): count for player, count in record["updates"].items()}
    record["sums"] = [{word(name): entry for name, entry in sums.items()} for sums in record["sums"]]
    if "watch" in record:
        watch = dict(record["watch"])
        for entry in ("early", "streaks"):
            watch[entry] = {word(name): value for name, value in watch.get(entry, {}).items()}
        record["watch"] = watch | {"known": [word(cause) for cause in watch.get("known", [])]}
    return {
        f"optimizer/{word(name.removeprefix('optimizer/'))}" if name.startswith("optimizer/") else _now(name): tensor
        for name, tensor in tensors.items()
    }, record


def metrics(row: dict[str, Any]) -> dict[str, Any]:
    """A row of metrics of one of pofx's own models, by the words of today.

    Example:
        >>> metrics({"step": 1, "critic.loss": 0.5, "generator.fooling": 0.7, "reader.nll": 2.0})
        {'step': 1, 'discriminator.loss': 0.5, 'generator.adversarial': 0.7, 'image_to_text.nll': 2.0}
    """
    return {_now(re.sub(r"^\w+(?=\.)", lambda found: model(found[0]), name)): value for name, value in row.items()}


def data(record: dict[str, Any]) -> dict[str, Any]:
    """A record of data by the words of today."""
    return {DATA.get(name, name): value for name, value in record.items()}


def config(found: dict[str, Any]) -> dict[str, Any]:
    """The content of config.json by the words of today; what is not as it should be is left for its reader to name."""
    found = dict(found)
    section = found.get("model")
    if isinstance(section, dict) and section.get("file") is None and isinstance(section.get("name"), str):
        section = section | {"name": model(section["name"])}
        if isinstance(section.get("arguments"), dict):
            section["arguments"] = arguments(section["name"], section["arguments"])
        found["model"] = section
    if isinstance(found.get("data"), dict):
        found["data"] = data(found["data"])
    return found
