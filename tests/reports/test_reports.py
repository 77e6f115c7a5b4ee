"""Tables say what was scored, and figures are pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib import image

from tasks.reports.figures import forecast_map, gain_bars, gain_through_time, reliability_diagram
from tasks.reports.summary import (
    bound_markdown,
    cell,
    page,
    point_latest,
    score_markdown,
    score_rows,
)

ROW = {"igpe_vs_etas": 0.1234, "low": -0.05, "high": 0.3, "n_events": 12}
SCORES = {"etas": {"1": ROW, "7": ROW}, "concat": {"1": ROW, "7": ROW | {"low": None, "high": None}}}


def test_a_cell_shows_the_gain_with_its_interval_and_a_dash_for_none() -> None:
    assert cell(ROW) == "+0.123 [-0.050, +0.300]"
    assert cell(ROW | {"low": None, "high": None}) == "+0.123 [-, -]"


def test_the_table_has_a_row_per_model_and_a_column_per_horizon() -> None:
    assert [list(row) for row in score_rows(SCORES)] == [["model", "1 d", "7 d"]] * 2
    assert score_markdown(SCORES).count("\n") == 3


def test_bounds_stand_under_the_table_with_intervals() -> None:
    summary = {f"{bound}_scores": {"7": ROW, "1": ROW} for bound in ("oracle", "clairvoyant")}
    assert bound_markdown(summary).splitlines()[0] == "| *oracle* | " + " | ".join([cell(ROW)] * 2) + " |"


def test_latest_points_to_the_newest_report(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text(json.dumps({"name": name}))
        latest = point_latest(tmp_path / name)
        assert json.loads((latest / "summary.json").read_text()) == {"name": name}


@pytest.fixture
def field() -> xr.DataArray:
    values = np.geomspace(1e-4, 1e-1, 20).reshape(4, 5)
    return xr.DataArray(
        values, dims=("lat", "lon"), coords={"lat": 35 + 0.1 * np.arange(4), "lon": np.arange(5) / 10}
    )


def _is_a_picture(path: Path) -> bool:
    pixels = image.imread(path)
    return pixels.shape[0] > 100 and pixels.shape[1] > 100 and float(pixels[..., :3].std()) > 0.02


def test_every_figure_is_a_picture(field: xr.DataArray, tmp_path: Path) -> None:
    times = np.datetime64("2020-01-01", "ns") + np.arange(6) * np.timedelta64(7, "D")
    series = xr.DataArray(np.arange(6.0), dims="issue_time", coords={"issue_time": times})
    bins = [{"forecast": 0.01, "observed": 0.02, "low": 0.01, "high": 0.03, "n": 100}]
    events = xr.Dataset(
        {name: ("event", [v]) for name, v in (("latitude", 35.1), ("longitude", 0.2), ("magnitude", 4.0))}
    )
    drawn = [
        forecast_map({"etas": field, "concat": field * 2}, events, "map", tmp_path / "map.png"),
        gain_bars(SCORES, [1, 7], list(SCORES), "bars", tmp_path / "bars.png"),
        reliability_diagram({"etas": bins}, "reliability", tmp_path / "reliability.png"),
        gain_through_time({"concat": series}, series, 7, "time", tmp_path / "time.png"),
    ]
    assert all(_is_a_picture(path) for path in drawn)
    text = page("Title", "Lead.", SCORES, drawn, ["a note"])
    assert all(f"({path.name})" in text for path in drawn)
