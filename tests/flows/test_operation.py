"""The operator's view: deployments triggered over the UI's own API, and the pages in a real browser."""

import json
import os
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from tasks.announce import EVENT

pytestmark = pytest.mark.server

BASELINES = ("poisson", "smoothed", "reasenberg_jones", "etas", "etas_i", "ensemble")

FLOWS = {
    "ingest",
    "build-cube",
    "train",
    "backtest",
    "forecast",
    "score-issued",
    "aftershock-forecast",
    "retrain",
    "pipeline",
    "quality",
    "housekeeping",
}
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def _client(machine_room: dict[str, str]) -> httpx.Client:
    return httpx.Client(base_url=f"{machine_room['prefect']}/api", timeout=120, trust_env=False)


def _wait(client: httpx.Client, run_id: str, seconds: float = 300) -> dict:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        run = client.get(f"/flow_runs/{run_id}").json()
        if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
            return run
        time.sleep(1)
    raise AssertionError(f"flow run {run_id} did not end within {seconds} s")


def test_every_flow_is_deployed_with_its_schedule_and_a_described_form(machine_room: dict[str, str]) -> None:
    with _client(machine_room) as client:
        deployments = client.post("/deployments/filter", json={}).json()
    by_name = {d["name"]: d for d in deployments}
    assert set(by_name) == FLOWS
    crons = {n: [s["schedule"]["cron"] for s in d["schedules"]] for n, d in by_name.items() if d["schedules"]}
    assert crons == {
        "ingest": ["7 * * * *"],
        "forecast": ["15 1 * * *"],
        "score-issued": ["45 1 * * *"],
        "retrain": ["30 2 * * 1"],
        "housekeeping": ["45 5 * * 0"],
    }
    for deployment in deployments:
        schema = deployment["parameter_openapi_schema"]
        form = next(iter(schema["definitions"].values()))
        assert all(field.get("description") for field in form["properties"].values()), deployment["name"]
        assert str(Path(__file__).parents[2]) not in str(deployment["entrypoint"])


def _started(client: httpx.Client, flow: str, **config: object) -> tuple[dict, dict[str, str]]:
    """Start a deployment as its form does, wait for its end, and return the run and its artifacts by key."""
    deployment = client.get(f"/deployments/name/{flow}/{flow}").json()
    body = {
        "parameters": {"config": {"region": "tiny", "seed": 1} | config},
        "state": {"type": "SCHEDULED"},
    }
    created = client.post(f"/deployments/{deployment['id']}/create_flow_run", json=body)
    assert created.status_code == 201, created.text
    run = _wait(client, created.json()["id"])
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    body = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}}
    artifacts = client.post("/artifacts/filter", json=body).json()
    return run, {artifact["key"]: artifact["data"] for artifact in artifacts}


@pytest.fixture(scope="module")
def issued(machine_room: dict[str, str]) -> tuple[dict, dict[str, str]]:
    with _client(machine_room) as client:
        return _started(client, "forecast", issue_date="2012-05-01")


def test_a_flow_started_through_the_api_with_changed_parameters_runs(
    issued: tuple[dict, dict[str, str]],
) -> None:
    run, artifacts = issued
    assert run["name"] == "forecast-tiny-2012-05-01"
    assert "data:image/png;base64" in artifacts["forecast-tiny"]


def test_an_issued_forecast_is_scored_when_its_windows_are_over(
    machine_room: dict[str, str], issued: object, state: dict[str, str]
) -> None:
    with _client(machine_room) as client:
        _, artifacts = _started(client, "score-issued")
    log = next(Path(state["QUAKECUBE_HOME"]).glob("forecasts/tiny-*/scored.jsonl"))
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert {(row["issue_time"], row["horizon_days"]) for row in rows} == {
        ("2012-05-01T00:00:00", horizon) for horizon in (1, 7, 30)
    }
    assert {*BASELINES, rows[0]["issued_by"]} <= set(rows[0]["models"])
    assert [row["observed"] for row in json.loads(artifacts["issued-windows-tiny"])] == [
        str(row["n_events"]) for row in sorted(rows, key=lambda row: row["horizon_days"])
    ]
    # Forecasts of the region's last day still wait.
    said = artifacts["issued-tiny"]
    assert "3 windows scored" in said
    assert "0 forecasts refused" in said
    assert " 0 waiting" not in said
    assert "data:image/png;base64" in said


def test_schedules_put_runs_into_the_queue(machine_room: dict[str, str]) -> None:
    with _client(machine_room) as client:
        body = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}, "limit": 200}
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            runs = client.post("/flow_runs/filter", json=body).json()
            if len({run["deployment_id"] for run in runs}) == 5:
                return
            time.sleep(1)
    raise AssertionError("five flows have schedules, but not of each a run was queued within 60 s")


