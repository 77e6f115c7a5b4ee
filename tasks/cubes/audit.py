"""The proof that a cube does not look ahead: build it again from what was known, and compare what can be seen."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import dask.config
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fusion_models.data.asof import LeakError
from tasks.cubes.build import Groups, Read, lazy_groups
from tasks.cubes.clock import DAY, known_at
from tasks.cubes.layout import canonical
from tasks.cubes.merge import last_versions
from tasks.regions import Region

logger = logging.getLogger(__name__)
Build = Callable[[Region, Read], Groups]

LOOKBACK_DAYS: Final = 60
PAIRS: Final = 16
UNGUARDED: Final = ("static", "labels")
# Sums in another order differ in the last digits; a value from the future differs in the first.
RELATIVE: Final = 1e-3
EVENT_COLUMNS: Final = ("origin_time", "latitude", "longitude", "depth_km", "magnitude")


def audit_cube(
    region: Region,
    read: Read,
    groups: Mapping[str, xr.Dataset],
    issue_times: Sequence[np.datetime64] | None = None,
    *,
    build: Build = lazy_groups,
    lookback_days: int = LOOKBACK_DAYS,
) -> list[np.datetime64]:
    """Refuse `groups` if they show, at any of `issue_times`, something that was not known then; return the times.

    At each issue time `build` runs on the observations with `available_time` up to it. Whatever the cube shows of
    the `lookback_days` days before (daily groups), of the 16 latest interferograms and of all events must be
    there and equal. The cube may show less: time stamps may be later than need be. Records of waveforms older
    than the lookback are left out of the rebuild, since features of a record depend on that record alone; static
    layers and labels are not compared, nor anything before the lookback.

    Parameters
    ----------
    issue_times : sequence of datetime64, optional
        Default `choose_issue_times`; they must lie after the end of training, whose statistics all days share.

    Raises
    ------
    LeakError
        Naming issue time, group and variable.
    ValueError
        If an issue time is not after `region.split.train_end`.
    """
    times = (
        choose_issue_times(region)
        if issue_times is None
        else [t.astype("datetime64[ns]") for t in issue_times]
    )
    for issue_time in times:
        if issue_time < np.datetime64(region.split.train_end, "ns"):
            raise ValueError(
                f"issue time {issue_time} lies before the end of training {region.split.train_end}, "
                "whose statistics it would not have had"
            )
        # The rebuild is small: shipping it to a cluster would cost more than computing it here.
        with dask.config.set(scheduler="threads"):
            _audit_once(region, read, groups, issue_time, build, lookback_days)
    logger.info("cube of %s audited at %s", region.name, ", ".join(map(str, times)))
    return times


def choose_issue_times(
    region: Region, n: int = 2, seed: int = 0, since: np.datetime64 | None = None
) -> list[np.datetime64]:
    """Return `n` random moments, one from each of n equal parts of the time after training and its latency.

    With `since` of the time from then on, or of the last day if there is less.
    """
    latency = max(s.latency_days for s in region.sources)
    start = np.datetime64(region.split.train_end, "s") + np.timedelta64(int((latency + 1) * 86_400), "s")
    end = np.datetime64(region.end, "s")
    if start >= end:
        raise ValueError(
            f"region {region.name!r}: the cube ends {region.end}, before training data are published"
        )
    if since is not None:
        start = max(start, min(since.astype("datetime64[s]"), end - np.timedelta64(1, "D")))
    edges = np.linspace(0, (end - start).astype(np.int64), n + 1)
    offsets = np.random.default_rng(seed).uniform(edges[:-1], edges[1:])
    return [(start + np.timedelta64(int(offset), "s")).astype("datetime64[ns]") for offset in offsets]


def _audit_once(
    region: Region,
    read: Read,
    groups: Mapping[str, xr.Dataset],
    issue_time: np.datetime64,
    build: Build,
    lookback_days: int,
) -> None:
    first = (issue_time - lookback_days * DAY).astype("datetime64[D]").astype("datetime64[ns]")

    def read_known(group: str) -> xr.Dataset | None:
        dataset = read(group)
        if dataset is None:
            return None
        known = known_at(dataset, issue_time)
        if "record" in known.sizes:
            known = known.isel(record=np.flatnonzero(known["time"].values >= first))
        rows = next((d for d in ("event", "record", "time") if d in known.sizes), None)
        return None if rows is not None and known.sizes[rows] == 0 else known

    compare_views(groups, build(region, read_known), issue_time, first)


def compare_views(
    groups: Mapping[str, xr.Dataset],
    known: Mapping[str, xr.Dataset],
    issue_time: np.datetime64,
    first: np.datetime64,
) -> None:
    """Raise LeakError unless what `groups` show at `issue_time` is in `known`, built from what was known then.

    Of daily groups the days since `first` are compared, of interferograms the latest, of events all that are given.
    """
    rebuilt = {
        name: _shown(name, group, issue_time, first) for name, group in known.items() if name not in UNGUARDED
    }
    for name, group in groups.items():
        if name not in UNGUARDED:
            _same(name, _shown(name, group, issue_time, first), rebuilt.get(name), issue_time)


def _shown(name: str, group: xr.Dataset, issue_time: np.datetime64, first: np.datetime64) -> xr.Dataset:
    """Return in memory the part of a group that is compared: events, latest pairs, days since `first`, known then."""
    if "available_time" not in group.variables:
        raise _leak(name, "available_time", issue_time, "it is missing, so nobody can tell what was known")
    if "event" in group.sizes:
        events = last_versions(known_at(canonical(group), issue_time))
        # Ids may change when another provider's solution links up with an event; what is said of it may not.
        order = np.lexsort([events[c].values for c in ("magnitude", "longitude", "latitude", "origin_time")])
        return events[list(EVENT_COLUMNS)].isel(event=order).compute()
    if "pair" in group.sizes:
        return canonical(group.isel(pair=latest_pairs(group, issue_time))).compute()
    days = canonical(group.sel(time=slice(first, issue_time)))
    return days.where(days["available_time"] <= issue_time).drop_vars("available_time").compute()


def latest_pairs(insar: xr.Dataset, issue_time: np.datetime64) -> NDArray[np.intp]:
    """Return which pairs are compared: the latest that are known."""
    return np.flatnonzero(insar["available_time"].values <= issue_time)[-PAIRS:]


def _same(name: str, shown: xr.Dataset, known: xr.Dataset | None, issue_time: np.datetime64) -> None:
    """Raise unless everything in `shown` is in `known` too, but for rounding."""
    rows = next((d for d in ("event", "pair") if d in shown.sizes), None)
    if known is not None and "station" in shown.sizes:
        known = known.reindex(station=shown["station"].values)
    if rows is not None:
        found = 0 if known is None else known.sizes[rows]
        if shown.sizes[rows] != found:
            raise _leak(name, rows, issue_time, f"it shows {shown.sizes[rows]}, but {found} were known")
    for key, array in (shown.variables if rows else shown.data_vars).items():
        if key in shown.sizes or (rows is not None and rows not in array.dims):
            continue
        values = _numbers(array)
        finite = np.isfinite(values)
        if not finite.any():
            continue
        if known is None or key not in known.variables:
            raise _leak(name, str(key), issue_time, "it has values, but none follows from what was known")
        expected = _numbers(known[key].transpose(*array.dims))
        # The spread of the variable is the measure; cells near zero would fail by rounding alone otherwise.
        tolerance = (
            RELATIVE * float(np.std(values[finite])) + 1e-6 * float(np.abs(values[finite]).max()) + 1e-12
        )
        wrong = finite & ~(np.abs(values - expected) <= tolerance)
        if wrong.any():
            differ = f"{int(wrong.sum())} of {int(finite.sum())} values differ from what was known"
            raise _leak(name, str(key), issue_time, differ)


def _numbers(array: xr.Variable | xr.DataArray) -> np.ndarray:
    """Return values as float64, times in days (for the relative tolerance), text as NaN (not compared)."""
    values = np.asarray(array.values)
    if values.dtype.kind not in "Mfiub":
        return np.full(values.shape, np.nan)
    if values.dtype.kind == "M":
        return (values - np.datetime64("2000-01-01", "ns")) / DAY
    return values.astype(np.float64)


def _leak(name: str, key: str, issue_time: np.datetime64, what: str) -> LeakError:
    return LeakError(f"group {name!r}, variable {key!r}, as of {issue_time}: {what}; the cube is refused")
