"""Numbers to reach, each measured by one command: `python -m benchmarks NAME`. See `python -m benchmarks --help`.

A benchmark is a file here with `ROWS`, what it promises to measure, and `measure()`, which yields each row's value and protocol. Trainings
go through `pofx.train` into run folders under `runs/benchmarks/`, so a benchmark that was stopped continues where it was. Real data come
from `$POFX_DATA`.
"""

NAMES = (
    "vae_mlp",
    "iwae_mlp",
    "vae_conv",
    "fixed_binarised",
    "reconstruction",
    "stacked_denoising",
    "training_speed",
    "evaluation_speed",
    "overhead",
    "help_time",
    "exactness",
    "ladder",
    "pixelcnn",
    "gated_pixelcnn",
    "colour",
    "pixel_sampling",
    "deep_nade",
    "deep_nade_grey",
    "conv_nade",
    "nade",
    "nade_speed",
    "red_wine",
    "diagonal_bilstm",
    "row_lstm",
    "lstm_sampling",
    "lstm_training",
    "series",
    "features_mnist",
    "features_fashion",
    "manifold",
    "infogan",
    "dcgan_fashion",
    "dcgan_features",
    "dcgan_speed",
    "stacked",
    "parzen_estimator",
    "ring",
    "grid",
    "gan_parzen",
    "gpu",
)
