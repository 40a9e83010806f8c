"""Old words go on working, and what was stored with them is read; keys of noise and the hash of weights keep them."""

from __future__ import annotations

import hashlib
import importlib
import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

import pofx
from pofx import models, renamed
from pofx.cli import main
from pofx.data import load
from pofx.errors import UserError
from pofx.evaluate import Score, weights_hash
from pofx.kinds import Binary, Image, Tokens, Vector
from pofx.plan import Player, Stage
from pofx.run import Run, save
from pofx.testing import cases

REPOSITORY = Path(__file__).parent.parent

# Of each of pofx's models, the keys of its players' noise: format, so this list never changes, whatever the players are called
KEYS = {
    "aae": {"reconstruction", "critic", "regularisation"},
    "aae_clustering": {"reconstruction", "critic", "regularisation"},
    "aae_semi_supervised": {"reconstruction", "critic", "regularisation", "label"},
    "dcgan": {"critic", "generator"},
    "denoising_autoencoder": {"denoising"},
    "gan": {"critic", "generator"},
    "image_to_text": {"reader"},
    "infogan": {"critic", "generator"},
    "multiscale_pixelrnn": {"multi_scale"},
    "rnn_attention": {"attention"},
    "stacked_denoising": {"layer_1", "layer_2", "classifier"},
}


@pytest.fixture(autouse=True)
def told_anew():
    renamed.notice.cache_clear()


def test_keys_of_noise_never_change():
    for name in models.files():
        model = next(iter(cases(models.find(name)))).model()
        keys = {player.key for stage in model.stages() for player in stage.players}
        assert keys == KEYS.get(name, {name}), name


def test_a_player_s_key_is_its_name_unless_it_has_had_another():
    assert Player("x", [], lambda batch, noise: {}).key == "x"
    assert Player("new", [], lambda batch, noise: {}, key="old").key == "old"


ARITHMETIC = {"bins": "bins", "clusters": "clustering", "modes": "modes", "parzen": "parzen"}  # of evaluate, and of metrics


