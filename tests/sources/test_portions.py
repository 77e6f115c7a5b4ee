"""Reading only what arrived, with what it depends on, stores what reading everything would have stored."""

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import xarray as xr

import tasks.ingest as stage_file
from tasks.cubes.store import ObservationStore, content_sha256
from tasks.ingest import IngestReport, ingest_source, window_of
from tasks.regions import Bounds, Provider, Region, SourceConfig, Split
from tasks.sources import open_source
from tasks.sources.units import RULES
from tasks.workspace import Workspace
from tests.sources.specimens.stages import STAGES, WRITERS, growing

# among the versions, and when all of them are out
MOMENTS = ("2019-07-08", "2019-09-02")
ONE_FILE = {"mintpy", "quadtree", "raster"}
ALL_WAYS = [(provider, k, first) for provider in WRITERS for k in range(len(growing(provider)))
            for first in (1 << 30, 1)]  # fmt: skip
LIKE_OTHERS = ("scedc_m3", "relocated", "los_geotiff")
# in the suite one way of each provider, and for three kinds of dependence file by file from the start
WAYS = [
    (p, k, n)
    if k == len(growing(p)) - 1 and (n > 1) != (p in ("comcat", "era5", "sds")) and p not in LIKE_OTHERS
    else pytest.param(p, k, n, marks=pytest.mark.heavy)
    for p, k, n in ALL_WAYS
]


def region_with(config: SourceConfig) -> Region:
    day = date(2010, 1, 1)
    return Region(
        name="toy", title="Toy", bounds=Bounds(south=35, north=36, west=-118, east=-117), resolution_deg=0.1,
        start=day, end=date(2020, 1, 1), catalog_start=day, etas_start=day, magnitude_completeness=2.0,
        split=Split(**dict.fromkeys(Split.model_fields, day)), sources=[config],
    )  # fmt: skip


def grow(archive: Path, provider: str, stage: int) -> None:
    """Write the next stage; files whose content stays keep their time, and the others get one of their own."""
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in archive.rglob("*") if p.is_file()}
    WRITERS[provider](archive, stage)
    for path in (p for p in archive.rglob("*") if p.is_file()):
        content, time = before.get(path, (b"", 0))
        new = int(np.datetime64(f"2019-09-{10 * stage + 1:02d}", "ns").astype(np.int64))
        kept = path in before and content == path.read_bytes()
        os.utime(path, ns=(time, time) if kept else (new, new))


def said(data: xr.Dataset | None) -> str:
    """Digest of what observations say.

    Whether a time at which a station has no row is a gap or was never spoken of depends on the stations that it is read
    with, and is left aside.
    """
    if data is None:
        return "nothing"
    data = data.load().drop_attrs()
    if "station" in data.dims and "time" in data.dims:
        floats = [v.transpose("time", "station").values for v in data.data_vars.values()
                  if v.dtype.kind == "f" and set(v.dims) == {"time", "station"}]  # fmt: skip
        blank = np.all([np.isnan(values) for values in floats], axis=0)
        blank &= np.isin(data["quality_flag"].transpose("time", "station").values, (1, 3))
        cells = xr.DataArray(~blank, dims=("time", "station"))
        marks = [
            n for n, v in data.data_vars.items() if v.dtype.kind == "u" and set(v.dims) == set(cells.dims)
        ]
        data = data.assign({n: data[n].where(cells, 1) for n in marks})
        data = data.assign(available_time=data["available_time"].where(cells))
        data = data.isel(time=np.flatnonzero(~blank.all(1)), station=np.flatnonzero(~blank.all(0)))
    return content_sha256(data)


def known(store: ObservationStore, group: str) -> Mapping[str, str]:
    facts = {day: said(store.as_of(group, np.datetime64(day, "ns"))) for day in MOMENTS}
    return facts | {"latest": said(store.read(group))}


def ingest(home: Path, config: SourceConfig, archive: Path) -> IngestReport:
    workspace = Workspace(home=home, conf=home, tracking_uri="")
    report: IngestReport = ingest_source.fn(workspace, region_with(config), config.group, str(archive), "")
    return report


def test_every_provider_of_more_than_one_file_has_a_rule_and_an_archive_that_grows() -> None:
    assert set(RULES) == set(WRITERS) == set(get_args(Provider)) - ONE_FILE


# What comes first is read at once or file by file; of what comes later the one and the other.
@pytest.mark.parametrize(("provider", "way", "first_bytes"), WAYS)
def test_what_arrives_is_stored_as_if_everything_had_been_read(
    provider: Provider, way: int, first_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = growing(provider)[way].config(provider)
    archive, region = tmp_path / "archive", region_with(config)
    whole = ObservationStore(tmp_path / "whole", "toy")
    for stage in range(STAGES):
        monkeypatch.setattr(stage_file, "_PORTION_BYTES", (first_bytes, 1 << 30, 1)[stage])
        grow(archive, provider, stage)
        fetched = open_source(provider)(config, archive, region, window_of(region, config))
        whole.write(config.group, fetched.dataset)
        report = ingest(tmp_path / "home", config, archive)
        assert report.status == "stored", report

        if stage == 0 < first_bytes - 1:
            continue
        parts = ObservationStore(tmp_path / "home" / "observations", "toy")
        assert known(parts, config.group) == known(whole, config.group), stage
        assert parts.describe(config.group)[1] == whole.describe(config.group)[1]
    assert ingest(tmp_path / "home", config, archive).status == "unchanged"


def test_a_source_of_one_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    WRITERS["tenv3"](tmp_path / "a", 0)
    config = growing("tenv3")[0].config("tenv3").model_copy(update={"path": "data/P570.tenv3"})
    assert ingest(tmp_path / "home", config, tmp_path / "a").status == "stored"
    WRITERS["tenv3"](tmp_path / "a", 1)
    again = ingest(tmp_path / "home", config, tmp_path / "a")

    assert (again.status, again.sizes, again.messages) == ("stored", {"time": 23, "station": 1}, [])
