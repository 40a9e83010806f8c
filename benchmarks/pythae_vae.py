"""The same VAE under pythae (PyPI), to compare with: network, loss and optimizer are ours to the letter, everything around is pythae's."""

from __future__ import annotations

import contextlib
import io
import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.recipes import MLP


def vae() -> nn.Module:
    """784-200-200-50 with ELUs, as in `MLP`, with pythae's Bernoulli loss."""
    with contextlib.redirect_stdout(io.StringIO()):
        from pythae.models import VAE, VAEConfig
        from pythae.models.base.base_utils import ModelOutput
        from pythae.models.nn import BaseDecoder, BaseEncoder

    first, second = MLP["hidden"]
    latent = MLP["latent"]

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Flatten(), nn.Linear(784, first), nn.ELU(), nn.Linear(first, second), nn.ELU())
            self.out = nn.Linear(second, 2 * latent)

        def forward(self, x: Tensor) -> Any:
            mean_BD, log_variance_BD = self.out(self.body(x)).chunk(2, 1)
            return ModelOutput(embedding=mean_BD, log_covariance=log_variance_BD)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(latent, second), nn.ELU(), nn.Linear(second, first), nn.ELU())
            self.out = nn.Sequential(nn.Linear(first, 784), nn.Sigmoid())

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.out(self.body(z)))

    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=latent, reconstruction_loss="bce")
    return VAE(config, encoder=Encoder(), decoder=Decoder())


def trainer(x: Tensor, folder: Path, batch_size: int) -> Any:
    """pythae's trainer, prepared: each `train_step(epoch)` is one epoch. Its logger is silenced.

    Args:
        x: pictures in [0, 1], (n, 1, 28, 28); each is drawn anew as bits whenever it is read
        folder: for its output
        batch_size: as asked
    """
    with contextlib.redirect_stdout(io.StringIO()):
        from pythae.data.datasets import BaseDataset, DatasetOutput
        from pythae.trainers import BaseTrainer, BaseTrainerConfig

    class Drawn(BaseDataset):
        def __getitem__(self, index: int) -> Any:
            return DatasetOutput(data=torch.bernoulli(self.data[index]), labels=self.labels[index])

    logging.disable(logging.INFO)
    config = BaseTrainerConfig(
        output_dir=str(folder), per_device_train_batch_size=batch_size, learning_rate=1e-3, num_epochs=1, no_cuda=True
    )
    prepared = BaseTrainer(model=vae(), train_dataset=BaseDataset(x, x.new_zeros(len(x))), training_config=config)
    prepared.prepare_training()
    return prepared
