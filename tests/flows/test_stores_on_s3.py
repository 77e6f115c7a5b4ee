"""With QUAKECUBE_STORES the same flows keep observations and cubes in a bucket: the same content, or a refusal."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def outcome(
    tmp_path_factory: pytest.TempPathFactory,
    first_run: object,
    state: dict[str, str],
    prefect_api: str,
    moto: str,
    careless_store: Callable[[frozenset[str]], tuple[str, dict[str, bytes]]],
) -> dict:
    folder = tmp_path_factory.mktemp("s3")
    ignored = shutil.ignore_patterns("prefect", "servers", "mlartifacts", "mlflow.db", "reports")
    shutil.copytree(state["QUAKECUBE_HOME"], folder / "state", ignore=ignored)
    careless, _ = careless_store(frozenset({"If-Match"}))
    own = {
        "QUAKECUBE_HOME": str(folder / "state"),
        "PREFECT_API_URL": prefect_api,
        "PYTHONPATH": str(ROOT),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "never-to-be-seen",
        "AWS_ENDPOINT_URL": moto,
        "AWS_REGION": "eu-central-1",
    }
    done = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).with_name("s3_run.py")),
            "tiny",
            "s3://observatory/flows",
            f"s3://bucket/p?endpoint={careless}",
            str(folder / "out.json"),
        ],
        env=state | own,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "never-to-be-seen" not in done.stdout + done.stderr
    return json.loads((folder / "out.json").read_text()) | {"log": done.stderr}


def test_the_flows_store_in_a_bucket_what_they_store_on_disk(outcome: dict) -> None:
    assert len([name for name in outcome["disk"] if not name.startswith("cube ")]) == 7
    assert {"cube catalog", "cube gnss", "cube insar", "cube labels"} < set(outcome["disk"])
    assert outcome["bucket"] == outcome["disk"]
    assert set(outcome["stored"].values()) == {"stored"}


def test_the_next_run_finds_in_the_bucket_what_was_stored(outcome: dict) -> None:
    assert set(outcome["again"].values()) == {"unchanged"}


def test_only_notes_of_this_machine_stay_in_the_state_folder(outcome: dict) -> None:
    assert set(outcome["left"]) <= {".ingest.lock", ".read"}


def test_a_bucket_that_would_lose_commits_ends_the_flow_at_its_start_with_one_line(outcome: dict) -> None:
    assert outcome["refused"].startswith("StoreUnsafe: http://127.0.0.1:")
    assert "If-None-Match" in outcome["refused"]
    assert "Traceback" not in outcome["log"]
