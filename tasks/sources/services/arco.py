"""ERA5 from the ARCO Zarr on Google Cloud: one day after the other, cut to the region, landed as NetCDF.

The archive has one hour of the whole globe per chunk: a day costs 24 chunks of about 2 MB a variable, however small
the region is, and is read once, by time. Days land one by one, so that a killed pull goes on with the next one, and
become one file when their month is complete. Each hour says in `expver` whether it is final (1) or preliminary (5).

Options of the service: `variables` (comma list of ERA5's short names, default the six that the reader takes),
`preliminary_days` and `final_days` (see `reanalysis_days`). URLs: http(s), gs:// or file:///.
"""

import logging
from typing import Final, NamedTuple

import numpy as np
import xarray as xr

from tasks.regions import Region
from tasks.sources.contract import SourceDataInvalid, SourceError, SourceUnavailable
from tasks.sources.era5_fields import FINAL, PRELIMINARY
from tasks.sources.services import Ask, Entry
from tasks.sources.services.clock import wall_time
from tasks.sources.services.mirroring import bring_each, forget_other_answers
from tasks.sources.services.reanalysis_days import (
    ONE_DAY,
    Published,
    by_month,
    days_of,
    month_days,
    published,
)
from tasks.sources.services.zarr_http import open_published

logger = logging.getLogger(__name__)

NAMES: Final = {
    "t2m": "2m_temperature",
    "sp": "surface_pressure",
    "tp": "total_precipitation",
    "u10": "10m_u_component_of_wind",
    "v10": "10m_v_component_of_wind",
    "swvl1": "volumetric_soil_water_layer_1",
}
_MARGIN_DEG: Final = 0.5


class Day(NamedTuple):
    """A day to bring, and whether its hours are final."""

    day: np.datetime64
    version: int

    @property
    def key(self) -> str:
        """Key in the ledger; a preliminary day stays beside the final one."""
        return f"{self.day}" if self.version == FINAL else f"{self.day} preliminary"

    @property
    def name(self) -> str:
        """File name."""
        return f"{self.key.replace(' ', '_')}.nc"


def mirror(ask: Ask) -> None:
    """Bring the days that the window touches and that are out: final ones, and preliminary ones until they are.

    Raises
    ------
    SourceUnavailable, SourceDenied
        If the archive does not answer, refuses, or lacks an hour that it says to have.
    SourceDataInvalid
        If a chunk or the metadata is damaged. Days that came before stay.
    """
    forget_other_answers(ask, variables=ask.service.options.get("variables"))
    out = published(ask.now, ask.service)
    if _pending(ask, out):
        url = ask.service.urls[0]
        archive = open_published(ask.http, url)
        days = _pending(ask, _valid(archive, out, ask.http.shown(url)))
        try:
            bring_each(days, lambda day: _bring(archive, ask, day))
        finally:
            _close_months(ask)
    else:
        _close_months(ask)


def _bring(archive: xr.Dataset, ask: Ask, day: Day) -> None:
    try:
        content = bytes(_cut(archive, ask, day).to_netcdf(engine="h5netcdf"))
    except SourceError as error:
        asked_at = wall_time(ask.now).isoformat(timespec="seconds")
        ask.landing.ledger.put(Entry(day.key, "failed", asked_at=asked_at, message=str(error)))
        raise
    ask.landing.put(day.key, day.name, content, now=wall_time(ask.now))


def _pending(ask: Ask, out: Published) -> list[Day]:
    pending = []
    ledger = ask.landing.ledger
    for month, days in by_month(days_of(ask.window)).items():
        if not ledger.pending([month]):
            continue
        known = days[days < out.known_until]
        wanted = [Day(day, FINAL if day < out.final_until else PRELIMINARY) for day in known]
        open_keys = set(ledger.pending(day.key for day in wanted))
        pending += [day for day in wanted if day.key in open_keys]
    return pending


def _valid(archive: xr.Dataset, out: Published, shown: str) -> Published:
    """Return what is out by the provider's delays and by what the archive says of itself.

    Beyond its valid range the archive has hours, but of fill values.
    """
    final = _stop(archive, "valid_time_stop", out.final_until, shown)
    known = _stop(archive, "valid_time_stop_era5t", max(final, out.final_until), shown)
    final_until = min(out.final_until, final)
    return Published(final_until, max(final_until, min(out.known_until, known)))


