"""The look vectors of a track, put together from products that each cover a part of the region."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tasks.sources.contract import SourceDataInvalid
from tasks.sources.rasters import unit_look
from tasks.sources.warping import Grid

# cosine: scenes of one track look the same way within a degree, other tracks differ by 5 degrees or more of incidence
_SAME_WAY: Final = float(np.cos(np.radians(3.0)))
Floats = NDArray[np.float32]


class Looks:
    """The first vector given for a pixel counts; ground to satellite, unit length, NaN where none was given."""

    def __init__(self, grid: Grid) -> None:
        self._parts = tuple(np.full(grid.shape, np.nan, dtype=np.float32) for _ in range(3))

    @property
    def vectors(self) -> tuple[Floats, Floats, Floats]:
        """East, north, up (lat, lon)."""
        east, north, up = self._parts
        return east, north, up

    @property
    def missing(self) -> NDArray[np.bool_]:
        """True (lat, lon) where no vector was given yet."""
        return np.isnan(self._parts[2])

    def add(self, path: Path, east: np.ndarray, north: np.ndarray, up: np.ndarray) -> None:
        """Take vectors (lat, lon), NaN unknown, for the pixels that have none.

        Raises
        ------
        SourceDataInvalid
            If they are no unit vectors, or look another way than those of the pixels they share: `path` is of another
            track then.
        """
        if not np.isfinite(up).any():
            return
        vectors = unit_look(path, east, north, up)
        cosine = sum(a * b for a, b in zip(vectors, self._parts, strict=True))
        shared = np.asarray(cosine)[np.isfinite(cosine)]
        if shared.size and float(np.median(shared)) < _SAME_WAY:
            angle = np.degrees(np.arccos(np.clip(np.median(shared), -1, 1)))
            raise SourceDataInvalid(
                path, "the look vector of the track's other products", f"one {angle:.0f} degree off"
            )
        fresh = self.missing
        for mine, given in zip(self._parts, vectors, strict=True):
            mine[fresh] = given[fresh]
