"""Which rows of catalogs are one earthquake: across providers one to one, inside one where it lists an event twice."""

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.cubes.grid import distances_km

SAME_TIME: Final = np.timedelta64(2_000_000_000, "ns")
SAME_DISTANCE_KM: Final = 20.0
SAME_MAGNITUDE: Final = 0.5
# Two preliminary solutions of one source differ by this much; neighbours that are real are rarely so near.
TWIN_TIME: Final = np.timedelta64(2_000_000_000, "ns")
TWIN_DISTANCE_KM: Final = 8.0
TWIN_MAGNITUDE: Final = 0.5
_FOREVER: Final = np.datetime64("2262-01-01", "ns")


def mark_twins(frame: pd.DataFrame, magnitude_completeness: float) -> pd.DataFrame:
    """Return the rows of one source with `is_twin`: the event is listed under an id that was known earlier.

    Two ids are one earthquake from the moment at which a version of each, both in force, agree within 2 s, 8 km
    and 0.5 magnitude units; then the one that was known first goes on. Nothing changes before that moment. While the
    first is withdrawn or below completeness the second stands: networks delete, and revise, either of the two. The
    younger id's rows are given anew, with one more at each moment at which it becomes a twin or ceases to be one.

    Parameters
    ----------
    frame : DataFrame sorted by `available_time`
        With the catalog's columns and `is_near`; rows that are not near, or no earthquakes, are nobody's twin.
    """
    frame = frame.reset_index(drop=True).assign(is_twin=False)
    elders = _elders(frame)
    if not elders:
        return frame
    rows = {str(k): np.asarray(v) for k, v in frame.groupby("event_id", sort=False).indices.items()}
    known = frame["available_time"].to_numpy(dtype="datetime64[ns]")
    counts = frame["is_near"] & (frame["magnitude"] >= magnitude_completeness)
    listed = (counts & (frame["event_type"] == "earthquake")).to_numpy()

    def in_force(event_id: str, moment: np.datetime64) -> int | None:
        seen = rows[event_id][known[rows[event_id]] <= moment]
        return int(seen[-1]) if seen.size else None

    def is_listed(event_id: str, moment: np.datetime64) -> bool:
        row = in_force(event_id, moment)
        return row is not None and bool(listed[row])

    place: list[int] = []
    moments: list[np.datetime64] = []
    twins: list[bool] = []
    for younger, found in elders.items():
        times = set(known[rows[younger]]) | set(found.values())
        for elder, since in found.items():
            times |= {t for t in known[rows[elder]] if t > since}
        last: tuple[int, bool] | None = None
        for moment in sorted(times):
            row = in_force(younger, moment)
            if row is None:
                continue
            twin = any(since <= moment and is_listed(elder, moment) for elder, since in found.items())
            if (row, twin) != last:
                place.append(row)
                moments.append(moment)
                twins.append(twin)
            last = (row, twin)
    anew = frame.iloc[place].assign(available_time=np.array(moments), is_twin=twins)
    out = pd.concat([frame.loc[~frame["event_id"].isin(elders)], anew])
    return out.sort_values("available_time", kind="stable", ignore_index=True)


