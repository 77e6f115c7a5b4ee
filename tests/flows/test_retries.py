"""A source that does not answer is asked again; a wrong payload and a missing folder are not."""

import errno
from pathlib import Path
from typing import Any

import pytest
from prefect import flow

import tasks.ingest as stage
from tasks.regions import load_region
from tasks.sources.contract import SourceUnavailable
from tasks.sources.units import contents
from tasks.workspace import Workspace
from tests.sources.services.servers.fdsn import Quake, quakeml_of

QUAKES = [
    Quake(name, f"2012-0{month}-01T00:00:00", 3.0, f"2012-0{month}-01T00:05:00", 39.0, 29.0)
    for name, month in (("a", 3), ("b", 4))
]


class ShakyDisk:
    """Opens of XML files fail where their number is in `failures`; a disk that does that cannot be had otherwise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *failures: int) -> None:
        self.asked, real = 0, Path.open

        def shaky(path: Path, *args: Any, **kwargs: Any) -> Any:
            if path.suffix == ".xml":
                self.asked += 1
                if self.asked in failures:
                    raise OSError(errno.EIO, "Input/output error", str(path))
            return real(path, *args, **kwargs)

        monkeypatch.setattr(Path, "open", shaky)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "archive/catalog").mkdir(parents=True)
    (tmp_path / "archive/catalog/2012.xml").write_bytes(quakeml_of(QUAKES))
    return tmp_path / "archive"


def test_a_source_that_fails_twice_is_stored_at_the_third_try(
    tmp_path: Path, conf: Path, archive: Path, prefect_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = ShakyDisk(monkeypatch, 1, 3)
    workspace = Workspace(home=tmp_path, conf=conf, tracking_uri="sqlite://")
    ask = stage.ingest_source.with_options(retry_delay_seconds=0.01)
    region = load_region("simulated", conf)

    @flow
    def once() -> stage.IngestReport:
        return ask(workspace, region, "catalog/network", str(archive), "fingerprint")

    report = once()
    assert disk.asked == 5  # looked into, or looked into and read
    assert (report.status, report.sizes) == ("stored", {"event": 2})


def test_a_disk_that_does_not_answer_is_no_damage(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ShakyDisk(monkeypatch, 1)
    path = archive / "catalog/2012.xml"
    with pytest.raises(SourceUnavailable, match=r"2012\.xml: .*try again"):
        contents("quakeml", path)
    assert contents("quakeml", path) == {"a", "b"}


def test_a_damaged_payload_speaks_of_nothing_and_is_told_when_it_is_read(archive: Path) -> None:
    path = archive / "catalog/2012.xml"
    path.write_bytes(path.read_bytes()[:300])
    assert contents("quakeml", path) == set()
