"""Training and validation samples in memory, split by date."""

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple, Protocol

import numpy as np
import pytorch_lightning as pl
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fusion_models.config import TrainingConfig
from fusion_models.data.asof import as_of
from fusion_models.data.batches import take, to_inputs
from fusion_models.data.cube import DAY_NS, CubeData, nanoseconds
from fusion_models.data.samples import stack_samples
from fusion_models.data.spec import SampleSpec
from fusion_models.scaling import Scaling, fit_scaling
from fusion_models.tokens import Inputs


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


class Batch(NamedTuple):
    """Scaled inputs; baseline rates, observed counts and support (batch, horizon, lat, lon); issue day (batch,)."""

    inputs: dict[str, Inputs]
    rate: Tensor
    observed: Tensor
    support: Tensor
    day: Tensor


class SampleSet(Dataset[Batch]):
    """Samples in memory, indexed by a list of rows at once: no copying sample by sample."""

    def __init__(
        self, inputs: dict[str, Inputs], rate: Tensor, count: Tensor, support: Tensor, day: Tensor
    ) -> None:
        self.inputs, self.rate, self.count, self.support, self.day = inputs, rate, count, support, day

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.rate)

    def __getitem__(self, rows: list[int]) -> Batch:
        """Return the batch of `rows`."""
        return Batch(
            take(self.inputs, rows), self.rate[rows], self.count[rows], self.support[rows], self.day[rows]
        )


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
    ) -> None:
        super().__init__()
        self.config = config
        order = ("issue_time", "horizon", "lat", "lon")
        rates = baseline_rates.transpose(*order).sel(horizon=list(config.horizons))
        counts = counts.transpose(*order).sel(horizon=list(config.horizons), issue_time=rates["issue_time"])
        if rates.shape != counts.shape:
            raise ValueError(f"baseline rates {rates.shape} and counts {counts.shape} must have one shape")
        times = rates["issue_time"].values
        longest, step = max(config.horizons), config.issue_step_days
        parts = {
            "training": split_times(times, split.train_start, split.train_end, longest, step),
            "validation": split_times(times, split.validation_start, split.validation_end, longest, step),
        }
        for name, rows in parts.items():
            if rows.size == 0:
                raise ValueError(f"no issue time of the baseline rates falls into {name}: {split!r}")
        arrays = {
            name: stack_samples(
                spec, (as_of(cube, times[i]) for i in rows), np.asarray(rates.values[rows], dtype=np.float64)
            )
            for name, rows in parts.items()
        }
        self.scaling: Scaling = fit_scaling(arrays["training"])
        self.training, self.validation = (
            SampleSet(
                to_inputs(arrays[name], self.scaling, spec),
                torch.from_numpy(arrays[name]["baseline_rates"].astype(np.float32)),
                torch.from_numpy(counts.values[parts[name]].astype(np.float32)),
                torch.from_numpy(self.scaling.support(arrays[name]["baseline_rates"]).astype(np.float32)),
                torch.from_numpy(nanoseconds(times[parts[name]]) // DAY_NS),
            )
            for name in ("training", "validation")
        )
        events = self.training.count.sum(dim=(0, 2, 3))
        if not bool((events > 0).all()):
            raise ValueError(f"training holds no target event for some horizon of {config.horizons}")
        # Loss per event: with this every horizon weighs the same, though long windows hold more events.
        self.events_per_sample: Tensor = events / len(self.training)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return shuffled batches."""
        order = EpochOrder(len(self.training), self.config.batch_size, self.config.seed)
        return DataLoader(self.training, sampler=order, batch_size=None, num_workers=0)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return batches in order of time."""
        order = EpochOrder(len(self.validation), 4 * self.config.batch_size, None)
        return DataLoader(self.validation, sampler=order, batch_size=None, num_workers=0)
