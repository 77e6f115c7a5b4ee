"""Quality control of daily GNSS positions that keeps every step and every slow event."""

from typing import Final, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.quality.earthquakes import Earthquakes
from tasks.quality.flags import NAT, Flag, Reason, flag_of, provider_reason, stamps, verdicts
from tasks.quality.network import MINIMUM_STATIONS, common_days, judge_blocks, reach_of_common_days
from tasks.quality.spikes import judge_spikes
from tasks.quality.steps import find_steps

COMPONENTS: Final = ("east", "north", "up")
_DAY_NS: Final = 86_400_000_000_000
Floats = NDArray[np.float64]
Stamps = NDArray[np.int64]


class StationStep(NamedTuple):
    """A step: day, size m (NaN unknown), when it was established, and whether an earthquake explains it."""

    station: str
    time: np.datetime64
    east: float
    north: float
    up: float
    known: np.datetime64
    is_explained: bool


class GnssJudgement(NamedTuple):
    """Verdicts (time, station) as `flags.verdicts` describes them, and the steps found."""

    verdict: xr.Dataset
    steps: list[StationStep]


def judge_gnss(observations: xr.Dataset, earthquakes: Earthquakes) -> GnssJudgement:
    """Judge a canonical GNSS group (time, station) row by row, by what was known at stated moments.

    Masked are: spikes (see `judge_spikes`), dead receivers, and stations that the half year before showed to have
    swapped channels, a wrong clock or a wrong gain (see `judge_blocks`). Kept with a remark are: days of common mode
    (they are not the station's, and taking them off is the cube's work) and steps that no known earthquake explains.
    Steps that an earthquake explains are listed and carry no remark. The first reason known for a value stands.

    `available_time` of the verdict is that of the provider, or of the latest row it was compared with, or, for a
    suspect that was kept, of the row that cleared it. Not judged: sigmas, because an antenna that shakes has
    large ones on the day that matters.
    """
    observations = observations.load()
    time = observations["time"].values.astype("datetime64[ns]").astype(np.int64)
    positions = np.stack([observations[name].values.astype(np.float64) for name in COMPONENTS], axis=2)
    available = stamps(observations["available_time"])
    empty = np.where(np.isnan(positions).all(axis=2), np.nan, 0.0)
    reason = provider_reason(observations["quality_flag"].values.astype(np.uint8), empty)
    reason = np.where((reason == Reason.NONE) & (available == NAT), np.uint8(Reason.NOT_PUBLISHED), reason)
    usable, known = available.copy(), available.copy()
    latitude, longitude = (observations[name].values.astype(float) for name in ("latitude", "longitude"))
    near = [earthquakes.near(a, b) for a, b in zip(latitude.tolist(), longitude.tolist(), strict=True)]
    for s in range(reason.shape[1]):
        rows = np.flatnonzero(reason[:, s] == Reason.NONE)
        found = judge_spikes(time[rows], positions[rows, s], available[rows, s], near[s])
        reason[rows, s], usable[rows, s], known[rows, s] = found
    _release_common(reason, usable, known)
    _mask_faulty(time, positions, usable, reason, known)
    steps = _mark_steps(observations, time, positions, reason, usable, known, near)
    _mark_common(positions, usable, reason, known)
    coords = {str(k): v for k, v in observations.coords.items()}
    return GnssJudgement(verdicts(("time", "station"), coords, reason, usable, known, "gnss"), steps)


def _release_common(reason: NDArray[np.uint8], usable: Stamps, known: Stamps) -> None:
    """Give back, in place, the spikes of a day on which more than half of the stations (at least 5) have one.

    Such a day is a fault of the orbits or of the frame, and the cube takes the common mode off.
    """
    spike = reason == Reason.SPIKE
    observed = spike | (flag_of(reason) == Flag.OBSERVED)
    common = (spike.sum(axis=1) >= MINIMUM_STATIONS) & (2 * spike.sum(axis=1) > observed.sum(axis=1))
    for row in np.flatnonzero(common).tolist():
        stations = spike[row]
        reason[row, stations] = Reason.COMMON_MODE
        known[row, stations] = usable[row, stations] = int(known[row, observed[row]].max())


def _mask_faulty(
    time: Stamps,
    positions: Floats,
    usable: Stamps,
    reason: NDArray[np.uint8],
    known: Stamps,
) -> None:
    """Mask, in place, the half years that follow one in which a station proved faulty."""
    observed = flag_of(reason) == Flag.OBSERVED
    kept = np.moveaxis(np.where(observed[:, :, None], positions, np.nan), 2, 0)
    day = time // _DAY_NS
    for block in judge_blocks(day, kept, np.where(observed, usable, NAT)):
        rows = np.flatnonzero((day >= block.begin) & (day < block.end) & observed[:, block.station])
        reason[rows, block.station] = block.reason
        known[rows, block.station] = np.maximum(known[rows, block.station], block.known)
        usable[rows, block.station] = NAT


def _mark_steps(
    observations: xr.Dataset,
    time: Stamps,
    positions: Floats,
    reason: NDArray[np.uint8],
    usable: Stamps,
    known: Stamps,
    near: list[Earthquakes],
) -> list[StationStep]:
    """List the steps of all stations; give, in place, those that nothing explains their remark."""
    steps: list[StationStep] = []
    for s, name in enumerate(observations["station"].values):
        rows = np.flatnonzero(flag_of(reason[:, s]) == Flag.OBSERVED)
        for step in find_steps(time[rows], positions[rows, s], usable[rows, s], near[s]):
            row = int(rows[step.row])
            moment, now = (np.datetime64(int(v), "ns") for v in (time[row], step.known))
            east, north, up = (float(v) for v in step.offset_m)
            steps.append(StationStep(str(name), moment, east, north, up, now, step.is_explained))
            if not step.is_explained:
                reason[row, s], known[row, s] = Reason.STEP, step.known
    return steps


def _mark_common(positions: Floats, usable: Stamps, reason: NDArray[np.uint8], known: Stamps) -> None:
    """Remark, in place, the days on which the whole network moved, where nothing else is remarked yet."""
    observed, unremarked = flag_of(reason) == Flag.OBSERVED, reason == Reason.NONE
    used = np.where(observed, usable, NAT)
    kept = np.moveaxis(np.where(observed[:, :, None], positions, np.nan), 2, 0)
    rows = np.flatnonzero(common_days(kept))
    latest = reach_of_common_days(used)
    for row in rows.tolist():
        stations = unremarked[row]
        reason[row, stations] = Reason.COMMON_MODE
        known[row, stations] = np.maximum(known[row, stations], latest[row])
