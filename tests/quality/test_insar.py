"""Wrong cycles are masked, ruptures are not, and a deformation of any size closes its loops."""

from itertools import pairwise

import numpy as np
import xarray as xr

from tasks.quality.earthquakes import Earthquakes
from tasks.quality.flags import Reason
from tasks.quality.insar import judge_interferograms, torn_patches

from .conftest import make_catalog

CYCLE = 0.0554658 / 2
NONE = Earthquakes.none()
STEPS = ("2015-01-01", "2015-01-13", "2015-01-25", "2015-02-06")


def make_track(maps: dict[tuple[int, int], np.ndarray], coherence: float = 0.8) -> xr.Dataset:
    pairs = sorted(maps, key=lambda p: (p[1], p[0]))
    los = np.stack([maps[p] for p in pairs])
    dims = ("time", "lat", "lon")
    days = np.array(STEPS, "datetime64[ns]")
    end = days[[b for _, b in pairs]]
    return xr.Dataset(
        {
            "los_displacement": (dims, los),
            "coherence": (dims, np.full(los.shape, coherence, np.float32)),
            "quality_flag": (dims, np.isnan(los).astype(np.uint8)),
            "time_start": ("time", days[[a for a, _ in pairs]]),
            "available_time": ("time", end + np.timedelta64(3, "D").astype("timedelta64[ns]")),
        },
        coords={"time": end, "lat": 39 + 0.01 * np.arange(20), "lon": 29 + 0.01 * np.arange(20)},
    )


def ground(seed: int = 0) -> list[np.ndarray]:
    """Smooth ground (lat, lon), m, at the four passes; a quake of 0.4 m between the second and the third."""
    rng = np.random.default_rng(seed)
    lat, lon = np.meshgrid(np.linspace(-1, 1, 20), np.linspace(-1, 1, 20), indexing="ij")
    bump = 0.03 * np.exp(-(lat**2 + lon**2) / 0.3)
    noise = 0.001 * rng.standard_normal((4, 20, 20))
    return [k * bump + noise[k] for k in range(4)]


def pairs_of(passes: list[np.ndarray]) -> dict[tuple[int, int], np.ndarray]:
    return {(a, b): passes[b] - passes[a] for a in range(4) for b in range(a + 1, min(a + 3, 4))}


def test_a_clean_network_of_pairs_is_kept_whole() -> None:
    assert (judge_interferograms(make_track(pairs_of(ground())), NONE)["quality_reason"] == Reason.NONE).all()


def test_low_coherence_is_masked_and_unknown_coherence_is_not() -> None:
    track = make_track(pairs_of(ground()))
    track["coherence"].values[0] = 0.2
    track["coherence"].values[1] = np.nan
    reason = judge_interferograms(track, NONE)["quality_reason"].values
    assert (reason[0] == Reason.LOW_COHERENCE).all()
    assert (reason[1] == Reason.NONE).all()


def test_a_pair_that_does_not_close_its_loops_is_masked_where_it_does_not() -> None:
    maps = pairs_of(ground())
    # along the edge of the map, spread so that no rim of whole cycles shows it
    wrong = np.zeros((20, 20), dtype=bool)
    wrong[3:6, 3:6] = True
    maps[2, 3] = maps[2, 3] + wrong * CYCLE * 1.4
    track = make_track(maps)
    reason = judge_interferograms(track, NONE)["quality_reason"].values
    row = [(int(a), int(b)) for a, b in sorted(maps, key=lambda p: (p[1], p[0]))].index((2, 3))
    assert (reason[row][wrong] == Reason.UNWRAPPING).all()
    assert (reason[row][~wrong] == Reason.NONE).all()
    # earlier pairs were used before the loop was there
    earlier = track["available_time"].values < track["available_time"].values[row]
    assert (reason[earlier] == Reason.NONE).all()


def test_an_earthquake_that_tears_the_ground_by_other_than_whole_cycles_is_kept() -> None:
    passes = ground()
    for k in (2, 3):
        passes[k] = passes[k] + np.where(np.arange(20) < 8, 0.4, 0.0) * np.linspace(0.1, 1, 20)[:, None]
    assert (judge_interferograms(make_track(pairs_of(passes)), NONE)["quality_reason"] == Reason.NONE).all()


def test_a_patch_whole_cycles_off_is_masked_but_only_suspected_near_a_known_earthquake() -> None:
    maps = {pair: los.copy() for pair, los in pairs_of(ground()).items() if pair in pairwise(range(4))}
    for los in maps.values():
        los[5:9, 5:9] += 2 * CYCLE
    catalog = make_catalog("2015-01-20", "2015-01-20T01", 7.0)
    reason = judge_interferograms(make_track(maps), Earthquakes.of([catalog]))["quality_reason"].values
    assert (reason[[0, 2], 5:9, 5:9] == Reason.UNWRAPPING).all()
    assert (reason[1, 5:9, 5:9] == Reason.UNWRAPPING_SUSPECTED).all()
    assert (reason == Reason.NONE).sum() == 3 * (400 - 16)


def test_a_rim_whose_offset_dies_out_is_a_rupture() -> None:
    los = np.zeros((20, 20))
    los[:, 10:] = np.linspace(0.6, 3.4, 20)[:, None] * CYCLE
    assert not torn_patches(los, CYCLE / 2).any()
