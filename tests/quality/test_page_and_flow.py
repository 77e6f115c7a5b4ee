"""The page puts offenders first and escapes what providers write; the flow publishes it and changes no observation."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from prefect.client.orchestration import get_client

from tasks.cubes.store import ObservationStore
from tasks.quality.earthquakes import Earthquakes
from tasks.quality.gnss import judge_gnss
from tasks.quality.inspection import inspect_region, write_inspection
from tasks.quality.report import periods, summarise
from tasks.regions import load_region
from tasks.simulation import region_of_world

from .conftest import make_network, noise


def offenders() -> xr.Dataset:
    """Three stations over 400 days: the last has three spikes, the second a gap of 50 days, the first is healthy."""
    values = noise(400, 3)
    values[[100, 200, 300], 2, 0] += 0.05
    values[150:200, 1] = np.nan
    return make_network(values)


def test_offenders_come_first_with_their_reasons_and_gaps() -> None:
    observations = offenders()
    verdict = judge_gnss(observations, Earthquakes.none()).verdict
    borders = periods(np.datetime64("2010-01-01"), np.datetime64("2011-03-01"))
    found = summarise("gnss/ngl", observations, verdict, borders)
    assert [s.sensor for s in found] == ["S002", "S001", "S000"]
    assert {r.name: n for r, n in found[0].reasons.items()} == {"SPIKE": 3}
    assert found[1].observed == pytest.approx(350 / 400)
    assert found[1].longest_gap_days == 51
    assert found[1].months[5] == 0.0
    # nothing came after the last value
    assert found[0].months[-1] == 0.0


def test_the_page_escapes_names_and_lists_what_could_not_be_judged(tmp_path: Path, conf: Path) -> None:
    region = load_region("simulated", conf)
    observations = offenders().assign_coords(station=np.array(["<b>", "B", "C"], object))
    broken = xr.Dataset({"quality_flag": (("time", "lat", "lon"), np.zeros((1, 2, 2), np.uint8))})
    groups = {"gnss/ngl": observations, "insar/a058": broken}
    found = inspect_region(region, groups.get, seed=1, trials=5)
    figures = write_inspection(found, "Quality & more", "lead", tmp_path)
    text = (tmp_path / "index.html").read_text()
    assert "&lt;b&gt;" in text
    assert "<td><b></td>" not in text
    assert "Quality &amp; more" in text
    assert "insar/a058: insar: expected the variable or attribute" in text
    assert set(figures) == {"availability", "recovery"}
    for path in figures.values():
        assert path.read_bytes().startswith(b"\x89PNG")
        assert f'src="{path.name}"' in text


def test_the_flow_writes_page_and_artifacts_and_leaves_the_store_as_it_was(
    tmp_path: Path, conf: Path, prefect_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.forms import QualityForm
    from flows.quality import quality
    from flows.settings import settings

    monkeypatch.setenv("QUAKECUBE_HOME", str(tmp_path))
    monkeypatch.setenv("QUAKECUBE_CONF", str(conf))
    settings.cache_clear()
    region = region_of_world("simulated", conf, 1)
    store = ObservationStore(tmp_path / "observations", region.store_name)
    with pytest.raises(ValueError, match="run the flow ingest first"):
        quality(QualityForm(region="simulated"))
    snapshot = store.write("gnss/ngl", offenders())
    report = quality(QualityForm(region="simulated", trials=3))
    with get_client(sync_client=True) as client:
        kept = {a.key: a for a in client.read_artifacts() if a.key and a.key.startswith("quality-")}
    settings.cache_clear()
    assert store.snapshot() == snapshot == report.snapshot
    assert report.sensors[0]["sensor"] == "S002"
    assert Path(report.page).is_file()
    assert json.loads((tmp_path / "reports/quality/latest/quality.json").read_text())["seed"] == 1
    assert set(kept) == {"quality-simulated", "quality-sensors-simulated"}
    assert "data:image/png;base64" in str(kept["quality-simulated"].data)