def _elders(frame: pd.DataFrame) -> dict[str, dict[str, np.datetime64]]:
    """Return younger id -> older id -> the moment from which it is known that they are one earthquake."""
    ids = frame["event_id"].to_numpy(dtype=object)
    known = frame["available_time"].to_numpy(dtype="datetime64[ns]")
    until = frame.groupby("event_id", sort=False)["available_time"].shift(-1).fillna(pd.Timestamp(_FOREVER))
    until_times = until.to_numpy(dtype="datetime64[ns]")
    first = frame.groupby("event_id", sort=False)["available_time"].transform("min").to_numpy()
    usable = np.flatnonzero((frame["is_near"] & (frame["event_type"] == "earthquake")).to_numpy())
    usable = usable[np.argsort(frame["origin_time"].to_numpy()[usable], kind="stable")]
    origin = frame["origin_time"].to_numpy(dtype="datetime64[ns]")[usable]
    stop = np.searchsorted(origin, origin + TWIN_TIME, side="right")
    count = stop - np.arange(usable.size) - 1
    a = np.repeat(np.arange(usable.size), count)
    b = np.arange(a.size) - np.repeat(np.cumsum(count) - count, count) + a + 1
    i, j = usable[a], usable[b]
    moment = np.maximum(known[i], known[j])
    one = (ids[i] != ids[j]) & (until_times[i] > moment) & (until_times[j] > moment)
    distance, difference = _apart(frame, i, frame, j)
    one &= (distance <= TWIN_DISTANCE_KM) & (difference <= TWIN_MAGNITUDE + 1e-9)
    found: dict[str, dict[str, np.datetime64]] = {}
    for p, q, since in zip(i[one], j[one], moment[one], strict=True):
        older, younger = sorted((p, q), key=lambda row: (first[row], ids[row]))
        known_since = found.setdefault(str(ids[younger]), {})
        known_since[str(ids[older])] = min(since, known_since.get(str(ids[older]), since))
    return found


def adopted_ids(known: pd.DataFrame, new: pd.DataFrame) -> NDArray[np.object_]:
    """Return (row,) the event ids of `new`, replaced by those of `known` where both are one earthquake.

    Judged by the first version of each event that is near and no twin; both sorted by `available_time`.
    """
    ids = np.asarray(new["event_id"].to_numpy(dtype=object)).copy()
    left, right = (
        f.loc[f["is_near"] & ~f["is_twin"].astype(bool)].drop_duplicates("event_id") for f in (known, new)
    )
    left = left.sort_values("origin_time", kind="stable")
    # An event whose number is in both has found its partner already.
    right = right.loc[~right["event_id"].isin(known["event_id"])]
    left = left.loc[~left["event_id"].isin(new["event_id"])]
    if left.empty or right.empty:
        return ids
    times = left["origin_time"].to_numpy(dtype="datetime64[ns]")
    moments = right["origin_time"].to_numpy(dtype="datetime64[ns]")
    first = np.searchsorted(times, moments - SAME_TIME, side="left")
    count = np.searchsorted(times, moments + SAME_TIME, side="right") - first
    j = np.repeat(np.arange(moments.size), count)
    i = np.arange(j.size) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
    distance, difference = _apart(left, i, right, j)
    score = (
        np.abs((times[i] - moments[j]) / SAME_TIME)
        + distance / SAME_DISTANCE_KM
        + difference / SAME_MAGNITUDE
    )
    # What only became known later must not change who matched whom before, or the past would change.
    later = left["available_time"].to_numpy()[i] > right["available_time"].to_numpy()[j] + SAME_TIME
    pairs = pd.DataFrame({"i": i, "j": j, "later": later, "score": score})
    near = (distance <= SAME_DISTANCE_KM) & (difference <= SAME_MAGNITUDE + 1e-9)
    pairs = pairs.loc[near].sort_values(["later", "score"], kind="stable")
    # Two passes make the pairs one to one: the best partner of each j, then of each i.
    pairs = pairs.drop_duplicates("j").drop_duplicates("i")
    partner = dict(
        zip(
            right["event_id"].to_numpy()[pairs["j"].to_numpy()],
            left["event_id"].to_numpy()[pairs["i"].to_numpy()],
            strict=True,
        )
    )
    return np.array([partner.get(e, e) for e in ids], dtype=object)


def _apart(
    left: pd.DataFrame, i: NDArray[np.int64], right: pd.DataFrame, j: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distance, km, and the difference in magnitude of rows `i` of left from rows `j` of right."""
    a, b = (
        [f[n].to_numpy(dtype=float)[rows] for n in ("latitude", "longitude", "magnitude")]
        for f, rows in ((left, i), (right, j))
    )
    return distances_km(a[0], a[1], b[0], b[1]), np.abs(a[2] - b[2])
