"""How a group lies in Zarr: chunks short along the growing axis, fills that mean missing, times as int64 ns."""

from typing import Any, Final, NamedTuple

import icechunk
import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, BloscShuffle

from tasks.cubes.chunks import CHUNK_DAYS, GRID_COMPRESSOR, grid_chunks

ROWS: Final = ("time", "event", "record", "pair", "revision")
# Arrays that say where rows are found and what blocks hold; no reader of data sees them.
ZONES: Final = ("zone_first", "zone_last")
ORIGINS: Final = ("zone_first_origin", "zone_last_origin")
EVENT_MARKS: Final = "event_marks"
DIGESTS: Final = "block_sha256"
HIDDEN: Final = (*ZONES, *ORIGINS, EVENT_MARKS, DIGESTS)
# A group under this name holds what replaced values of the group that follows it; no reader of data sees it.
REVISIONS: Final = "revisions/"

# An append rewrites the last chunk, so its length, not that of the archive, is what a day costs.
COLUMN_ROWS: Final = 1024
OBSERVATION_ELEMENTS: Final = 1 << 13
OBSERVATION_ROWS: Final = 256
CUBE_ROWS: Final = CHUNK_DAYS
AXIS_ROWS: Final = 8 * COLUMN_ROWS
AXIS_COMPRESSOR: Final = BloscCodec(cname="zstd", clevel=3, shuffle=BloscShuffle.bitshuffle)
STATIONS: Final = 16

_TIME_ENCODING: Final = {
    "units": "nanoseconds since 1970-01-01",
    "dtype": "int64",
    "calendar": "proleptic_gregorian",
}
_NAT: Final = np.iinfo(np.int64).min
_FILLS: Final[dict[str, object]] = {
    "f": float("nan"),
    "u": 1,
    "M": _NAT,
    "O": "",
    "T": "",
    "i": 0,
    "b": False,
}


class StoredVariable(NamedTuple):
    """Dimensions of a stored variable, and what it holds where nothing was said."""

    dims: tuple[str, ...]
    missing: np.generic


def described(
    store: icechunk.IcechunkStore, group: str
) -> tuple[dict[str, StoredVariable], dict[str, object]]:
    """Return the variables and the attributes of a stored group, without reading any of it."""
    parent = zarr.open_group(store, path=group, mode="r")
    variables = {
        str(name): StoredVariable(dimensions(array), filled(array, (1,))[0])
        for name, array in parent.arrays()
        if str(name) not in HIDDEN
    }
    attributes: dict[str, object] = {
        str(name): value for name, value in parent.attrs.items() if name != "coordinates"
    }
    return variables, attributes


def row_dimension_of(dataset: xr.Dataset) -> str | None:
    """Return the dimension along which a group grows (one of `ROWS`, `time` the last of them), or None."""
    return next((d for d in ("event", "record", "pair", "revision", "time") if d in dataset.dims), None)


def put_group(session: icechunk.Session, group: str, dataset: xr.Dataset, *, is_cube: bool = False) -> None:
    """Write `dataset` as the whole of `group`, whatever was there.

    What no chunk holds reads as missing: NaN, NaT, an empty string, flag 1 (gap), integer 0; so an axis may grow
    without old chunks being touched. Chunks hold few rows: an append rewrites no more than the last of them. `is_cube`
    chooses chunks for reading windows rather than for appending a provider's answer.
    """
    plain = canonical(dataset.compute().drop_encoding())
    encoding: dict[str, dict[str, object]] = {}
    for name, array in plain.variables.items():
        own: dict[str, object] = dict(_TIME_ENCODING) if array.dtype.kind == "M" else {}
        if array.ndim:
            own["chunks"] = _chunks(array, is_cube=is_cube)
            if is_cube and array.dims == ("time", "lat", "lon"):
                own["compressors"] = (GRID_COMPRESSOR,)
            elif is_cube and array.dims == (name,) and array.dtype.kind == "M":
                # Whoever opens a group reads its axis whole; days at equal distances shrink to next to nothing.
                own |= {"chunks": (AXIS_ROWS,), "compressors": (AXIS_COMPRESSOR,)}
        own["fill_value"] = _FILLS[array.dtype.kind]
        encoding[str(name)] = own
    plain.to_zarr(session.store, group=group, mode="w", encoding=encoding, consolidated=False)


