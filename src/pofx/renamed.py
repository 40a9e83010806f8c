"""Every word that pofx has given up, and the word that is used now. The rest of the tree knows no old one, but where
a keyword or a key of noise has one, and says so: `keywords(old="new")`, `Player(key="critic")`.

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

from pofx.errors import UserError

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
    "pofx.nn.nade_kernel": ("pofx.models.autoregressive._nade_conditionals", "pofx.models.autoregressive._nade_kernel"),
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
        "pofx.session",
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
    "pofx.verbs.prepared": ("pofx.session",),
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
    "pofx.evaluate": ("pofx.inference.arguments", "pofx.evaluate.features", "pofx.evaluate.probe", "pofx.evaluate.sample_quality"),
    "pofx.evaluate.protocol": ("pofx.model",),
    "pofx.evaluate.likelihood": ("pofx.data.blocks",),
    "pofx.evaluate.codes": ("pofx.inference.latent",),
    "pofx.evaluate.bins": ("pofx.metrics.bins",),
    "pofx.evaluate.clusters": ("pofx.metrics.clustering",),
    "pofx.evaluate.modes": ("pofx.metrics.modes",),
    "pofx.evaluate.parzen": ("pofx.metrics.parzen",),
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
    "cache": "packs",
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
    "seen": "discriminator_augment",
    "recalled": "from_pool",
    "kept": "mutual_information_bound",
    "told": "recognition",
    "sometimes_its_own": "scheduled_sampling",
}

_MEMBERS_OF_CODES = {"seen": "part_of_code"}  # where the discriminators are of codes

MODELS = {
    "attention": "rnn_attention",
    "reader": "image_to_text",
    "denoising": "denoising_autoencoder",
    "multi_scale": "multiscale_pixelrnn",
}

PLAYED = {"critic": "discriminator", "critics": "discriminators"}  # keywords of what sets up a game
RULES = {
    "critic_hidden": "discriminator_hidden",
    "critic_width": "discriminator_width",
    "critic_steps": "discriminator_steps",
    "lr_critic": "lr_discriminator",
    "distortion": "discriminator_augment",
}
CODES = RULES | {"distortion": "encoder_augment"}
ARGUMENTS: dict[str, dict[str, str]] = {  # of a model's constructor
    "gan": RULES,
    "dcgan": RULES,
    "infogan": RULES,
    "aae": CODES,
    "aae_clustering": CODES,
    "aae_semi_supervised": CODES,
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
        if name == "__all__":  # what a star imports
            there = {name for home in MODULES[self.__name__] for name in vars(importlib.import_module(home)) if not name.startswith("_")}
            return sorted(there | {old for old, new in NAMES.items() if new in there})
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
    if f"{module}.{name}" in MODULES:
        return importlib.import_module(f"{module}.{name}")
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


def said(cls: Any, given: Mapping[str, Any], known: Iterable[str], *, notify: bool = True) -> dict[str, Any]:
    """Arguments of a model of class `cls`, or of one that it derives from, by the names that they have now.

    Args:
        cls: a model class
        given: what somebody wrote, or what was stored
        known: arguments that it has: they keep their names
        notify: whether somebody wrote them, who is to have a notice
    """
    now: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("pofx.models."):
            now |= ARGUMENTS.get(base.__module__.rpartition(".")[2], {})
    return _translated({old: new for old, new in now.items() if old not in set(known)}, given, notice if notify else None)


def _translated(names: Mapping[str, str], given: Mapping[str, T], told: Callable[[str, str], None] | None) -> dict[str, T]:
    found = dict[str, T]()
    for name, value in given.items():
        new = names.get(name, name)
        if new in found or (new != name and new in given):
            raise UserError(f"{name} is called {new} now: pass one of them")
        if new != name and told is not None:
            told(name, new)
        found[new] = value
    return found


def keywords(**names: str) -> Callable[[F], F]:
    """A function that takes old keywords too: `@keywords(old="new")`."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def takes_old(*args: Any, **given: Any) -> Any:
            return function(*args, **_translated(names, given, lambda old, new: notice(f"{old}=", f"{new}=")))

        return takes_old  # type: ignore[return-value]

    return decorate


def fields(**names: str) -> Callable[[type[T]], type[T]]:
    """A dataclass that takes, and has, its fields under old names too."""

    def decorate(cls: type[T]) -> type[T]:
        def old(self: Any, name: str) -> Any:
            if name not in names:
                raise AttributeError(f"{cls.__name__!r} object has no attribute {name!r}")
            notice(f"{cls.__name__}.{name}", names[name])
            return getattr(self, names[name])

        cls.__init__ = keywords(**names)(cls.__init__)  # type: ignore[method-assign]
        cls.__getattr__ = old  # type: ignore[attr-defined]
        return cls

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
    """Give what a class has under a new name its old word too; and what it defines under an old word, the name that a base asks for.

    The constructors of pofx's own models take old arguments, which a class that derives from one may pass on.
    """
    for old, new in (*MEMBERS.items(), *_MEMBERS_OF_CODES.items()):
        own = vars(cls)
        if new in own and old not in own:
            setattr(cls, old, _Former(old, new, own[new]))
        elif old in own and not isinstance(own[old], _Former) and new not in own and any(new in vars(base) for base in cls.__mro__[1:]):
            notice(f"{cls.__name__}.{old}", new)
            setattr(cls, new, own[old])
    home, _, title = cls.__module__.rpartition(".")
    if home.startswith("pofx.models.") and title in ARGUMENTS and "__init__" in vars(cls):
        cls.__init__ = keywords(**ARGUMENTS[title])(cls.__init__)  # type: ignore[misc]


