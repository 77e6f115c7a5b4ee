"""OPERA DISP-S1 displacement series (JPL): NetCDF4 in UTM, each product relative to a reference that moves on."""

import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid, SourceMissing
from tasks.sources.hdf5 import Product, open_product
from tasks.sources.interferograms import Floats, Frame, acquisition, in_order, known_at, plausible_los, stack
from tasks.sources.looks import Looks
from tasks.sources.opera_series import Pair, Series
from tasks.sources.options import choice_option
from tasks.sources.payloads import empty, list_payloads, locate, read_each
from tasks.sources.warping import Grid, read_onto, region_grid, warp_array

_NAME = re.compile(
    r"OPERA_L3_DISP-S1_IW_(F\d{5})_[VH]{2}_(\d{8}T\d{6})Z_(\d{8}T\d{6})Z_v([\d.]+)_(\d{8}T\d{6})Z\.nc"
)
_METRES = ("m", "meters", "metres", "meter", "metre")
_STEP_DEG = 0.001
_GOOD = 1


class _Item(NamedTuple):
    """A product as its name describes it; `reference` and `secondary` are acquisitions, `produced` its making."""

    path: Path
    frame: str
    reference: np.datetime64
    secondary: np.datetime64
    produced: np.datetime64

    @property
    def pair(self) -> Pair:
        """What it is about, whatever its version."""
        return Pair(self.frame, self.reference, self.secondary)


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return the displacements of one track whose later acquisition is inside the window.

    The path holds `OPERA_L3_DISP-S1_IW_F<frame>_*.nc`, `displacement` in m, positive towards the satellite, where
    `recommended_mask` is 1, NaN elsewhere; `temporal_coherence` is the coherence; and for each frame
    `OPERA_L3_DISP-S1-STATIC_F<frame>_*_line_of_sight_enu.tif`. Pixels are means on a grid of option `step_deg`
    (default 0.001) over the region. `short_wavelength_displacement` and `/corrections` are not used: the layer
    is taken as the provider corrected it.

    The reference moves on from time to time. Option `series`: `chained` (default) adds the displacement up to the new
    reference, so that `time_start` is the first reference of the whole series; `consecutive` gives the motion since
    the frame's acquisition before, from the same sums. Where a link is missing, a product stands for itself, from its
    own reference. Of a pair that was made twice the later version counts.

    `available_time` is the latest production time among the products used (it is in their names; vintage "as
    issued"), or with option `availability: rule` the end of the later day plus `latency_days` ("reconstructed": the
    archive was made in bulk, years later); never before that end. Option `reference` "lat,lon,radius_km".

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says.
    """
    availability = choice_option(config, "availability", ("production_time", "rule"))
    series = choice_option(config, "series", ("chained", "consecutive"))
    grid = region_grid(config, region.bounds, _STEP_DEG)
    folder = locate(config, root)
    named, invalid = read_each(list_payloads(config, root, "**/OPERA_L3_DISP-S1_IW_*.nc"), _parse)
    archive = _latest(named)
    by_pair = {item.pair: item for item in archive}
    order = Series(by_pair)
    read_item = lru_cache(maxsize=6)(lambda item: _read(item, grid))

    def read(path: Path) -> Frame | None:
        item = items[path]
        start, plus, minus = order.terms(item.pair, is_consecutive=series == "consecutive")
        values = read_item(item)
        if values is None:
            return None
        los, known = np.zeros(grid.shape, dtype=np.float32), item.produced
        for sign, link in [(1, by_pair[p]) for p in plus] + [(-1, by_pair[p]) for p in minus]:
            other = read_item(link)
            los = los + np.nan if other is None else los + np.float32(sign) * other[0]
            known = max(known, link.produced)
        said = known if availability == "production_time" else None
        return Frame(start, item.secondary, known_at(config, item.secondary, said), los, values[1])

    items = {item.path: item for item in archive if window.start <= item.secondary < window.end}
    if not items:
        raise empty(config, root, region, window)
    frames, damaged = read_each(sorted(items), read)
    if not frames:
        raise empty(config, root, region, window)
    names = sorted({item.frame for item in items.values()})
    vectors = _looks(folder, names, grid)
    return stack(
        config, region, folder, (grid.lat, grid.lon), frames, vectors, track="+".join(names),
        invalid=[*invalid, *damaged], vintage="as issued" if availability == "production_time" else "reconstructed",
    )  # fmt: skip


def _parse(path: Path) -> _Item:
    found = _NAME.fullmatch(path.name)
    if found is None:
        raise SourceDataInvalid(path, "a name like OPERA_L3_DISP-S1_IW_F11116_VV_..._v1.0_...nc", path.name)
    frame, first, last, _, made = found.groups()
    reference, secondary, produced = (acquisition(path, text) for text in (first, last, made))
    in_order(path, reference, secondary)
    if produced <= secondary:
        raise SourceDataInvalid(path, "a production time after the later acquisition", f"{produced}")
    return _Item(path, frame, reference, secondary, produced)


def _latest(items: list[_Item]) -> list[_Item]:
    """Return one item for each pair, that which was made last, sorted by pair."""
    best = {item.pair: item for item in sorted(items, key=lambda i: i.produced)}
    return sorted(best.values(), key=lambda i: (i.frame, i.secondary, i.reference))


def _read(item: _Item, grid: Grid) -> tuple[Floats, Floats | None] | None:
    """Return displacement, m, and coherence (lat, lon) on the grid; None where the frame does not reach it."""
    with open_product(item.path) as product:
        product.check_unit("displacement", _METRES)
        x, y = product.coordinate("x"), product.coordinate("y")
        shape = (y.size, x.size)
        crs = product.text("spatial_ref", "crs_wkt") or product.text("spatial_ref", "spatial_ref")

        def masked(name: str, rows: slice, columns: slice) -> Floats:
            values = product.layer(name, rows, columns, shape)
            good = product.layer("recommended_mask", rows, columns, shape) == _GOOD
            return np.where(good, values, np.nan).astype(np.float32)

        los = warp_array(item.path, lambda r, c: masked("displacement", r, c), x, y, crs, grid)
        if los is None or not np.isfinite(los).any():
            return None
        return plausible_los(item.path, los), _coherence(product, grid, x, y, crs, shape)


def _coherence(
    product: Product, grid: Grid, x: np.ndarray, y: np.ndarray, crs: str, shape: tuple[int, int]
) -> Floats | None:
    name = "temporal_coherence"
    if name not in product:
        return None
    values = warp_array(product.path, lambda r, c: product.layer(name, r, c, shape), x, y, crs, grid)
    if values is not None and bool(((values < -0.001) | (values > 1.001)).any()):
        raise SourceDataInvalid(product.path, f"{name} 0..1", f"up to {np.nanmax(values):g}")
    return values


def _looks(folder: Path, frames: list[str], grid: Grid) -> tuple[Floats, Floats, Floats]:
    """Return the look vectors of all frames, from their static layers.

    Raises
    ------
    SourceMissing
        If a frame has none.
    """
    looks = Looks(grid)
    for frame in frames:
        pattern = f"OPERA_L3_DISP-S1-STATIC_{frame}_*_line_of_sight_enu.tif"
        paths = sorted(folder.rglob(pattern))
        if not paths:
            raise SourceMissing(f"{folder}: expected the look vectors {pattern}, found none")
        parts = [read_onto(paths[-1], grid, band=band) for band in (1, 2, 3)]
        east, north, up = (np.full(grid.shape, np.nan) if part is None else part for part in parts)
        # 0, 0, 0 is no direction: it marks no data where the file names no other value
        nothing = (east == 0) & (north == 0) & (up == 0)
        looks.add(paths[-1], *(np.where(nothing, np.nan, part) for part in (east, north, up)))
    return looks.vectors
