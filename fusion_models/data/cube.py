"""The cube in memory, checked once for leaks so that every later look at it can be fast."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fusion_models.data.maps import TiledMaps
from fusion_models.data.tiles import Tiles

DAY_NS: Final = 86_400_000_000_000
NAT: Final = np.iinfo(np.int64).min
UNGUARDED: Final = ("static", "labels")


class Rows(Protocol):
    """Values (time, ...): an array, or what reads the rows asked for."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def dtype(self) -> np.dtype[Any]: ...  # noqa: D102
    def __getitem__(self, rows: NDArray[np.int64], /) -> NDArray[np.floating]:
        """Return the rows, as a copy."""
        ...


class LeakError(ValueError):
    """A value could be seen before it was known: the cube is refused."""


@dataclass(frozen=True)
class DailyGroup:
    """One daily group as arrays: `rows[i]` is the row of day `first_day + i`, -1 where the group has no such day.

    `available` (time, ...) are int64 ns; `complete` (time,) is the time when the whole row is known.
    """

    first_day: int
    rows: NDArray[np.int64]
    variables: dict[str, tuple[tuple[str, ...], Rows]]
    available: NDArray[np.int64]
    complete: NDArray[np.int64]
    coords: dict[str, xr.DataArray]


@dataclass(frozen=True)
class PairGroup:
    """Interferograms sorted by the time they became available (int64 ns)."""

    dataset: xr.Dataset
    arrays: dict[str, NDArray[np.generic]]
    available: NDArray[np.int64]


@dataclass(frozen=True)
class CatalogGroup:
    """Versions of events sorted by origin time; a version is in force in [available, superseded) (int64 ns)."""

    columns: dict[str, NDArray[np.generic]]
    available: NDArray[np.int64]
    superseded: NDArray[np.int64]


