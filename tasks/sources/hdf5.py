"""NetCDF4 products opened as what they are, HDF5: only the slices that are asked for are read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from tasks.sources.contract import SourceDataInvalid

# What h5py raises on a file whose inside is damaged.
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)


class Product:
    """An open product whose complaints name the file.

    Parameters
    ----------
    path : Path
        For the messages.
    file : h5py.File
        Open for reading.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path = path
        self._file = file

    def __contains__(self, name: str) -> bool:
        """Return whether there is an array of this name."""
        try:
            return isinstance(self._file.get(name), h5py.Dataset)
        except _DAMAGE:
            return False

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array.

        Raises
        ------
        SourceDataInvalid
            If it is not there.
        """
        shape: tuple[int, ...] = self._array(name).shape
        return shape

    def text(self, name: str, attribute: str) -> str:
        """Return an attribute of an array as text, empty if it is not there."""
        try:
            value = self._array(name).attrs.get(attribute, "")
            return value.decode() if isinstance(value, bytes) else str(value)
        except (*_DAMAGE, UnicodeDecodeError) as error:
            raise SourceDataInvalid(
                self.path, f"a readable attribute {attribute} of {name}", str(error)
            ) from error

    def root_texts(self, names: Sequence[str]) -> dict[str, str]:
        """Return attributes of the file itself as text.

        Raises
        ------
        SourceDataInvalid
            If one is not there or cannot be read.
        """
        found: dict[str, str] = {}
        try:
            for name in names:
                value = self._file.attrs[name]
                found[name] = value.decode() if isinstance(value, bytes) else str(value)
        except (*_DAMAGE, UnicodeDecodeError) as error:
            raise SourceDataInvalid(self.path, f"an attribute {name}", f"none ({error})") from error
        return found

    def check_unit(self, name: str, units: tuple[str, ...]) -> None:
        """Raise SourceDataInvalid if the array says that its unit is none of `units`; silence is taken as the first."""
        found = self.text(name, "units")
        if found and found.strip().lower() not in units:
            raise SourceDataInvalid(self.path, f"{name} in {units[0]}", f"{found!r}")

    def coordinate(self, name: str) -> NDArray[np.float64]:
        """Return a one-dimensional array of finite numbers, whole.

        Raises
        ------
        SourceDataInvalid
            If it is not there or is something else.
        """
        array = self._array(name)
        if array.ndim != 1 or not 1 <= array.size <= 1_000_000 or array.dtype.kind not in "fiu":
            raise SourceDataInvalid(
                self.path, f"one axis of numbers in {name}", f"{array.dtype} {array.shape}"
            )
        values = self._slice(name, (slice(None),)).astype(np.float64)
        if not np.isfinite(values).all():
            raise SourceDataInvalid(self.path, f"finite numbers in {name}", "some that are not")
        return values

    def scalar(self, name: str, low: float, high: float) -> float:
        """Return the one number in `name`, which has to be in [low, high].

        Raises
        ------
        SourceDataInvalid
            If it is not.
        """
        array = self._array(name)
        if array.size != 1 or array.dtype.kind not in "fiu":
            raise SourceDataInvalid(self.path, f"one number in {name}", f"{array.dtype} {array.shape}")
        value = float(np.ravel(self._slice(name, ()))[0])
        if not low <= value <= high:
            raise SourceDataInvalid(self.path, f"{name} between {low:g} and {high:g}", f"{value!r}")
        return value

    def layer(self, name: str, rows: slice, columns: slice, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Return a part of a map (row, column); its fill value and what is not finite become NaN.

        Parameters
        ----------
        shape : (rows, columns)
            What the whole map has to be, as its axes say.

        Raises
        ------
        SourceDataInvalid
            If it is not there, has another shape or cannot be read.
        """
        return self._numbers(name, (rows, columns), shape)

    def cube(self, name: str, shape: tuple[int, int, int]) -> NDArray[np.float32]:
        """Return a whole array (level, row, column), fill NaN; raises as `layer` does."""
        return self._numbers(name, (slice(None),) * 3, shape)

    def _numbers(self, name: str, part: tuple[slice, ...], shape: tuple[int, ...]) -> NDArray[np.float32]:
        array = self._array(name)
        if array.shape != shape or array.dtype.kind not in "fiu":
            raise SourceDataInvalid(self.path, f"{name} of shape {shape}", f"{array.dtype} {array.shape}")
        raw = self._slice(name, part)
        with np.errstate(invalid="ignore", over="ignore"):
            values = raw.astype(np.float32)
        values[~np.isfinite(values)] = np.nan
        try:
            fill = array.attrs.get("_FillValue")
            if fill is not None:
                values[raw == np.ravel(fill)[0]] = np.nan
        except _DAMAGE as error:
            raise SourceDataInvalid(self.path, f"a readable fill value of {name}", str(error)) from error
        return values

    def _array(self, name: str) -> h5py.Dataset:
        try:
            found = self._file.get(name)
        except _DAMAGE as error:
            raise SourceDataInvalid(self.path, f"a readable {name}", str(error)) from error
        if not isinstance(found, h5py.Dataset):
            raise SourceDataInvalid(self.path, f"an array {name}", "none")
        return found

    def _slice(self, name: str, part: tuple[slice, ...]) -> np.ndarray:
        try:
            return np.asarray(self._array(name)[part])
        except _DAMAGE as error:
            raise SourceDataInvalid(self.path, f"a readable {name}", str(error)) from error


@contextmanager
def open_product(path: Path) -> Iterator[Product]:
    """Open `path` for reading.

    Raises
    ------
    SourceDataInvalid
        If it is not HDF5.
    """
    try:
        file = h5py.File(path, "r")
    except _DAMAGE as error:
        raise SourceDataInvalid(path, "a readable NetCDF4 file", str(error)) from error
    with file:
        yield Product(path, file)