def member(name: str, has: str) -> str:
    """The name under which a model keeps what somebody sets as `name`: `has`, if that is what it was called before."""
    return has if MEMBERS.get(name) == has else name


class Parts(dict[str, T]):
    """Parts of a loss, which whoever changes them may ask for by their old words.

    Example:
        >>> parts = Parts({"adversarial": 1.0})
        >>> parts["adversarial"]
        1.0
    """

    def _now(self, name: str) -> str:
        new = re.sub(r"^fooling(?![a-z])", "adversarial", name)
        if new == name or not dict.__contains__(self, new):
            return name
        notice(name, new)
        return new

    def __getitem__(self, name: str) -> T:
        return super().__getitem__(self._now(name))

    def __setitem__(self, name: str, part: T) -> None:
        super().__setitem__(self._now(name), part)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(self._now(name))

    def pop(self, name: str, *default: Any) -> Any:
        return super().pop(self._now(name), *default)


# What was stored


def stored(cls: Any) -> str:
    """The name of a model in keys of noise: the first that it had."""
    return _OLD.get(cls.title(), cls.title()) if cls.family() != "yours" else cls.title()


def _now(word: str) -> str:
    word = re.sub(r"(?<![^ ./])critic(s?)(?![^ ./])", r"discriminator\1", word)
    return re.sub(r"(?<=\.)fooling(?![a-z])", "adversarial", word)


def tensor(name: str, own: Iterable[str]) -> str:
    """The name that a stored tensor has now in a model whose own names are `own`: a name of today is nobody's old word.

    Example:
        >>> tensor("critic.weight", {"discriminator.weight"}), tensor("critic.weight", {"critic.weight"})
        ('discriminator.weight', 'critic.weight')
    """
    new = _now(name)
    return new if new in own and name not in own else name


def tensors(found: Mapping[str, T], own: Iterable[str]) -> dict[str, T]:
    """Stored tensors by the names that they have now in a model whose own names are `own`."""
    own = set(own)
    return {tensor(name, own): value for name, value in found.items()}


def stored_tensor(name: str, cls: type) -> str:
    """The name that `weights_hash` is taken over: the first that what a base of pofx's keeps has had.

    Example:
        >>> from pofx.models.adversarial.gan import GAN
        >>> stored_tensor("discriminator.0.weight", GAN)
        'critic.0.weight'
    """
    games = any(base.__module__ in _GAMES for base in cls.__mro__)
    return re.sub(r"^discriminator(s?)(?=\.)", r"critic\1", name) if games else name


def state(
    tensors: Mapping[str, T], record: dict[str, Any], own: Iterable[str], players: Iterable[str], *, yours: bool
) -> tuple[dict[str, T], dict[str, Any]]:
    """A training state, tensors and record, by the words of today.

    Args:
        tensors: group/name, or optimizer/player/name/slot, -> tensor
        record: of plain values
        own: names of the model's tensors
        players: that play now: a name of one of them is nobody's old word
        yours: whether the model is not pofx's own, so that the parts of its losses may be called anything
    """
    own, players = set(own), set(players)

    def player(name: str) -> str:
        new = model(_now(name))
        return new if new in players and name not in players else name

    def key(text: str) -> str:
        group, *rest = text.split("/")
        if group == "optimizer":
            rest[0] = player(rest[0])
        return "/".join([group, *(tensor(piece, own) for piece in rest)])

    def sum_of(text: str) -> str:
        name, dot, part = text.partition(".")
        return player(name) + (dot + part if yours else _now(dot + part))

    record = dict(record)
    record["updates"] = {player(name): count for name, count in record["updates"].items()}
    record["sums"] = [{sum_of(name): entry for name, entry in sums.items()} for sums in record["sums"]]
    if "watch" in record:
        watch = dict(record["watch"])
        watch["early"] = {player(name): value for name, value in watch.get("early", {}).items()}
        streaks = {name.partition(" "): value for name, value in watch.get("streaks", {}).items()}
        watch["streaks"] = {player(name) + space + what: value for (name, space, what), value in streaks.items()}
        record["watch"] = watch | {"known": [_now(cause) for cause in watch.get("known", [])]}  # causes are pofx's own words
    return {key(name): value for name, value in tensors.items()}, record


def mixed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of metrics of a model of somebody's own: what has a name of today in one of them has it in all."""
    names = {name for row in rows for name in row}
    return [{_now(name) if _now(name) in names else name: value for name, value in row.items()} for row in rows]


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
