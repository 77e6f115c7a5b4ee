"""Training and validation samples, split by date."""

from collections.abc import Iterator
from datetime import date
from typing import Final, Protocol

import numpy as np
import pytorch_lightning as pl
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fusion_models.config import TrainingConfig
from fusion_models.data.cube import DAY_NS, CubeData, nanoseconds
from fusion_models.data.sets import Batch, DrawnSamples, HeldSamples, Issues, draw, scaled
from fusion_models.data.spec import SampleSpec
from fusion_models.scaling import Scaling, fit_scaling

MEMORY_BYTES: Final = 4 << 30


class SplitDates(Protocol):
    """The dates of a split; parts are half-open, and no window reaches past its part's end."""

    @property
    def train_start(self) -> date: ...  # noqa: D102
    @property
    def train_end(self) -> date: ...  # noqa: D102
    @property
    def validation_start(self) -> date: ...  # noqa: D102
    @property
    def validation_end(self) -> date: ...  # noqa: D102


class EpochOrder(Sampler[list[int]]):
    """Batches in an order that depends on seed and epoch alone, so that a resumed run sees the same."""

    def __init__(self, n: int, batch_size: int, seed: int | None) -> None:
        self.n, self.batch_size, self.seed, self.epoch = n, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-self.n // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield rows, shuffled if there is a seed."""
        order = np.arange(self.n)
        if self.seed is not None:
            np.random.default_rng([self.seed, self.epoch]).shuffle(order)
        for start in range(0, self.n, self.batch_size):
            yield order[start : start + self.batch_size].tolist()


def split_times(
    issue_times: NDArray[np.datetime64], start: date, end: date, horizon_days: int, step_days: int
) -> NDArray[np.int64]:
    """Return the indices of issue times in [start, end - horizon], at least `step_days` apart, ascending."""
    times = nanoseconds(issue_times)
    first = int(np.datetime64(start, "ns").astype(np.int64))
    last = int(np.datetime64(end, "ns").astype(np.int64)) - horizon_days * DAY_NS
    chosen: list[int] = []
    for i in np.argsort(times, kind="stable"):
        far = not chosen or times[i] - times[chosen[-1]] >= step_days * DAY_NS
        if first <= times[i] <= last and far:
            chosen.append(int(i))
    return np.asarray(chosen, dtype=np.int64)


class ForecastData(pl.LightningDataModule):
    """Samples of the training and validation parts; scaling comes from training alone.

    Parameters
    ----------
    baseline_rates, counts : DataArray (issue_time, horizon, lat, lon)
        Expected counts of the baseline and observed counts of target events in [issue_time, issue_time + horizon).
    memory_bytes : int
        Samples that need more are drawn from the cube batch by batch; the scaling then comes from those that fit.

    Raises
    ------
    ValueError
        If a part has no issue time, no event to learn from, or the two arrays do not fit together.
    """

    def __init__(
        self,
        cube: CubeData,
        spec: SampleSpec,
        baseline_rates: xr.DataArray,
        counts: xr.DataArray,
        split: SplitDates,
        config: TrainingConfig,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        super().__init__()
        self.config = config
        order = ("issue_time", "horizon", "lat", "lon")
        rates = baseline_rates.transpose(*order).sel(horizon=list(config.horizons))
        counts = counts.transpose(*order).sel(horizon=list(config.horizons), issue_time=rates["issue_time"])
        if rates.shape != counts.shape:
            raise ValueError(f"baseline rates {rates.shape} and counts {counts.shape} must have one shape")
        every = Issues(rates["issue_time"].values, np.asarray(rates.values, dtype=np.float64), counts.values)
        longest, step = max(config.horizons), config.issue_step_days
        training, validation = (
            every.at(split_times(every.times, start, end, longest, step))
            for start, end in (
                (split.train_start, split.train_end),
                (split.validation_start, split.validation_end),
            )
        )
        for name, part in (("training", training), ("validation", validation)):
            if part.times.size == 0:
                raise ValueError(f"no issue time of the baseline rates falls into {name}: {split!r}")
        # Scaled samples stand beside those they are made from.
        one = 2 * sum(array.nbytes for array in draw(cube, spec, training.at([0])).values())
        held = memory_bytes // one
        self.is_held = training.times.size + validation.times.size <= held
        # Of more samples than fit, evenly spaced ones tell the scale.
        fitted = np.unique(np.linspace(0, training.times.size - 1, max(1, held)).astype(int))
        shown = training if self.is_held else training.at(fitted)
        arrays = draw(cube, spec, shown)
        self.scaling: Scaling = fit_scaling(arrays | {"baseline_rates": training.rates})
        self.training: Dataset[Batch]
        self.validation: Dataset[Batch]
        if self.is_held:
            self.training = HeldSamples(scaled(arrays, training, spec, self.scaling))
            self.validation = HeldSamples(
                scaled(draw(cube, spec, validation), validation, spec, self.scaling)
            )
        else:
            self.training = DrawnSamples(cube, spec, training, self.scaling)
            self.validation = DrawnSamples(cube, spec, validation, self.scaling)
        self.n_training, self.n_validation = training.times.size, validation.times.size
        self.n_stations = {
            name: arrays[f"{name}.values"].shape[2]
            for name in ("waveform", "gnss")
            if name in spec.modalities
        }
        events = torch.from_numpy(training.counts.astype(np.float32)).sum(dim=(0, 2, 3))
        if not bool((events > 0).all()):
            raise ValueError(f"training holds no target event for some horizon of {config.horizons}")
        # Loss per event: with this every horizon weighs the same, though long windows hold more events.
        self.events_per_sample: Tensor = events / self.n_training

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return shuffled batches."""
        order = EpochOrder(self.n_training, self.config.batch_size, self.config.seed)
        return DataLoader(self.training, sampler=order, batch_size=None, num_workers=0)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return batches in order of time."""
        order = EpochOrder(self.n_validation, 4 * self.config.batch_size, None)
        return DataLoader(self.validation, sampler=order, batch_size=None, num_workers=0)
