"""The advisory says what the numbers say, in words that a reader can use, and the pages show in a browser."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from tasks.reports.advisory import DISCLAIMER, advisory, in_words, number_range
from tasks.reports.aftershock_figures import numbers_figure, replay_figure, sequence_figure, sequence_map
from tasks.reports.aftershock_page import aftershock_page, replay_page
from tasks.seismicity.aftershocks.futures import MAGNITUDES, summarise

ISSUE = np.datetime64("2019-07-06T04:19:53", "ns")


def forecast(seed: int) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    mean = np.array([1.0, 2.0, 3.0, 5.0])[:, None] * 40.0 * 10.0 ** -(np.array(MAGNITUDES) - 3.0)
    found = summarise(rng.poisson(mean, (2000, 4, 5)).astype(np.int32))
    found["density"] = (("window", "lat", "lon"), rng.random((4, 10, 10)))
    found = found.assign_coords(lat=35.05 + 0.1 * np.arange(10), lon=-117.95 + 0.1 * np.arange(10))
    return found.assign(zone_lat=35.5, zone_lon=-117.5, zone_km=40.0, largest_magnitude=7.1)


def event(magnitude: float, time: str) -> xr.Dataset:
    return xr.Dataset({"magnitude": magnitude, "origin_time": np.datetime64(time, "ns")})


@given(st.floats(0.0, 1.0))
def test_a_probability_is_never_called_certain_or_impossible(probability: float) -> None:
    text = in_words(probability)
    assert text not in ("0 %", "100 %")
    stated = int(re.findall(r"\d+", text)[0])
    assert abs(stated / 100.0 - probability) <= 0.01 + 1e-9


def test_ranges_read_well() -> None:
    assert [number_range(*r) for r in ((0, 0), (0, 2), (3, 3), (12, 40))] == [
        "probably none",
        "0 to 2",
        "3",
        "12 to 40",
    ]


def test_the_advisory_says_what_the_numbers_say() -> None:
    one = forecast(1)
    said = advisory(one, "Toy", event(6.4, "2019-07-04T17:33:49"), event(7.1, "2019-07-06T03:19:53"), ISSUE)
    assert said[0].startswith("An earthquake of magnitude 6.4 happened on 4 July 2019, 17:33 UTC: Toy.")
    assert "A larger one, of magnitude 7.1, followed on 6 July 2019, 03:19 UTC" in said[0]
    assert "Within the week after 6 July 2019, 04:19 UTC, and within 40 km" in said[1]
    week = one.sel(window=7.0, magnitude=3.0)
    assert (
        f"- magnitude 3 or larger: more than 99 % (how many: {int(week['low'])} to {int(week['high'])})"
        in said
    )
    assert said[-1] == DISCLAIMER
    alone = advisory(one, "Toy", event(7.1, "2019-07-06T03:19:53"), event(7.1, "2019-07-06T03:19:53"), ISSUE)
    assert "larger one" not in alone[0]


@pytest.mark.browser
def test_the_pages_show_their_figures_in_a_browser(tmp_path: Path, chromium: str) -> None:
    both = xr.concat([forecast(1), forecast(2)], dim=xr.IndexVariable("model", ["etas", "etas_sequence"]))
    one = both.sel(model="etas_sequence")
    rng = np.random.default_rng(1)
    events = xr.Dataset(
        {
            n: ("event", v)
            for n, v in zip(
                ("latitude", "longitude", "magnitude"),
                (35.5 + 0.1 * rng.random(20), -117.5 + 0.1 * rng.random(20), 3 + rng.random(20)),
                strict=True,
            )
        }
    )
    figures = {
        "numbers": numbers_figure(both, "numbers", tmp_path / "numbers.png"),
        "sequence": sequence_figure(rng.random(30) * 2, 1.0, 3.0, one, "sequence", tmp_path / "sequence.png"),
        "map": sequence_map(one, events, "map", tmp_path / "map.png"),
    }
    said = advisory(
        one, "<b>Toy</b>", event(7.1, "2019-07-06T03:19:53"), event(7.1, "2019-07-06T03:19:53"), ISSUE
    )
    page = aftershock_page("<i>Title</i>", "lead", said, both, "etas_sequence", figures, ["made from x"])
    assert "<b>Toy" not in page
    assert "<i>" not in page
    (tmp_path / "page.html").write_text(page)
    forecasts = {"1 h": both, "6 h": both}
    came = dict.fromkeys(forecasts, one["median"])
    replayed = replay_figure(forecasts, came, "replay", tmp_path / "replay.png")
    rows = {"etas": [{"issued after": "1 h"}], "etas_sequence": [{"issued after": "1 h"}]}
    (tmp_path / "replay.html").write_text(
        replay_page("Replay", "lead", [{"model": "etas"}], rows, replayed, {"1 h": "page.html"})
    )
    for name in ("page", "replay"):
        shot = tmp_path / f"{name}-shot.png"
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,1800"]
        subprocess.run(
            [chromium, *flags, f"--screenshot={shot}", f"file://{tmp_path / name}.html"],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        assert shot.stat().st_size > 60_000  # an empty page is a few kB
