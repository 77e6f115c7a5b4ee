"""One reader per modality: from a view to (values, positions), NaN where something is missing."""

import numpy as np
from numpy.typing import NDArray

from fusion_models.data.asof import View
from fusion_models.data.cube import DAY_NS, nanoseconds
from fusion_models.data.motion import ground_speed
from fusion_models.data.spec import KM100_PER_DEGREE, RECENT_DAYS, SPEEDS, STRAIN_RATES, SampleSpec

Float = NDArray[np.floating]
Float64 = NDArray[np.float64]


def offsets(spec: SampleSpec, latitude: NDArray[np.generic], longitude: NDArray[np.generic]) -> Float64:
    """Return north and east of the region's centre (..., 2), 100 km, in the local plane."""
    centre_lat = 0.5 * (spec.latitudes[0] + spec.latitudes[-1])
    centre_lon = 0.5 * (spec.longitudes[0] + spec.longitudes[-1])
    lat, lon = np.asarray(latitude, dtype=np.float64), np.asarray(longitude, dtype=np.float64)
    north = (lat - centre_lat) * KM100_PER_DEGREE
    east = (lon - centre_lon) * KM100_PER_DEGREE * np.cos(np.radians(centre_lat))
    return np.stack([north, east], axis=-1)


def cell_positions(spec: SampleSpec) -> Float64:
    """Return the cells' centres (lat, lon, 2), 100 km."""
    lat, lon = np.meshgrid(spec.latitudes, spec.longitudes, indexing="ij")
    return offsets(spec, lat, lon)


def events(spec: SampleSpec, view: View) -> tuple[Float64, Float64]:
    """Return the last `n_events` known (event, variable), oldest first, padded in front with NaN."""
    values = np.full((spec.n_events, len(spec.variables["events"])), np.nan)
    try:
        columns = view.catalog_columns()
    except KeyError:
        return values, values[:, 2:4]
    # Sorted by origin time; a fresh revision of an old event does not make it a recent one.
    latest = {
        name: columns[name][-spec.n_events :]
        for name in ("origin_time", "magnitude", "latitude", "longitude", "depth_km")
    }
    n = latest["origin_time"].size
    if n:
        now = int(view.issue_time.astype(np.int64))
        days = (now - nanoseconds(latest["origin_time"])) / DAY_NS
        values[-n:, 0] = np.log10(np.maximum(days, 0.0) + 0.01)
        values[-n:, 1] = latest["magnitude"]
        values[-n:, 2:4] = offsets(spec, latest["latitude"], latest["longitude"])
        values[-n:, 4] = latest["depth_km"]
    return values, values[:, 2:4]


def _stations(
    spec: SampleSpec, view: View, group: str, names: tuple[str, ...], n_days: int
) -> tuple[Float, Float64]:
    if not view.has(group):
        return np.full((n_days, 1, len(names)), np.nan), np.zeros((1, 2))
    coords = view.coords(group)
    where = offsets(spec, coords["latitude"].values, coords["longitude"].values)
    arrays = view.day_values(group, n_days)
    if "feature" in coords:
        found = list(map(str, coords["feature"].values))
        block = arrays["waveform_features"]
        columns = {name: block[:, :, i] for i, name in enumerate(found)}
    else:
        columns = dict(arrays)
    missing = np.full((n_days, len(where)), np.nan)
    return np.stack([columns.get(name, missing) for name in names], axis=-1), where


def waveform(spec: SampleSpec, view: View) -> tuple[Float, Float64]:
    """Return daily waveform features (time, station, feature)."""
    return _stations(spec, view, "waveform", spec.variables["waveform"], spec.lookback_days["waveform"])


def gnss(spec: SampleSpec, view: View) -> tuple[Float, Float64]:
    """Return daily positions (time, station, 3), m, less each station's mean over the window.

    The mean falls out so that a step before the window, coseismic or of the antenna, leaves no trace in it.
    """
    values, where = _stations(spec, view, "gnss", spec.variables["gnss"], spec.lookback_days["gnss"])
    seen = np.isfinite(values)
    count = np.maximum(seen.sum(axis=0), 1)
    return values - np.where(seen, values, 0.0).sum(axis=0) / count, where


