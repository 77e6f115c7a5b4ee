"""A small synthetic cube in which strain rate raises the rate of its own cell."""

from datetime import date
from typing import NamedTuple

import numpy as np
import pytest
import xarray as xr

from fusion_models.config import LookbackDays, ModelConfig, TrainingConfig
from fusion_models.data.asof import CubeData

N_DAYS, N_SIDE, HORIZONS = 300, 6, (1, 7, 30)
START = np.datetime64("2001-01-01", "D")
LAT = 35.05 + 0.1 * np.arange(N_SIDE)
LON = -117.95 + 0.1 * np.arange(N_SIDE)


class Dates(NamedTuple):
    train_start: date = date(2001, 1, 10)
    train_end: date = date(2001, 7, 10)
    validation_start: date = date(2001, 7, 15)
    validation_end: date = date(2001, 10, 20)


class World(NamedTuple):
    """The cube's groups, its baseline rates and its counts."""

    groups: dict[str, xr.Dataset]
    baseline_rates: xr.DataArray
    counts: xr.DataArray

    @property
    def cube(self) -> CubeData:
        return CubeData(dict(self.groups), LAT, LON, 0.1, "toy", "snapshot-1")


def _daily(days, data, coords):
    time = days.astype("datetime64[ns]")
    dataset = xr.Dataset(data, coords={"time": time, **coords})
    return dataset.assign(available_time=("time", time + np.timedelta64(1, "D")))


def _stations(rng, days, name, n, data, extra):
    time = days.astype("datetime64[ns]")
    known = np.repeat((time + np.timedelta64(30, "h"))[:, None], n, axis=1)
    return xr.Dataset(
        {**data, "available_time": (("time", "station"), known)},
        coords={
            "time": time,
            "station": np.array([f"{name}{i}" for i in range(n)], dtype=object),
            "latitude": ("station", rng.uniform(LAT[0], LAT[-1], n)),
            "longitude": ("station", rng.uniform(LON[0], LON[-1], n)),
            **extra,
        },
    )


