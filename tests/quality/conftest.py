"""A small GNSS network with a common mode, and catalogs of one earthquake."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

DAY = 86_400_000_000_000


def make_network(values: np.ndarray, latency_days: float = 1.0) -> xr.Dataset:
    """Positions (time, station, component) from 2010-01-01 at noon, each known a day after its day's end."""
    days, stations, _ = values.shape
    time = np.datetime64("2010-01-01T12", "ns") + np.arange(days) * np.timedelta64(DAY, "ns")
    known = time + np.timedelta64(DAY // 2 + round(latency_days * DAY), "ns")
    dims = ("time", "station")
    return xr.Dataset(
        {name: (dims, values[:, :, c].copy()) for c, name in enumerate(("east", "north", "up"))}
        | {
            "available_time": (dims, np.repeat(known[:, None], stations, axis=1)),
            "quality_flag": (dims, np.isnan(values[:, :, 0]).astype(np.uint8)),
        },
        coords={
            "time": time,
            "station": np.array([f"S{s:03d}" for s in range(stations)], dtype=object),
            "latitude": ("station", 39.0 + 0.1 * np.arange(stations)),
            "longitude": ("station", np.full(stations, 29.0)),
        },
    )


def make_catalog(origin: str, known: str, magnitude: float, latitude: float = 39.0) -> xr.Dataset:
    return xr.Dataset(
        {
            "origin_time": ("event", np.array([origin], "datetime64[ns]")),
            "available_time": ("event", np.array([known], "datetime64[ns]")),
            "latitude": ("event", np.array([latitude])),
            "longitude": ("event", np.array([29.0])),
            "magnitude": ("event", np.array([magnitude])),
            "event_type": ("event", np.array(["earthquake"], object)),
        }
    )


def noise(days: int, stations: int, seed: int = 0, common: float = 1.0) -> np.ndarray:
    """White noise of 1 mm (3 mm up) and a common mode of `common` times as much."""
    rng = np.random.default_rng(seed)
    scale = np.array([0.001, 0.001, 0.003])
    shared = common * rng.standard_normal((days, 1, 3))
    return scale * (rng.standard_normal((days, stations, 3)) + shared)


@pytest.fixture
def network() -> Callable[..., xr.Dataset]:
    return make_network
