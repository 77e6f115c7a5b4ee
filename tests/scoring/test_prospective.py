"""Issued forecasts are scored once, with the catalog of their own time, and the log is only ever added to."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from tasks.cubes.forecasts import ForecastManifest, write_forecast
from tasks.regions import Region
from tasks.scoring import (
    LOG_NAME,
    ScoredWindow,
    ScoringConfig,
    StoreScore,
    apart,
    append_log,
    read_log,
    score_log,
    score_store,
    score_window,
)

CONFIG = ScoringConfig(
    horizons_days=(1, 7), promotion_horizon_days=7, bootstrap_draws=100, score_delay_days=5
)
Catalog = Callable[..., xr.Dataset]


@pytest.fixture(scope="module")
def region(make_region: Callable[..., Region]) -> Region:
    return make_region(["2018-01-01", "2018-06-01", "2018-08-01", "2018-10-01", "2019-01-01", "2019-06-01"])


@pytest.fixture
def catalog(make_catalog: Catalog) -> xr.Dataset:
    """Three events in the week from 2 January; the third is corrected a month later to be too small."""
    rows = [
        ("a", "2019-01-02T01:00", 35.05, -117.95, 3.5, "earthquake"),
        ("b", "2019-01-05T01:00", 35.05, -117.95, 4.5, "earthquake"),
        ("c", "2019-01-06T01:00", 35.95, -117.05, 3.1, "earthquake"),
        ("late", "2019-03-01T01:00", 35.5, -117.5, 3.2, "earthquake"),
    ]
    first = make_catalog(rows, np.timedelta64(1, "h"))
    again = first.isel(event=[2]).assign(
        available_time=("event", np.array(["2019-02-06"], "datetime64[ns]")),
        magnitude=("event", [np.nan]),
    )
    return xr.concat([first, again], dim="event", data_vars="all")


def issue(
    root: Path, region: Region, day: str, level: float = 0.002, etas: float = 1.0, **changes: object
) -> Path:
    """Store a forecast of ETAS, a Poisson model and a network, as the flow does; return its folder."""
    shape = (region.latitudes.size, region.longitudes.size)
    network = np.full(shape, level)
    network[0, 0] = 1.5
    fields = {"poisson": np.full(shape, level), "etas": np.full(shape, level * etas), "gated": network}
    rate = np.stack([[field * h for h in (1, 7)] for field in fields.values()])
    forecast = xr.Dataset(
        {
            "rate": (("model", "horizon", "lat", "lon"), rate),
            "dispersion": (("model", "horizon"), [[0.0, 0.0], [0.0, 0.0], [0.5, 0.8]]),
        },
        coords={
            "model": np.array(list(fields), dtype=object),
            "horizon": [1, 7],
            "lat": region.latitudes,
            "lon": region.longitudes,
        },
        attrs={"issued_by": "gated", "magnitude": 3.0} | changes,
    )
    manifest = ForecastManifest(
        region=region.store_name, issue_time=f"{day}T00:00:00", data_snapshot="cube", model_version="gated 1",
        code_version="code", seed=1,
    )  # fmt: skip
    return Path(write_forecast(root, forecast, manifest).path)


def score(root: Path, region: Region, catalog: xr.Dataset) -> StoreScore:
    return score_store(root, region, catalog, "snapshot", CONFIG, "code")


def test_a_window_is_scored_with_what_was_known_then_and_not_with_what_came_after(
    tmp_path: Path, region: Region, catalog: xr.Dataset
) -> None:
    issue(tmp_path, region, "2019-01-02")
    found = {row.horizon_days: row for row in score(tmp_path, region, catalog).new}
    assert (found[1].n_events, found[1].cells) == (1, [(0, 0, 1)])
    # The event taken back in February was believed when the window was due, a week and five days after the issue.
    assert (found[7].n_events, found[7].cells) == (3, [(0, 0, 2), (9, 9, 1)])
    assert found[7].known_time == "2019-01-14T00:00:00"


def test_the_scores_are_the_closed_forms(tmp_path: Path, region: Region, catalog: xr.Dataset) -> None:
    issue(tmp_path, region, "2019-01-02", etas=2.0)
    week = next(row for row in score(tmp_path, region, catalog).new if row.horizon_days == 7)
    counts = np.zeros(100)
    counts[0], counts[99] = 2, 1
    for name, rate in (("poisson", 0.014), ("etas", 0.028)):
        assert week.models[name].log_likelihood == pytest.approx(stats.poisson.logpmf(counts, rate).sum())
    assert week.models["poisson"].gain == pytest.approx(3 * np.log(0.5) - (1.4 - 2.8))
    network = np.full(100, 0.014)
    network[0] = 10.5
    law = stats.nbinom(1 / 0.8, 1 / (1 + 0.8 * network))
    assert week.models["gated"].log_likelihood == pytest.approx(law.logpmf(counts).sum())
    assert week.models["gated"].expected == pytest.approx(network.sum())
    assert week.models["etas"].gain == 0.0


def test_a_second_call_changes_nothing_and_a_later_window_is_added(
    tmp_path: Path, region: Region, catalog: xr.Dataset
) -> None:
    issue(tmp_path, region, "2019-01-02")
    assert len(score(tmp_path, region, catalog).new) == 2
    log = tmp_path / region.store_name / LOG_NAME
    before = log.read_bytes()
    # A catalog that says something else today is not asked again.
    assert score(tmp_path, region, catalog.isel(event=[3])).new == []
    assert log.read_bytes() == before
    issue(tmp_path, region, "2019-01-03")
    assert {row.issue_time for row in score(tmp_path, region, catalog).new} == {"2019-01-03T00:00:00"}
    assert log.read_bytes().startswith(before)
    assert len(read_log(log)) == 4


def test_a_window_waits_until_the_catalog_was_asked_after_the_delay(
    tmp_path: Path, region: Region, catalog: xr.Dataset
) -> None:
    issue(tmp_path, region, "2019-01-02")
    early = catalog.isel(event=[0, 1, 2])
    found = score(tmp_path, region, early)
    assert found.new == []
    assert sorted(line.split(", ")[1] for line in found.waiting) == [
        "1 d: not before 2019-01-08T00:00",
        "7 d: not before 2019-01-14T00:00",
    ]
    assert len(score(tmp_path, region, catalog).new) == 2


def test_a_forecast_that_was_changed_after_issue_is_refused_and_the_others_are_scored(
    tmp_path: Path, region: Region, catalog: xr.Dataset
) -> None:
    damaged = issue(tmp_path, region, "2019-01-02")
    issue(tmp_path, region, "2019-01-03")
    with xr.open_dataset(damaged / "forecast.nc", engine="h5netcdf") as opened:
        changed = opened.load()
    changed["rate"] *= 2.0
    changed.to_netcdf(damaged / "forecast.nc", engine="h5netcdf")
    found = score(tmp_path, region, catalog)
    assert len(found.new) == 2
    assert len(found.refused) == 1
    assert "changed after issue" in found.refused[0]


def test_a_forecast_of_smaller_events_than_the_catalog_holds_is_refused(
    tmp_path: Path, region: Region, catalog: xr.Dataset
) -> None:
    issue(tmp_path, region, "2019-01-02", magnitude=2.0)
    assert "expected events of M >= 2" in score(tmp_path, region, catalog).refused[0]


def test_only_a_forecast_that_was_stored_in_time_counts_as_one(
    tmp_path: Path, region: Region, catalog: xr.Dataset
) -> None:
    for day, stored in (("2019-01-02", "2019-01-02T09:00"), ("2019-01-03", "2019-02-01")):
        manifest = issue(tmp_path, region, day) / "manifest.json"
        seconds = int(np.datetime64(stored, "s").astype(int))
        os.utime(manifest, (seconds, seconds))
    found = {row.issue_time[:10]: row.is_prospective for row in score(tmp_path, region, catalog).new}
    assert found == {"2019-01-02": True, "2019-01-03": False}


def test_an_event_where_a_model_said_never_is_kept_as_such(tmp_path: Path, region: Region) -> None:
    rates = xr.DataArray(
        [[[0.0, 1.0]], [[0.5, 0.5]]],
        {"model": ["never", "etas"], "lat": [35.0], "lon": [1.0, 2.0]},
        ("model", "lat", "lon"),
    )
    counts = xr.DataArray([[1, 0]], {"lat": [35.0], "lon": [1.0, 2.0]}, ("lat", "lon"))
    found = score_window(rates, counts, {}, "etas")
    assert found["never"].log_likelihood is None
    assert found["never"].gain is None
    assert found["etas"].log_likelihood == pytest.approx(np.log(0.5) - 1.0)
    assert (
        score_window(rates, counts[:, ::-1].assign_coords(lon=[1.0, 2.0]), {}, "etas")["never"].gain
        is not None
    )
    with pytest.raises(ValueError, match="coordinate 'lon'"):
        score_window(rates, counts.assign_coords(lon=[1.0, 3.0]), {}, "etas")
    with pytest.raises(ValueError, match="expected the model 'gone'"):
        score_window(rates, counts, {}, "gone")


def test_what_a_killed_writer_left_is_removed_and_a_broken_line_is_named(
    tmp_path: Path, region: Region, catalog: xr.Dataset
) -> None:
    issue(tmp_path, region, "2019-01-02")
    rows = score(tmp_path, region, catalog).new
    log = tmp_path / "log.jsonl"
    assert append_log(log, rows[:1]) == rows[:1]
    with log.open("a") as half:
        half.write(json.dumps(rows[1].model_dump(mode="json"))[:100])
    assert read_log(log) == rows[:1]
    assert append_log(log, rows) == rows[1:]
    assert read_log(log) == rows
    log.write_text("{}\n" + log.read_text())
    with pytest.raises(ValueError, match=r"log\.jsonl, line 1"):
        read_log(log)


def window(day: int, horizon: int, stored: str = "2019-01-01", name: str = "") -> ScoredWindow:
    return ScoredWindow(
        forecast="f", sha256=f"{day}{stored}{name}", issue_time=str(np.datetime64("2019-01-01") + day) + "T00:00:00",
        horizon_days=horizon, magnitude=3.0, issued_by="etas", stored_time=stored, is_prospective=True,
        known_time="", cube="", code="", reference="etas", n_events=0, cells=[], models={},
    )  # fmt: skip


def test_windows_that_are_scored_together_do_not_overlap_and_the_first_stored_counts() -> None:
    rows = [window(d, 7) for d in (8, 0, 3, 7, 20)] + [window(0, 7, "2020-01-01"), window(4, 1)]
    chosen = apart(rows, 7)
    assert [int(row.issue_time[8:10]) for row in chosen] == [1, 8, 21]
    assert chosen[0].stored_time == "2019-01-01"
    assert [row.horizon_days for row in apart(rows, 1)] == [1]


def test_the_log_goes_through_the_scorer_of_the_backtest(
    tmp_path: Path, region: Region, catalog: xr.Dataset
) -> None:
    assert score_log(tmp_path, region, [], CONFIG) is None
    days = [f"2019-01-{d:02d}" for d in range(1, 20)]
    for day in days:
        issue(tmp_path, region, day, etas=2.0)
    rows = score(tmp_path, region, catalog).new
    found = score_log(tmp_path, region, rows, CONFIG)
    assert found is not None
    assert {h: len(w) for h, w in found.windows.items()} == {1: 19, 7: 3}
    week = found.card.scores["poisson"][7]
    used = [row.models["poisson"].gain for row in found.windows[7]]
    assert week.n_events == sum(row.n_events for row in found.windows[7])
    assert week.igpe_vs_etas == pytest.approx(sum(g for g in used if g is not None) / week.n_events)
    assert found.card.scores["gated"][1].n_test.law == "negative_binomial"
    assert found.left_out == {}
