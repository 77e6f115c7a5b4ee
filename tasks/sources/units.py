"""Which payloads of a provider have to be read together, and of what the answer then tells all.

A payload speaks of *keys*: its own unit (a station's file, the channels of a record, the pairs that end on one day),
or what it holds (events, days). Those that share a key are read together, for they add to or override each other. What
has no key (look vectors, station metadata) is a companion: always there to be read, and part of the stamp of the
payloads that it belongs to.
"""

import re
from collections.abc import Callable, Collection, Mapping, Set
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

import numpy as np
import xarray as xr

from tasks.regions import Provider
from tasks.sources.beside import Beside, Stamps, files_beside, metadata_beside, nslc_station, places_beside
from tasks.sources.contract import SourceDataInvalid
from tasks.sources.transient import raise_if_transient

Keys = Set[str]
_PAIR: Final = re.compile(r"\d{8}_(\d{8})")
_YEAR: Final = re.compile(r"-(\d{4})(?:\.gz|-.+\.txt(?:\.gz)?)")
_DAY: Final = np.timedelta64(1, "D")


class Reach(NamedTuple):
    """What a change of some keys touches: those of which the answer is other, and those that it is made of."""

    touched: Keys
    needed: Keys


class Rule(NamedTuple):
    """How the payloads of a provider depend on each other.

    Attributes
    ----------
    key : callable
        Key of a payload by its name below the source's path; None for a companion.
    has_contents : bool
        The keys are in the content: the reader's `payload_keys(path)` tells them, and `key` only what is a payload.
    reach : callable of (changed keys, all keys known by name)
        Without, only the changed keys are touched, and they need nothing else.
    part : callable of (answer, touched keys)
        Takes from the answer what it is complete about; without, it is so about all that was shown.
    beside : callable of (source's folder, its inventory)
        Gives a digest of what a payload is read with besides: where that changes, the payload counts as changed.
    has_common_track : bool
        The first payload of all says which track and lattice the others have to be of, and is read with them.
    """

    key: Callable[[PurePosixPath], str | None]
    has_contents: bool = False
    reach: Callable[[Keys, Collection[str]], Reach] = lambda changed, _: Reach(changed, changed)
    part: Callable[[xr.Dataset, Keys], xr.Dataset] = lambda answer, _: answer
    beside: Callable[[Path, Stamps], Beside] = lambda _folder, _stamps: lambda _name: 0
    has_common_track: bool = False


def contents(provider: Provider, path: Path) -> Keys:
    """Return the keys in the content of a payload; none if it is damaged, which reading it will tell.

    Raises
    ------
    SourceUnavailable
        If the disk or network does not answer.
    """
    try:
        keys: Keys = import_module(f"tasks.sources.{provider}").payload_keys(path)
    except (OSError, SourceDataInvalid) as error:
        raise_if_transient(error, path)
        return frozenset()
    return keys


def days_of(times: np.ndarray) -> Keys:
    """Return the UTC days of `times` (n,), datetime64, as keys."""
    return frozenset(np.unique(times.astype("datetime64[D]")).astype(str).tolist())


def _file(*suffixes: str) -> Callable[[PurePosixPath], str | None]:
    return lambda name: name.as_posix() if name.name.endswith(suffixes) else None


def _field(place: int, *suffixes: str) -> Callable[[PurePosixPath], str | None]:
    """Key by the field of the file's name that holds the station."""
    return lambda name: _station(place, name) if name.name.endswith(suffixes) else None


def _station(place: int, name: PurePosixPath) -> str:
    fields = name.name.split(".")
    return fields[min(place, len(fields) - 1)]


def _year(name: PurePosixPath) -> str | None:
    found = _YEAR.search(name.name)
    return found.group(1) if found else None


def _later_day(name: PurePosixPath) -> str | None:
    pair = next((found for part in name.parts if (found := _PAIR.fullmatch(part))), None)
    return pair.group(1) if pair else None


def _named(pattern: str) -> Callable[[PurePosixPath], str | None]:
    form = re.compile(pattern)

    def key(name: PurePosixPath) -> str | None:
        found = form.match(name.name)
        return " ".join(found.groups()) if found else None

    return key


def _of_folder(name: PurePosixPath) -> str | None:
    if name.suffix != ".mseed":
        return None
    return f"{name.parent.as_posix()}/{nslc_station(name)}"


def _station_day(name: PurePosixPath) -> str | None:
    parts = name.name.split(".")
    if len(parts) != 7 or parts[4] != "D" or not (parts[5].isdecimal() and parts[6].isdecimal()):
        return None
    day = np.datetime64(f"{int(parts[5]):04d}", "D") + np.timedelta64(int(parts[6]) - 1, "D")
    return f"{nslc_station(name)} {day}"


