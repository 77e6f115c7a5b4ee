"""A sequence is what was known of it; beliefs follow closed forms; drawn futures agree with the exact mean."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from tasks.regions import Region
from tasks.seismicity.aftershocks.belief import (
    Evidence,
    Spread,
    evidence,
    fit_spread,
    generic,
    past_sequences,
    posterior,
    tilted_omori,
)
from tasks.seismicity.aftershocks.forecast import AftershockModel, forecast_aftershocks, observed_counts
from tasks.seismicity.aftershocks.futures import draw_counts, summarise
from tasks.seismicity.aftershocks.jones import draw_jones
from tasks.seismicity.aftershocks.sequence import UnknownEvent, sequence_at
from tasks.seismicity.catalog import known_at, select_events, to_days
from tasks.seismicity.etas import EtasModel
from tasks.seismicity.etas_forecast import EtasForecaster
from tasks.seismicity.etas_simulation import as_parents, draw_batch
from tasks.seismicity.generic_aftershocks import GENERIC
from tasks.seismicity.geometry import Plane
from tasks.seismicity.reasenberg_jones import believe, observe
from tasks.seismicity.rj_forecast import SPREAD
from tasks.seismicity.sequences import rupture_length_km

DAY = np.timedelta64(1, "D")
ORIGIN = np.datetime64("2019-07-04T17:34", "ns")
START = float(to_days(ORIGIN))


@pytest.fixture
def sequence_catalog(as_catalog: Callable[..., xr.Dataset]) -> xr.Dataset:
    """An event M 5 in the middle, an M 4 far away, aftershocks, and an M 6 two days later 20 km east."""
    rows = [(START, 0.0, 0.0, 5.0), (START + 0.2, 45.0, 45.0, 4.0), (START + 0.5, 3.0, 1.0, 3.4)]
    rows += [(START + 2.0, 10.0, 0.0, 6.0), (START + 2.5, 30.0, 0.0, 3.2), (START - 1.0, 1.0, 1.0, 3.3)]
    return as_catalog(np.array(rows))


def ids_of(catalog: xr.Dataset, day: float) -> str:
    days = to_days(catalog["origin_time"].values)
    return str(catalog["event_id"].values[int(np.argmin(np.abs(days - day)))])


def test_a_sequence_is_what_was_known_of_it_and_a_larger_event_moves_its_zone(
    region: Region, sequence_catalog: xr.Dataset
) -> None:
    first = ids_of(sequence_catalog, START)
    early = ORIGIN + DAY
    before = sequence_at(known_at(sequence_catalog, early), region, first, early)
    assert before.largest_id == first
    assert before.zone.radius == 15.0
    assert before.events.days[before.members] == pytest.approx([START, START + 0.5])
    late = ORIGIN + 3 * DAY
    after = sequence_at(known_at(sequence_catalog, late), region, first, late)
    assert (after.largest_magnitude, after.magnitude) == (6.0, 5.0)
    assert after.zone.radius == pytest.approx(2.0 * rupture_length_km(6.0))
    assert after.members.sum() == 4


def test_an_event_that_is_not_known_yet_is_named(region: Region, sequence_catalog: xr.Dataset) -> None:
    at = ORIGIN + np.timedelta64(10, "m")  # it becomes known after a quarter of an hour
    with pytest.raises(UnknownEvent, match=r"e000001.*known at 2019-07-04T17:44:00Z"):
        sequence_at(known_at(sequence_catalog, at), region, "e000001", at)


def test_the_expected_number_of_one_parent_is_omori_s_integral(region: Region, model: EtasModel) -> None:
    p = model.parameters
    plane = Plane.of(region)
    m = 3.9  # hides nothing that is counted, but for half a second
    events = select_events(_rows([(START, 0.0, 0.0, m)], region), region)
    sequence = _sequence(events, region, START + 10.0)
    found = evidence(model, plane, events, np.array([True]), sequence.zone, (START, START + 10.0))
    inside = 1.0 - (1.0 + 15.0**2 / (p.d * np.exp(p.gamma * (m - p.m0)))) ** (1.0 - p.q)
    exact = p.k * np.exp(p.alpha * (m - p.m0)) * inside * (1.0 - (1.0 + 10.0 / p.c) ** (1.0 - p.p))
    same = int(np.argmin(np.abs(np.linspace(-0.5, 0.5, 21))))
    assert found.own_integral[same] == pytest.approx(exact, rel=0.03)  # the circle is made of cells
    assert found.other_integral > 0.0


def test_a_steeper_decay_is_equal_after_a_day(model: EtasModel) -> None:
    p = model.parameters
    rates = [scale * (1.0 + p.c) ** -power for scale, power in (tilted_omori(p, s) for s in (-0.4, 0.0, 0.3))]
    assert rates == pytest.approx([(p.p - 1.0) / p.c * (1.0 + 1.0 / p.c) ** -p.p] * 3)


@pytest.mark.parametrize(("factor", "steeper"), [(1.0, 0.0), (3.0, 0.0), (1.0, 0.25)])
def test_what_a_sequence_is_like_is_learnt_from_it(
    region: Region, model: EtasModel, factor: float, steeper: float
) -> None:
    found = []
    model = EtasModel(replace(model.parameters, mu=1e-9), model.background)
    for seed in range(12):
        events = _drawn_sequence(region, model, 6.5, factor, steeper, seed)
        sequence = _sequence(events, region, START + 30.0)
        trigger = events.days == START  # alone: what is drawn triggers as the model says
        learnt = evidence(model, Plane.of(region), events, trigger, sequence.zone, (START, START + 30.0))
        found.append(posterior(learnt, Spread(0.0, 1.0, 0.0, 0.3)).moments())
    means = np.array(found).mean(axis=0)
    assert means[0] == pytest.approx(factor, rel=0.25)
    assert means[2] == pytest.approx(steeper, abs=0.1)


def test_without_events_the_belief_is_that_of_other_sequences() -> None:
    nothing = Evidence(np.zeros((21, 0)), np.zeros(0), np.zeros(21), 0.0)
    factor, _, steeper, steeper_sd = posterior(nothing, Spread(0.2, 0.5, 0.03, 0.1)).moments()
    assert factor == pytest.approx(np.exp(0.2 + 0.125), rel=0.01)
    assert (steeper, steeper_sd) == pytest.approx((0.03, 0.1), abs=0.002)


def test_the_spread_among_sequences_is_found_again() -> None:
    rng = np.random.default_rng(5)
    sequences = []
    for _ in range(60):
        expected = 30.0
        n = rng.poisson(expected * np.exp(rng.normal(-0.3, 0.6)))
        own = np.full((21, n), expected)
        sequences.append(Evidence(own, np.full(n, 1e-9), np.full(21, expected), 0.0))
    found = fit_spread(sequences)
    assert found.factor_mean == pytest.approx(-0.3, abs=0.25)
    assert found.factor_sd == pytest.approx(0.6, abs=0.2)
    assert fit_spread(sequences[:4]) == Spread()


def test_the_mean_of_the_drawn_futures_is_the_exact_mean_of_the_branching_process(
    region: Region, model: EtasModel, as_catalog: Callable[..., xr.Dataset]
) -> None:
    catalog = as_catalog(np.array([(START, 5.0, 0.0, 5.2), (START + 0.3, 4.0, 2.0, 4.0)]))
    issue = ORIGIN + DAY
    known = known_at(catalog, issue)
    sequence = sequence_at(known, region, "e000000", issue)
    drawn = draw_counts(model, region, sequence, generic(), 4000, seed=3, windows=(1.0, 7.0, 30.0))
    exact = EtasForecaster(model, region).forecast(_View(known, issue))
    for window, horizon in enumerate((1, 7, 30)):
        expected = float(exact.sel(horizon=horizon).sum())
        # four standard errors, the numbers of a catalog being a few times as scattered as Poisson's
        assert drawn.density[window].sum() == pytest.approx(expected, abs=4 * np.sqrt(6 * expected / 4000))


def test_drawn_futures_depend_on_the_seed_alone(
    region: Region, model: EtasModel, sequence_catalog: xr.Dataset
) -> None:
    issue = ORIGIN + DAY
    sequence = sequence_at(known_at(sequence_catalog, issue), region, ids_of(sequence_catalog, START), issue)
    belief = posterior(Evidence(np.zeros((21, 0)), np.zeros(0), np.zeros(21), 0.0), Spread())
    one, again, other = (draw_counts(model, region, sequence, belief, 450, seed=s) for s in (1, 1, 2))
    assert (one.counts == again.counts).all()
    assert (one.density == again.density).all()
    assert (one.counts != other.counts).any()
    # numbers within a longer window and from a smaller magnitude hold the others
    assert (np.diff(one.counts, axis=1) >= 0).all()
    assert (np.diff(one.counts, axis=2) <= 0).all()


def test_magnitudes_below_completeness_are_refused(
    region: Region, model: EtasModel, sequence_catalog: xr.Dataset
) -> None:
    issue = ORIGIN + DAY
    sequence = sequence_at(known_at(sequence_catalog, issue), region, ids_of(sequence_catalog, START), issue)
    with pytest.raises(ValueError, match=r"magnitudes from 3 on, where the catalog is complete, found 2\.5"):
        draw_counts(model, region, sequence, generic(), 100, magnitudes=(2.5, 3.0))


def test_a_summary_is_that_of_the_numbers() -> None:
    counts = np.arange(1000, dtype=np.int32)[:, None, None] * np.array([[1, 0]])
    found = summarise(counts, (1.0,), (3.0, 4.0)).sel(window=1.0)
    assert found["expected"].values == pytest.approx([499.5, 0.0])
    assert found["low"].values.tolist() == [24, 0]
    assert found["high"].values.tolist() == [974, 0]
    assert found["probability"].values == pytest.approx([0.999, 0.0])


def test_a_forecast_uses_nothing_that_came_later(
    region: Region, model: EtasModel, sequence_catalog: xr.Dataset
) -> None:
    first, issue = ids_of(sequence_catalog, START), ORIGIN + DAY
    fitted = AftershockModel(model, Spread(), 0)
    known = sequence_catalog.isel(event=sequence_catalog["available_time"].values <= issue)
    whole, sequence, _ = forecast_aftershocks(fitted, sequence_catalog, region, first, issue, 300, 1)
    early, _, _ = forecast_aftershocks(fitted, known, region, first, issue, 300, 1)
    xr.testing.assert_identical(whole, early)
    assert whole["magnitude"].values.tolist() == [3.0, 4.0, 5.0, 6.0, 7.0]
    came = observed_counts(sequence_catalog, region, sequence, whole)
    assert came.sel(window=1.0).values.tolist() == [0, 0, 0, 0, 0]
    assert came.sel(window=7.0).values.tolist() == [1, 1, 1, 1, 0]


def test_training_sequences_are_neither_aftershocks_nor_foreshocks(
    region: Region, model: EtasModel, as_catalog: Callable[..., xr.Dataset]
) -> None:
    at = float(to_days(np.datetime64("2005-01-01", "ns")))
    rows = [
        (at, 0.0, 0.0, 5.5),
        (at + 3.0, 2.0, 0.0, 4.8),
        (at + 900.0, 0.0, 0.0, 4.6),
        (at + 905.0, 1.0, 0.0, 5.0),
    ]
    events = select_events(as_catalog(np.array([*rows, (at + 2000.0, 30.0, 30.0, 4.5)])), region)
    # the 4.8 follows the 5.5, the 4.6 leads to the 5.0
    assert len(past_sequences(model, events, region)) == 3


class _View:
    def __init__(self, catalog: xr.Dataset, issue_time: np.datetime64) -> None:
        self.issue_time = issue_time
        self._catalog = catalog

    def catalog(self) -> xr.Dataset:
        return self._catalog


def _rows(rows: list[tuple[float, float, float, float]], region: Region) -> xr.Dataset:
    latitude, longitude = Plane.of(region).unproject([r[1] for r in rows], [r[2] for r in rows])
    origin = ORIGIN + ((np.array([r[0] for r in rows]) - START) * 86400e9).astype("timedelta64[ns]")
    return xr.Dataset(
        {
            "event_id": ("event", np.array([f"e{i}" for i in range(len(rows))], object)),
            "origin_time": ("event", origin),
            "latitude": ("event", latitude),
            "longitude": ("event", longitude),
            "magnitude": ("event", np.array([r[3] for r in rows])),
        }
    )


def _sequence(events, region: Region, end: float):  # type: ignore[no-untyped-def]
    catalog = _rows(
        list(zip(events.days, events.y * 0.0, events.y * 0.0, events.magnitude, strict=True))[:1], region
    )
    issue = ORIGIN + np.timedelta64(int((end - START) * 86400), "s")
    return sequence_at(catalog, region, "e0", issue)


def _drawn_sequence(
    region: Region, model: EtasModel, magnitude: float, factor: float, steeper: float, seed: int
):  # type: ignore[no-untyped-def]
    """Draw 30 days after an event whose direct offspring differs from the model's."""
    plane = Plane.of(region)
    parents = as_parents(select_events(_rows([(START, 0.0, 0.0, magnitude)], region), region))
    one = np.ones(1)
    drawn = draw_batch(
        model,
        plane,
        parents,
        (START, START + 30.0),
        1,
        np.random.SeedSequence(seed),
        factor * one,
        steeper * one,
    )
    rows = [(START, 0.0, 0.0, magnitude), *zip(drawn.days, drawn.x, drawn.y, drawn.magnitude, strict=True)]
    latitude, longitude = plane.unproject([r[1] for r in rows], [r[2] for r in rows])
    catalog = _rows([(r[0], 0.0, 0.0, r[3]) for r in rows], region)
    catalog["latitude"], catalog["longitude"] = ("event", latitude), ("event", longitude)
    catalog = catalog.isel(event=np.argsort(catalog["origin_time"].values, kind="stable"))
    return select_events(catalog, region)


