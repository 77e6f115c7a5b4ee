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


def test_a_writer_killed_at_random_moments_loses_nothing() -> None:
    assert load("store_faults").kill_at_random(3)[:2] == (3, 0)


def test_a_snapshot_that_lost_its_content_is_counted(tmp_path: Path) -> None:
    faults = load("store_faults")
    said = faults._killed_writer(tmp_path, 0, 8.0)
    assert said, "the writer committed nothing in eight seconds"
    assert faults._is_whole(tmp_path, said)
    kind, snapshot, digest = said[0].split()
    assert not faults._is_whole(tmp_path, [f"{kind} {snapshot} {digest[::-1]}"])
    assert not faults._is_whole(tmp_path, [f"{kind} {'0' * len(snapshot)} {digest}"])


def test_the_bytes_of_a_day_do_not_follow_the_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    growth = load("growth")
    for name, few in (("STATIONS", 6), ("EVENTS", 4), ("REVIEWED", 2)):
        monkeypatch.setattr(growth, name, few)
    cost = growth.measure_histories({"short": 100, "long": 100 + 1024}, days=2)
    assert cost["long"].size < 1.2 * cost["short"].size
