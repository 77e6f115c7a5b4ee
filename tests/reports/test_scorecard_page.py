"""The page of a backtest says what its scorecard holds, with a figure per question, and survives a quiet period."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tasks.reports.backtest_figures import backtest_figures
from tasks.reports.prospective_page import prospective_page, standing_rows, window_rows
from tasks.reports.scorecard_page import write_scorecard_page
from tasks.reports.scorecard_words import p_words, signed
from tasks.scoring import LeakControl, ScoringConfig, court, magnitude_bins, plain, scorecard

RULES = ScoringConfig(
    horizons_days=(1, 7), bootstrap_draws=200, simulations=200, power_simulations=100, shuffles=100
)
MODELS = ["poisson", "smoothed", "etas", "gated"]
SHAPE = (30, 3, 4)


def made_card(events: float, folder: Path) -> dict:
    """Score a small clustered world as the backtest does, and read the artefact back."""
    rng = np.random.default_rng(0)
    truth = 0.2 * rng.gamma(0.4, 1.0, SHAPE) + 0.02
    stacked = np.stack(
        [np.full(SHAPE, truth.mean()), np.broadcast_to(truth.mean(axis=0), SHAPE), truth, truth**0.9]
    )
    place = {"lat": 35.0 + 0.1 * np.arange(3), "lon": -118.0 + 0.1 * np.arange(4)}
    rates, counts = {}, {}
    for horizon in RULES.horizons_days:
        times = np.datetime64("2019-01-01", "ns") + np.timedelta64(horizon, "D") * np.arange(SHAPE[0])
        coords = {"issue_time": times, **place}
        dims = ("issue_time", "lat", "lon")
        rates[horizon] = xr.DataArray(stacked, {"model": MODELS, **coords}, ("model", *dims))
        counts[horizon] = xr.DataArray(rng.poisson(events * truth), coords, dims)
    magnitudes = magnitude_bins(3.0 + rng.exponential(0.43, 50), 1.0, 3.0, 8.0, 0.0)
    scores = scorecard(rates, counts, RULES, {"gated": {7: 0.3}}).to_dict()["scores"]
    none = np.empty(0)
    backtest_figures(
        folder / "figures",
        "A & B",
        scores,
        {h: {m: r.sel(model=m) for m in MODELS} for h, r in rates.items()},
        counts,
        "gated",
        xr.Dataset(dict.fromkeys(("latitude", "longitude", "magnitude"), ("event", none))),
    )
    card = {
        "scores": scores,
        "court": court(rates, counts, RULES, MODELS, magnitudes).to_dict(),
        "leak_control": plain(LeakControl(["2019-02-01T00:00:00"], {"etas": 1e-12}, True)),
        "magnitudes": plain(magnitudes),
        "promotion": {"promoted": False, "reason": "gated: the rule asks for more"},
        "rules": RULES.model_dump(mode="json"),
        "page": {
            "title": "A & B", "cube": "CUBE", "code": "CODE", "seed": 1, "test_start": "2019-01-01",
            "test_end": "2019-08-01", "magnitude": 3.0,
        },
    }  # fmt: skip
    times = [] if events == 0 else list(np.linspace(0.5, 99.0, 100))
    period = {"n": len(times), "expected": 100.0, "p_value": 0.4 if times else None, "times": times}
    card["residuals"] = {"training": period, "test": period}
    return json.loads(json.dumps(card, allow_nan=False))


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    folder = tmp_path_factory.mktemp("busy")
    card = made_card(1.0, folder)
    return card, write_scorecard_page(card, folder)


def test_every_question_has_an_answer_and_its_figure_lies_beside_the_page(busy: tuple[dict, Path]) -> None:
    _, page = busy
    text = page.read_text()
    questions = re.findall(r"<h2>(.*?)</h2>", text)
    figures = re.findall(r'<img src="(.*?)"', text)
    assert len(questions) == len(figures) == 9
    assert all(question.endswith("?") for question in questions)
    assert all((page.parent / figure).stat().st_size > 5000 for figure in figures)
    assert "A &amp; B" in text
    assert "A & B" not in text


def test_the_table_holds_the_numbers_of_the_artefact(busy: tuple[dict, Path]) -> None:
    card, page = busy
    text = page.read_text()
    for name in MODELS:
        row = card["scores"][name]["7"]
        cells = [name, "7", str(row["n_events"]), signed(row["igpe_vs_etas"])]
        assert "".join(f"<td>{cell}</td>" for cell in cells) in text
    assert f"{card['court']['rows']['gated']['7']['area_skill']:.3f}" in text
    assert "200 simulated catalogs" in text


def test_a_period_without_events_has_a_page_that_says_so(tmp_path: Path) -> None:
    text = write_scorecard_page(made_card(0.0, tmp_path), tmp_path).read_text()
    assert "No event in the test period." in text
    assert "nan" not in text.lower()


def test_a_p_value_is_never_nought() -> None:
    assert p_words(0.0, 1e-4) == "p < 0.0001"
    assert p_words(0.0421) == "p = 0.042"
    assert p_words(None) == "p unknown"


@pytest.fixture
def record() -> dict:
    model = {"expected": 2.0, "dispersion": 0.0, "log_likelihood": -3.0, "gain": 0.25, "n_test": 0.6}
    windows = [
        {
            "issue_time": f"2019-01-{day:02d}T00:00:00", "horizon_days": 7, "issued_by": "gated", "reference": "etas",
            "n_events": day, "is_prospective": day > 1, "models": {"gated": model, "etas": model | {"gain": 0.0}},
        }
        for day in (1, 8)
    ]  # fmt: skip
    score = {
        "n_windows": 2, "n_events": 9, "n_forecast": 4.0, "igpe_vs_etas": 0.05, "low": None, "high": None,
        "brier_skill": 0.1,
    }  # fmt: skip
    return {
        "title": "A & B",
        "score_delay_days": 7,
        "windows": windows,
        "waiting": ["later"],
        "refused": ["<damaged>"],
        "scores": {"gated": {"7": score}},
        "left_out": {"concat": "has not forecast every window"},
    }


def test_the_page_of_issued_forecasts_tells_forecasts_from_replays(record: dict, tmp_path: Path) -> None:
    (tmp_path / "gain.png").write_bytes(b"")
    text = prospective_page(record, tmp_path / "gain.png", tmp_path).read_text()
    assert "2 windows scored, 1 waiting, 1 forecasts refused" in text
    assert "1 of the 2 were stored within a day" in text
    assert "&lt;damaged&gt;" in text
    assert "concat (has not forecast every window)" in text
    assert [row["prospective"] for row in window_rows(record["windows"])] == ["yes", "replay"]
    assert standing_rows(record)[0]["95 %"] == "[-, -]"


def test_before_anything_is_scored_the_page_says_what_is_awaited(record: dict, tmp_path: Path) -> None:
    empty = record | {"windows": [], "scores": {}, "left_out": {}}
    text = prospective_page(empty, None, tmp_path).read_text()
    assert "0 windows scored, 1 waiting" in text
    assert "<img" not in text
