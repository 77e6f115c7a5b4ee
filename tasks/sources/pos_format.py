"""The .pos format of daily positions (PBO, GAGE, EarthScope): a header with the reference position, then rows."""

import re
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.sources.contract import SourceDataInvalid
from tasks.sources.payloads import read_text
from tasks.sources.stations import wrap_longitude

Floats = NDArray[np.float64]

RAPID: Final = "rapid"
SOLUTIONS: Final = (RAPID, "final", "suppl", "suppf", "campd", "repro")
_COLUMNS: Final = (
    "YYYYMMDD", "JJJJJ.JJJJ", "NLat", "Elong", "Height", "dN", "dE", "dU", "Sn", "Se", "Su", "Soln",
)  # fmt: skip
_MJD_EPOCH: Final = np.datetime64("1858-11-17", "D")
_MAJOR_M: Final = 6378137.0
_ECCENTRICITY2: Final = 6.69437999014e-3
_HEADER_TOLERANCE_M: Final = 1.0
_ROW_TOLERANCE_M: Final = 0.05
_LARGEST: Final = 1e7
_NUMBER: Final = r"[-+]?\d+(?:\.\d*)?"


class PosFile(NamedTuple):
    """One .pos file.

    Attributes
    ----------
    reference_xyz : (3,) m
        Earth-fixed reference position of the header; `enu` is relative to it.
    latitude, longitude, height_m : float
        The same position, degree (longitude in [-180, 180)) and m above the ellipsoid.
    released : datetime64[ns]
        When this version of the file was made.
    day : (n,) datetime64[D]
        GPS days, in the file's order.
    enu, sigma : (n, 3) m
        East, north, up and their 1-sigma; NaN unknown.
    is_rapid : (n,) bool
        Computed with rapid orbits; everything else counts as final.
    """

    path: Path
    station: str
    frame: str
    released: np.datetime64
    reference_xyz: Floats
    latitude: float
    longitude: float
    height_m: float
    day: NDArray[np.datetime64]
    enu: Floats
    sigma: Floats
    is_rapid: NDArray[np.bool_]
    complaints: tuple[SourceDataInvalid, ...]


def read_pos(path: Path) -> PosFile:
    """Return one file; rows whose displacement contradicts their own coordinates are left out with a complaint.

    Columns are found by name in the line that starts with `*`; the files give north before east, `enu` east first.

    Raises
    ------
    SourceDataInvalid
        If a header line or column is missing, the two reference positions of the header differ, a row is short or
        long, a value is no number, date and MJD disagree, a solution is unknown, or no row is consistent.
    """
    lines = read_text(path).splitlines()
    if not lines or "Station Position Time Series" not in lines[0]:
        raise SourceDataInvalid(
            path, "a first line '... Station Position Time Series ...'", repr(lines[:1])[:80]
        )
    start = next((k for k, line in enumerate(lines) if line.startswith("*")), None)
    if start is None:
        raise SourceDataInvalid(path, "a line of column names that starts with '*'", "none")
    header = "\n".join(lines[:start])
    frame = _field(path, header, r"Reference Frame\s*:\s*(\S+)", "Reference Frame")
    station = _field(path, header, r"^4-character ID\s*:\s*(\w+)", "4-character ID")
    stamp = _field(path, header, r"^Release Date\s*:\s*(\d{8} ?\d{6})\b", "Release Date").replace(" ", "")
    three = rf"\s*:\s*({_NUMBER}\s+{_NUMBER}\s+{_NUMBER})"
    xyz = _triple(_field(path, header, r"^XYZ Reference position" + three, "XYZ Reference position"))
    latitude, longitude, height = _triple(
        _field(path, header, r"^NEU Reference position" + three, "NEU Reference position")
    )
    on_earth = abs(latitude) <= 90 and abs(longitude) <= 360 and abs(height) <= 1e5
    if not on_earth or np.abs(earth_fixed(latitude, longitude, height) - xyz).max() > _HEADER_TOLERANCE_M:
        raise SourceDataInvalid(
            path, "one place in the XYZ and NEU reference positions", "two different ones"
        )
    column = _columns(path, lines[start], lines[start + 1 :], start + 2)

    days = _days(path, column)
    place = np.stack([_numbers(path, column, name) for name in ("NLat", "Elong", "Height")], axis=1)
    enu = np.stack([_numbers(path, column, name) for name in ("dE", "dN", "dU")], axis=1)
    sigma = np.stack([_numbers(path, column, name) for name in ("Se", "Sn", "Su")], axis=1)
    if (sigma < 0).any():
        raise SourceDataInvalid(path, "sigmas that are not negative", f"{np.nanmin(sigma):g} m")
    unknown = sorted(set(column["Soln"]) - set(SOLUTIONS))
    if unknown:
        raise SourceDataInvalid(path, f"solutions {' '.join(SOLUTIONS)}", " ".join(unknown)[:60])
    consistent, complaints = _consistent(path, days, enu, place, np.array([latitude, longitude, height]))
    return PosFile(
        path=path,
        station=station,
        frame=frame,
        released=_moment(path, stamp),
        reference_xyz=xyz,
        latitude=latitude,
        longitude=wrap_longitude(longitude),
        height_m=height,
        day=days[consistent],
        enu=enu[consistent],
        sigma=sigma[consistent],
        is_rapid=(column["Soln"] == RAPID)[consistent],
        complaints=complaints,
    )


