"""The audit that a cube has to pass before it is committed: of all of it, or of the end that an update made."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from tasks.cubes.audit import LOOKBACK_DAYS, audit_cube, choose_issue_times, compare_views, latest_pairs
from tasks.cubes.clock import DAY, known_at
from tasks.cubes.closure import merge_start
from tasks.cubes.los import SIDE_DAYS
from tasks.cubes.strain import WINDOW_DAYS
from tasks.cubes.tails import (
    ReadSince,
    Tail,
    catalog_tail,
    gnss_tail,
    insar_tail,
    waveform_tail,
    weather_tail,
)
from tasks.regions import Region


class Proof:
    """Audits cubes of `region`, built of what `read` gives, and remembers the issue times.

    Attributes
    ----------
    times : list of datetime64
        Those at which the last cube was audited.
    """

    def __init__(self, region: Region, read: ReadSince) -> None:
        self._region, self._read = region, read
        self.times: list[np.datetime64] = []

    def of_whole(self, groups: Mapping[str, xr.Dataset]) -> None:
        """Audit a cube that was built whole; see `audit_cube`.

        Raises
        ------
        LeakError
            If it looks ahead.
        """
        self.times = audit_cube(self._region, lambda group: self._read(group), groups)

    def of_tail(self, groups: Mapping[str, xr.Dataset], since: np.datetime64) -> None:
        """Audit `groups`, of which what is about `since` and later is new, at the price of about that.

        As `audit_cube` does, at issue times from `since` on, but what was known is rebuilt from shortly before the
        first day compared, with the training period's statistics that the cube carries: an audit of the whole cube
        proved those.

        Raises
        ------
        LeakError
            If they look ahead.
        """
        seed = int(since.astype("datetime64[D]").astype(np.int64))
        self.times = choose_issue_times(self._region, seed=abs(seed), since=since)
        for issue_time in self.times:
            first = (issue_time - LOOKBACK_DAYS * DAY).astype("datetime64[D]").astype("datetime64[ns]")
            known = self._known(groups, issue_time, first)
            shown = dict(groups)
            events = known["catalog"][0]
            shown["catalog"] = groups["catalog"].isel(event=slice(events, None))
            compare_views(shown, {name: tail[1] for name, tail in known.items()}, issue_time, first)

    def _known(
        self, groups: Mapping[str, xr.Dataset], issue_time: np.datetime64, first: np.datetime64
    ) -> dict[str, Tail]:
        """Return the ends of all groups, from `first` on at the latest, built from what was known at `issue_time`."""
        # Days after the issue time are not compared.
        end = issue_time.astype("datetime64[D]").item() + np.timedelta64(1, "D").item()
        region = self._region.model_copy(update={"end": min(end, self._region.end)})

        def read(group: str, since: np.datetime64 | None = None) -> xr.Dataset | None:
            dataset = self._read(group, since)
            return None if dataset is None else known_at(dataset, issue_time)

        catalogs = {s.name: self._read(s.group, first) for s in region.sources if s.modality == "catalog"}
        # Where all versions fall in two parts, those that were known do.
        start = merge_start({name: c for name, c in catalogs.items() if c is not None}, first)
        tails = catalog_tail(region, read, groups, start)
        pairs = None
        if "insar" in groups:
            pairs = groups["insar"].isel(pair=latest_pairs(groups["insar"], issue_time))
        gnss = None
        if "gnss" in groups:
            since = first - (WINDOW_DAYS + 1) * DAY
            if pairs is not None and pairs.sizes["pair"]:
                since = min(since, pairs["time_start"].values.min() - (SIDE_DAYS + 2) * DAY)
            tails |= gnss_tail(region, read, groups, max(since, region.window.start))
            gnss = tails["gnss"]
        if pairs is not None and pairs.sizes["pair"]:
            tails |= insar_tail(region, read, groups, pairs["time"].values.min(), gnss)
        if "weather" in groups:
            tails |= weather_tail(region, read, groups, first)
        if "waveform" in groups:
            tails |= waveform_tail(region, read, groups, first)
        return {name: tail for name, tail in tails.items() if tail is not None}