def _stop(archive: xr.Dataset, name: str, default: np.datetime64, shown: str) -> np.datetime64:
    """Return the day after the last whole day of the valid range that the attribute `name` states."""
    if name not in archive.attrs:
        return default
    text = str(archive.attrs[name])
    try:
        last = np.datetime64(text)
    except ValueError as error:
        raise SourceDataInvalid(shown, f"a time in the attribute {name}", repr(text)[:40]) from error
    if np.datetime_data(last.dtype)[0] in ("Y", "M", "D"):
        return np.datetime64(last.astype("datetime64[D]") + ONE_DAY)
    return np.datetime64((last + np.timedelta64(1, "h")).astype("datetime64[D]"))


def _cut(archive: xr.Dataset, ask: Ask, day: Day) -> xr.Dataset:
    """Return the hours of one day near the region, under ERA5's short names and with its units; read here."""
    shown = ask.http.shown(ask.service.urls[0])
    wanted = [v.strip() for v in str(ask.service.options.get("variables", ",".join(NAMES))).split(",")]
    unknown = [short for short in wanted if NAMES.get(short) not in archive]
    if unknown:
        raise SourceDataInvalid(shown, f"variables for {', '.join(wanted)}", f"none for {', '.join(unknown)}")
    hours = day.day.astype("datetime64[ns]") + np.arange(24) * np.timedelta64(1, "h")
    stored = archive.indexes["time"].get_indexer(hours)
    if (stored < 0).any():
        raise SourceUnavailable(
            f"{shown}: expected the 24 hours of {day.day}, found {int((stored >= 0).sum())}"
        )
    rows, columns = _nodes(archive, ask.region)
    if not rows.size or not columns.size:
        raise SourceDataInvalid(shown, "grid nodes near the region", "none")
    fields = {}
    for short in wanted:
        field = archive[NAMES[short]].isel(time=stored, latitude=rows, longitude=columns)
        try:
            field = field.load()
        except (ValueError, KeyError, TypeError, RuntimeError, OSError) as error:
            raise SourceDataInvalid(
                shown, f"whole chunks of {NAMES[short]} on {day.day}", str(error)[:200]
            ) from error
        if field.isnull().all(("latitude", "longitude")).any():
            raise SourceUnavailable(
                f"{shown}: expected values of {NAMES[short]} on all hours of {day.day}, found an hour of fill"
            )
        fields[short] = field.astype(np.float32).assign_attrs(units=field.attrs.get("units", "none"))
    cut = xr.Dataset(fields, coords={"expver": ("time", np.full(24, day.version, np.int32))})
    for variable in cut.variables.values():
        variable.encoding = {}
    return cut.rename(time="valid_time").assign_attrs(source=shown)


def _nodes(archive: xr.Dataset, region: Region) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices (rows, columns) of the nodes inside the region's box and its margin."""
    box = region.bounds.grown(_MARGIN_DEG)
    lat = archive["latitude"].to_numpy()
    lon = (archive["longitude"].to_numpy() + 180.0) % 360.0 - 180.0
    return (
        np.flatnonzero((lat >= box.south) & (lat <= box.north)),
        np.flatnonzero((lon >= box.west) & (lon <= box.east)),
    )


def _close_months(ask: Ask) -> None:
    for month in by_month(days_of(ask.window)):
        _close_month(ask, month)


def _close_month(ask: Ask, month: str) -> None:
    """Put the final days of a complete month into one file, and remove theirs."""
    ledger = ask.landing.ledger
    days = [Day(day, FINAL) for day in month_days(month)]
    if ledger.pending(day.key for day in days):
        return
    paths = [ask.landing.path(day.name) for day in days]
    if ledger.pending([month]):
        gone = [day for day, path in zip(days, paths, strict=True) if not path.exists()]
        for day in gone:
            ledger.put(Entry(day.key, "failed", message="its file was removed"))
        if gone:
            return
        parts = []
        for path in paths:
            with xr.open_dataset(path, engine="h5netcdf") as part:
                parts.append(part.load())
        joined = xr.concat(parts, dim="valid_time", data_vars="all", coords="minimal", join="exact")
        for variable in joined.variables.values():
            variable.encoding = {}
        content = bytes(joined.to_netcdf(engine="h5netcdf"))
        ask.landing.put(month, f"{month}.nc", content, now=wall_time(ask.now))
    for path in paths:
        path.unlink(missing_ok=True)
