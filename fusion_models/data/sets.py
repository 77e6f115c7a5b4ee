"""Samples as a network asks for them, a batch of rows at once: held in memory, or drawn from the cube."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from fusion_models.data.asof import as_of
from fusion_models.data.batches import take, to_inputs
from fusion_models.data.cube import DAY_NS, CubeData, nanoseconds
from fusion_models.data.samples import stack_samples
from fusion_models.data.spec import SampleSpec
from fusion_models.scaling import Scaling
from fusion_models.tokens import Inputs


class Batch(NamedTuple):
    """Scaled inputs; baseline rates, observed counts and support (batch, horizon, lat, lon); issue day (batch,)."""

    inputs: dict[str, Inputs]
    rate: Tensor
    observed: Tensor
    support: Tensor
    day: Tensor


class Issues(NamedTuple):
    """What is forecast and when: issue times (n,) UTC, rates and counts (n, horizon, lat, lon)."""

    times: NDArray[np.datetime64]
    rates: NDArray[np.float64]
    counts: NDArray[np.floating]

    def at(self, rows: Sequence[int] | NDArray[np.int64]) -> "Issues":
        """Return those of `rows`."""
        return Issues(self.times[rows], self.rates[rows], self.counts[rows])


def draw(cube: CubeData, spec: SampleSpec, issues: Issues) -> dict[str, NDArray[np.floating]]:
    """Return the sample arrays of `issues`, not scaled; see `stack_samples`."""
    return stack_samples(spec, (as_of(cube, time) for time in issues.times), issues.rates)


def scaled(
    arrays: dict[str, NDArray[np.floating]], issues: Issues, spec: SampleSpec, scaling: Scaling
) -> Batch:
    """Return the batch that `arrays` of `issues` make."""
    return Batch(
        to_inputs(arrays, scaling, spec),
        torch.from_numpy(issues.rates.astype(np.float32)),
        torch.from_numpy(issues.counts.astype(np.float32)),
        torch.from_numpy(scaling.support(issues.rates).astype(np.float32)),
        torch.from_numpy(nanoseconds(issues.times) // DAY_NS),
    )


class HeldSamples(Dataset[Batch]):
    """Samples in memory, indexed by a list of rows at once: no copying sample by sample."""

    def __init__(self, whole: Batch) -> None:
        self.whole = whole

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.whole.rate)

    def __getitem__(self, rows: list[int]) -> Batch:
        """Return the batch of `rows`."""
        return Batch(take(self.whole.inputs, rows), *(column[rows] for column in self.whole[1:]))


class DrawnSamples(Dataset[Batch]):
    """Samples that are more than memory holds: each batch comes from the cube when it is asked for."""

    def __init__(self, cube: CubeData, spec: SampleSpec, issues: Issues, scaling: Scaling) -> None:
        self._cube, self._spec, self._issues, self._scaling = cube, spec, issues, scaling

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._issues.times)

    def __getitem__(self, rows: list[int]) -> Batch:
        """Return the batch of `rows`."""
        issues = self._issues.at(rows)
        return scaled(draw(self._cube, self._spec, issues), issues, self._spec, self._scaling)
