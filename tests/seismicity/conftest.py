"""A small region, an ETAS simulator that shares no code with the fit, and a catalog made by it."""

from collections.abc import Callable
from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from tasks.regions import Region
from tasks.seismicity.etas import EtasModel, EtasParameters
from tasks.seismicity.geometry import Plane

EPOCH = np.datetime64("1970-01-01", "ns")


@pytest.fixture(scope="session")
def region(make_region: Callable[..., Region]) -> Region:
    return make_region(
        ["2001-01-01", "2016-01-01", "2016-04-01", "2018-01-01", "2018-04-01", "2021-01-01"],
        catalog_start=date(2000, 1, 1),
        etas_start=date(2001, 1, 1),
        margin_deg=0.2,
        magnitude_max=7.0,
    )


@pytest.fixture(scope="session")
def truth() -> EtasParameters:
    b, alpha, span, n = 1.0, 1.5, 4.0, 0.6
    beta = b * np.log(10.0)
    grid = np.linspace(0, span, 200001)
    density = np.exp(-beta * grid)
    k = n / float(np.sum(density * np.exp(alpha * grid)) / np.sum(density))
    return EtasParameters(
        mu=0.25,
        k=k,
        alpha=alpha,
        c=0.01,
        p=1.2,
        d=0.8,
        gamma=0.8,
        q=1.7,
        m0=3.0,
        magnitude_max=7.0,
        b=b,
        branching_ratio=n,
        log_likelihood=0.0,
        n_targets=0,
        n_parents=0,
        rounds=0,
        converged=True,
        at_bound=(),
        standard_errors={},
        truncation="",
    )


@pytest.fixture(scope="session")
def model(truth: EtasParameters) -> EtasModel:
    background = np.ones((10, 10))
    background[2:5, 6:9] = 12.0
    return EtasModel(truth, background / background.sum())


def cascade(
    parents: np.ndarray, p: EtasParameters, start: float, end: float, rng: np.random.Generator
) -> np.ndarray:
    """All descendants (day, x, y, m) in [start, end) of parents (day, x, y, m), by direct branching."""
    found = []
    while len(parents):
        count = rng.poisson(p.k * np.exp(p.alpha * (parents[:, 3] - p.m0)))
        mother = np.repeat(parents, count, axis=0)
        day = mother[:, 0] + p.c * (rng.random(len(mother)) ** (-1 / (p.p - 1)) - 1)
        scale = p.d * np.exp(p.gamma * (mother[:, 3] - p.m0))
        radius = np.sqrt(scale * (rng.random(len(mother)) ** (-1 / (p.q - 1)) - 1))
        angle = rng.random(len(mother)) * 2 * np.pi
        children = np.column_stack(
            [
                day,
                mother[:, 1] + radius * np.cos(angle),
                mother[:, 2] + radius * np.sin(angle),
                draw_magnitudes(len(mother), p, rng),
            ]
        )
        parents = children[(day >= start) & (day < end)]
        found.append(parents)
    return np.concatenate(found) if found else np.empty((0, 4))


def draw_magnitudes(n: int, p: EtasParameters, rng: np.random.Generator) -> np.ndarray:
    beta = p.b * np.log(10.0)
    share = 1 - np.exp(-beta * (p.magnitude_max - p.m0))
    return p.m0 - np.log1p(-rng.random(n) * share) / beta


def draw_background(
    model: EtasModel, plane: Plane, start: float, end: float, rng: np.random.Generator
) -> np.ndarray:
    n = rng.poisson(model.parameters.mu * (end - start))
    cell = rng.choice(model.background.size, n, p=model.background.ravel())
    row, column = np.divmod(cell, plane.columns)
    return np.column_stack(
        [
            start + rng.random(n) * (end - start),
            plane.west + plane.dx * (column + rng.random(n)),
            plane.south + plane.dy * (row + rng.random(n)),
            draw_magnitudes(n, model.parameters, rng),
        ]
    )


@pytest.fixture(scope="session")
def as_catalog(make_catalog: Callable[..., xr.Dataset], region: Region) -> Callable[..., xr.Dataset]:
    """Make the catalog of rows (day, x, y, m), known a quarter of an hour after the event."""
    plane = Plane.of(region)
    north = np.radians(1.0) * 6371.0088
    east = north * np.cos(np.radians(plane.latitude))

    def make(rows: np.ndarray) -> xr.Dataset:
        rows = rows[np.argsort(rows[:, 0])]
        ids = [f"e{i:06d}" for i in range(len(rows))]
        origin = EPOCH + (rows[:, 0] * 86400e9).astype("timedelta64[ns]")
        latitude, longitude = plane.latitude + rows[:, 2] / north, plane.longitude + rows[:, 1] / east
        events = zip(ids, origin, latitude, longitude, rows[:, 3], ["earthquake"] * len(rows), strict=True)
        return make_catalog(list(events), np.timedelta64(864, "s"))

    return make


@pytest.fixture(scope="session")
def simulate_catalog(
    as_catalog: Callable[..., xr.Dataset], region: Region
) -> Callable[[EtasModel, str, str, int], xr.Dataset]:
    def simulate(model: EtasModel, start: str, end: str, seed: int) -> xr.Dataset:
        rng = np.random.default_rng(seed)
        plane = Plane.of(region)
        first, last = ((np.datetime64(t, "ns") - EPOCH) / np.timedelta64(1, "D") for t in (start, end))
        roots = draw_background(model, plane, first, last, rng)
        return as_catalog(np.concatenate([roots, cascade(roots, model.parameters, first, last, rng)]))

    return simulate


@pytest.fixture(scope="session")
def catalog(model: EtasModel, simulate_catalog: Callable[..., xr.Dataset]) -> xr.Dataset:
    return simulate_catalog(model, "2000-01-01", "2021-01-01", 3)


@pytest.fixture(scope="session")
def branching() -> SimpleNamespace:
    return SimpleNamespace(cascade=cascade, draw_background=draw_background)