@dataclass(frozen=True)
class CubeData:
    """A region's cube, loaded and free of leaks as far as its time stamps tell.

    Parameters
    ----------
    groups : mapping of group name to Dataset
        The schemas of the decision record "The way of the data"; absent groups count as all missing.
    latitudes, longitudes : (lat,), (lon,) cell centres, degree, ascending
    resolution_deg : float
        Cell size, degree.
    region, snapshot : str
        Name of the region and id of the snapshot that was read.
    tiles : Tiles, optional
        Gives the values of the daily groups that its source names; their Datasets are then not loaded.

    Raises
    ------
    LeakError
        If a group has no `available_time`, or one that is NaT for an observed value or earlier than the end of
        the value's period. A cube whose time stamps are wrong but plausible is not recognised here.
    ValueError
        If days are not ascending midnights.
    """

    groups: Mapping[str, xr.Dataset]
    latitudes: NDArray[np.float64]
    longitudes: NDArray[np.float64]
    resolution_deg: float
    region: str
    snapshot: str
    tiles: Tiles | None = None
    daily: dict[str, DailyGroup] = field(init=False, repr=False, compare=False)
    pairs: PairGroup | None = field(init=False, repr=False, compare=False)
    catalog: CatalogGroup | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check every group and keep its arrays."""
        daily = {
            name: _daily_group(name, dataset, self.tiles)
            for name, dataset in self.groups.items()
            if name not in ("catalog", "insar", *UNGUARDED)
        }
        object.__setattr__(self, "daily", daily)
        object.__setattr__(
            self, "pairs", _pair_group(self.groups["insar"]) if "insar" in self.groups else None
        )
        catalog = _catalog_group(self.groups["catalog"]) if "catalog" in self.groups else None
        object.__setattr__(self, "catalog", catalog)


def nanoseconds(times: NDArray[np.generic]) -> NDArray[np.int64]:
    """Return datetimes as int64 nanoseconds since 1970; NaT becomes the smallest int64."""
    return np.asarray(times).astype("datetime64[ns]").astype(np.int64)


def _available(name: str, dataset: xr.Dataset, dim: str) -> xr.DataArray:
    if "available_time" not in dataset.variables:
        raise LeakError(
            f"group {name!r}: expected available_time, found only {sorted(map(str, dataset.variables))}"
        )
    available = dataset["available_time"]
    if dim not in available.dims:
        raise LeakError(
            f"group {name!r}: expected available_time along {dim!r}, found dimensions {available.dims}"
        )
    return available.transpose(dim, ...)


def _refuse_early(
    name: str,
    variable: str,
    observed: NDArray[np.bool_],
    available: NDArray[np.int64],
    end: NDArray[np.int64],
) -> None:
    unknown = observed & (available == NAT)
    if unknown.any():
        raise LeakError(
            f"group {name!r}: {variable!r} has {int(unknown.sum())} observed values without available_time"
        )
    early = observed & (available < end)
    if early.any():
        first = np.argwhere(early)[0]
        found = np.datetime64(int(available[tuple(first)]), "ns")
        limit = np.datetime64(int(np.broadcast_to(end, available.shape)[tuple(first)]), "ns")
        raise LeakError(
            f"group {name!r}: {variable!r} claims to be available at {found}, "
            f"expected not before the end of its period at {limit} ({int(early.sum())} such values)"
        )


def _observed(values: NDArray[np.generic], dims: tuple[str, ...], keep: tuple[str, ...]) -> NDArray[np.bool_]:
    seen = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, dtype=bool)
    return np.asarray(seen.any(axis=tuple(i for i, dim in enumerate(dims) if dim not in keep)))


def _guarded_variables(
    name: str, dataset: xr.Dataset, dim: str, available: xr.DataArray
) -> dict[str, tuple[tuple[str, ...], NDArray[np.generic]]]:
    dims_needed = tuple(str(d) for d in available.dims)
    guarded: dict[str, tuple[tuple[str, ...], NDArray[np.generic]]] = {}
    for key, array in dataset.data_vars.items():
        if key in ("available_time", "time", "time_start"):
            continue
        if any(d not in array.dims for d in dims_needed):
            raise LeakError(
                f"group {name!r}: {key!r} has dimensions {array.dims}, but available_time covers {dims_needed}: "
                "no value may lack an available_time"
            )
        array = array.transpose(*dims_needed, ...)
        guarded[str(key)] = (tuple(str(d) for d in array.dims), np.asarray(array.values))
    return guarded


def _daily_group(name: str, dataset: xr.Dataset, tiles: Tiles | None) -> DailyGroup:
    available = _available(name, dataset, "time")
    dims = tuple(str(d) for d in available.dims)
    known = nanoseconds(available.values)
    time = nanoseconds(dataset["time"].values)
    if (time % DAY_NS).any() or (np.diff(time) <= 0).any():
        raise ValueError(f"group {name!r}: expected ascending UTC midnights in time, found others")
    days = time // DAY_NS
    first_day = int(days[0]) if days.size else 0
    end = (time + DAY_NS).reshape((-1,) + (1,) * (len(dims) - 1))
    variables: dict[str, tuple[tuple[str, ...], Rows]] = {}
    if tiles is not None:
        for column, (group, _, key) in enumerate(n.partition("/") for n in tiles.source.grid.variables):
            if group == name:
                maps = TiledMaps(tiles, column, first_day - tiles.source.first_day, days.size)
                variables[key] = (("time", "lat", "lon"), maps)
    if variables:
        # Not all values can be looked at: whatever the day holds, it may not be known before its end.
        _refuse_early(name, "the day", known != NAT, known, end)
        known = np.where(known == NAT, np.iinfo(np.int64).max, known)
    held = dataset.drop_vars(list(variables))
    for key, (var_dims, values) in _guarded_variables(name, held, "time", available).items():
        _refuse_early(name, key, _observed(values, var_dims, dims), known, end)
        variables[key] = (var_dims, values.astype(values.dtype if values.dtype.kind == "f" else np.float64))
    rows = np.full(int(days[-1] - days[0]) + 1 if days.size else 0, -1, dtype=np.int64)
    rows[days - days[0] if days.size else []] = np.arange(days.size)
    coords = {str(k): c for k, c in dataset.coords.items() if "time" not in c.dims}
    complete = known.reshape(len(time), -1).max(axis=1) if known.size else time
    return DailyGroup(first_day, rows, variables, known, complete, coords)


def _pair_group(dataset: xr.Dataset) -> PairGroup:
    available = _available("insar", dataset, "pair")
    if "time" not in dataset.variables:
        raise LeakError("group 'insar': expected time (pair), the later acquisition, found none")
    # A pass is named by its midnight, so its period ends with the day.
    known, end = nanoseconds(available.values), (nanoseconds(dataset["time"].values) // DAY_NS + 1) * DAY_NS
    for key, (dims, values) in _guarded_variables("insar", dataset, "pair", available).items():
        _refuse_early("insar", key, _observed(values, dims, ("pair",)), known, end)
    order = np.argsort(known, kind="stable")
    ordered = dataset.isel(pair=order)
    arrays = {str(k): np.asarray(v.values) for k, v in ordered.variables.items() if "pair" in v.dims}
    return PairGroup(ordered, arrays, known[order])


def _catalog_group(dataset: xr.Dataset) -> CatalogGroup:
    known = nanoseconds(_available("catalog", dataset, "event").values)
    origin = nanoseconds(dataset["origin_time"].values)
    _refuse_early("catalog", "origin_time", np.ones(known.shape, dtype=bool), known, origin)
    _, code = np.unique(np.asarray(dataset["event_id"].values).astype(str), return_inverse=True)
    by_version = np.lexsort((np.arange(known.size), known, code))
    superseded = np.full(known.shape, np.iinfo(np.int64).max)
    same = code[by_version[1:]] == code[by_version[:-1]]
    superseded[by_version[:-1][same]] = known[by_version[1:][same]]
    order = np.lexsort((code, origin))
    columns = {
        str(k): np.asarray(v.values)[order]
        for k, v in dataset.variables.items()
        if v.dims == ("event",) and str(k) != "event"
    }
    return CatalogGroup(columns, known[order], superseded[order])
