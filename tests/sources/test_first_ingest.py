"""The first ingest of a long archive takes memory by the portion, and a kill in it loses nothing."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import tasks.ingest as stage_file
from tasks.cubes.store import ObservationStore, content_sha256
from tasks.ingest import IngestReport, ingest_source
from tasks.quality.earthquakes import Earthquakes
from tasks.quality.waveform import judge_waveforms
from tasks.regions import Region, SourceConfig
from tasks.sources.plausible import refuse_other_units
from tasks.sources.read_log import ReadLog
from tasks.workspace import Workspace

MONTHS = 8
CONFIG = SourceConfig(name="era5", modality="weather", provider="era5", path="w", latency_days=5)
# in a portion: one of the files, or all of them
ONE, ALL = 1, 1 << 40


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight months of hours at 25 nodes, a file each."""
    folder = tmp_path_factory.mktemp("archive")
    (folder / "w").mkdir()
    lat, lon = np.linspace(36, 35, 5), np.linspace(-118, -117, 5)
    for month in np.datetime64("2017-01", "M") + np.arange(MONTHS):
        time = np.arange(month, month + 1, dtype="datetime64[h]").astype("datetime64[ns]")
        rng = np.random.default_rng(int(month.astype(int)))
        field = rng.normal(290, 5, (time.size, lat.size, lon.size)).astype(np.float32)
        data = {
            name: (("valid_time", "latitude", "longitude"), scale * field, {"units": units})
            for name, scale, units in (("t2m", 1.0, "K"), ("sp", 300.0, "Pa"), ("u10", 0.01, "m s-1"))
        }
        coords = {"valid_time": time, "latitude": lat, "longitude": lon}
        xr.Dataset(data, coords=coords).to_netcdf(folder / f"w/{month}.nc", engine="h5netcdf")
    return folder


@pytest.fixture
def ingest(
    archive: Path, make_region: Callable[..., Region], monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path, int], IngestReport]:
    dates = ["2010-01-01", "2018-03-01", "2018-04-01", "2018-06-01", "2018-07-01", "2020-01-01"]
    region = make_region(dates, sources=[CONFIG])

    def call(home: Path, most_bytes: int) -> IngestReport:
        monkeypatch.setattr(stage_file, "_PORTION_BYTES", most_bytes)
        workspace = Workspace(home=home, conf=home, tracking_uri="")
        report: IngestReport = ingest_source.fn(workspace, region, CONFIG.group, str(archive), "")
        return report

    return call


def store_of(home: Path) -> ObservationStore:
    return ObservationStore(home / "observations", "toy")


def content(home: Path) -> str:
    data = store_of(home).read(CONFIG.group)
    assert data is not None
    return content_sha256(data.load())


def peak_of(call: Callable[[], object]) -> int:
    """Bytes at the most, of Python and NumPy."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_is_that_of_a_portion_and_what_is_stored_that_of_the_whole(tmp_path: Path, ingest) -> None:
    whole = peak_of(lambda: ingest(tmp_path / "whole", ALL))
    parts = peak_of(lambda: ingest(tmp_path / "parts", ONE))

    assert content(tmp_path / "parts") == content(tmp_path / "whole")
    assert len(store_of(tmp_path / "parts").history()) == MONTHS
    assert parts < whole / 3, (parts, whole)


@pytest.mark.parametrize(
    ("owner", "name"), [(ReadLog, "keep"), pytest.param(ObservationStore, "write", marks=pytest.mark.heavy)]
)
def test_a_kill_after_a_commit_or_before_it_loses_nothing(
    owner: type, name: str, tmp_path: Path, ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """Nobody catches it."""

    calls: list[int] = []
    real = getattr(owner, name)

    def dying(*args: object, **kwargs: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise Killed
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, dying)
        with pytest.raises(Killed):
            ingest(tmp_path / "killed", ONE)
    half = store_of(tmp_path / "killed").read(CONFIG.group)
    assert half is not None
    assert half.sizes["time"] <= 3 * 31 * 24
    assert ingest(tmp_path / "killed", ONE).status == "stored"
    assert ingest(tmp_path / "killed", ONE).status == "unchanged"
    ingest(tmp_path / "whole", ALL)
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


def records(n: int) -> xr.Dataset:
    rng = np.random.default_rng(0)
    start = np.datetime64("2020-01-01", "ns") + np.arange(n) * np.timedelta64(3600, "s")
    return xr.Dataset(
        {
            "velocity": (
                ("record", "channel", "sample"),
                rng.normal(0, 1e-6, (n, 3, 1200)).astype(np.float32),
                {"units": "m s-1"},
            ),
            "time": ("record", start),
            "available_time": ("record", start + np.timedelta64(62, "s")),
            "station": ("record", np.array(["A.B"] * n, dtype=object)),
            "latitude": ("record", np.full(n, 35.0)),
            "longitude": ("record", np.full(n, -117.0)),
            "quality_flag": (("record", "channel"), np.zeros((n, 3), np.uint8)),
        },
        coords={"channel": np.array(["Z", "N", "E"], dtype=object)},
        attrs={"sampling_rate_hz": 20.0},
    )


def test_the_checks_of_a_large_answer_take_less_than_the_answer() -> None:
    answer = records(2000)
    size = answer["velocity"].nbytes

    assert peak_of(lambda: refuse_other_units(answer, "x")) < size / 2
    assert peak_of(lambda: judge_waveforms(answer, Earthquakes.none())) < size
