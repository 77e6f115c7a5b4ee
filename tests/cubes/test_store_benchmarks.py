"""Small versions of the store's benchmarks: a killed writer loses nothing, and bytes do not follow the archive."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


def load(name: str) -> ModuleType:
    path = Path(__file__).parents[1] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_workers_killed_in_every_phase_lose_nothing() -> None:
    found = load("store_faults").kill_at_random(3)
    assert found.lost == 0
    assert min(found.kills_ingest, found.kills_commit, found.kills_build) >= 1
    assert found.trials == sum(found[3:])


def test_what_was_lost_or_half_done_is_counted(tmp_path: Path) -> None:
    faults = load("store_faults")
    lines: list[str] = []
    faults.do_step(tmp_path / "a", 0, lines.append)
    faults.do_step(tmp_path / "b", 0)
    assert [line for line in lines if not line.startswith("snapshot")] == [
        "step 0",
        "ingest",
        "ingest",
        "build",
    ]
    told = [line for line in lines if line.startswith("snapshot")]
    assert all(faults.reads_back(tmp_path / "a", line) for line in told)
    for line in told:
        word, kind, snapshot, digest = line.split()
        assert not faults.reads_back(tmp_path / "a", f"{word} {kind} {snapshot} {digest[::-1]}")
        assert not faults.reads_back(tmp_path / "a", f"{word} {kind} {snapshot[::-1]} {digest}")
    assert faults.latest(tmp_path / "a") == faults.latest(tmp_path / "b")
    faults.ObservationStore(tmp_path / "b" / "o", "x").write("weather/b", faults.arriving(1)["weather/b"])
    assert faults.latest(tmp_path / "a") != faults.latest(tmp_path / "b")


def test_the_bytes_of_a_day_do_not_follow_the_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    growth = load("growth")
    for name, few in (("STATIONS", 6), ("EVENTS", 4), ("REVIEWED", 2)):
        monkeypatch.setattr(growth, name, few)
    cost = growth.measure_histories({"short": 100, "long": 100 + 1024}, days=2)
    assert cost["long"].size < 1.2 * cost["short"].size
