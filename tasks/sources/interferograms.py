"""What readers of interferograms share: phase to metres, dates, when a pair is known, one pair a day, the reference."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.regions import Region, SourceConfig
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.options import duration, latency
from tasks.sources.rasters import insar_dataset
from tasks.sources.reference_area import ReferenceArea, reference_area

# c / 5.405 GHz; one radian of phase is 4.4138 mm of range
SENTINEL1_WAVELENGTH_M: Final = 299_792_458.0 / 5.405e9
SENTINEL1_RADIAN_M: Final = SENTINEL1_WAVELENGTH_M / (4 * np.pi)
# larger than the slip of any earthquake, smaller than what damaged bytes mostly say
LARGEST_M: Final = 30.0
SENTINEL_LICENCE: Final = "contains modified Copernicus Sentinel data"
_FORMATS: Final = {8: "%Y%m%d", 15: "%Y%m%dT%H%M%S"}
Floats = NDArray[np.float32]


class Frame(NamedTuple):
    """One interferogram.

    Attributes
    ----------
    time_start, time, available_time : datetime64[ns]
        Earlier and later acquisition, and when the result was known.
    los : (lat, lon), m
        Motion from `time_start` to `time`, positive towards the satellite; NaN no data.
    coherence : (lat, lon), 0..1, or None
        NaN unknown.
    """

    time_start: np.datetime64
    time: np.datetime64
    available_time: np.datetime64
    los: Floats
    coherence: Floats | None


def phase_to_los(path: Path, phase: np.ndarray, metres_per_radian: float) -> Floats:
    """Return metres towards the satellite from phase, rad.

    Parameters
    ----------
    metres_per_radian : float
        λ / 4π where phase grows towards the satellite (ARIA), its negative where it grows with range (LiCSAR, GAMMA).

    Raises
    ------
    SourceDataInvalid
        As `plausible_los`.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        return plausible_los(path, np.asarray(phase) * np.float32(metres_per_radian))


