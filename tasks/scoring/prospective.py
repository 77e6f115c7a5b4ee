"""The prospective log: what each issued forecast said of a window that is over, scored once and never touched again."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr
from filelock import FileLock
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tasks.scoring.consistency import n_test
from tasks.scoring.likelihood import (
    information_gain,
    negative_binomial_log_likelihood,
    poisson_log_likelihood,
)

LOG_NAME: Final = "scored.jsonl"
# A daily forecast that was stored within a day of its issue time was stored before it could be known to be right.
PUNCTUAL: Final = np.timedelta64(1, "D")


class ModelWindow(BaseModel):
    """What one model expected of one window, and how that did."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    expected: float = Field(description="expected number of events")
    dispersion: float = Field(description="negative binomial dispersion that the model states; 0: Poisson")
    log_likelihood: float | None = Field(
        description="ln P(counts) under the model's law; none: an event fell where its rate is 0"
    )
    gain: float | None = Field(
        description="information gain over the reference in this window, nats, all events"
    )
    n_test: float = Field(description="two-sided p-value of the number of events")


class ScoredWindow(BaseModel):
    """One line of the log: one window of one issued forecast."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    forecast: str = Field(description="folder in the forecast store")
    sha256: str = Field(description="hash of the forecast as issued")
    issue_time: str = Field(description="start of the window, UTC")
    horizon_days: int = Field(description="length of the window")
    magnitude: float = Field(description="smallest target magnitude")
    issued_by: str = Field(description="the model that spoke for the system")
    stored_time: str = Field(description="when the forecast's file was written, UTC")
    is_prospective: bool = Field(description="stored within a day of the issue time")
    known_time: str = Field(description="the catalog is taken as it was known at this moment, UTC")
    cube: str = Field(description="snapshot of the cube that the catalog was read from")
    code: str = Field(description="digest of the code that scored")
    reference: str = Field(description="model against which gains are measured")
    n_events: int = Field(description="target events observed")
    cells: list[tuple[int, int, int]] = Field(
        description="row, column and number of events of each cell with any"
    )
    models: dict[str, ModelWindow]

    @property
    def key(self) -> tuple[str, int]:
        """What is scored only once."""
        return self.sha256, self.horizon_days

    def counts(self, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> xr.DataArray:
        """Return the observed counts (lat, lon), int64."""
        values = np.zeros((lat.size, lon.size), np.int64)
        for row, column, number in self.cells:
            values[row, column] = number
        return xr.DataArray(values, {"lat": lat, "lon": lon}, ("lat", "lon"))


def score_window(
    rates: xr.DataArray, counts: xr.DataArray, dispersion: Mapping[str, float], reference: str
) -> dict[str, ModelWindow]:
    """Return the scores of each model in one window.

    Parameters
    ----------
    rates : DataArray (model, lat, lon)
        Expected counts.
    counts : DataArray (lat, lon)
        Observed.
    dispersion : mapping of model to float
        Of models that state a negative binomial law; others are Poisson.
    reference : str

    Raises
    ------
    ValueError
        If the cells differ, a rate is NaN or negative, or the reference is absent.
    """
    observed = counts.transpose("lat", "lon")
    for dim in ("lat", "lon"):
        if not np.array_equal(rates[dim].to_numpy(), observed[dim].to_numpy()):
            raise ValueError(f"forecast and counts differ in their coordinate {dim!r}")
    table = {
        str(name): rates.sel(model=name).transpose("lat", "lon").to_numpy().astype(np.float64)[None]
        for name in rates["model"].to_numpy()
    }
    wrong = [name for name, one in table.items() if not np.isfinite(one).all() or (one < 0).any()]
    if wrong:
        raise ValueError(f"expected finite rates of 0 or more, found others of {wrong}")
    if reference not in table:
        raise ValueError(f"expected the model {reference!r}, found {sorted(table)}")
    values = observed.to_numpy().astype(np.int64)[None]
    n = int(values.sum())
    never = {name for name, one in table.items() if ((one == 0) & (values > 0)).any()}
    scores = {}
    for name, one in table.items():
        # Cells of rate 0 without an event add nothing to a likelihood; the logarithm must not see the 0.
        rate, spread, total = (
            np.maximum(one, np.finfo(np.float64).tiny),
            dispersion.get(name, 0.0),
            float(one.sum()),
        )
        if spread:
            likelihood = float(negative_binomial_log_likelihood(rate, values, spread)[0])
        else:
            likelihood = float(poisson_log_likelihood(rate, values)[0])
        gain = None
        if not {name, reference} & never:
            gain = float(information_gain(one, table[reference], values).per_window[0])
        variance = total + spread * float((one**2).sum())
        scores[name] = ModelWindow(
            expected=total,
            dispersion=spread,
            log_likelihood=None if name in never else likelihood,
            gain=gain,
            n_test=n_test(max(total, np.finfo(np.float64).tiny), n, variance if spread else None).p_value,
        )
    return scores


def read_log(path: Path) -> list[ScoredWindow]:
    """Return the lines of the log in the order in which they were scored; a last line without its end is left out.

    Raises
    ------
    ValueError
        If a line cannot be read; the message names it.
    """
    if not path.is_file():
        return []
    found = []
    for number, line in enumerate(_whole_lines(path.read_bytes()).splitlines(), start=1):
        try:
            found.append(ScoredWindow.model_validate_json(line))
        except ValueError as error:
            raise ValueError(
                f"{path}, line {number}: expected a scored window, found others: {error}"
            ) from error
    return found


def append_log(path: Path, rows: Iterable[ScoredWindow]) -> list[ScoredWindow]:
    """Append what is not in the log yet and return it; a window is scored once, whoever asks and how often.

    Writers take turns. What a writer that was killed left of a line is removed; nothing else ever is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        known = {row.key for row in read_log(path)}
        new = [row for row in rows if row.key not in known]
        if not new:
            return []
        with path.open("ab") as log:
            log.truncate(len(_whole_lines(path.read_bytes())))
            lines = (json.dumps(row.model_dump(mode="json"), allow_nan=False) for row in new)
            log.write("".join(line + "\n" for line in lines).encode())
            log.flush()
            os.fsync(log.fileno())
    return new


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


def apart(rows: Sequence[ScoredWindow], horizon_days: int) -> list[ScoredWindow]:
    """Return windows of one horizon that do not overlap, in order of time: the earliest first, and each next that fits.

    Of forecasts issued for the same moment the one stored first counts: whoever issues again later may know more.
    """
    of_horizon = [row for row in rows if row.horizon_days == horizon_days]
    length = np.timedelta64(horizon_days, "D")
    chosen: list[ScoredWindow] = []
    for row in sorted(of_horizon, key=lambda row: (row.issue_time, row.stored_time, row.sha256)):
        if not chosen or np.datetime64(row.issue_time) >= np.datetime64(chosen[-1].issue_time) + length:
            chosen.append(row)
    return chosen
