"""What a model, a forecast or a kept result refers to outlives housekeeping bit by bit; the rest is gone."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAY = ("trained", "issued", "newest")


@pytest.fixture(scope="module")
def outcome(
    tmp_path_factory: pytest.TempPathFactory, first_run: object, state: dict[str, str], prefect_api: str
) -> dict:
    folder = tmp_path_factory.mktemp("housekeeping")
    ignored = shutil.ignore_patterns("prefect", "servers", "simulated", "mlartifacts")
    shutil.copytree(state["QUAKECUBE_HOME"], folder / "state", ignore=ignored, symlinks=True)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("housekeeping_run.py")), str(folder / "out.json")],
        env=state
        | {
            "QUAKECUBE_HOME": str(folder / "state"),
            "PREFECT_API_URL": prefect_api,
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads((folder / "out.json").read_text())


def verdicts(rows: list[dict[str, str]], store: str) -> dict[str, tuple[str, str]]:
    found = [row for row in rows if store in row["store"].split(os.sep)]
    return {row["snapshot"]: (row["verdict"], row["why"]) for row in found}


def test_a_dry_run_changes_no_byte_and_says_what_would_go_and_why_the_rest_stays(outcome: dict) -> None:
    assert outcome["changed"] == []
    said, ids = verdicts(outcome["dry"], "cubes"), outcome["ids"]
    assert said[ids["trained"]] == ("stays", "model quakecube-tiny version 1")
    assert said[ids["issued"]][1].startswith("forecast tiny-")
    assert said[ids["nobodys"]][0] == "would go"
    assert said[ids["newest"]][0] == "stays"
    sources = verdicts(outcome["dry"], "observations")
    assert {f"cube {ids[name]}" for name in STAY} <= {why for _, why in sources.values()}
    assert [verdict for verdict, _ in sources.values()].count("would go") == len(sources) - 3


def test_what_is_young_stays_whoever_refers_to_it(outcome: dict) -> None:
    assert "would go" not in {row["verdict"] for row in outcome["young"]}


def test_what_is_referred_to_reads_bit_by_bit_as_before_and_the_rest_is_unknown(outcome: dict) -> None:
    assert outcome["chunks"] > 0
    for name in STAY:
        assert len(outcome["before"][name]) > 10
        assert outcome["after"][name] == outcome["before"][name]
    assert outcome["ids"]["nobodys"] in outcome["after"]["nobodys"]["gone"]
    assert outcome["manifest"] == outcome["ids"]["issued"]
    assert verdicts(outcome["real"], "cubes")[outcome["ids"]["nobodys"]][0] == "went"
    assert "went" not in {row["verdict"] for row in outcome["again"]}


def test_map_tiles_go_with_their_cubes(outcome: dict) -> None:
    assert outcome["tiles"] == sorted(outcome["ids"][name] for name in STAY)


def test_a_model_that_names_no_cube_stops_it_before_anything_goes(outcome: dict) -> None:
    assert "model quakecube-mute version 1: expected the snapshot of a cube" in outcome["refused"]
    assert outcome["harmed"] == []