def drop_group(session: icechunk.Session, group: str) -> None:
    """Remove `group` from the next snapshot; earlier ones keep it."""
    del zarr.open_group(session.store, mode="a")[group]


def canonical(dataset: xr.Dataset) -> xr.Dataset:
    """Return `dataset` with ns times and object strings, as it reads back; Dask arrays stay lazy."""
    changed: dict[str, xr.Variable] = {}
    for name, array in dataset.variables.items():
        if array.dtype.kind == "M" and array.dtype != np.dtype("datetime64[ns]"):
            changed[str(name)] = array.astype("datetime64[ns]")
        elif array.dtype.kind in "UT" or not isinstance(array.dtype, np.dtype):
            changed[str(name)] = array.astype(object)
    coords = {n: v for n, v in changed.items() if n in dataset.coords}
    return dataset.assign_coords(coords).assign({n: v for n, v in changed.items() if n not in dataset.coords})


def encoded(values: NDArray[np.generic], array: "zarr.Array[Any]") -> NDArray[np.generic]:
    """Return `values` as `array` keeps them: times as int64 ns, text as variable-length strings."""
    values = np.asarray(values)
    if values.dtype.kind == "M":
        return values.astype("datetime64[ns]").view(np.int64)
    if values.dtype.kind in "OUT":
        return np.asarray(values.astype(np.dtypes.StringDType()))
    return values.astype(array.dtype, copy=False)


def filled(array: "zarr.Array[Any]", shape: tuple[int, ...]) -> NDArray[np.generic]:
    """Return an array of `shape` that says missing in the way of `array`."""
    if array.dtype.kind in "OT":
        return np.full(shape, "", dtype=np.dtypes.StringDType())
    return np.full(shape, array.fill_value, dtype=array.dtype)


def equal(left: NDArray[np.generic], right: NDArray[np.generic]) -> bool:
    """Tell whether two stored blocks are equal, missing values included."""
    if left.shape != right.shape:
        return False
    return bool(np.array_equal(left, right, equal_nan=left.dtype.kind == "f" and right.dtype.kind == "f"))


def dimensions(array: "zarr.Array[Any]") -> tuple[str, ...]:
    """Return the names of an array's dimensions."""
    names = getattr(array.metadata, "dimension_names", None) or ()
    return tuple(str(name) for name in names)


def put_hidden(
    parent: zarr.Group, name: str, values: NDArray[np.generic], first: int = 0, *, chunk: int = 128
) -> None:
    """Make rows `first` and on of the hidden array `name` equal to `values`; it is made if it is not there."""
    if name not in parent:
        parent.create_array(
            name, shape=values.shape, dtype=values.dtype, chunks=(chunk, *values.shape[1:]), fill_value=0,
            dimension_names=("zone", "byte")[: values.ndim],
        )  # fmt: skip
        first = 0
    array = parent[name]
    assert isinstance(array, zarr.Array)
    if array.shape[0] != first + len(values):
        array.resize((first + len(values), *array.shape[1:]))
    if len(values):
        array[first:] = values


def _chunks(array: xr.Variable, *, is_cube: bool) -> tuple[int, ...]:
    shape = [max(1, size) for size in array.shape]
    if array.dims[0] not in ROWS:
        return tuple(
            max(STATIONS, n) if d == "station" else n for d, n in zip(array.dims, shape, strict=True)
        )
    if array.ndim == 1:
        return (COLUMN_ROWS,)
    if is_cube and array.dims == ("time", "lat", "lon"):
        return grid_chunks(array.shape)
    shape = [max(STATIONS, n) if d == "station" else n for d, n in zip(array.dims, shape, strict=True)]
    rest = int(np.prod(shape[1:], dtype=np.int64))
    rows = CUBE_ROWS if is_cube else min(OBSERVATION_ROWS, max(1, OBSERVATION_ELEMENTS // rest))
    # Powers of two: a block of the coarsest array is then a whole number of chunks of every other.
    return (1 << (rows.bit_length() - 1), *shape[1:])
