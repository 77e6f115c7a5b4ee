"""Which steps of the ground the known earthquakes explain."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

_EARTH_RADIUS_KM: Final = 6371.0088
_DAY_NS: Final = 86_400_000_000_000
SMALLEST_MAGNITUDE: Final = 4.0
Floats = NDArray[np.float64]


class Earthquakes(NamedTuple):
    """Earthquakes (event,) large enough to move a station: times int64 ns, places in degrees."""

    origin: NDArray[np.int64]
    known: NDArray[np.int64]
    latitude: Floats
    longitude: Floats
    magnitude: Floats

    @classmethod
    def of(cls, catalogs: Sequence[xr.Dataset], smallest: float = SMALLEST_MAGNITUDE) -> Self:
        """Return all versions of the events M >= `smallest` of canonical catalogs, withdrawn ones included.

        Duplicates do no harm here: what one version explains, another may too.
        """
        parts: list[list[NDArray[np.generic]]] = []
        for catalog in catalogs:
            magnitude = catalog["magnitude"].values.astype(np.float64)
            origin, known = catalog["origin_time"].values, catalog["available_time"].values
            keep = (magnitude >= smallest) & ~np.isnat(origin) & ~np.isnat(known)
            keep &= catalog["event_type"].values.astype(str) == "earthquake"
            columns = (origin, known, catalog["latitude"].values, catalog["longitude"].values, magnitude)
            parts.append([np.asarray(column)[keep] for column in columns])
        if not parts:
            return cls.none()
        origin, known, latitude, longitude, magnitude = (np.concatenate(c) for c in zip(*parts, strict=True))
        return cls(
            origin.astype("datetime64[ns]").astype(np.int64),
            known.astype("datetime64[ns]").astype(np.int64),
            latitude.astype(np.float64),
            longitude.astype(np.float64),
            magnitude.astype(np.float64),
        )

    @classmethod
    def none(cls) -> Self:
        """Return no earthquakes."""
        whole, real = np.zeros(0, np.int64), np.zeros(0)
        return cls(whole, whole, real, real, real)

    def take(self, chosen: NDArray[np.bool_]) -> "Earthquakes":
        """Return the chosen (event,) ones."""
        return Earthquakes(
            self.origin[chosen],
            self.known[chosen],
            self.latitude[chosen],
            self.longitude[chosen],
            self.magnitude[chosen],
        )

    def near(self, latitude: float, longitude: float) -> "Earthquakes":
        """Return those within 10^(M/2 - 0.8) km of a place (the rule of NGL's step list; Blewitt et al. 2018)."""
        near = self.distance_km(latitude, longitude) <= 10 ** (self.magnitude / 2 - 0.8)
        return self.take(near)

    def distance_km(self, latitude: float | Floats, longitude: float | Floats) -> Floats:
        """Return the great-circle distance (event,) to one place, or to one place an event, km."""
        here, there = np.radians(latitude), np.radians(self.latitude)
        east = np.radians(self.longitude - longitude)
        chord = np.sin((there - here) / 2) ** 2 + np.cos(here) * np.cos(there) * np.sin(east / 2) ** 2
        return np.asarray(2 * _EARTH_RADIUS_KM * np.arcsin(np.sqrt(chord)))

    def reach(self, south: float, north: float, west: float, east: float) -> "Earthquakes":
        """Return those within 10^(M/2 - 0.8) km of a box, degrees."""
        nearest = np.clip(self.latitude, south, north), np.clip(self.longitude, west, east)
        inside = self.distance_km(*nearest) <= 10 ** (self.magnitude / 2 - 0.8)
        return self.take(inside)

    def explain(
        self, begin: NDArray[np.int64], end: NDArray[np.int64], moment: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Return whether an event of these in [begin, end) was known at `moment`, all (row,) int64 ns."""
        inside = (self.origin >= begin[:, None]) & (self.origin < end[:, None])
        return np.asarray((inside & (self.known <= moment[:, None])).any(axis=1))


def day_bounds(time: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return begin and end of each time's UTC day, int64 ns."""
    begin = time // _DAY_NS * _DAY_NS
    return begin, begin + _DAY_NS