def test_reasenberg_jones_draws_what_its_belief_expects(region: Region, sequence_catalog: xr.Dataset) -> None:
    issue = ORIGIN + 3 * DAY
    sequence = sequence_at(known_at(sequence_catalog, issue), region, ids_of(sequence_catalog, START), issue)
    windows, magnitudes = (1.0, 7.0, 30.0), (3.0, 4.0, 5.0)
    drawn = draw_jones(region, sequence, 20_000, 1, windows, magnitudes)
    generic_law = GENERIC[region.aftershock_regime]
    after = sequence.members & (sequence.events.days > START + 2.0)
    seen = observe(
        sequence.events.days[after] - START - 2.0,
        sequence.events.magnitude[after],
        6.0,
        1.0,
        3.0,
        generic_law,
        SPREAD,
    )
    exact = believe(generic_law, 6.0, seen, SPREAD).numbers(1.0, windows, magnitudes)
    assert drawn.counts.mean(axis=0) == pytest.approx(exact["expected"].values, rel=0.05, abs=0.004)
    assert (drawn.counts > 0).mean(axis=0) == pytest.approx(exact["probability"].values, abs=0.015)
    # what falls outside of the box is not on the map
    total = drawn.density.sum(axis=(1, 2))
    assert (total < exact["expected"].sel(magnitude=3.0).values).all()
    assert (total > 0.8 * exact["expected"].sel(magnitude=3.0).values).all()