def _near_days(changed: Keys, _known: Collection[str]) -> Reach:
    """Reach over midnight: a record there is cut from the files of two days, with 10 s for the filter on each side."""
    touched = _shifted(changed, -1, 0, 1)
    return Reach(touched, _shifted(touched, -1, 0, 1))


def _local_days(changed: Keys, _known: Collection[str]) -> Reach:
    """Reach into the next day: a day of local time ends in UTC on the same day or on that."""
    touched = _shifted(changed, 0, 1)
    return Reach(touched, _shifted(touched, -1, 0))


def _shifted(keys: Keys, *days: int) -> Keys:
    """Return keys that end in a day, moved by each of so many days."""
    return {
        f"{key[:-10]}{np.datetime64(key[-10:], 'D') + np.timedelta64(k, 'D')}" for key in keys for k in days
    }


def _series(changed: Keys, known: Collection[str]) -> Reach:
    touched, needed = import_module("tasks.sources.opera_series").touched_by(changed, known)
    return Reach(touched, needed)


def _events(answer: xr.Dataset, touched: Keys) -> xr.Dataset:
    rows = [name in touched for name in answer["event_id"].values]
    return answer.isel(event=np.flatnonzero(rows))


def _days(answer: xr.Dataset, touched: Keys) -> xr.Dataset:
    days = answer["time"].values.astype("datetime64[D]").astype(str)
    return answer.isel(time=np.flatnonzero(np.isin(days, list(touched))))


def _passes(answer: xr.Dataset, touched: Keys) -> xr.Dataset:
    """Take the days of the later acquisitions, the last field of the pairs' keys."""
    return _days(answer, {f"{key[-15:-11]}-{key[-11:-9]}-{key[-9:-7]}" for key in touched})


def _records(answer: xr.Dataset, touched: Keys) -> xr.Dataset:
    days = answer["time"].values.astype("datetime64[D]").astype(str)
    names = zip(answer["station"].values, days, strict=True)
    return answer.isel(record=np.flatnonzero([f"{station} {day}" in touched for station, day in names]))


# An event's version known first, its latest one, or that it left the box, are told by all of its versions, in
# whatever files: revisions come in files of their own, yearly listings are written anew.
_CATALOG: Final = Rule(
    _file(".csv", ".csv.xz", ".xml", ".catalog", ".catalog.xz"), has_contents=True, part=_events
)
# Rapid values and final ones, or parts of the variables, of one day lie in several files.
_DAYS: Final = Rule(_file(".nc", ".json", ".csv", ".csv.gz", ".csv.xz"), has_contents=True, part=_days)
RULES: Final[Mapping[Provider, Rule]] = {
    **dict.fromkeys(("comcat", "quakeml", "relocated", "scedc", "scedc_m3"), _CATALOG),
    "era5": _DAYS,
    "raider": _DAYS,
    "open_meteo": _DAYS,
    "uscrn": _DAYS._replace(key=_file(".parquet", ".txt", ".txt.gz"), reach=_local_days),
    # stations of one year, so that an hour that only some of them have is a gap of the others
    "uscrn_hourly": Rule(_year),
    "isd_lite": Rule(_year, beside=places_beside("isd_lite", lambda name: name.name[:12])),
    "tenv3": Rule(_file(".tenv3")),
    "pos": Rule(_field(0, ".pos", ".pos.gz", ".pos.xz")),
    "cwu_csv": Rule(
        _field(1, ".csv", ".csv.xz", ".csv.gz"), beside=places_beside("cwu_csv", lambda name: _station(1, name))
    ),
    "geonet": _DAYS._replace(
        key=_file(".csv", ".csv.gz", ".csv.xz"),
        beside=places_beside("geonet", lambda name: _station(0, name)),
    ),
    "gnss_mseed": Rule(_file(".tar.gz"), beside=files_beside(r"\.geodetic\.dat$")),
    "los_geotiff": Rule(_later_day, beside=files_beside("^metadata/")),
    "licsar": Rule(_later_day, beside=files_beside("^metadata/")),
    "hyp3": Rule(_named(r"S1[A-D]{2}_\d{8}T\d{6}_(\d{8})T"), has_common_track=True),
    "aria": Rule(_named(r"S1-GUNW-[AD]-[RL]-\d{3}-tops-(\d{8})_"), has_common_track=True),
    "opera": Rule(
        _named(r"OPERA_L3_DISP-S1_IW_(F\d{5})_[VH]{2}_(\d{8}T\d{6})Z_(\d{8}T\d{6})Z"),
        reach=_series, part=_passes, beside=files_beside("_STATIC_|-STATIC_"),
    ),
    "miniseed": Rule(_of_folder, beside=metadata_beside),
    "sds": Rule(_station_day, reach=_near_days, part=_records, beside=metadata_beside),
}  # fmt: skip
