"""What makes two rows of observations the same row, and in which order a reader sees them.

The store keeps rows in the order of their arrival; whoever reads gets them sorted.
"""

from typing import Final

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

ROW_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "event": ("event_id", "available_time"),
    "record": ("station", "time"),
    "time": ("time",),
    # Of groups that have stations; scenes are told apart by the two times.
    "revision": ("station", "time", "available_time"),
}
ROW_ORDER: Final[dict[str, tuple[str, ...]]] = {
    "event": ("origin_time", "event_id", "available_time"),
    "record": ("time", "station"),
    "time": ("time",),
}
# The part of the key that is a moment: what the zones of a group are about.
KEY_TIME: Final[dict[str, str]] = {
    "event": "available_time", "record": "time", "time": "time", "revision": "time",
}  # fmt: skip
# The time that a row is about: what the days of a cube follow.
ABOUT: Final[dict[str, str]] = KEY_TIME | {"event": "origin_time"}


def row_dimension(dataset: xr.Dataset) -> str | None:
    """Return the dimension along which a group grows (one of `ROW_KEYS`); None for static layers."""
    return next((dim for dim in ROW_KEYS if dim in dataset.sizes), None)


def row_keys(columns: list[NDArray[np.generic]]) -> pd.Index:
    """Return the keys of rows from the columns that `ROW_KEYS` names, texts as str and times as they come."""
    plain = [c.astype(object) if c.dtype.kind in "OUT" else c for c in columns]
    if len(plain) == 1:
        index: pd.Index = pd.Index(plain[0])
        return index
    return pd.MultiIndex.from_arrays(plain)


def sorted_unique(dataset: xr.Dataset, dim: str) -> xr.Dataset:
    """Return the rows of `dataset` in `ROW_ORDER`; of a key given twice the last row."""
    keys = row_keys([np.asarray(dataset[name].values) for name in ROW_KEYS[dim]])
    frame = pd.DataFrame({name: np.asarray(dataset[name].values) for name in ROW_ORDER[dim]})
    return _taken(dataset, dim, frame.loc[~keys.duplicated(keep="last")])


def in_order(dataset: xr.Dataset) -> xr.Dataset:
    """Return a stored group with its rows in `ROW_ORDER` and its stations by name; lazily, but for those columns."""
    dim = row_dimension(dataset)
    if dim is not None:
        columns = {name: np.asarray(dataset[name].values) for name in ROW_ORDER[dim]}
        plain = {k: v.astype(object) if v.dtype.kind == "T" else v for k, v in columns.items()}
        dataset = _taken(dataset, dim, pd.DataFrame(plain))
    if "station" in dataset.dims:
        order = np.argsort(dataset["station"].values.astype(object), kind="stable")
        if (np.diff(order) != 1).any():
            dataset = dataset.isel(station=order)
    return dataset


def _taken(dataset: xr.Dataset, dim: str, frame: pd.DataFrame) -> xr.Dataset:
    order = frame.sort_values(list(frame.columns), kind="stable").index.to_numpy()
    if order.size == dataset.sizes[dim] and bool((np.diff(order) == 1).all()):
        return dataset
    return dataset.isel({dim: order})
