"""Open-Meteo's archive on the loopback, and what its reader makes of the answers."""

import json
from datetime import date

import numpy as np
import pytest

from tasks.regions import Bounds, Region, Service, SourceConfig, Split, TimeWindow
from tasks.sources import SourceDataInvalid, SourceUnavailable, open_source
from tasks.sources.contract import SourceDenied
from tasks.sources.services import Ask, Http, Landing, open_service
from tasks.sources.services.open_meteo import grid_places

from .servers.weather import OpenMeteo


def ask_of(tmp_path, url, start="2020-01-30", end="2020-02-02", now="2020-06-01", **options):
    service = Service(
        kind="open_meteo", urls=(url + "/v1/archive",), requests_per_second=1000, timeout_s=5,
        options={"step_deg": 0.5, **options},
    )  # fmt: skip
    source = SourceConfig(
        name="meteo",
        modality="weather",
        provider="open_meteo",
        path="weather/om",
        latency_days=5,
        service=service,
    )
    day = date(2019, 1, 1)
    region = Region(
        name="tiny", title="Tiny", bounds=Bounds(south=35, north=36, west=-118, east=-117), resolution_deg=0.5,
        start=day, end=date(2021, 1, 1), catalog_start=day, etas_start=day, magnitude_completeness=3,
        split=Split(**dict.fromkeys(Split.model_fields, day)), sources=[source],
    )  # fmt: skip
    window = TimeWindow(np.datetime64(start, "ns"), np.datetime64(end, "ns"))
    landing = Landing(tmp_path / "landing", source.path)
    return Ask(
        source, service, region, window, landing, Http(service, backoff_s=0.01), np.datetime64(now, "ns")
    )


def mirror(ask):
    open_service(ask.service)(ask)
    return sorted(p.name for p in ask.landing.folder.iterdir())


def read(ask):
    return open_source("open_meteo")(ask.config, ask.landing.root, ask.region, ask.window)


def test_months_come_for_a_grid_of_places_and_are_read_in_si(tmp_path, serve):
    server = serve(OpenMeteo())
    ask = ask_of(tmp_path, server.url, points=4)

    names = mirror(ask)
    assert names == sorted(
        f"{span}_{k}.json" for span in ("2020-01-01_2020-01-31", "2020-02-01_2020-02-29") for k in range(3)
    )
    data = read(ask).dataset
    assert data.sizes == {"time": 72, "station": 9}
    assert data.station.values[0] == "35.010_-117.010"
    row = data.isel(station=4, time=5)
    assert float(row.air_temperature) == pytest.approx(293.15)
    assert float(row.surface_air_pressure) == pytest.approx(90_000)
    assert float(row.precipitation_amount) == pytest.approx(0.2)
    # wind from the west blows east
    assert float(row.eastward_wind) == pytest.approx(5.0)
    assert float(row.northward_wind) == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(data.air_temperature.values).sum() == 9  # the null at the start of February
    assert (data.available_time - data.time == np.timedelta64(5, "D")).all()
    before = len(server.seen)
    mirror(ask)
    assert len(server.seen) == before


def test_of_the_running_month_only_days_that_are_out_are_asked_for_each_once(tmp_path, serve):
    server = serve(OpenMeteo())
    for now in ("2020-02-07", "2020-02-07T12:00", "2020-02-09"):
        names = mirror(ask_of(tmp_path, server.url, "2020-02-01", "2020-03-01", now))
    assert names == ["2020-02-01_2020-02-01_0.json", "2020-02-02_2020-02-03_0.json"]
    assert len(server.seen) == 2


def test_one_place_is_an_object_and_is_read_alike(tmp_path, serve):
    ask = ask_of(tmp_path, serve(OpenMeteo()).url, step_deg=40.0)
    assert grid_places(ask.region, 40.0) == []
    ask = ask_of(tmp_path, serve(OpenMeteo()).url, points=1)
    mirror(ask)
    assert isinstance(json.loads(next(ask.landing.folder.iterdir()).read_text()), dict)
    assert read(ask).dataset.sizes["station"] == 9


@pytest.mark.parametrize("fault", ["429", "503", "truncated"])
def test_a_limit_that_passes_is_waited_for(tmp_path, serve, fault):
    service = OpenMeteo()
    service.faults = [fault]
    ask = ask_of(tmp_path, serve(service).url)
    mirror(ask)
    assert read(ask).dataset.sizes["station"] == 9


def test_a_refusal_keeps_the_services_reason(tmp_path, serve):
    with pytest.raises(SourceDenied, match=r"HTTP 400.*invalid String value best"):
        mirror(ask_of(tmp_path, serve(OpenMeteo()).url, models="best"))


@pytest.mark.parametrize(("fault", "message"), [("html", "begins with"), ("error with 200", "Timeout")])
def test_an_error_with_status_200_is_no_weather_and_is_asked_for_again(tmp_path, serve, fault, message):
    service = OpenMeteo()
    service.faults = [fault]
    ask = ask_of(tmp_path, serve(service).url)
    with pytest.raises(SourceDataInvalid, match=message):
        mirror(ask)
    assert len(list(ask.landing.folder.glob("*.json"))) == 1, "the other month came"
    assert len(mirror(ask)) == 2


def test_a_service_that_is_down_is_unavailable(tmp_path, serve, Reply):
    with pytest.raises(SourceUnavailable):
        mirror(ask_of(tmp_path, serve(lambda _r: Reply(502)).url))


def test_another_unit_is_converted_and_an_unknown_one_refused(tmp_path, serve):
    service = OpenMeteo()
    service.units = {"wind_speed_10m": "km/h", "temperature_2m": "°F"}
    ask = ask_of(tmp_path, serve(service).url)
    mirror(ask)
    data = read(ask).dataset
    assert float(data.eastward_wind[5, 0]) == pytest.approx(5 / 3.6)
    assert float(data.air_temperature[5, 0]) == pytest.approx((20 - 32) * 5 / 9 + 273.15)
    service.units = {"surface_pressure": "mmHg"}
    other = ask_of(tmp_path / "b", serve(service).url)
    mirror(other)
    with pytest.raises(SourceDataInvalid, match="surface_pressure in hPa or Pa, found units 'mmHg'"):
        read(other)


def test_another_grid_of_places_voids_what_was_settled(tmp_path, serve):
    server = serve(OpenMeteo())
    names = mirror(ask_of(tmp_path, server.url))
    coarse = ask_of(tmp_path, server.url, step_deg=1.0)
    assert mirror(coarse) == names
    assert {entry.attempts for entry in coarse.landing.ledger.entries()} == {1}, "no old entry is left"
    assert read(coarse).dataset.sizes["station"] == 4
    n = len(server.seen)
    mirror(coarse)
    assert len(server.seen) == n