def make_world(seed: int = 0) -> World:
    """Return 300 days on 6 x 6 cells; an episode strains four cells for 40 days and multiplies their rate by 8."""
    rng = np.random.default_rng(seed)
    days = START + np.arange(N_DAYS)
    active = np.zeros((N_DAYS, N_SIDE, N_SIDE), dtype=bool)
    for begin in range(0, N_DAYS, 12):
        i, j = rng.integers(0, N_SIDE - 1, 2)
        active[begin : begin + 40, i : i + 2, j : j + 2] = True
    background = 0.02
    per_day = rng.poisson(background * np.where(active, 8.0, 1.0))
    grid = ("time", "lat", "lon")
    cells = {"lat": LAT, "lon": LON}

    t, i, j = np.nonzero(per_day)
    repeats = per_day[t, i, j]
    t, i, j = (np.repeat(a, repeats) for a in (t, i, j))
    origin = days[t].astype("datetime64[ns]") + rng.integers(0, 86_400, t.size) * np.timedelta64(1, "s")
    event = {
        "event_id": np.array([f"e{k}" for k in range(t.size)], dtype=object),
        "origin_time": origin,
        "available_time": origin + np.timedelta64(10, "m"),
        "latitude": LAT[i],
        "longitude": LON[j],
        "depth_km": rng.uniform(2, 15, t.size),
        "magnitude": 2.5 + rng.exponential(0.43, t.size),
    }
    revised = {name: values[::9].copy() for name, values in event.items()}
    revised["available_time"] = revised["available_time"] + np.timedelta64(5, "D")
    revised["magnitude"] = revised["magnitude"] + 0.3
    both = {name: np.concatenate([event[name], revised[name]]) for name in event}
    noise = rng.normal(0, 0.3, (5, *active.shape))
    strain = {
        name: (grid, (noise[k] + 3.0 * active) * 1e-7)
        for k, name in enumerate(("east_rate", "north_rate", "up_rate", "dilatation_rate", "shear_rate"))
    }
    n_pairs = 20
    pair_time = (days[14 : 14 * (n_pairs + 1) : 14]).astype("datetime64[ns]")
    pair_grid = ("pair", "lat", "lon")
    shape = (n_pairs, N_SIDE, N_SIDE)
    looks = {"look_east": -0.6, "look_north": -0.1, "look_up": 0.8}
    groups = {
        "catalog": xr.Dataset({name: ("event", values) for name, values in both.items()}),
        "catalog_grid": _daily(days, {"event_count": (grid, per_day)}, cells),
        "strain": _daily(days, strain, cells),
        "gnss": _stations(
            rng,
            days,
            "G",
            5,
            {k: (("time", "station"), rng.normal(0, 1e-3, (N_DAYS, 5))) for k in ("east", "north", "up")},
            {},
        ),
        "waveform": _stations(
            rng,
            days,
            "W",
            3,
            {"waveform_features": (("time", "station", "feature"), rng.normal(size=(N_DAYS, 3, 4)))},
            {"feature": np.array(["rms", "peak", "centroid", "kurtosis"], dtype=object)},
        ),
        "insar": xr.Dataset(
            {
                "los_rate": (pair_grid, rng.normal(size=shape)),
                "coherence": (pair_grid, rng.uniform(size=shape)),
                **{name: (pair_grid, np.full(shape, value)) for name, value in looks.items()},
                "orbit": ("pair", np.ones(n_pairs, dtype=np.int8)),
                "time_start": ("pair", pair_time - np.timedelta64(12, "D")),
                "time": ("pair", pair_time),
                "available_time": ("pair", pair_time + np.timedelta64(2, "D")),
            },
            coords=cells,
        ),
        "weather": _daily(
            days, {k: (grid, rng.normal(size=active.shape)) for k in ("air_temperature", "water_load")}, cells
        ),
        "static": xr.Dataset(
            {"elevation": (("lat", "lon"), rng.normal(size=(N_SIDE, N_SIDE)))}, coords=cells
        ),
        "labels": _daily(days, {"event_count": (grid, per_day.astype(np.int32))}, cells),
    }
    issue = np.arange(N_DAYS - max(HORIZONS) + 1)
    total = np.concatenate([np.zeros((1, N_SIDE, N_SIDE)), np.cumsum(per_day, axis=0)])
    counts = np.stack([total[issue + h] - total[issue] for h in HORIZONS], axis=1)
    mean = background * (1 + 7 * active.mean())
    rates = np.broadcast_to(mean * np.array(HORIZONS)[:, None, None], counts.shape)
    coords = {"issue_time": (START + issue).astype("datetime64[ns]"), "horizon": list(HORIZONS), **cells}
    dims = ("issue_time", "horizon", "lat", "lon")
    return World(
        groups,
        xr.DataArray(rates.copy(), dims=dims, coords=coords),
        xr.DataArray(counts, dims=dims, coords=coords),
    )


@pytest.fixture(scope="session")
def world() -> World:
    return make_world()


@pytest.fixture(scope="session")
def dates() -> Dates:
    return Dates()


@pytest.fixture
def model_config() -> ModelConfig:
    return ModelConfig(
        kind="concat",
        width=8,
        channels=8,
        n_events=12,
        coarse_cells=3,
        lookback_days=LookbackDays(waveform=8, gnss=16, strain=5, strain_change=20, weather=8),
    )


@pytest.fixture
def training_config() -> TrainingConfig:
    return TrainingConfig(
        epochs=2,
        batch_size=16,
        learning_rate=0.01,
        weight_decay=0.001,
        modality_dropout=0.1,
        likelihood="poisson",
        patience=5,
        seed=3,
        horizons=HORIZONS,
        issue_step_days=2,
    )