def plausible_los(path: Path, los: np.ndarray) -> Floats:
    """Return displacement as float32, what is not finite as NaN.

    Raises
    ------
    SourceDataInvalid
        If something moved by more than 30 m: damaged bytes, or another unit.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        values = np.where(np.isfinite(los), los, np.nan).astype(np.float32)
        if bool((np.abs(values) > LARGEST_M).any()):
            raise SourceDataInvalid(
                path, f"displacement within {LARGEST_M:g} m", f"up to {np.nanmax(np.abs(values)):g} m"
            )
    return values


def acquisition(path: Path, text: str) -> np.datetime64:
    """Return YYYYMMDD or YYYYMMDDTHHMMSS, UTC, as datetime64[ns].

    Raises
    ------
    SourceDataInvalid
        If there is no such date.
    """
    try:
        moment = datetime.strptime(f"{text}+0000", f"{_FORMATS[len(text)]}%z")
        return np.datetime64(moment.replace(tzinfo=None), "ns")
    except (ValueError, KeyError) as error:
        raise SourceDataInvalid(path, "a date YYYYMMDD or YYYYMMDDTHHMMSS in the name", text) from error


def in_order(path: Path, earlier: np.datetime64, later: np.datetime64) -> None:
    """Raise SourceDataInvalid unless the two acquisitions are in order: swapped dates would turn the sign."""
    if not earlier < later:
        raise SourceDataInvalid(
            path, "two acquisitions, the second after the first", f"{earlier} and {later}"
        )


def known_at(config: SourceConfig, time: np.datetime64, said: np.datetime64 | None) -> np.datetime64:
    """Return when a pair was known: as the provider `said`, else `latency_days` after the end of the later day.

    Never before that end, whatever was said.
    """
    day_end = time.astype("datetime64[D]").astype("datetime64[ns]") + duration(1.0)
    return day_end + latency(config) if said is None else max(day_end, said)


def modified_at(path: Path) -> np.datetime64:
    """Return the file's time of modification, datetime64[ns]: a service sets it to the provider's Last-Modified."""
    return np.datetime64(path.stat().st_mtime_ns, "ns")


def stack(
    config: SourceConfig,
    region: Region,
    folder: Path,
    grid: tuple[np.ndarray, np.ndarray],
    frames: Sequence[Frame],
    look: tuple[np.ndarray, np.ndarray, np.ndarray],
    *,
    track: str,
    vintage: str,
    licence: str = SENTINEL_LICENCE,
    invalid: Iterable[SourceDataInvalid] = (),
) -> Fetched:
    """Return the frames of one track as canonical Dataset (see `insar_dataset`), referenced in space.

    Pairs of the same two days (neighbouring scenes of one pass) are joined: each scene has its own unknown constant,
    so a scene is shifted by the median difference in the overlap. Of pairs with one later day the shortest is used.
    Where option `reference` is given, the median of its disc is taken off each frame; attribute `reference`
    says which. Scenes without overlap, pairs that are not used and pairs without data in the disc are
    named in `invalid`.

    Raises
    ------
    SourceDataInvalid
        If there is no look vector, or no frame has data in the reference area.
    """
    if not np.isfinite(look[2]).any():
        raise SourceDataInvalid(folder, "look vectors in the region", "none")
    complaints = list(invalid)
    area = reference_area(config, region)
    joined = shortest_pairs(_join_scenes(frames, folder, complaints), folder, complaints)
    if area is not None:
        joined = _referenced(joined, grid, area, folder, complaints)
    dataset = insar_dataset(config, *grid, joined, look, track, licence, vintage)
    dataset.attrs["reference"] = "as delivered" if area is None else str(area)
    return Fetched(dataset, tuple(complaints))


def shortest_pairs(frames: Sequence[Frame], folder: Path, complaints: list[SourceDataInvalid]) -> list[Frame]:
    """Return one frame for each later day, that with the latest start; what is left out is complained of."""
    best: dict[np.datetime64, Frame] = {}
    for frame in sorted(frames, key=lambda f: f.time_start):
        best[frame.time.astype("datetime64[D]")] = frame
    if len(best) < len(frames):
        found = f"{len(frames) - len(best)} more; the shortest span is used"
        complaints.append(SourceDataInvalid(folder, "one interferogram for each later day", found))
    return list(best.values())


def _join_scenes(frames: Sequence[Frame], folder: Path, complaints: list[SourceDataInvalid]) -> list[Frame]:
    passes: dict[tuple[np.datetime64, np.datetime64], Frame] = {}
    # the scene that covers most first: the others are shifted to it
    for frame in sorted(frames, key=lambda f: -int(np.isfinite(f.los).sum())):
        days = (frame.time_start.astype("datetime64[D]"), frame.time.astype("datetime64[D]"))
        first = passes.get(days)
        if first is None:
            passes[days] = frame
            continue
        both = np.isfinite(first.los) & np.isfinite(frame.los)
        if not both.any():
            found = f"a second scene of {days[0]} to {days[1]} without overlap; the larger one is used"
            complaints.append(SourceDataInvalid(folder, "scenes of one pass that overlap", found))
            continue
        shift = np.median((first.los - frame.los)[both])
        passes[days] = Frame(
            min(first.time_start, frame.time_start),
            max(first.time, frame.time),
            max(first.available_time, frame.available_time),
            np.where(np.isfinite(first.los), first.los, frame.los + shift).astype(np.float32),
            _filled(first.coherence, frame.coherence),
        )
    return list(passes.values())


def _filled(first: Floats | None, second: Floats | None) -> Floats | None:
    if first is None or second is None:
        return second if first is None else first
    return np.where(np.isfinite(first), first, second)


def _referenced(
    frames: Sequence[Frame],
    grid: tuple[np.ndarray, np.ndarray],
    area: ReferenceArea,
    folder: Path,
    complaints: list[SourceDataInvalid],
) -> list[Frame]:
    disc = area.mask(*grid)
    results = []
    for frame in frames:
        seen = frame.los[disc & np.isfinite(frame.los)]
        if seen.size:
            results.append(frame._replace(los=frame.los - np.median(seen)))
            continue
        found = f"none in that of {frame.time_start:.10} to {frame.time:.10}".replace("T", " ")
        complaints.append(SourceDataInvalid(folder, f"data in the reference area {area}", found))
    if not results:
        raise SourceDataInvalid(
            folder, f"data in the reference area {area}", f"none in {len(frames)} interferograms"
        )
    return results
