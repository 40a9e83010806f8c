"""What each published number was trained with: model, arguments, data and training in one table. Budgets are schedules in steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

DYNAMIC: dict[str, Any] = {"spec": "mnist", "binarize": "dynamic"}  # 50,000 / 10,000 / 10,000
FIXED: dict[str, Any] = {"spec": "binarized-mnist"}
PLAIN: dict[str, Any] = {"spec": "mnist"}
RING: dict[str, Any] = {"spec": "ring"}
GRID: dict[str, Any] = {"spec": "grid"}
CONV: dict[str, Any] = {"body": "conv", "hidden": (16, 32, 256), "latent": 40, "samples": 3}
CONV_CODER: dict[str, Any] = {"body": "conv", "hidden": (16, 32, 256), "reconstruction": "bernoulli"}
MLP: dict[str, Any] = {"body": "mlp", "hidden": (200, 200), "latent": 50, "activation": "elu"}  # the sizes of Burda et al., 2016
EMOJI: dict[str, Any] = {"spec": "emoji/twitter", "size": 32}
PIXELS: dict[str, Any] = {"blocks": 7, "hidden": 16}


@dataclass(frozen=True)
class Recipe:
    """One training.

    Args:
        model: its name in the zoo
        arguments: of its constructor
        data: of `pofx.data.load`
        training: of `pofx.train.Training`
    """

    model: str
    arguments: dict[str, Any]
    data: dict[str, Any]
    training: dict[str, Any] = field(default_factory=dict)


COSINE: dict[str, Any] = {"seed": 0, "batch_size": 100, "schedule": "cosine"}
CONV_TRAINING = COSINE | {"lr": 2e-3, "warmup": 0.01, "ema": 0.999, "precision": "bf16"}
PIXEL_TRAINING = COSINE | {"batch_size": 16, "lr": 3e-3, "warmup": 0.02, "clip": 1.0, "ema": 0.999, "precision": "bf16", "eval_every": 6000}
NADE_TRAINING = COSINE | {"lr": 1e-3, "ema": 0.999}
DEEP_TRAINING = COSINE | {"batch_size": 200, "lr": 2e-3, "warmup": 0.01, "ema": 0.9995, "precision": "bf16"}
COUNTED: dict[str, Any] = {"seed": 0, "batch_size": 1000}  # one pass
FEATURES_TRAINING = COSINE | {"epochs": 8, "lr": 2e-3, "warmup": 0.02, "ema": 0.999, "precision": "bf16", "eval_every": 500}
CONVEX = COSINE | {"lr": 1e-1, "ema": 0.99, "epochs": 6}
LITTLE_NOISE: dict[str, Any] = {"noise_std": 0.1, "weight_continuous": 0.02}
HALF: dict[str, Any] = LITTLE_NOISE | {"hidden": (32, 64), "dense": 512}
POSES = (("", 0.4, range(3)), ("_without_poses", 0.0, (0,)))  # a recipe's ending, discriminator_augment, seeds: the control has one
INFOGAN_TRAINING: dict[str, Any] = {"steps": 5000, "batch_size": 64, "precision": "bf16"}
DCGAN_TRAINING: dict[str, Any] = {"batch_size": 64, "lr": 4e-4, "schedule": "linear", "ema": 0.998, "precision": "bf16"}
STACKED: dict[str, Any] = {"spec": "mnist", "stacked": 3}
STACKED_TRAINING: dict[str, Any] = {"batch_size": 64, "ema": 0.99, "precision": "bf16", "eval_every": 200}

SERIES: dict[str, dict[str, Any]] = {
    "sunspots": {"spec": "timeseries/monthly-sunspots.csv", "window": 48},
    "temperatures": {"spec": "timeseries/daily-min-temperatures.csv", "window": 48},
    "ett": {"spec": "timeseries/ETTh1.csv", "window": 48},
}
LATENT_TRAINING = COSINE | {"batch_size": 50, "lr": 3e-3, "eval_every": 100}
PLANE: dict[str, Any] = {
    "latent": 2,
    "hidden": (128,) * 4,
    "discriminator_hidden": (128,) * 3,
    "lr_generator": 2e-3,
    "lr_discriminator": 3e-3,
}
REMEDY: dict[str, Any] = {"packing": 2, "penalty": "r1"}
PLANE_TRAINING: dict[str, Any] = {"steps": 20_000, "batch_size": 256, "schedule": "linear", "ema": 0.999}
MAXOUT: dict[str, Any] = {"body": "maxout", "hidden": (1200, 1200), "penalty": "r1", "penalty_weight": 1.0}
MAXOUT_NORMALISED: dict[str, Any] = MAXOUT | {"batch_norm": True, "dropout": False}
PARZEN_TRAINING: dict[str, Any] = {"steps": 6000, "batch_size": 64, "lr": 1e-3, "ema": 0.9993, "eval_every": 500}
SPELLED: dict[str, dict[str, Any]] = {task: PLAIN | {"spell": task} for task in ("english", "hangul")}
READING = COSINE | {"lr": 3e-3, "warmup": 0.03, "clip": 1.0, "ema": 0.99}
READ: dict[str, dict[str, Any]] = {
    "english": READING | {"steps": 1000, "eval_every": 500},
    "hangul": READING | {"batch_size": 50, "steps": 1600, "eval_every": 400},
}

# as wide as the paper's networks, with smaller discriminators
AAE: dict[str, Any] = {"batch_norm": True, "input_noise": 0.3, "discriminator_hidden": (300, 300)}
# What is pose or style is to be no part of a cluster: the decoder knows poses, and the y and z that it gets are noisy in training
POSED: dict[str, Any] = {
    "latent": 9,
    "pose": True,
    "encoder_augment": 0.4,
    "style_noise": 0.5,
    "temperature": 1.0,
    "hidden": (400, 400),
    "lr_regularisation": 1.5e-4,
    "lr_discriminator": 1.5e-4,
}
AAE_TRAINING = COSINE | {"precision": "bf16"}

# Characters of running text: the first nine tenths are trained on, the rest is scored
PLAY: dict[str, Any] = {"spec": "text/tinyshakespeare.txt", "tokens": "characters", "valid": 0.1, "test": 0.0}
SHAKESPEARE = PLAY | {"window": 64, "stride": 16}
SHAKESPEARE_TRAINING = COSINE | {"steps": 2000, "batch_size": 12, "clip": 1.0, "warmup": 0.05, "eval_every": 2000}
NAMES: dict[str, Any] = {"spec": "text/names.txt", "tokens": "characters"}
GATED: dict[str, dict[str, Any]] = {  # an LSTM of 128 units has as many parameters as a GRU of 152
    "lstm": {"cell": "lstm", "hidden": 128, "embedding": 64},
    "gru": {"cell": "gru", "hidden": 128, "embedding": 64},
    "gru_wide": {"cell": "gru", "hidden": 152, "embedding": 64},
}
GATED_TRAINING = COSINE | {"batch_size": 32, "lr": 4e-3, "clip": 1.0, "warmup": 0.05, "eval_every": 200}
GATED_STEPS = {"shakespeare": 400, "names": 1000}
MULTI30K: dict[str, dict[str, Any]] = {
    pair: {"spec": "multi30k", "source": pair[:2], "target": pair[3:], "tokens": "bpe", "vocabulary": 4000, "shared": True}
    for pair in ("de_en", "en_fr")
}
TRANSFORMER: dict[str, Any] = {"layers": 3, "width": 160, "heads": 4, "feed_forward": 512, "dropout": 0.1, "tie": "all"}
ATTENTION: dict[str, Any] = {"hidden": 256, "embedding": 192, "dropout": 0.2, "smoothing": 0.1}
TRANSLATION_TRAINING = COSINE | {"batch_size": 64, "clip": 1.0, "warmup": 0.06, "eval_every": 226}

RECIPES = {
    "vae_mlp": Recipe("vae", MLP, DYNAMIC, COSINE | {"epochs": 200, "lr": 2e-3}),
    "iwae_mlp": Recipe("vae", MLP | {"samples": 5}, DYNAMIC, COSINE | {"epochs": 200, "lr": 2e-3}),
    "vae_conv": Recipe("vae", CONV, DYNAMIC, CONV_TRAINING | {"epochs": 70}),
    "fixed_mlp": Recipe("vae", MLP, FIXED, COSINE | {"epochs": 60, "lr": 2e-3}),
    "fixed_conv": Recipe("vae", CONV, FIXED, CONV_TRAINING | {"epochs": 25}),
    "pca_10": Recipe("pca", {"latent": 10}, PLAIN),
    "pca_32": Recipe("pca", {"latent": 32}, PLAIN),
    "autoencoder_10": Recipe("autoencoder", CONV_CODER | {"latent": 10}, PLAIN, COSINE | {"epochs": 12, "lr": 2e-3}),
    "autoencoder_32": Recipe("autoencoder", CONV_CODER | {"latent": 32}, PLAIN, COSINE | {"epochs": 12, "lr": 2e-3}),
    "stacked_denoising": Recipe(
        "stacked_denoising",
        {"hidden": (1000, 1000, 1000), "level": 0.25, "pretrain": 0.4, "tune_level": 0.1, "dropout": 0.3},
        PLAIN,
        COSINE | {"epochs": 50, "lr": 1e-3},
    ),
    "gpu_conv": Recipe("vae", CONV, DYNAMIC, CONV_TRAINING | {"epochs": 200}),
    "gpu_dcgan": Recipe(
        "dcgan", {"width": 128}, EMOJI | {"size": 64}, {"batch_size": 128, "precision": "bf16", "ema": 0.999, "steps": 10_000}
    ),
    "gpu_stacked": Recipe("dcgan", {"packing": 2}, STACKED, {"batch_size": 128, "precision": "bf16", "ema": 0.999, "steps": 50_000}),
    "gpu_infogan": Recipe("infogan", {}, PLAIN, INFOGAN_TRAINING | {"steps": 50_000, "ema": 0.999}),
    "pixelcnn": Recipe("pixelcnn", PIXELS | {"activation": "silu", "location": True}, FIXED, PIXEL_TRAINING | {"lr": 1e-2, "epochs": 15}),
    "gated_pixelcnn": Recipe(
        "gated_pixelcnn",
        {"layers": 8, "hidden": 16, "location": True},
        FIXED,
        PIXEL_TRAINING | {"lr": 3e-3, "epochs": 3, "eval_every": 3125},
    ),
    "grey": Recipe("pixelcnn", PIXELS | {"location": True}, PLAIN, PIXEL_TRAINING | {"lr": 5e-3, "epochs": 2, "eval_every": 3125}),
    "colour": Recipe("pixelcnn", PIXELS | {"hidden": 48}, EMOJI, PIXEL_TRAINING | {"lr": 3e-3, "epochs": 15, "eval_every": 200}),
    "deep_nade": Recipe(
        "deep_nade",
        {"hidden": (500, 500), "weight_decay": 0.05},
        FIXED,
        DEEP_TRAINING | {"batch_size": 400, "lr": 2.5e-3, "ema": 0.999, "epochs": 480},
    ),
    "deep_nade_grey": Recipe(
        "deep_nade",
        {"hidden": (500, 500)},
        PLAIN,
        DEEP_TRAINING | {"lr": 1e-3, "ema": 0.995, "precision": "fp32", "epochs": 10, "eval_every": 500},
    ),
    "conv_nade": Recipe(
        "conv_nade", {"features": 32, "blocks": 4}, FIXED, DEEP_TRAINING | {"batch_size": 50, "ema": 0.999, "epochs": 3, "eval_every": 1000}
    ),
    "red_wine": Recipe(
        "rnade",
        {"hidden": 100, "components": 10, "floor": 0.02},
        {"spec": "uci/winequality-red.csv"},
        COSINE | {"batch_size": 10, "epochs": 25, "lr": 5e-3, "ema": 0.995},
    ),
    "features_mnist": Recipe("convnet", {}, PLAIN, FEATURES_TRAINING),
    "features_fashion": Recipe("convnet", {}, {"spec": "fashion-mnist"}, FEATURES_TRAINING),
    **{
        f"dcgan_fashion_{seed}": Recipe(
            "dcgan", {"width": 32}, {"spec": "fashion-mnist", "size": 32}, DCGAN_TRAINING | {"steps": 5000, "seed": seed}
        )
        for seed in range(3)
    },
    **{
        f"dcgan_features{name}_{seed}": Recipe(
            "dcgan",
            {"width": 32, "discriminator_width": 48, "smoothing": 0.1, "discriminator_augment": discriminator_augment},
            PLAIN,
            {"batch_size": 16, "lr": 1e-3, "ema": 0.998, "steps": 4000, "seed": seed},
        )
        for name, discriminator_augment, seeds in POSES
        for seed in seeds
    },
    **{
        f"stacked{remedy}{budget}_{seed}": Recipe(
            "dcgan", {"width": 32} | rules, STACKED, STACKED_TRAINING | {"steps": steps, "seed": seed}
        )
        for remedy, rules in (("", {}), ("_packing", {"packing": 2}))
        for budget, steps in (("", 600), ("_longer", 1200))
        for seed in range(3)
    },
    **{
        f"infogan_half{name}_{seed}": Recipe(
            "infogan",
            HALF | {"discriminator_augment": discriminator_augment},
            PLAIN,
            {"steps": 5000, "batch_size": 64, "ema": 0.998, "seed": seed},
        )
        for name, discriminator_augment, seeds in POSES
        for seed in seeds
    },
    **{f"infogan_{seed}": Recipe("infogan", {}, PLAIN, INFOGAN_TRAINING | {"seed": seed}) for seed in range(3)},
    **{f"infogan_little_noise_{seed}": Recipe("infogan", LITTLE_NOISE, PLAIN, INFOGAN_TRAINING | {"seed": seed}) for seed in range(3)},
    **{
        f"aae_{labels}_{seed}": Recipe(
            "aae_semi_supervised",
            AAE | POSED | {"latent": 14},
            PLAIN | {"labelled": labels},
            COSINE | {"steps": 2000, "seed": seed, "eval_every": 1000},
        )
        for labels in (100, 1000)
        for seed in range(3)
    },
    **{
        f"aae_clusters_{clusters}_{seed}": Recipe(
            "aae_clustering", AAE | POSED | {"clusters": clusters}, PLAIN, COSINE | {"steps": 2500, "seed": seed, "eval_every": 1250}
        )
        for clusters in (16, 30)
        for seed in range(3)
    },
    **{
        f"{model}_side_by_side_{seed}": Recipe(model, arguments, DYNAMIC, AAE_TRAINING | {"epochs": 3, "seed": seed})
        for model, arguments in {
            "aae": {"latent": 8, "hidden": (1000, 1000), "activation": "relu", "discriminator_hidden": (300, 300)},
            "vae": {"latent": 8, "hidden": (1000, 1000), "activation": "relu"},
        }.items()
        for seed in range(3)
    },
    "nade": Recipe("nade", {"hidden": 500}, FIXED, NADE_TRAINING | {"epochs": 60}),
    "diagonal_bilstm": Recipe("diagonal_bilstm", {"layers": 1, "hidden": 32}, FIXED, PIXEL_TRAINING | {"epochs": 6, "lr": 5e-3}),
    "row_lstm": Recipe("row_lstm", {"layers": 1, "hidden": 32}, FIXED, PIXEL_TRAINING | {"epochs": 4, "lr": 5e-3}),
    "independent": Recipe("independent", {}, FIXED, COUNTED),
    "markov": Recipe("markov", {}, FIXED, COUNTED),
    "ar_table": Recipe("ar_table", {"tau": 10}, FIXED, COUNTED),
    "ar_8": Recipe("ar", {"tau": 8}, FIXED, CONVEX),
    "ar_28": Recipe("ar", {"tau": 28}, FIXED, CONVEX),
    "ar_56": Recipe("ar", {"tau": 56}, FIXED, CONVEX),
    "fvsbn": Recipe("fvsbn", {}, FIXED, CONVEX | {"lr": 5e-2, "epochs": 10}),
    **{f"{name}_independent": Recipe("series_ar", {"tau": 0}, data, COUNTED) for name, data in SERIES.items()},
    **{f"{name}_markov": Recipe("series_markov", {}, data, COUNTED) for name, data in SERIES.items()},
    **{f"{name}_ar": Recipe("series_ar", {"tau": 24}, data, COUNTED) for name, data in SERIES.items()},
    "sunspots_latent": Recipe("series_latent", {"hidden": 64}, SERIES["sunspots"], LATENT_TRAINING | {"steps": 2000}),
    "temperatures_latent": Recipe("series_latent", {"hidden": 64}, SERIES["temperatures"], LATENT_TRAINING | {"steps": 2000}),
    "ett_latent": Recipe("series_latent", {"hidden": 64}, SERIES["ett"], LATENT_TRAINING | {"steps": 4000}),
    **{
        f"ring_{seed}": Recipe("gan", PLANE | REMEDY | {"penalty_weight": 0.02}, RING, PLANE_TRAINING | {"seed": seed}) for seed in range(3)
    },
    **{f"grid_{seed}": Recipe("gan", PLANE | REMEDY | {"penalty_weight": 0.3}, GRID, PLANE_TRAINING | {"seed": seed}) for seed in range(3)},
    **{f"ring_plain_{seed}": Recipe("gan", PLANE, RING, PLANE_TRAINING | {"seed": seed}) for seed in range(3)},
    **{f"grid_plain_{seed}": Recipe("gan", PLANE, GRID, PLANE_TRAINING | {"seed": seed}) for seed in range(3)},
    **{f"gan_parzen_{seed}": Recipe("gan", MAXOUT_NORMALISED, PLAIN, PARZEN_TRAINING | {"seed": seed}) for seed in range(3)},
    "gan_parzen_dropout_0": Recipe("gan", MAXOUT, PLAIN, PARZEN_TRAINING),
    "shakespeare": Recipe(
        "transformer_lm",
        {"layers": 4, "heads": 4, "width": 128, "activation": "gelu_tanh"},
        SHAKESPEARE,
        SHAKESPEARE_TRAINING | {"lr": 3e-3},
    ),
    "shakespeare_lstm": Recipe(
        "recurrent_lm", {"cell": "lstm", "hidden": 256, "layers": 2, "embedding": 64}, SHAKESPEARE, SHAKESPEARE_TRAINING | {"lr": 4e-3}
    ),
    **{
        f"shakespeare_{order}gram": Recipe("ngram", {"order": order}, PLAY | {"window": 1024, "stride": 1024}, COUNTED)
        for order in range(2, 9)
    },
    **{
        f"{name}_{model}_{seed}": Recipe("recurrent_lm", GATED[model], data, GATED_TRAINING | {"steps": GATED_STEPS[name], "seed": seed})
        for name, data in {"shakespeare": SHAKESPEARE, "names": NAMES}.items()
        for model in GATED
        for seed in range(3)
    },
    "multi30k_de_en_transformer": Recipe(
        "transformer", TRANSFORMER, MULTI30K["de_en"], TRANSLATION_TRAINING | {"lr": 2.5e-3, "steps": 2712}
    ),
    "multi30k_de_en_attention": Recipe("rnn_attention", ATTENTION, MULTI30K["de_en"], TRANSLATION_TRAINING | {"lr": 2e-3, "epochs": 6}),
    "multi30k_en_fr_transformer": Recipe(
        "transformer", TRANSFORMER, MULTI30K["en_fr"], TRANSLATION_TRAINING | {"lr": 2.5e-3, "steps": 2712}
    ),
    "multi30k_en_fr_attention": Recipe("rnn_attention", ATTENTION, MULTI30K["en_fr"], TRANSLATION_TRAINING | {"lr": 2e-3, "epochs": 6}),
    "gpu_shakespeare": Recipe(
        "transformer_lm",
        {"layers": 6, "heads": 6, "width": 384, "dropout": 0.2},
        SHAKESPEARE | {"window": 256},
        COSINE | {"steps": 5000, "batch_size": 64, "lr": 1e-3, "warmup": 0.02, "clip": 1.0, "precision": "bf16", "eval_every": 250},
    ),
    "gpu_multi30k": Recipe(
        "transformer",
        TRANSFORMER | {"width": 512, "heads": 8, "feed_forward": 1024, "dropout": 0.3},
        MULTI30K["de_en"],
        TRANSLATION_TRAINING | {"lr": 1e-3, "epochs": 20, "precision": "bf16"},
    ),
    **{
        f"reading_{task}_{way}_{seed}": Recipe(
            "image_to_text", {"shift": 1, "decoder_input": "code", "trained": way}, SPELLED[task], READ[task] | {"seed": seed}
        )
        for task in SPELLED
        for way in ("together", "apart", "apart_then_together")
        for seed in (0,)
    },
    "captions": Recipe(
        "image_to_text",
        {"decoder": "transformer", "layers": 2, "dropout": 0.3, "shift": 2},
        EMOJI | {"target": "caption", "tokens": "bpe", "vocabulary": 1000},
        READING | {"batch_size": 50, "lr": 1e-3, "steps": 500, "eval_every": 50},
    ),
}