def strain(spec: SampleSpec, view: View) -> tuple[Float, Float64]:
    """Return the latest strain map, its change, and the ground's speed (1, lat, lon, variable), m/yr, 1/yr, log10 m/yr.

    The latest map is at most `lookback_days["strain"]` old; the change is against the latest map that is
    `strain_change` days older, NaN where either is missing. For the speed see `ground_speed`.
    """
    rates = len(STRAIN_RATES)
    result = np.full((1, *spec.n_cells, 2 * rates + len(SPEEDS)), np.nan)
    places = cell_positions(spec).reshape(-1, 2)
    if view.has("gnss"):
        coords = view.coords("gnss")
        where = offsets(spec, coords["latitude"].values, coords["longitude"].values)
        squared = 1e4 * ((where[:, None] - places[None]) ** 2).sum(axis=-1)
        speeds = ground_speed(view, squared, spec.lookback_days["strain"])
        result[0, :, :, 2 * rates :] = speeds.reshape(*spec.n_cells, -1)
    if view.has("strain"):
        age, change = spec.lookback_days["strain"], spec.lookback_days["strain_change"]
        arrays = view.day_values("strain", 2 * age + change)
        missing = np.full((2 * age + change, *spec.n_cells), np.nan)
        stack = np.stack([arrays.get(name, missing) for name in STRAIN_RATES], axis=-1)
        observed = np.isfinite(stack).any(axis=(1, 2, 3))
        latest = np.flatnonzero(observed[-age:])
        if latest.size:
            row = age + change + int(latest[-1])
            result[0, :, :, :rates] = stack[row]
            stop = row - change + 1
            before = np.flatnonzero(observed[max(0, stop - age) : stop])
            if before.size:
                result[0, :, :, rates : 2 * rates] = stack[row] - stack[max(0, stop - age) + int(before[-1])]
    return result, places


def insar(spec: SampleSpec, view: View) -> tuple[Float64, Float64]:
    """Return the `n_pairs` latest interferograms (pair, lat, lon, variable), the last one the latest."""
    names = spec.variables["insar"]
    result = np.full((spec.n_pairs, *spec.n_cells, len(names)), np.nan)
    arrays = view.pair_values(spec.n_pairs)
    n = arrays["available_time"].size if arrays else 0
    if n:
        for i, name in enumerate(names[:-1]):
            if name in arrays:
                result[-n:, :, :, i] = arrays[name]
        now = int(view.issue_time.astype(np.int64))
        age = np.log10((now - nanoseconds(arrays["time"])) / DAY_NS + 1.0)
        # The age belongs to the pixels that were seen, so that an unseen pixel is wholly missing.
        seen = np.isfinite(result[-n:, :, :, 0])
        result[-n:, :, :, -1] = np.where(seen, age[:, None, None], np.nan)
    return result, cell_positions(spec).reshape(-1, 2)


def _coarse(n: int, blocks: int) -> Float64:
    """Return the (block, cell) membership matrix of `n` cells in at most `blocks` even blocks."""
    member = np.minimum(np.arange(n) * blocks // n, blocks - 1)
    rows = np.unique(member, return_inverse=True)[1]
    return np.asarray(np.arange(min(blocks, n))[:, None] == rows, dtype=np.float64)


def weather(spec: SampleSpec, view: View) -> tuple[Float64, Float64]:
    """Return daily weather averaged over coarse blocks (time, coarse lat, coarse lon, variable), NaN left out."""
    n_days, names = spec.lookback_days["weather"], spec.variables["weather"]
    rows, columns = (_coarse(n, spec.coarse_cells) for n in spec.n_cells)
    where = (
        np.einsum("ai,bj,ijk->abk", rows, columns, cell_positions(spec))
        / np.einsum("ai,bj->ab", rows, columns)[..., None]
    )
    if not view.has("weather"):
        return np.full((n_days, len(rows), len(columns), len(names)), np.nan), where.reshape(-1, 2)
    arrays = view.day_values("weather", n_days)
    missing = np.full((n_days, *spec.n_cells), np.nan)
    layers = []
    for name in names:
        values = np.asarray(arrays.get(name, missing), dtype=np.float64)
        seen = np.isfinite(values)
        total = rows @ np.where(seen, values, 0.0) @ columns.T
        count = rows @ seen.astype(np.float64) @ columns.T
        layers.append(np.where(count > 0, total / np.maximum(count, 1.0), np.nan))
    return np.stack(layers, axis=-1), where.reshape(-1, 2)


def cells(spec: SampleSpec, view: View, rates: Float64) -> Float64:
    """Return each cell's context (lat, lon, variable): log baseline rates, log1p recent counts, static layers.

    How the log rate per day changes from one horizon to the next tells how much of it is aftershocks.
    """
    layers = [np.log(np.maximum(rate, 1e-12)) for rate in rates]
    layers += [
        layers[i + 1] - layers[i] - np.log(spec.horizons[i + 1] / spec.horizons[i])
        for i in range(len(spec.horizons) - 1)
    ]
    if view.has("catalog_grid"):
        counts = view.day_values("catalog_grid", max(RECENT_DAYS))["event_count"]
        for n in RECENT_DAYS:
            window = counts[-n:]
            seen = np.isfinite(window)
            total = np.where(seen, window, 0.0).sum(axis=0)
            layers.append(np.where(seen.any(axis=0), np.log1p(total), np.nan))
    else:
        layers.extend(np.full(spec.n_cells, np.nan) for _ in RECENT_DAYS)
    static = view.static()
    for name in spec.variables["cells"][len(layers) :]:
        key = name.removeprefix("static_")
        present = key in static
        layers.append(
            static[key].transpose("lat", "lon").values.astype(np.float64)
            if present
            else np.full(spec.n_cells, np.nan)
        )
    return np.stack(layers, axis=-1)
