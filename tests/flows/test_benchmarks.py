"""Figures are written with where they came from, and the README's tables come from them."""

import json
from pathlib import Path

import pytest

from flows import benchmarks
from flows.settings import Settings

SOURCE = """
from flows.benchmarks import Measured

def measure(settings):
    return Measured({"speed": 2.5}, n=3, seed=7, tables={"scores": "| a |\\n|---|\\n| 1 |"})
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    (tmp_path / "quick.py").write_text(SOURCE)
    monkeypatch.setattr(benchmarks, "_FOLDER", tmp_path)
    return Settings(home=tmp_path / "state")


def test_a_benchmark_writes_figures_with_commit_machine_n_and_seed(settings: Settings) -> None:
    assert benchmarks.benchmark_names() == ["quick"]
    record = json.loads(benchmarks.run_benchmark("quick", settings).read_text())
    assert record["figures"] == {"speed": 2.5}
    assert (record["name"], record["n"], record["seed"]) == ("quick", 3, 7)
    assert record["commit"]
    assert record["machine"]
    assert record["seconds"] >= 0


def test_the_readme_takes_its_table_from_the_record_and_keeps_others(
    settings: Settings, tmp_path: Path
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(
        "<!-- bench:quick:scores -->\nold\n<!-- end -->\n<!-- bench:other:scores -->\nkept\n<!-- end -->\n"
    )
    benchmarks.run_benchmark("quick", settings)
    said = benchmarks.refresh_readme(settings, readme)
    text = readme.read_text()
    assert "| 1 |" in text
    assert "old" not in text
    assert "kept" in text
    assert any("quakecube bench other" in line for line in said)


def test_the_project_knows_its_own_benchmarks() -> None:
    assert {"simulated", "ridgecrest"} <= set(benchmarks.benchmark_names())