@pytest.mark.parametrize("module", sorted(renamed.MODULES))
def test_every_old_module_is_found(module):
    sys.modules.pop(module, None)
    with pytest.warns(FutureWarning, match="is called"):
        found = importlib.import_module(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        for home in renamed.MODULES[module]:
            for name, value in vars(importlib.import_module(home)).items():
                if getattr(value, "__module__", None) == home and not name.startswith("_"):
                    assert getattr(found, name) is not None
        with pytest.raises(AttributeError, match="no_such_name"):
            _ = found.no_such_name


def test_old_names_are_found_and_told_of_once():
    with pytest.warns(FutureWarning, match=r"pofx.game.Watched is called pofx.plan.Logged now"):
        from pofx.game import Watched
    from pofx.plan import Logged

    assert Watched is Logged
    with pytest.warns(FutureWarning, match=r"pofx.kinds.Size is called pofx.options.Size now"):
        from pofx.kinds import Size  # noqa: F401
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from pofx.game import Watched as again

        assert again is Logged


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(("module", "home"), [(f"evaluate.{old}", f"metrics.{new}") for old, new in ARITHMETIC.items()])
def test_what_is_arithmetic_is_found_where_the_scores_of_it_are(module, home):
    old, new = (importlib.import_module(f"pofx.{name}") for name in (module, home))
    for name, value in vars(new).items():
        if getattr(value, "__module__", None) == new.__name__ and not name.startswith("_"):
            assert getattr(old, name) is value


def test_what_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("pofx.nowhere")
    with pytest.raises(ImportError):
        from pofx.kinds import Nothing  # noqa: F401
    with pytest.raises(UserError, match="no model is called 'attentive'"):
        models.find("attentive")


@pytest.mark.parametrize(("old", "new"), renamed.MODELS.items())
def test_old_names_of_models_are_aliases(old, new):
    with pytest.warns(FutureWarning, match=f"{old} is called {new} now"):
        assert models.find(old) is models.find(new)
    assert old not in models.files()


def test_old_arguments_work_from_python_and_unknown_ones_are_still_refused():
    with pytest.warns(FutureWarning, match="lr_critic is called lr_discriminator now"):
        gan = models.find("gan")(Vector(2), hidden=(4,), lr_critic=0.5)
    assert gan.config["lr_discriminator"] == 0.5
    assert "lr_critic" not in gan.config
    with pytest.warns(FutureWarning, match="distortion is called encoder_augment now"):
        aae = models.find("aae_clustering")(Image(1, 4, 4), clusters=2, latent=6, hidden=(4,), distortion=0.5)
    assert aae.config["encoder_augment"] == 0.5
    with pytest.raises(UserError, match="vae has no argument 'lr_critic'"):
        models.find("vae")(Vector(2), lr_critic=0.5)


def test_old_keywords_and_flags_work(tmp_path, capsys):
    with pytest.warns(FutureWarning, match="read= is called spell= now"):
        assert load("digits", **{"read": "english"}).fields["x"] == load("digits", spell="english").fields["x"]
    renamed.notice.cache_clear()
    out = tmp_path / "run"
    assert main(["train", "gan", "--data", "ring", "--hidden", "4", "--critic-steps", "2", "--steps", "2", "--out", str(out)]) == 0
    assert "note: --critic-steps is called --discriminator-steps now" in capsys.readouterr().err
    assert Run(out).config["model"]["arguments"]["discriminator_steps"] == 2
    assert main(["train", "gan", "--data", "ring", "--critic-step", "2", "--out", str(tmp_path / "other")]) == 2


def test_members_of_people_s_own_models_may_have_old_names():
    from pofx.bases.autoregressive import Autoregressive
    from pofx.distributions.likelihoods import Bernoulli

    with pytest.warns(FutureWarning, match=r"Own.depends is called dependency_matrix now"):

        class Own(Autoregressive):
            def __init__(self, x: Binary):
                super().__init__(x, Bernoulli())
                self.critic = torch.nn.Linear(1, 1)  # a name of its own, whatever pofx calls such a thing
                self.logit_D = torch.nn.Parameter(torch.zeros(x.size))

            def params(self, x, given=None):
                return self.logit_D.expand(len(x), -1).view(len(x), 1, *self.shape)

            def depends(self):
                return torch.zeros(4, 4, dtype=torch.bool)

    own = Own(Binary(4))
    assert not own.dependency_matrix().any()
    with pytest.warns(FutureWarning, match="sees is called completion_context now"):
        assert own.sees == own.completion_context
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert own.critic.weight.shape == (1, 1)


def test_the_hash_of_weights_is_over_the_names_that_were_stored():
    gan = models.find("gan")(Vector(2), hidden=(3,))
    digest = hashlib.sha256()
    for name, tensor in sorted((name.replace("discriminator.", "critic."), tensor) for name, tensor in gan.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    assert any(name.startswith("discriminator.") for name in gan.state_dict())
    assert weights_hash(gan) == digest.hexdigest()


def test_a_stored_run_of_old_words_is_read(tmp_path):
    """One whose files say critic, critic_steps and fooling, as all did once."""
    folder = save(models.find("gan")(Vector(2), hidden=(3,), discriminator_steps=3).eval(), tmp_path / "run")
    new = pofx.load(folder)
    config = json.loads((folder / "config.json").read_text())
    old = {"discriminator_steps": "critic_steps", "lr_discriminator": "lr_critic", "discriminator_hidden": "critic_hidden"}
    arguments = {old.get(name, name): value for name, value in config["model"]["arguments"].items()}
    (folder / "config.json").write_text(json.dumps(config | {"model": config["model"] | {"arguments": arguments}}))
    (folder / "metrics.jsonl").write_text('{"step": 1, "critic.loss": 0.5, "generator.fooling": 2.0}\n')
    tensors, _ = pofx.run.read_tensors(folder / "model.safetensors")
    pofx.run.write_tensors(folder / "model.safetensors", {name.replace("discriminator.", "critic."): t for name, t in tensors.items()})
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # who only loads what was stored has written no old word
        read = pofx.load(folder)
    assert read.config == new.config
    assert weights_hash(read) == weights_hash(new)
    assert Run(folder).metrics() == [{"step": 1, "discriminator.loss": 0.5, "generator.adversarial": 2.0}]


def test_a_stored_state_of_old_words_is_read():
    record = {
        "updates": {"critic": 4, "generator": 2},
        "sums": [{"critic.real": [1.0, 1], "generator.fooling": [2.0, 1]}],
        "watch": {"early": {"critic": [1.0]}, "streaks": {"critic right": [1, 2], "fell": [3, 4]}, "known": ["critic", "fell"]},
    }
    stored = {"optimizer/critic/critic.0.weight/step": 1, "model/critic.0.weight": 2, "recent/0/critic.0.weight": 3}
    own, players = ["discriminator.0.weight"], ["discriminator", "generator"]
    tensors, found = renamed.state(stored, record, own, players, yours=False)
    assert tensors == {
        "optimizer/discriminator/discriminator.0.weight/step": 1, "model/discriminator.0.weight": 2, "recent/0/discriminator.0.weight": 3,
    }  # fmt: skip
    assert found["updates"] == {"discriminator": 4, "generator": 2}
    assert found["sums"] == [{"discriminator.real": [1.0, 1], "generator.adversarial": [2.0, 1]}]
    assert found["watch"]["streaks"] == {"discriminator right": [1, 2], "fell": [3, 4]}
    assert found["watch"]["known"] == ["discriminator", "fell"]
    tensors, found = renamed.state(
        {"optimizer/attention/attention.score/step": 1, "model/attention.score": 2},
        {"updates": {"attention": 1}, "sums": [{}]},
        ["attention.score"],
        ["rnn_attention"],
        yours=False,
    )
    assert tensors == {"optimizer/rnn_attention/attention.score/step": 1, "model/attention.score": 2}, "layers keep their names"
    assert found["updates"] == {"rnn_attention": 1}


def test_a_state_of_people_s_own_games_is_left_alone():
    class Own(pofx.Model):
        def __init__(self, x: Vector):
            super().__init__()

        def stages(self):
            return [Stage("play", [Player("critic", [self], lambda batch, noise: {})])]

    record = {"updates": {"critic": 4}, "sums": [{}]}
    stored = {"model/critic.weight": 1, "optimizer/critic/critic.weight/step": 2}
    assert renamed.state(stored, record, ["critic.weight"], ["critic"], yours=True) == (stored, record)
    assert renamed.stored_tensor("discriminator.weight", Own) == "discriminator.weight"


def test_protocols_of_stored_scores_are_read():
    record = Score("log p", -1.0, "nats", None, {"data": {"spec": "digits", "read": "english", "things": 3}}).to_json()
    assert Score.from_json(record).protocol["data"] == {"spec": "digits", "spell": "english", "groups": 3}


def test_renamed_words_are_not_known_elsewhere_and_the_new_ones_are():
    for old, new in renamed.MODELS.items():
        assert new in models.files(), (old, new)
    for title, table in renamed.ARGUMENTS.items():
        names = {parameter.name for parameter in models.find(title).hyper_parameters()}
        used = {new for new in table.values() if new in names}
        assert used, title
        assert not set(table) & names, title
    assert isinstance(Tokens(5, 5), Tokens)


def test_benchmarks_runs_are_read_without_a_notice():
    runs = sorted((REPOSITORY / "benchmarks" / "runs").iterdir())
    code = "import sys, pofx\nfor run in sys.argv[1:]: pofx.load(run)"
    done = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", "-c", code, *map(str, runs)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


OWN_GAME = '''
import torch
from torch import nn

from pofx.game import Watched
from pofx.kinds import NonNegative, Size, Vector
from pofx.nn.adversarial import Adversarial
from pofx.nn.priors import Gaussian


class OldGame(Adversarial):
    """A game as people wrote them: its base asks for no old word any more."""

    paper = ("one", 2014, "1406.2661")

    def __init__(self, x: Vector, *, latent: Size = 2, critic_steps: Size = 2, lr_critic: NonNegative = 0.5):
        super().__init__()
        self.play(x, Gaussian(latent), nn.Linear(latent, x.dims), nn.Linear(x.dims, 1))

    def judged(self, x, noise):
        return 2 * self.critic(x)

    def critic_loss(self, batch, noise):
        return super().critic_loss(batch, noise) | {"size": Watched(self.critic.weight.sum().expand(len(batch["x"])))}
'''


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_game_of_people_s_own_that_knows_old_words_alone_is_played_by_its_rules(tmp_path):
    (tmp_path / "old_game.py").write_text(OWN_GAME)
    out = tmp_path / "run"
    name = f"{tmp_path}/old_game.py:OldGame"
    assert main(["train", name, "--data", "ring", "--critic-steps", "3", "--steps", "4", "--log-every", "2", "--out", str(out)]) == 0
    model = pofx.load(out, trust=True)
    assert (model.rules.discriminator_steps, model.rules.lr_discriminator) == (3, 0.5)
    assert [player.repeat for player in model.stages()[0].players] == [3, 1]
    x = torch.randn(5, 2)
    assert torch.equal(model.scores(x, None), 2 * model.critic(x)[:, 0]), "its own `judged` is asked"
    assert any("discriminator.size" in row for row in Run(out).metrics()), "its own `critic_loss` is minimised"
    assert main(["resume", str(out), "--trust", "--steps", "6"]) == 0


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_old_members_of_bases_are_found_by_super():
    from pofx.bases.autoregressive import Autoregressive
    from pofx.distributions.likelihoods import Bernoulli

    class Own(Autoregressive):
        def __init__(self, x: Binary):
            super().__init__(x, Bernoulli())

        def params(self, x, given=None):
            return torch.zeros(len(x), 1, *self.shape)

        def depends(self):
            return super().depends() & True

    model = Own(Binary(3))
    assert torch.equal(model.dependency_matrix(), torch.ones(3, 3, dtype=torch.bool).tril(-1))
    assert torch.equal(model.depends(), model.dependency_matrix())


# Classes of people's own that derive from pofx's, as they wrote them when the old words were the words

IMPORTS = """
from typing import ClassVar

import torch
from torch import nn

from pofx.game import Adam, Player, Stage
from pofx.kinds import Binary, NonNegative, Size, Vector
from pofx.models.adversarial.gan import GAN
from pofx.models.autoencoders.vae import VAE
from pofx.nn.adversarial import Adversarial, Rules
from pofx.nn.priors import Gaussian
"""
PLAYS = """
class Own(Adversarial):
    paper: ClassVar = ("one", 2014, "1406.2661")

    def __init__(self, x: Vector, *, latent: Size = 2):
        super().__init__()
        {setup}

    {more}
"""
PLAIN = "self.play(x, Gaussian(2), nn.Linear(2, x.dims), nn.Linear(x.dims, 1))"
OWN = {
    "keyword": PLAYS.format(setup="self.play(x, Gaussian(2), nn.Linear(2, x.dims), critic=nn.Linear(x.dims, 1))", more=""),
    "replaced": PLAYS.format(setup=PLAIN + "; self.critic = nn.Sequential(self.critic, nn.Linear(1, 1))", more=""),
    "module of that name": PLAYS.format(setup=PLAIN + '; self.heads = nn.ModuleDict({"critic": nn.Linear(1, 1)})', more=""),
    "seen": PLAYS.format(setup=PLAIN, more="def seen(self, x, noise):\n        self.asked = True\n        return x + noise.normal(2)"),
    "fooling": PLAYS.format(
        setup=PLAIN,
        more='def generator_loss(self, batch, noise):\n        parts = super().generator_loss(batch, noise)\n'
        '        parts["fooling"] = 2 * parts["fooling"]\n        return parts',
    ),
    "player": PLAYS.format(
        setup=PLAIN,
        more='def stages(self):\n        r = self.rules\n        return [Stage("play", [\n'
        '            Player("critic", [self.critic], self.critic_loss, Adam(lr=r.lr_critic), repeat=r.critic_steps),\n'
        '            Player("generator", [self.generator], self.generator_loss, Adam(lr=0.01)),\n        ])]',
    ),
    "derived": "class Own(GAN):\n    pass",
    "passed on": (
        "class Own(GAN):\n    def __init__(self, x: Vector, *, hidden: tuple[Size, ...] = (4,)):\n"
        "        super().__init__(x, hidden=hidden, critic_steps=2, lr_critic=0.5)"
    ),
    "vae": (
        "class Own(VAE):\n    def __init__(self, x: Vector, *, latent: Size = 2):\n"
        "        super().__init__(x, latent=latent, hidden=(4,))\n        self.critic = self.discriminator = nn.Linear(2, 1)"
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", OWN)
def test_classes_that_derive_from_pofx_s_keep_what_they_wrote(name, tmp_path):
    (tmp_path / "own.py").write_text(IMPORTS + OWN[name])
    out, more = tmp_path / "run", ["--hidden", "4", "--critic-steps", "2"] if name == "derived" else []
    line = ["train", f"{tmp_path}/own.py:Own", "--data", "ring", "--steps", "4", "--log-every", "2", "--out", str(out)]
    assert main([*line, *more]) == 0
    model = pofx.load(out, trust=True)
    names = set(model.state_dict())
    if name == "vae":
        assert {"critic.weight", "discriminator.weight"} <= names, "both are its own"
        assert renamed.stored_tensor("discriminator.weight", type(model)) == "discriminator.weight"
    else:
        assert model.critic is model.discriminator
        assert not any(name.startswith("critic.") for name in names)
    if name == "replaced":
        assert "discriminator.1.weight" in names
    if name == "module of that name":
        assert "heads.critic.weight" in names
    if name == "seen":
        model.discriminator_loss({"x": torch.zeros(4, 2)}, renamed_noise(4))
        assert model.asked
    if name == "fooling":
        assert list(model.generator_loss({"x": torch.zeros(4, 2)}, renamed_noise(4))) == ["adversarial"], "nothing is counted twice"
    if name == "derived":  # rules are those of the outermost constructor's arguments
        assert model.rules.critic_steps == model.rules.discriminator_steps == 2
    if name == "player":
        assert [player.key for player in model.stages()[0].players] == ["critic", "generator"]
    assert main(["resume", str(out), "--trust", "--steps", "6"]) == 0
    if name == "derived":  # its configuration as it was stored once
        config = json.loads((out / "config.json").read_text())
        arguments = config["model"]["arguments"]
        arguments["critic_steps"] = arguments.pop("discriminator_steps")
        (out / "config.json").write_text(json.dumps(config))
        assert pofx.load(out, trust=True).rules.discriminator_steps == 2


def renamed_noise(rows):
    from pofx.randomness import Noise

    return Noise((0,), slice(0, rows), rows)


def test_both_words_at_once_are_refused():
    with pytest.raises(UserError, match="critic_steps is called discriminator_steps now: pass one of them"):
        models.find("gan")(Vector(2), critic_steps=2, discriminator_steps=3)


def test_a_missing_member_is_named_as_it_was_asked_for():
    with pytest.raises(AttributeError, match="critic"):
        _ = models.find("vae")(Vector(2), hidden=(2,)).critic


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_old_submodules_and_stars():
    assert pofx.evaluate.samples.draw is not None
    assert pofx.data.reading.DigitReading is not None
    assert pofx.verbs.look.models is not None
    names: dict[str, object] = {}
    exec("from pofx.nn.tokens import *\nfrom pofx.models.adversarial.gan import MaxoutCritic", names)
    assert {"TokenModel", "Translator", "before", "NOTHING", "MaxoutCritic"} <= names.keys()


def test_metrics_of_people_s_own_games_that_are_half_old_are_one():
    rows = [{"step": 1, "critic.loss": 1.0, "reader.nll": 2.0}, {"step": 2, "discriminator.loss": 0.5, "reader.nll": 1.0}]
    assert [sorted(row) for row in renamed.mixed(rows)] == [["discriminator.loss", "reader.nll", "step"]] * 2
    assert renamed.mixed(rows[:1]) == rows[:1], "names of its own"
