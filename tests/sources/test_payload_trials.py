"""Damaged payloads through the real ingest: a few of every reader, and that the trial sees what it is there to see.

All of them are counted by `quakecube bench payloads`.
"""

import sys
from typing import get_args

import numpy as np
import pytest
import xarray as xr

from tasks.regions import Provider
from tests.sources.specimens.judge import in_other_unit, looks_ahead
from tests.sources.specimens.registry import ALL
from tests.sources.specimens.supervise import supervise
from tests.sources.specimens.trial import Trial, prepare, run, trials_of

GOOD = {"clear_errors", "quarantined", "unchanged", "changed_plausible"}


def test_every_reader_has_a_specimen() -> None:
    assert set(ALL) == set(get_args(Provider))


@pytest.mark.parametrize("provider", sorted(ALL))
def test_a_damaged_payload_gives_a_clear_error_or_plausible_values(provider: str, tmp_path) -> None:
    prepared = prepare(provider, tmp_path)
    # one damage, one confusion and one label of each
    trials = list({trial.kind: trial for trial in trials_of(provider, 1, seed=1)}.values())
    outcomes = [run(trial, prepared, tmp_path / str(k)) for k, trial in enumerate(trials)]

    assert [outcome for outcome in outcomes if outcome.kind not in GOOD] == []
    # whoever writes numbers in another unit is told so
    told = [o.kind for trial, o in zip(trials, outcomes, strict=True) if trial.kind == "confused"]
    assert set(told) <= {"clear_errors", "quarantined"}


WORKER = """
import json, os, sys, time
for line in sys.stdin:
    kind = json.loads(line)[0]
    if kind == "dies":
        os._exit(3)
    time.sleep(60 if kind == "sleeps" else 0)
    print("chatter")
    print("OUTCOME", json.dumps(["unchanged", kind]), flush=True)
"""


def test_a_trial_that_hangs_or_kills_its_process_is_counted_and_the_next_goes_on() -> None:
    kinds = ["works", "sleeps", "works", "dies", "works"]
    outcomes = supervise([(kind,) for kind in kinds], 5.0, [sys.executable, "-c", WORKER])

    assert [kind for _, kind, _ in outcomes] == ["unchanged", "hangs", "unchanged", "crashes", "unchanged"]


def test_a_reader_that_fails_otherwise_is_a_crash_and_one_that_passes_a_unit_over_is_seen(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare("geonet", tmp_path)
    label = Trial("geonet", "label", "0", 0, False)
    assert run(label, prepared, tmp_path / "a").kind == "changed_plausible"

    monkeypatch.setattr("tasks.sources.geonet._METRES", {"m": 1.0, "mm": 1.0}, raising=True)
    assert run(label, prepared, tmp_path / "b").kind == "wrong_unit"

    monkeypatch.setattr("tasks.sources.geonet._METRES", None)
    assert run(label, prepared, tmp_path / "c").kind == "crashes"


@pytest.mark.parametrize(
    ("factor", "shift", "found"),
    [(1.0, 0.0, ""), (1.1, 0.0, ""), (1000.0, 0.0, "1000 times"), (0.01, 0.0, "0.01 times"), (1.0, -273.15, "-273.1")],
)  # fmt: skip
def test_another_unit_is_seen_in_the_values(factor: float, shift: float, found: str) -> None:
    before = xr.Dataset({"air_temperature": ("time", 285.0 + np.linspace(0, 10, 30))})
    after = before * factor + shift

    assert found in in_other_unit(before, after)
    assert bool(found) == bool(in_other_unit(before, after))


def test_what_is_known_before_its_time_is_seen() -> None:
    time = np.array(["2019-07-01", "2019-07-02"], "datetime64[ns]")
    known = xr.Dataset({"available_time": ("time", time)}, coords={"time": time})

    assert looks_ahead(known) == ""
    assert "before its time" in looks_ahead(known.assign(available_time=("time", time[::-1])))
    assert "missing" in looks_ahead(
        known.assign(available_time=("time", np.array([time[0], "NaT"], "M8[ns]")))
    )
