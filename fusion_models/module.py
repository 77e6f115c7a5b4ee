"""The Lightning module: training step, validation against ETAS, and what a resumed run has to remember."""

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from fusion_models.config import PROVIDER_KINDS, ModelConfig, TrainingConfig
from fusion_models.data.sets import Batch
from fusion_models.data.spec import SampleSpec
from fusion_models.evidence import fit_dispersion, judge
from fusion_models.losses import negative_binomial_loss, poisson_loss
from fusion_models.network import FusionNetwork, hide


class FusionModule(pl.LightningModule):
    """Train a FusionNetwork; validation decides how much of its correction is believed, and may decide for none.

    Metrics of each epoch, nats per event, Poisson, mean over horizons: `train_nll` (training loss), `train_igpe`;
    `val_nll` with the best shrinkage of each horizon, by which the epoch is chosen; `val_igpe` and
    `val_igpe_<days>`, the gain over ETAS with the shrinkage that `judge` finds supported, 0 where it finds none.
    Shrinkage and epoch are chosen on the validation part, so these flatter a little: the test part judges.
    """

    def __init__(
        self, model: ModelConfig, training: TrainingConfig, spec: SampleSpec, events_per_sample: Tensor
    ) -> None:
        super().__init__()
        self.config, self.spec = training, spec
        self.network = FusionNetwork(model, spec)
        self.log_dispersion = nn.Parameter(torch.full((len(spec.horizons),), -1.0))
        self.events_per_sample = events_per_sample
        self.shrinkage = [0.0] * len(spec.horizons)
        self.dispersion: list[float] = []
        self.history: list[dict[str, float]] = []
        self._seen: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        self._train: list[Tensor] = []
        self._rng = torch.Generator()

    def on_train_epoch_start(self) -> None:
        """Seed the epoch by its number, so that a resumed run repeats what the first would have done."""
        # A generator of our own: how often Lightning draws from the global one differs after a resume.
        self._rng.manual_seed(self.config.seed * 100_003 + self.current_epoch)
        self._train = []

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """Return the loss per event with kinds of providers hidden at random."""
        inputs = dict(batch.inputs)
        for kind in PROVIDER_KINDS:
            hidden = torch.rand(len(batch.rate), generator=self._rng) < self.config.modality_dropout
            inputs = hide(inputs, self.spec, kind, hidden)
        delta = self.network(inputs) * batch.support
        poisson = poisson_loss(delta, batch.rate, batch.observed)
        loss = poisson
        if self.config.likelihood == "negative_binomial":
            loss = negative_binomial_loss(delta, batch.rate, batch.observed, self.log_dispersion)
        nll = self._per_event(loss)
        self._train.append(torch.stack([nll.detach(), -self._per_event(poisson).detach()]))
        total: Tensor = nll + self.config.regulariser * delta.square().mean()
        return total

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Keep the corrections; the epoch's end judges them together."""
        delta = self.network(batch.inputs) * batch.support
        self._seen.append((delta, batch.rate, batch.observed, batch.day))

    def on_validation_epoch_end(self) -> None:
        """Choose the shrinkage of every horizon and record the epoch's metrics."""
        delta, rate, count, day = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
        self._seen = []
        rate, count = rate.double(), count.double()
        looks = len(self.history) + 1
        found = judge(
            delta.double().numpy(), rate.numpy(), count.numpy(), day.numpy(), self.spec.horizons, looks
        )
        self.shrinkage = [support.shrinkage for support in found]
        if self.config.likelihood == "negative_binomial":
            believed = rate * torch.exp(torch.tensor(self.shrinkage)[:, None, None] * delta)
            self.dispersion = [
                fit_dispersion(believed[:, h].numpy(), count[:, h].numpy()) for h in range(len(found))
            ]
        events = count.sum(dim=(0, 2, 3)).clamp(min=1.0)
        baseline = (rate - count * torch.log(rate.clamp(min=1e-12))).sum(dim=(0, 2, 3)) / events
        best = float(np.mean([support.best_gain for support in found]))
        metrics = {
            "val_nll": float(baseline.mean()) - best,
            "val_igpe": float(np.mean([support.gain for support in found])),
        }
        metrics |= {
            f"val_igpe_{h}": support.gain for h, support in zip(self.spec.horizons, found, strict=True)
        }
        if self._train:
            nll, igpe = torch.stack(self._train).mean(dim=0)
            metrics |= {"train_nll": float(nll), "train_igpe": float(igpe)}
        self.history.append({"epoch": float(self.current_epoch + 1), **metrics})
        self.log_dict(metrics)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW."""
        return torch.optim.AdamW(
            self.parameters(), lr=self.config.learning_rate, weight_decay=self.config.weight_decay
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what weights do not hold."""
        checkpoint["quakecube"] = {
            "shrinkage": self.shrinkage, "dispersion": self.dispersion, "history": self.history,
        }  # fmt: skip

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore it."""
        self.shrinkage = list(checkpoint["quakecube"]["shrinkage"])
        self.dispersion = list(checkpoint["quakecube"]["dispersion"])
        self.history = list(checkpoint["quakecube"]["history"])

    def _per_event(self, loss: Tensor) -> Tensor:
        return (loss.sum(dim=(2, 3)).mean(dim=0) / self.events_per_sample).mean()