def earth_fixed(latitude: float, longitude: float, height_m: float) -> Floats:
    """Return the Earth-fixed position X, Y, Z (3,), m, of a place on the GRS80/WGS84 ellipsoid (degree, m)."""
    phi, lam = np.radians(latitude), np.radians(longitude)
    normal = _MAJOR_M / np.sqrt(1 - _ECCENTRICITY2 * np.sin(phi) ** 2)
    across = (normal + height_m) * np.cos(phi)
    along = (normal * (1 - _ECCENTRICITY2) + height_m) * np.sin(phi)
    return np.array([across * np.cos(lam), across * np.sin(lam), along])


def to_local(latitude: float, longitude: float, offset_xyz: Floats) -> Floats:
    """Return an Earth-fixed offset (3,), m, as east, north, up at the place given in degree."""
    phi, lam = np.radians(latitude), np.radians(longitude)
    axes = np.array(
        [
            [-np.sin(lam), np.cos(lam), 0.0],
            [-np.sin(phi) * np.cos(lam), -np.sin(phi) * np.sin(lam), np.cos(phi)],
            [np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)],
        ]
    )
    return np.asarray(axes @ offset_xyz)


def _field(path: Path, header: str, pattern: str, name: str) -> str:
    found = re.search(pattern, header, re.MULTILINE)
    if found is None:
        raise SourceDataInvalid(path, f"a header line {name!r}", "none, or one that cannot be read")
    return found.group(1)


def _triple(text: str) -> Floats:
    return np.array(text.split(), dtype=np.float64)


def _moment(path: Path, stamp: str) -> np.datetime64:
    try:
        return np.datetime64(pd.to_datetime(stamp, format="%Y%m%d%H%M%S").to_pydatetime(), "ns")
    except ValueError as error:
        raise SourceDataInvalid(path, "a release date YYYYMMDD HHMMSS", repr(stamp)) from error


def _columns(path: Path, names_line: str, body: list[str], first: int) -> dict[str, NDArray[np.object_]]:
    names = names_line.lstrip("*").split()
    # some releases write one more J for the fifth decimal
    names = ["JJJJJ.JJJJ" if name.startswith("JJJJJ.J") else name for name in names]
    missing = [name for name in _COLUMNS if name not in names]
    if missing or len(set(names)) != len(names):
        raise SourceDataInvalid(path, f"columns {' '.join(_COLUMNS)}, each once", " ".join(names)[:120])
    rows = []
    for number, line in enumerate(body, start=first):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != len(names):
            raise SourceDataInvalid(
                path, f"{len(names)} fields as in the header", f"{len(fields)} in line {number}"
            )
        rows.append(fields)
    if not rows:
        raise SourceDataInvalid(path, "rows after the header", "none")
    table = np.array(rows, dtype=object)
    return {name: table[:, k] for k, name in enumerate(names)}


def _numbers(path: Path, column: dict[str, NDArray[np.object_]], name: str) -> Floats:
    try:
        values = column[name].astype(np.float64)
    except ValueError as error:
        raise SourceDataInvalid(path, f"numbers in column {name}", str(error)) from error
    if (np.abs(values) > _LARGEST).any():
        raise SourceDataInvalid(path, f"finite numbers in column {name}", f"{np.nanmax(np.abs(values)):g}")
    return np.asarray(values)


def _days(path: Path, column: dict[str, NDArray[np.object_]]) -> NDArray[np.datetime64]:
    try:
        parsed = pd.to_datetime(pd.Series(column["YYYYMMDD"], dtype=object), format="%Y%m%d")
        days = parsed.to_numpy("datetime64[D]")
    except ValueError as error:
        raise SourceDataInvalid(path, "dates YYYYMMDD", str(error).splitlines()[0]) from error
    by_mjd = np.floor(_numbers(path, column, "JJJJJ.JJJJ"))
    wrong = by_mjd != (days - _MJD_EPOCH).astype(np.float64)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise SourceDataInvalid(
            path, "one day in YYYYMMDD and MJD", f"{column['YYYYMMDD'][row]} and {column['JJJJJ.JJJJ'][row]}"
        )
    return np.asarray(days)


def _consistent(
    path: Path, days: NDArray[np.datetime64], enu: Floats, place: Floats, reference: Floats
) -> tuple[NDArray[np.bool_], tuple[SourceDataInvalid, ...]]:
    """Return which rows' displacements agree with their coordinates: swapped axes and wrong units do not."""
    phi = np.radians(reference[0])
    flattened = 1 - _ECCENTRICITY2 * np.sin(phi) ** 2
    east_per_rad = (_MAJOR_M / np.sqrt(flattened) + reference[2]) * np.cos(phi)
    north_per_rad = _MAJOR_M * (1 - _ECCENTRICITY2) / flattened**1.5 + reference[2]
    moved = place - reference
    moved[:, 1] = (moved[:, 1] + 180.0) % 360.0 - 180.0
    implied = np.stack(
        [np.radians(moved[:, 1]) * east_per_rad, np.radians(moved[:, 0]) * north_per_rad, moved[:, 2]], axis=1
    )
    allowed = _ROW_TOLERANCE_M + 1e-3 * np.abs(implied).max(axis=1, keepdims=True)
    wrong = (np.abs(implied - enu) > allowed).any(axis=1)
    if not wrong.any():
        return ~wrong, ()
    row = int(np.argmax(wrong))
    found = (
        f"{int(wrong.sum())} of {wrong.size} rows that differ (first {days[row]}: dE dN dU "
        f"{enu[row].round(4).tolist()} m, coordinates say {implied[row].round(4).tolist()} m)"
    )
    complaint = SourceDataInvalid(path, "displacements that agree with the coordinates of their row", found)
    if wrong.all():
        raise complaint
    return ~wrong, (complaint,)
