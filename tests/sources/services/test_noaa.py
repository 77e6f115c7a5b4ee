"""NOAA's folders on the loopback: ISD-Lite by place, the reference network by name."""

import gzip
import os
from datetime import date

import numpy as np
import pytest

from tasks.regions import Bounds, Region, Service, SourceConfig, Split, TimeWindow
from tasks.sources import SourceDataInvalid, SourceUnavailable, open_source
from tasks.sources.services import Ask, Http, Landing, open_service

from .servers.weather import with_faults

HISTORY = (
    '"USAF","WBAN","STATION NAME","CTRY","STATE","ICAO","LAT","LON","ELEV(M)","BEGIN","END"\n'
    '"723830","23187","NEAR","US","CA","K1","+35.500","-117.500","+0700.0","19430101","20250829"\n'
    '"999999","00001","FAR","US","NY","K2","+40.000","-075.000","+0010.0","19430101","20250829"\n'
    '"999999","00002","NOWHERE","","","","","","","19430101","20250829"\n'
)
HOUR = "CRNH0203-{year}-CA_Stovepipe_Wells_1_SW.txt"


def isd(year, temperature=123):
    line = f"{year} 01 02 03{temperature:6d}" + "".join(
        f"{v:6d}" for v in (50, 10132, 270, 40, -9999, -1, -9999)
    )
    return gzip.compress((line + "\n").encode(), mtime=0)


def uscrn(day):
    fields = ["53139", day, "0000", day, "1600", "3", "-117.14", "36.60", "20.0", "19.5", "21", "18", "1.5"]
    return " ".join(fields + ["0"] * 15 + ["0.200"] + ["-99.000"] * 9) + "\n"


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "published"
    for name, content in {
        "isd-history.csv": HISTORY.encode(),
        "2019/723830-23187-2019.gz": isd(2019),
        "2020/723830-23187-2020.gz": isd(2020),
        "2019/999999-00001-2019.gz": isd(2019),
        "2020/" + HOUR.format(year=2020): uscrn("20200102").encode(),
        "2020/CRNH0203-2020-NY_Millbrook_3_W.txt": uscrn("20200102").encode(),
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
        os.utime(root / name, (1.58e9, 1.58e9))
    return root


def ask_of(tmp_path, url, provider="isd_lite", now="2020-01-10", **options):
    service = Service(kind="noaa", urls=(url,), requests_per_second=1000, timeout_s=5, options=options)
    source = SourceConfig(
        name="noaa",
        modality="weather",
        provider=provider,
        path="weather/noaa",
        latency_days=0.25,
        service=service,
    )
    day = date(2019, 1, 1)
    region = Region(
        name="tiny", title="Tiny", bounds=Bounds(south=35, north=36, west=-118, east=-117), resolution_deg=0.5,
        start=day, end=date(2021, 1, 1), catalog_start=day, etas_start=day, magnitude_completeness=3,
        split=Split(**dict.fromkeys(Split.model_fields, day)), sources=[source],
    )  # fmt: skip
    window = TimeWindow(np.datetime64("2019-12-01", "ns"), np.datetime64("2020-02-01", "ns"))
    landing = Landing(tmp_path / "landing", source.path)
    return Ask(
        source, service, region, window, landing, Http(service, backoff_s=0.01), np.datetime64(now, "ns")
    )


def mirror(ask):
    open_service(ask.service)(ask)
    root = ask.landing.folder
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())


def test_stations_near_the_region_come_year_by_year_and_are_read(tmp_path, folder, serve_folder):
    ask = ask_of(tmp_path, serve_folder(folder).url)

    assert mirror(ask) == ["2019/723830-23187-2019.gz", "2020/723830-23187-2020.gz", "isd-history.csv"]
    data = open_source("isd_lite")(ask.config, ask.landing.root, ask.region, ask.window).dataset
    assert data.station.values.tolist() == ["723830-23187"]
    assert data.time.values.tolist() == [np.datetime64("2020-01-02T03", "ns").astype(int)]
    assert float(data.elevation_m[0]) == 700


def test_a_year_that_can_still_grow_is_asked_for_with_its_date_and_a_closed_one_not(
    tmp_path, folder, serve_folder
):
    server = serve_folder(folder)
    mirror(ask_of(tmp_path, server.url, now="2020-03-10"))
    before = len(server.seen)
    mirror(ask_of(tmp_path, server.url, now="2020-03-10T12:00"))
    assert len(server.seen) == before

    (folder / "2020/723830-23187-2020.gz").write_bytes(isd(2020, temperature=99))
    ask = ask_of(tmp_path, server.url, now="2020-03-12")
    mirror(ask)
    later = {r.path.split("/")[-1]: r.headers for r in server.seen[before:]}
    assert set(later) == {"isd-history.csv", "723830-23187-2020.gz"}
    assert all("If-Modified-Since" in headers for headers in later.values())
    assert ask.landing.path("2020/723830-23187-2020.gz").read_bytes() == isd(2020, temperature=99)


def test_a_station_without_a_file_in_a_year_is_no_error(tmp_path, folder, serve_folder):
    (folder / "2019/723830-23187-2019.gz").unlink()
    assert mirror(ask_of(tmp_path, serve_folder(folder).url)) == [
        "2020/723830-23187-2020.gz",
        "isd-history.csv",
    ]


def test_the_reference_network_comes_by_pattern(tmp_path, folder, serve_folder):
    server = serve_folder(folder)
    ask = ask_of(tmp_path, server.url, "uscrn_hourly", product="uscrn_hourly", stations="CA_*,NV_*")

    assert mirror(ask) == ["2020/" + HOUR.format(year=2020)]
    data = open_source("uscrn_hourly")(ask.config, ask.landing.root, ask.region, ask.window).dataset
    assert float(data.air_temperature[0, 0]) == pytest.approx(292.65)
    with pytest.raises(ValueError, match="must name the stations"):
        mirror(ask_of(tmp_path, server.url, "uscrn_hourly", product="uscrn_hourly"))
    with pytest.raises(ValueError, match="must be isd_lite or one of"):
        mirror(ask_of(tmp_path, server.url, product="ghcn"))


def test_an_error_page_is_named_and_the_other_files_come(tmp_path, folder, serve_folder, serve):
    spoilt = serve(with_faults(serve_folder(folder).answer, {"187-2019.gz": ["html"]}))
    ask = ask_of(tmp_path, spoilt.url)
    with pytest.raises(SourceDataInvalid, match=r"2019\.gz: expected a body that begins with"):
        mirror(ask)
    assert ask.landing.path("2020/723830-23187-2020.gz").exists()
    assert "2019/723830-23187-2019.gz" in mirror(ask)


def test_a_second_address_serves_where_the_first_is_down(tmp_path, folder, serve_folder, serve, Reply):
    down, whole = serve(lambda _r: Reply(503)), serve_folder(folder)
    ask = ask_of(tmp_path, down.url)
    both = ask.service.model_copy(update={"urls": (down.url, whole.url)})
    assert len(mirror(ask._replace(service=both))) == 3
    with pytest.raises(SourceUnavailable):
        mirror(ask_of(tmp_path / "b", down.url))
