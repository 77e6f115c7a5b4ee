"""The only door to samples: what was known of a cube at an issue time, and nothing else."""

import hashlib
from datetime import date, datetime

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fusion_models.data.cube import DAY_NS, CatalogGroup, CubeData, DailyGroup, LeakError, Rows, nanoseconds

__all__ = ["CubeData", "LeakError", "View", "as_of", "view_contents", "view_digest"]


class View:
    """What a cube holds that was known at `issue_time`; made by `as_of`.

    Days end at `issue_time` rounded down to a UTC midnight. Values with `available_time > issue_time` are NaN.
    """

    def __init__(self, cube: CubeData, issue_time: np.datetime64) -> None:
        self.issue_time = issue_time.astype("datetime64[ns]")
        self.latitudes = cube.latitudes
        self.longitudes = cube.longitudes
        self.resolution_deg = cube.resolution_deg
        self.region = cube.region
        self.snapshot = cube.snapshot
        self._cube = cube
        self._now = int(self.issue_time.astype(np.int64))
        self._columns: dict[str, NDArray[np.generic]] | None = None

    @property
    def day_groups(self) -> tuple[str, ...]:
        """Names of the daily groups that the cube holds."""
        return tuple(self._cube.daily)

    def has(self, group: str) -> bool:
        """Tell whether the cube holds the daily group `group`."""
        return group in self._cube.daily

    def coords(self, group: str) -> dict[str, xr.DataArray]:
        """Return the coordinates of a daily group that do not depend on time (stations, features, cells)."""
        return dict(self._group(group).coords)

    def day_values(self, group: str, n: int) -> dict[str, NDArray[np.floating]]:
        """Return each variable of `group` as an array (time=n, ...) for the n days that end at the issue time.

        NaN where the cube has no such day, no value, or a value that was not yet available.

        Raises
        ------
        KeyError
            If the cube has no such daily group (labels have no door).
        """
        source = self._group(group)
        first = self._now // DAY_NS - n - source.first_day
        position = np.arange(first, first + n)
        inside = (position >= 0) & (position < source.rows.size)
        rows = np.full(n, -1, dtype=np.int64)
        rows[inside] = source.rows[position[inside]]
        return {
            name: self._masked(source, dims, values, rows)
            for name, (dims, values) in source.variables.items()
        }

    def days(self, group: str, n: int) -> xr.Dataset:
        """Return `day_values` as a Dataset with its coordinates; `time` are the n midnights before the issue time."""
        source = self._group(group)
        last = np.datetime64(self._now // DAY_NS, "D")
        time = np.arange(last - np.timedelta64(n, "D"), last).astype("datetime64[ns]")
        arrays = self.day_values(group, n)
        data = {name: (source.variables[name][0], values) for name, values in arrays.items()}
        return xr.Dataset(data, coords={"time": time, **source.coords})

    def pair_values(self, k: int) -> dict[str, NDArray[np.generic]]:
        """Return the arrays (pair<=k, ...) of the k latest interferograms known, oldest first; empty if none."""
        pairs = self._cube.pairs
        if pairs is None:
            return {}
        stop = int(np.searchsorted(pairs.available, self._now, side="right"))
        return {name: values[max(0, stop - k) : stop] for name, values in pairs.arrays.items()}

    def pairs(self, k: int) -> xr.Dataset:
        """Return the k latest interferograms known (fewer if fewer are), sorted by available_time.

        Raises
        ------
        KeyError
            If the cube has no group `insar`.
        """
        pairs = self._cube.pairs
        if pairs is None:
            raise KeyError(f"cube {self.region!r} has no group 'insar'")
        stop = int(np.searchsorted(pairs.available, self._now, side="right"))
        return pairs.dataset.isel(pair=slice(max(0, stop - k), stop))

    def catalog_columns(self) -> dict[str, NDArray[np.generic]]:
        """Return the columns of `catalog` as arrays (event,), sorted by origin time."""
        if self._columns is None:
            source = self._catalog()
            known = (source.available <= self._now) & (source.superseded > self._now)
            known &= np.isfinite(source.columns["magnitude"].astype(np.float64))  # NaN marks a withdrawal
            self._columns = {name: values[known] for name, values in source.columns.items()}
        return self._columns

    def catalog(self) -> xr.Dataset:
        """Return the latest version known of each event (event,), sorted by origin time.

        Raises
        ------
        KeyError
            If the cube has no catalog.
        """
        return xr.Dataset({name: ("event", values) for name, values in self.catalog_columns().items()})

    def static(self) -> xr.Dataset:
        """Return the static layers (lat, lon); empty if the cube has none."""
        return self._cube.groups.get("static", xr.Dataset())

    def _group(self, group: str) -> DailyGroup:
        if group not in self._cube.daily:
            raise KeyError(
                f"cube {self.region!r} has no daily group {group!r}: expected one of {sorted(self._cube.daily)}"
            )
        return self._cube.daily[group]

    def _catalog(self) -> CatalogGroup:
        if self._cube.catalog is None:
            raise KeyError(f"cube {self.region!r} has no group 'catalog'")
        return self._cube.catalog

    def _masked(
        self,
        source: DailyGroup,
        dims: tuple[str, ...],
        values: Rows,
        rows: NDArray[np.int64],
    ) -> NDArray[np.floating]:
        if values.shape[0] == 0:
            return np.full((rows.size, *values.shape[1:]), np.nan, dtype=values.dtype)
        taken: NDArray[np.floating] = values[rows]
        taken[rows < 0] = np.nan
        if (source.complete[rows] > self._now).any():
            hidden = source.available[rows] > self._now
            # The axes of available_time lead in every variable (see cube.py), so a boolean index fits.
            taken[hidden] = np.nan
        return taken


def as_of(cube: CubeData, issue_time: np.datetime64 | datetime | date | str) -> View:
    """Return what `cube` held that was known at `issue_time` (UTC).

    Raises
    ------
    ValueError
        If `issue_time` is NaT.
    """
    if isinstance(issue_time, datetime) and issue_time.tzinfo is not None:
        raise ValueError(f"issue_time must be a naive UTC time, found {issue_time!r}")
    moment = np.asarray(issue_time, dtype="datetime64[ns]").reshape(1)[0]
    if np.isnat(moment):
        raise ValueError("issue_time must be a time, found NaT")
    return View(cube, moment)


def view_contents(view: View, lookback_days: int, pairs: int) -> dict[str, dict[str, NDArray[np.generic]]]:
    """Return, by group and variable, all that samples can see; what is wholly missing is left out.

    Stations without a value in the window are dropped and the rest sorted by position, so that two cubes
    that differ only in what nobody can see have equal contents.
    """
    contents: dict[str, dict[str, NDArray[np.generic]]] = {}
    for group in view.day_groups:
        arrays = view.day_values(group, lookback_days)
        dims = {name: d for name, (d, _) in view._group(group).variables.items()}
        coords = view.coords(group)
        for name, values in arrays.items():
            kept: NDArray[np.generic] = values
            if "station" in dims[name]:
                axis = dims[name].index("station")
                others = tuple(i for i in range(values.ndim) if i != axis)
                seen = np.flatnonzero(np.isfinite(values).any(axis=others))
                place = np.lexsort((coords["longitude"].values[seen], coords["latitude"].values[seen]))
                kept = np.take(values, seen[place], axis=axis)
                if seen.size:
                    here = contents.setdefault(group, {})
                    here[f"{name}.latitude"] = coords["latitude"].values[seen[place]]
                    here[f"{name}.longitude"] = coords["longitude"].values[seen[place]]
            if np.isfinite(np.asarray(kept, dtype=np.float64)).any():
                contents.setdefault(group, {})[name] = kept
    interferograms = view.pair_values(pairs)
    if interferograms and interferograms["available_time"].size:
        contents["insar"] = interferograms
    if view._cube.catalog is not None and view.catalog_columns()["event_id"].size:
        contents["catalog"] = dict(view.catalog_columns())
    static = view.static()
    if static.data_vars:
        contents["static"] = {str(name): np.asarray(array.values) for name, array in static.data_vars.items()}
    return contents


def view_digest(view: View, lookback_days: int, pairs: int) -> dict[str, str]:
    """Return a SHA-256 per group of all that samples can see (see `view_contents`); exact to the last bit."""
    digests: dict[str, str] = {}
    for group, arrays in view_contents(view, lookback_days, pairs).items():
        digest = hashlib.sha256()
        for name in sorted(arrays):
            digest.update(f"{name}{arrays[name].shape}".encode())
            digest.update(_canonical_bytes(arrays[name]))
        digests[group] = digest.hexdigest()
    return digests


def _canonical_bytes(values: NDArray[np.generic]) -> bytes:
    if values.dtype.kind == "f":
        plain = np.asarray(values, dtype=np.float64)
        # One bit pattern for NaN and one for zero; float arrays hold several of each.
        return np.where(np.isnan(plain), np.nan, plain + 0.0).tobytes()
    if values.dtype.kind == "M":
        return nanoseconds(values).tobytes()
    if values.dtype.kind in "iub":
        return values.astype(np.int64).tobytes()
    return "\x00".join(map(str, values.tolist())).encode()
