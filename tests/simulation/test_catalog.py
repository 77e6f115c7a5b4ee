"""The catalog errs, revises and overlooks as networks do, and is QuakeML."""

from pathlib import Path

import numpy as np
import obspy
import pytest

from tasks.simulation import World
from tasks.simulation.catalog import detection_probability, observed_events


def test_small_events_are_overlooked_after_a_large_one() -> None:
    # M 6.5, one minute and a day later: Mc 4.4 and 2.0 (Helmstetter et al. 2006)
    time = np.array([0.0, 1 / 1440, 1.0])
    chance = detection_probability(time, np.array([6.5, 2.6, 2.6]), 0.2)
    assert chance[0] == 1
    assert chance[1] < 1e-6
    assert chance[2] > 0.99


def test_obspy_reads_what_was_written(small_world: World, small_archive: Path, tmp_path: Path) -> None:
    text = (small_archive / "catalog" / "2012.xml").read_text()
    head, *events = text.split("<event ")
    part = tmp_path / "part.xml"
    part.write_text("<event ".join([head, *events[:5]]) + "</eventParameters></q:quakeml>")
    table = observed_events(small_world).set_index("event_id")
    for event in obspy.read_events(str(part), format="QUAKEML"):
        row = table.loc[event.resource_id.id.rsplit("/", 1)[1]]
        origin, magnitude = event.preferred_origin(), event.preferred_magnitude()
        key = "revised" if np.isfinite(row["revised_created"]) else "preliminary"
        assert event.event_type == row["event_type"]
        assert magnitude.mag == pytest.approx(row[f"{key}_magnitude"], abs=0.006)
        assert origin.latitude == pytest.approx(row[f"{key}_latitude"], abs=1e-5)
        assert origin.depth == pytest.approx(row[f"{key}_depth_km"] * 1000, abs=0.6)
        assert origin.time < origin.creation_info.creation_time
        assert magnitude.origin_id == origin.resource_id


def test_preliminary_solutions_come_minutes_after_and_revised_ones_later(demo_world: World) -> None:
    events = observed_events(demo_world)
    minutes = (events["preliminary_created"] - events["preliminary_time"]) * 1440
    assert 4 < minutes.median() < 6
    revised = events.dropna(subset="revised_created")
    assert np.all(revised["revised_created"] > revised["preliminary_created"])


def test_revised_magnitudes_stay_targets_and_are_nearer_to_the_truth(demo_world: World) -> None:
    events = observed_events(demo_world)
    quakes = events[events["event_id"].str.startswith("qs")]
    truth = demo_world.events["magnitude"].to_numpy()[quakes["event_id"].str[2:].astype(int)]
    assert quakes["revised_magnitude"].min() >= 2.5
    revised, preliminary = (np.std(quakes[f"{k}_magnitude"] - truth) for k in ("revised", "preliminary"))
    assert revised < 0.06 < 0.1 < preliminary


def test_catalog_lists_most_of_the_truth_and_other_things(demo_world: World) -> None:
    events = observed_events(demo_world)
    box = demo_world.region.bounds
    inside = demo_world.events["latitude"].between(box.south, box.north)
    inside &= demo_world.events["longitude"].between(box.west, box.east)
    ids = set(events["event_id"])
    listed = np.mean([f"qs{row:06d}" in ids for row in demo_world.events.index[inside]])
    assert 0.9 < listed < 1.0
    assert {"earthquake", "quarry blast", "not existing"} == set(events["event_type"])
