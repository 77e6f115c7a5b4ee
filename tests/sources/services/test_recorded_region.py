"""Each kind of service of the recorded region, as its file configures it: what lands reads like the archive."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tasks.cubes.store import content_sha256
from tasks.regions import Region, TimeWindow, load_region
from tasks.sources import open_source
from tasks.sources.contract import SourceDenied
from tasks.sources.services import Ask, Http, Landing, open_service

from .conftest import Server
from .servers.recorded import TOKEN, redirected, serving

pytestmark = pytest.mark.archive
NOW = np.datetime64(datetime(2026, 11, 23, tzinfo=UTC).replace(tzinfo=None), "ns")
# a month of small events and the mainshock's: the whole window is the trial of tests/flows/test_live_ridgecrest.py
WINDOW = TimeWindow(np.datetime64("2019-06-01", "ns"), np.datetime64("2020-03-01", "ns"))


@pytest.fixture(scope="module")
def region() -> Region:
    return load_region("ridgecrest", Path(__file__).parents[3] / "conf")


@pytest.fixture(scope="module")
def servers(archive: Path, region: Region) -> Iterator[dict[str, Server]]:
    with serving(archive, region) as running:
        yield running


def ask_of(region: Region, group: str, servers: dict[str, Server], folder: Path, token: str = TOKEN) -> Ask:
    config = next(s for s in region.sources if s.group == group)
    assert config.service is not None
    urls = tuple(redirected(url, servers) for url in config.service.urls)
    service = config.service.model_copy(update={"urls": urls, "requests_per_second": 1000.0})
    http = Http(service, token if service.credential else "", backoff_s=0.01)
    return Ask(config, service, region, WINDOW, Landing(folder, config.path), http, NOW)


@pytest.mark.parametrize(
    "group",
    ["catalog/scedc", "catalog/scedc_m3", "catalog/comcat", "gnss/daily", "gnss_highrate/ridgecrest6",
     "insar/coseismic_t64", "weather/uscrn", "weather/geosfp", "waveform/strong_motion", "static/vs30"],
)  # fmt: skip
def test_what_a_service_lands_reads_as_the_archive_does(
    group: str, region: Region, servers: dict[str, Server], archive: Path, tmp_path: Path
) -> None:
    ask = ask_of(region, group, servers, tmp_path)
    open_service(ask.service)(ask)

    read = open_source(ask.config.provider)
    landed = read(ask.config, tmp_path, region, WINDOW)
    recorded = read(ask.config, archive, region, WINDOW)
    assert landed.dataset.attrs == recorded.dataset.attrs
    assert content_sha256(landed.dataset) == content_sha256(recorded.dataset)
    # the archive also holds stations that are not asked for
    assert len(landed.invalid) <= len(recorded.invalid)


def test_event_records_land_as_they_were_recorded(
    region: Region, servers: dict[str, Server], archive: Path, tmp_path: Path
) -> None:
    ask = ask_of(region, "waveform/strong_motion", servers, tmp_path)
    open_service(ask.service)(ask)

    events = archive / "waveforms/strong_motion"
    landed = sorted(ask.landing.folder.glob("ci*/*.mseed"))
    assert len(landed) == 39
    assert all(p.read_bytes() == (events / p.parent.name / p.name).read_bytes() for p in landed)
    counts = ask.landing.ledger.counts()
    asked = len(servers["service.scedc.caltech.edu"].seen)
    open_service(ask.service)(ask)
    assert ask.landing.ledger.counts() == counts
    assert len(servers["service.scedc.caltech.edu"].seen) == asked


def test_positions_are_refused_without_the_token_and_the_message_names_its_variable(
    region: Region, servers: dict[str, Server], tmp_path: Path
) -> None:
    ask = ask_of(region, "gnss/daily", servers, tmp_path, token="")

    with pytest.raises(SourceDenied, match="EARTHSCOPE_TOKEN is not set") as caught:
        open_service(ask.service)(ask)
    assert caught.value.status == 401
