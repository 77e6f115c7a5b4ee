"""Tracks look where satellites look, and files carry their geometry, unit and time of publication."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio

from tasks.simulation import World
from tasks.simulation.insar import line_of_sight, look_vectors, tracks_of


@pytest.mark.parametrize(("is_ascending", "side"), [(True, -1), (False, 1)])
def test_look_vectors_point_up_to_the_satellite(is_ascending: bool, side: int) -> None:
    look = look_vectors(np.linspace(28, 30, 20), 5, is_ascending)
    np.testing.assert_allclose((look**2).sum(axis=0), 1)
    assert np.all(look[2] > 0.7)
    assert np.all(np.sign(look[0]) == side)


def test_line_of_sight_grows_with_slow_slip(small_world: World) -> None:
    track = tracks_of(small_world)[0]
    los = line_of_sight(small_world, track)
    assert los.shape == (len(track.acquisitions), 100, 100)
    assert np.abs(los[-1] - los[0]).max() > 2e-3


def test_files_have_crs_unit_and_publication_after_acquisition(small_archive: Path) -> None:
    paths = sorted((small_archive / "insar" / "a058" / "interferograms").glob("*/*.geo.los.tif"))
    assert len(paths) >= 28
    for path in paths[:3]:
        with rasterio.open(path) as raster:
            assert raster.crs.to_epsg() == 4326
            assert raster.tags()["UNITS"] == "m"
            assert raster.bounds.top == pytest.approx(40)
            los = raster.read(1)
        assert np.nanstd(los) < 0.1
        later = datetime.strptime(path.name[9:17], "%Y%m%d").replace(tzinfo=UTC)
        assert 2 <= (path.stat().st_mtime - later.timestamp()) / 86_400 <= 11


def test_pairs_follow_each_other(small_archive: Path) -> None:
    names = sorted(p.name for p in (small_archive / "insar" / "d167" / "interferograms").iterdir())
    assert [a[9:] for a in names[:-1]] == [b[:8] for b in names[1:]]
