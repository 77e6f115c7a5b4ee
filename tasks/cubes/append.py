"""How a provider's new answer joins what is stored: by key, new over old, unchanged if nothing is new."""

from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

ROW_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "event": ("event_id", "available_time"),
    "record": ("station", "time"),
    "time": ("time",),
}
ROW_ORDER: Final[dict[str, tuple[str, ...]]] = {
    "event": ("origin_time", "event_id", "available_time"),
    "record": ("time", "station"),
    "time": ("time",),
}


def row_dimension(dataset: xr.Dataset) -> str | None:
    """Return the dimension along which a group grows (`event`, `record`, `time`); None for static layers."""
    return next((dim for dim in ROW_KEYS if dim in dataset.sizes), None)


def merge_rows(old: xr.Dataset | None, new: xr.Dataset) -> xr.Dataset:
    """Return `old` with the rows of `new` added or, where the key is known, replaced; sorted by row.

    Keys are the day or moment (gridded), station and time (waveform records), event id and available_time
    (catalogs). Where rows have stations, `new` replaces exactly its own times and stations; other stations
    keep what they have, NaN (flag 1, gap) where they have nothing. Of a key given twice the last row wins.

    Raises
    ------
    ValueError
        If the two differ in their variables or in an axis other than rows and stations.
    """
    dim = row_dimension(new)
    if dim is None:
        return new
    new = _sorted_unique(new, dim)
    if old is None:
        return new
    if set(map(str, old.variables)) != set(map(str, new.variables)):
        raise ValueError(
            f"expected the variables {sorted(map(str, old.variables))} that are stored, "
            f"found {sorted(map(str, new.variables))}"
        )
    if "station" in new.sizes:
        old, new = _same_stations(old, new)
    for name, size in new.sizes.items():
        if name != dim and (size != old.sizes[name] or not _equal_axis(old, new, str(name))):
            raise ValueError(f"axis {name!r} differs from the stored one; a new grid needs a new source name")
    old_keys, new_keys = _keys(old, dim), _keys(new, dim)
    kept = old.isel({dim: np.flatnonzero(~old_keys.isin(new_keys))})
    if kept.sizes[dim] == 0:
        return new
    joined = xr.concat(
        [kept, new], dim=dim, data_vars="minimal", coords="minimal", compat="override", join="override"
    ).assign_attrs(new.attrs)
    return _sorted_unique(joined, dim)


def without_losses(old: xr.Dataset, new: xr.Dataset) -> xr.Dataset:
    """Return `new` without the records of which `old` has a channel observed (flag 0) that is a gap (flag 1) here.

    Other groups come back as they are: they lose whole rows with a payload, never a part of one.
    """
    if row_dimension(new) != "record":
        return new
    place = _keys(old, "record").get_indexer(_keys(new, "record"))
    before = old["quality_flag"].values[np.maximum(place, 0)] == 0
    lost = (place >= 0) & (before & (new["quality_flag"].values == 1)).any(axis=1)
    return new.isel(record=np.flatnonzero(~lost))


def is_prefix(old: xr.Dataset, new: xr.Dataset, dim: str) -> bool:
    """Tell whether the first rows of `new` are exactly `old`, and everything without rows is equal."""
    size = old.sizes[dim]
    if new.sizes[dim] < size or old.attrs != new.attrs:
        return False
    return bool(old.equals(new.isel({dim: slice(0, size)})))


def _keys(dataset: xr.Dataset, dim: str) -> pd.Index:
    columns = [np.asarray(dataset[name].values) for name in ROW_KEYS[dim]]
    if len(columns) == 1:
        index: pd.Index = pd.Index(columns[0])
        return index
    return pd.MultiIndex.from_arrays(columns)


def _sorted_unique(dataset: xr.Dataset, dim: str) -> xr.Dataset:
    keys = _keys(dataset, dim)
    frame = pd.DataFrame({name: np.asarray(dataset[name].values) for name in ROW_ORDER[dim]})
    frame = frame.loc[~keys.duplicated(keep="last")]
    order = frame.sort_values(list(ROW_ORDER[dim]), kind="stable").index.to_numpy()
    if order.size == dataset.sizes[dim] and bool((np.diff(order) == 1).all()):
        return dataset
    return dataset.isel({dim: order})


def _equal_axis(old: xr.Dataset, new: xr.Dataset, name: str) -> bool:
    if name not in old.variables:
        return True
    return bool(np.array_equal(old[name].values, new[name].values))


def _same_stations(old: xr.Dataset, new: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """Return both on the union of stations; cells of `new` outside its own stations come from `old`."""
    stations = np.array(sorted(set(old["station"].values) | set(new["station"].values)), dtype=object)
    wide_old, wide_new = (_on_stations(d, stations) for d in (old, new))
    fixed = [str(n) for n, v in wide_new.variables.items() if v.dims == ("station",) and n != "station"]
    own = xr.DataArray(np.isin(stations, new["station"].values), dims="station")
    for name in fixed:
        wide_new[name] = wide_new[name].where(own, wide_old[name])
        wide_old[name] = wide_new[name]
    shared = np.intersect1d(wide_old["time"].values, wide_new["time"].values)
    if shared.size and not bool(own.all()):
        before = wide_old.reindex(time=wide_new["time"].values, fill_value=_fills(wide_old))
        for name in [
            str(n) for n, v in wide_new.data_vars.items() if "time" in v.dims and "station" in v.dims
        ]:
            wide_new[name] = wide_new[name].where(own, before[name])
    return wide_old, wide_new


def _fills(dataset: xr.Dataset) -> dict[str, object]:
    by_kind: dict[str, object] = {"u": np.uint8(1), "M": np.datetime64("NaT", "ns"), "O": "", "i": 0}
    return {
        str(n): by_kind.get(v.dtype.kind, np.nan)
        for n, v in dataset.variables.items()
        if str(n) not in dataset.sizes
    }


def _on_stations(dataset: xr.Dataset, stations: np.ndarray) -> xr.Dataset:
    if np.array_equal(dataset["station"].values, stations):
        return dataset.copy()
    return dataset.reindex(station=stations, fill_value=_fills(dataset))
