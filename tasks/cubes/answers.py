"""What an answer must have in common with the group that it joins, and how its values look there."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from tasks.cubes.layout import StoredVariable, dimensions, encoded

Arrays = Mapping[str, "zarr.Array[Any]"]
Places = NDArray[np.int64]
_GAP = np.uint8(1)


def check_answer(arrays: Arrays, answer: xr.Dataset, dim: str) -> None:
    """Refuse an answer that differs from the stored group in its variables or in an axis other than rows and stations.

    Raises
    ------
    ValueError
        Naming the variable or axis.
    """
    found = set(map(str, answer.variables))
    if set(arrays) != found:
        raise ValueError(f"expected the variables {sorted(arrays)} that are stored, found {sorted(found)}")
    sizes = {d: n for a in arrays.values() for d, n in zip(dimensions(a), a.shape, strict=True)}
    for name, array in arrays.items():
        if set(dimensions(array)) != set(answer.variables[name].dims):
            raise ValueError(
                f"expected {name!r} over {dimensions(array)} as stored, found {answer.variables[name].dims}"
            )
    for key, size in answer.sizes.items():
        name = str(key)
        if name in (dim, "station"):
            continue
        same = size == sizes[name]
        if same and name in arrays:
            axis = arrays[name]
            same = bool(np.array_equal(np.asarray(axis[:]), encoded(answer[name].values, axis)))
        if not same:
            raise ValueError(f"axis {name!r} differs from the stored one; a new grid needs a new source name")


def completed(
    answer: xr.Dataset, stored: Mapping[str, StoredVariable], attributes: Mapping[str, object]
) -> xr.Dataset:
    """Return an answer to some of a source's payloads with the variables and attributes of the group that it joins.

    Variables that only other payloads have are missing in it, and its flag says so. A group of which a part is
    reconstructed is so as a whole.
    """
    lacking = {
        name: (like.dims, np.full([answer.sizes[d] for d in like.dims], like.missing))
        for name, like in stored.items()
        if name not in answer.variables and set(like.dims) <= set(answer.dims)
    }
    if any(values.dtype.kind == "f" for _, values in lacking.values()):
        # as where a variable is missing at some of the times that are read together
        answer = answer.assign(quality_flag=answer["quality_flag"].clip(min=_GAP))
    vintage = {"vintage": "reconstructed"} if answer.attrs.get("vintage") == "reconstructed" else {}
    return answer.assign(lacking).assign_attrs({**attributes, **vintage})


def wider_types(arrays: Arrays, answer: xr.Dataset) -> dict[str, np.dtype[Any]]:
    """Return for each variable whose stored numbers cannot hold the answer's the type that holds both."""
    wider = {}
    for name, array in arrays.items():
        kind = answer.variables[name].dtype
        if kind.kind in "fiub" and not np.can_cast(kind, array.dtype, "safe"):
            wider[name] = np.promote_types(kind, array.dtype)
    return wider


def moments_of(answer: xr.Dataset, name: str) -> Places:
    """Return a column of times as int64 ns."""
    return np.asarray(answer[name].values).astype("datetime64[ns]").view(np.int64)


def laid(answer: xr.Dataset, name: str, array: "zarr.Array[Any]") -> NDArray[np.generic]:
    """Return a variable of the answer as `array` keeps it, its dimensions in the stored order."""
    return encoded(np.asarray(answer[name].transpose(*dimensions(array)).values), array)


def cells_of(array: "zarr.Array[Any]", rows: Places, stations: Places | None) -> tuple[Places, ...]:
    """Return the index of `rows` and, where the array has them second, of `stations`."""
    dims = dimensions(array)
    if stations is None or "station" not in dims:
        return (rows,)
    if dims[1] != "station":
        raise ValueError(f"expected stations as the second dimension, found {dims}")
    return (rows[:, None], stations[None, :])


def plain(value: object) -> object:
    """Return an attribute as it comes back from JSON."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return list(value) if isinstance(value, tuple) else value
