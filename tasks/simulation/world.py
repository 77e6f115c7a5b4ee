"""One world per seed: its truth, and what could be known of it at any issue time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from tasks.regions import Region
from tasks.simulation.config import SimulationConfig
from tasks.simulation.etas_law import EtasLaw
from tasks.simulation.expectation import Expectation
from tasks.simulation.faults import Fault, background_field
from tasks.simulation.geometry import Domain, Floats
from tasks.simulation.rain import RainLaw
from tasks.simulation.seismicity import Background, simulate_events
from tasks.simulation.slow_slip import SlowSlip, SlowSlipLaw

CountMethod = Callable[[Floats, Floats], Floats]
DAY = np.timedelta64(86_400_000_000_000, "ns")
_STREAMS = (
    "rain", "slow_slip", "events", "elevation", "weather", "gnss", "insar", "waveforms", "catalog",
)  # fmt: skip


def stream(seed: int, part: str) -> np.random.Generator:
    """Return the generator of one part of the world, so that a change in one part leaves the others as they are."""
    return np.random.default_rng([seed, _STREAMS.index(part)])


@dataclass(frozen=True)
class World:
    """Truth of one seed: `events` (see `simulate_events`), slow slip, rain (mm), wet days and load by day."""

    region: Region
    config: SimulationConfig
    seed: int
    domain: Domain
    faults: tuple[Fault, ...]
    slips: tuple[SlowSlip, ...]
    rain: Floats
    wet: NDArray[np.bool_]
    load: Floats
    background: Background
    law: EtasLaw
    events: pd.DataFrame

    @property
    def start(self) -> np.datetime64:
        """First instant; the world's clock counts days from here."""
        return self.region.catalog_window.start

    @property
    def days(self) -> int:
        """Length of the world, days."""
        return len(self.rain)

    def to_days(self, time: ArrayLike) -> Floats:
        """Return days since the start of datetime64 values."""
        return np.asarray((np.asarray(time, "datetime64[ns]") - self.start) / DAY, dtype=np.float64)

    def to_time(self, days: ArrayLike) -> NDArray[np.datetime64]:
        """Return datetime64[ns] of days since the start."""
        elapsed = np.round(np.asarray(days, float) * 86_400e3).astype(np.int64) * 1_000_000
        return np.asarray(self.start + elapsed.astype("timedelta64[ns]"))

    def intensity(self, time: ArrayLike, latitude: ArrayLike, longitude: ArrayLike) -> Floats:
        """Return the true conditional intensity, events/day/km2, at each (time, latitude, longitude).

        Events strictly before `time` are the history. Areas are those of the local plane (see `LocalPlane`).
        """
        days = np.atleast_1d(self.to_days(time))
        x, y = (np.atleast_1d(v) for v in self.domain.plane.to_km(latitude, longitude))
        days, x, y = np.broadcast_arrays(days, x, y)
        out = self.background.rate(days, x, y)
        event = {k: self.events[k].to_numpy() for k in ("time_days", "x_km", "y_km", "magnitude")}
        productivity = self.law.productivity(event["magnitude"])
        for i in range(len(days)):
            n = int(np.searchsorted(event["time_days"], days[i], side="left"))
            r2 = (x[i] - event["x_km"][:n]) ** 2 + (y[i] - event["y_km"][:n]) ** 2
            rate = productivity[:n] * self.law.omori_density(days[i] - event["time_days"][:n])
            out[i] += float(rate @ self.law.spatial_density(r2, event["magnitude"][:n]))
        return out

    @cached_property
    def expectation(self) -> Expectation:
        """The calculator behind the oracle and the clairvoyant."""
        return Expectation(
            background=self.background,
            law=self.law,
            slip_law=SlowSlipLaw(self.config.slow_slip, self.faults),
            rain_law=_rain_law(self.region, self.config),
            load=self.load,
            wet=self.wet,
            time=self.events["time_days"].to_numpy(),
            x=self.events["x_km"].to_numpy(),
            y=self.events["y_km"].to_numpy(),
            magnitude=self.events["magnitude"].to_numpy(),
        )

    def oracle_archive(self, issue_times: ArrayLike, horizons_days: Sequence[int]) -> xr.DataArray:
        """Return the oracle's mean counts (issue_time, horizon, lat, lon) of target events per cell.

        It knows every true event, the active slow slip (not its end) and the load up to the issue time, and the
        law of the process, not the future. See `Expectation.oracle`.
        """
        return self._counts(issue_times, horizons_days, self.expectation.oracle)

    def clairvoyant_archive(self, issue_times: ArrayLike, horizons_days: Sequence[int]) -> xr.DataArray:
        """Return the realised intensity's integral (issue_time, horizon, lat, lon); see `Expectation.clairvoyant`."""
        return self._counts(issue_times, horizons_days, self.expectation.clairvoyant)

    def true_counts(self, issue_times: ArrayLike, horizons_days: Sequence[int]) -> xr.DataArray:
        """Return the true events per cell (issue_time, horizon, lat, lon) in [issue time, issue time + horizon)."""

        def count(issue: Floats, horizons: Floats) -> Floats:
            time = self.events["time_days"].to_numpy()
            out = []
            for begin in issue:
                for horizon in horizons:
                    i, j = np.searchsorted(time, [begin, begin + horizon])
                    part = self.events.iloc[int(i) : int(j)]
                    edges = (self.domain.y_edges, self.domain.x_edges)
                    field, _, _ = np.histogram2d(part["y_km"], part["x_km"], bins=edges)
                    out.append(field[self.domain.inner])
            return np.stack(out).reshape(len(issue), len(horizons), *out[0].shape)

        return self._counts(issue_times, horizons_days, count)

    def _counts(
        self, issue_times: ArrayLike, horizons_days: Sequence[int], method: CountMethod
    ) -> xr.DataArray:
        issue = np.atleast_1d(np.asarray(issue_times, "datetime64[ns]"))
        horizons = np.asarray(horizons_days, dtype=float)
        return xr.DataArray(
            method(self.to_days(issue), horizons),
            dims=("issue_time", "horizon", "lat", "lon"),
            coords={
                "issue_time": issue,
                "horizon": np.asarray(horizons_days, dtype=np.int64),
                "lat": self.region.latitudes,
                "lon": self.region.longitudes,
            },
            attrs={"units": "1", "long_name": "expected target events"},
        )


