"""HyP3 interferograms (GAMMA, on demand at ASF): GeoTIFFs in UTM, one folder or set of files a pair."""

import re
from pathlib import Path

import numpy as np

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.interferograms import (
    SENTINEL1_RADIAN_M,
    Frame,
    acquisition,
    in_order,
    known_at,
    modified_at,
    phase_to_los,
    plausible_los,
    stack,
)
from tasks.sources.looks import Looks
from tasks.sources.options import choice_option
from tasks.sources.payloads import empty, list_payloads, read_each
from tasks.sources.warping import Grid, read_onto, region_grid

_NAME = re.compile(r"(S1[A-D]{2}_(\d{8}T\d{6})_(\d{8}T\d{6})_.+)_(?:unw_phase|los_disp)\.tif")
_STEP_DEG = 0.001


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return the interferograms of one track whose later acquisition is inside the window.

    Below the path, in folders or not, `<product>_unw_phase.tif` (radians, growing with range) or else
    `<product>_los_disp.tif` (m, positive towards the satellite), `_corr.tif` (0..1, missing: NaN), `_lv_theta.tif`
    and `_lv_phi.tif` (rad: elevation of the look vector, and its direction anticlockwise from east; ground to
    satellite). 0 is no data where the file names no other value. Pixels are means on a grid of option `step_deg`
    (default 0.001) over the region: the scenes' own UTM grids differ from pair to pair.

    `available_time` is the file's time of modification (that of the zip at the provider; vintage "as issued"), or
    with option `availability: rule` the end of the later day plus `latency_days` ("reconstructed"); never before that
    end. Option `reference` "lat,lon,radius_km".

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says. A product without look vector, or of another track's, is invalid.
    """
    availability = choice_option(config, "availability", ("modified_time", "rule"))
    grid = region_grid(config, region.bounds, _STEP_DEG)
    looks = Looks(grid)
    products = list_payloads(config, root, "**/*_unw_phase.tif", "**/*_los_disp.tif")

    def read(path: Path) -> Frame | None:
        name = _NAME.fullmatch(path.name)
        if name is None:
            raise SourceDataInvalid(path, "a name like S1AA_<start>_<end>_..._unw_phase.tif", path.name)
        product, first, last = name.groups()
        start, time = acquisition(path, first), acquisition(path, last)
        in_order(path, start, time)
        phase = path.with_name(f"{product}_unw_phase.tif")
        if not window.start <= time < window.end or (path != phase and phase.is_file()):
            return None
        values = read_onto(path, grid, nodata=0.0)
        if values is None or not np.isfinite(values).any():
            return None
        los = (
            phase_to_los(path, values, -SENTINEL1_RADIAN_M) if path == phase else plausible_los(path, values)
        )
        looks.add(path, *_look(path.with_name(f"{product}_lv_theta.tif"), grid))
        corr = path.with_name(f"{product}_corr.tif")
        coherence = read_onto(corr, grid, nodata=0.0) if corr.is_file() else None
        if coherence is not None and bool((coherence > 1.0).any()):
            raise SourceDataInvalid(corr, "coherence 0..1", f"up to {np.nanmax(coherence):g}")
        said = modified_at(path) if availability == "modified_time" else None
        return Frame(start, time, known_at(config, time, said), los, coherence)

    frames, invalid = read_each(products, read)
    if not frames:
        raise empty(config, root, region, window)
    return stack(
        config, region, products[0].parent, (grid.lat, grid.lon), frames, looks.vectors, track=config.name,
        invalid=invalid, vintage="as issued" if availability == "modified_time" else "reconstructed",
    )  # fmt: skip


def _look(theta_path: Path, grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return east, north, up (lat, lon) from elevation and direction, NaN where there is no elevation."""
    phi_path = theta_path.with_name(theta_path.name.replace("_lv_theta.tif", "_lv_phi.tif"))
    for path in (theta_path, phi_path):
        if not path.is_file():
            raise SourceDataInvalid(path, "the look vector's angles beside the phase", "no such file")
    # the direction jumps from π to -π in ascending scenes: it has no mean
    theta = read_onto(theta_path, grid, nodata=0.0, average=False)
    phi = read_onto(phi_path, grid, nodata=0.0, average=False)
    if theta is None or phi is None:
        raise SourceDataInvalid(theta_path, "look vectors where the phase is", "none in the region")
    if not bool((np.abs(theta[np.isfinite(theta)]) <= np.pi / 2 + 1e-3).all()):
        raise SourceDataInvalid(theta_path, "elevation in radians", f"up to {np.nanmax(np.abs(theta)):g}")
    # 0 may mark no data, but is due east too; where there is an elevation it is that
    phi = np.where(np.isfinite(theta) & np.isnan(phi), 0.0, phi)
    if not bool((np.abs(phi[np.isfinite(phi)]) <= 2 * np.pi + 1e-3).all()):
        raise SourceDataInvalid(phi_path, "direction in radians", f"up to {np.nanmax(np.abs(phi)):g}")
    return np.cos(theta) * np.cos(phi), np.cos(theta) * np.sin(phi), np.sin(theta)