def test_a_large_earthquake_starts_an_aftershock_forecast_by_itself(machine_room: dict[str, str]) -> None:
    with _client(machine_room) as client:
        event = {
            "id": str(uuid.uuid4()),
            "occurred": datetime.now(UTC).isoformat(),
            "event": EVENT,
            "resource": {"prefect.resource.id": "quakecube.earthquake.latest"},
            "payload": {"region": "tiny", "seed": 1, "event_id": "latest"},
        }
        assert client.post("/events", json=[event]).status_code == 204
        body = {"flow_runs": {"name": {"any_": ["aftershocks-tiny-latest"]}}}
        deadline = time.monotonic() + 240  # the server may be long about an event while it starts runs
        while not (runs := client.post("/flow_runs/filter", json=body).json()):
            assert time.monotonic() < deadline, "no aftershock forecast was started within 240 s"
            time.sleep(0.5)
        run = _wait(client, runs[0]["id"])
        assert run["state_type"] == "COMPLETED", run["state"]["message"]
        assert run["parameters"]["config"] == {"region": "tiny", "seed": 1, "event_id": "latest"}
        artifacts = client.post(
            "/artifacts/filter", json={"artifacts": {"flow_run_id": {"any_": [run["id"]]}}}
        ).json()
    text = next(a["data"] for a in artifacts if a["key"] == "aftershocks-tiny")
    assert "the chance of at least one earthquake is" in text
    assert "not an official warning" in text
    assert text.count("data:image/png;base64") == 3


def test_parameters_outside_the_form_are_refused(machine_room: dict[str, str]) -> None:
    with _client(machine_room) as client:
        deployment = client.get("/deployments/name/train/train").json()
        body = {
            "parameters": {"config": {"region": "tiny", "epochs": 100000}},
            "state": {"type": "SCHEDULED"},
        }
        assert client.post(f"/deployments/{deployment['id']}/create_flow_run", json=body).status_code == 409


@pytest.mark.browser
def test_the_pages_show_deployments_run_artifacts_and_experiment(
    machine_room: dict[str, str], chromium: str, tmp_path: Path, state: dict[str, str]
) -> None:
    from playwright.sync_api import sync_playwright

    screenshots = Path(os.environ.get("QUAKECUBE_SCREENSHOTS", tmp_path))
    screenshots.mkdir(parents=True, exist_ok=True)
    with _client(machine_room) as client:
        runs = client.post(
            "/flow_runs/filter",
            json={
                "flow_runs": {
                    "name": {"any_": ["pipeline-tiny-seed1"]},
                    "state": {"type": {"any_": ["COMPLETED"]}},
                }
            },
        ).json()
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})

        def look(url: str, name: str, *texts: str) -> None:
            page.goto(url, wait_until="domcontentloaded")
            for text in texts:
                page.get_by_text(text, exact=False).first.wait_for(timeout=60_000)
            page.wait_for_timeout(1500)
            page.screenshot(path=screenshots / f"{name}.png")

        prefect, mlflow = machine_room["prefect"], machine_room["mlflow"]
        look(f"{prefect}/deployments", "prefect-deployments", "retrain", "pipeline", "build-cube")
        look(f"{prefect}/runs/flow-run/{runs[0]['id']}", "prefect-run", "pipeline-tiny-seed1", "Completed")
        for key, text in (
            ("backtest-tiny", "Backtest of"),
            ("scorecard-tiny", "cross_attention"),
            ("summary-tiny", "Gain per event over ETAS"),
        ):
            look(f"{prefect}/artifacts/key/{key}", "prefect-artifact", key)
            page.locator("a[href*='/artifacts/artifact/']").first.click()
            page.get_by_text(text).first.wait_for(timeout=60_000)
            page.wait_for_timeout(1500)
            page.screenshot(path=screenshots / f"prefect-{key}.png")
        look(f"{mlflow}/#/experiments", "mlflow-experiments", "quakecube/tiny")
        summary = json.loads(
            (Path(state["QUAKECUBE_HOME"]) / "reports" / "latest" / "summary.json").read_text()
        )["mlflow"]
        run = f"{mlflow}/#/experiments/{summary['experiment_id']}/runs/{summary['run_id']}"
        look(f"{run}/artifacts/figures/ablation.png", "mlflow-figures", "ablation.png")
        look(f"{mlflow}/#/models/quakecube-tiny", "mlflow-model", "quakecube-tiny", "challenger")
        browser.close()
    assert all(p.stat().st_size > 10_000 for p in screenshots.glob("*.png"))