def simulate_world(region: Region, config: SimulationConfig, seed: int) -> World:
    """Return the world of (region, config, seed); equal arguments give equal worlds.

    The clock runs over the region's catalog window; before it there are no events, but slow slip, rain and load
    are in their stationary state. Every event is a target: the smallest magnitude is the region's completeness.
    """
    domain = Domain.of(region)
    faults = tuple(Fault.of(f, domain.plane) for f in config.seismicity.faults)
    window = region.catalog_window
    days = int((window.end - window.start) / DAY)
    rain, wet, load = _rain_law(region, config).draw(days, stream(seed, "rain"))
    slips = tuple(SlowSlipLaw(config.slow_slip, faults).draw(float(days), stream(seed, "slow_slip")))
    background = Background(
        domain=domain,
        field=background_field(domain, config.seismicity, list(faults)),
        load_factor=np.exp(config.seismicity.load_beta * load[:-1]),
        slips=slips,
    )
    law = EtasLaw(config.seismicity, region.magnitude_completeness)
    events = simulate_events(background, law, stream(seed, "events"))
    return World(region, config, seed, domain, faults, slips, rain, wet, load, background, law, events)


def _rain_law(region: Region, config: SimulationConfig) -> RainLaw:
    return RainLaw(config.weather, float(region.catalog_start.timetuple().tm_yday - 1))
