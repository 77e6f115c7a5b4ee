"""Damaged payloads of the daily GNSS formats give a clear complaint or a sane Dataset, never anything else."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.regions import SourceConfig, TimeWindow
from tasks.sources import SourceDataInvalid, SourceEmpty, open_source
from tests.sources.services.servers.gnss import pos, tenv3

MOTION = np.array([[0.0, 0.0, 0.0], [0.01, 0.02, -0.03], [0.1, -0.2, 0.05]])
GEONET = "timestamp,value,error,unit\n2019-07-01T12:00:00.000Z,0.01,0.001,m\n2019-07-02T12:00:00.000Z,0.02,0.001,m\n"
CWU = "Date, North (mm), East (mm), Vertical (mm)\n2019-07-01,0.00,0.00,0.00\n2019-07-02,0.90,1.50,-6.06\n"
VELOCITIES = (
    "PBO Velocity file\n*Dot#     Name           Ref_epoch\n"
    " P570 Weldon With Name 20231227120000 60305.5000 -2.0 -5.0 3.0 35.6674 241.7396 815.5 0.1\n"
)
PAYLOADS = {
    "tenv3": ("P570.tenv3", tenv3("P570", "2019-07-01", MOTION)),
    "pos": ("P570.pos", pos("P570", "2019-07-01", MOTION, ["final", "final", "rapid"], "20190801 000000")),
    "geonet": ("P570.east.2015.csv", GEONET),
    "cwu_csv": ("position.P570.cwu.nam14.csv", CWU),
}
JUNK = st.sampled_from(
    [
        "",
        " ",
        "\n",
        "-",
        "nan",
        "inf",
        "-inf",
        "1e999",
        "1e300",
        "9",
        "0x1",
        "mm",
        ",",
        ".",
        "\x00",
        "٣",
        "é",
        "<html>",
        "*",
    ]
)


@st.composite
def mutations(draw, text):
    """`text` with up to three edits: a span replaced, a line doubled or dropped, or the end cut off."""
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["replace", "token", "drop", "double", "cut"]))
        if kind == "replace":
            start = draw(st.integers(0, len(text)))
            text = text[:start] + draw(JUNK) + text[start + draw(st.integers(0, 12)) :]
        elif kind == "token":
            fields = text.split(" ")
            fields[draw(st.integers(0, len(fields) - 1))] = draw(JUNK)
            text = " ".join(fields)
        elif kind == "cut":
            text = text[: draw(st.integers(0, len(text)))]
        else:
            lines = text.split("\n")
            k = draw(st.integers(0, len(lines) - 1))
            lines[k : k + 1] = [] if kind == "drop" else [lines[k]] * 2
            text = "\n".join(lines)
    return text


@pytest.mark.parametrize("provider", sorted(PAYLOADS))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_mutated_payload_is_refused_or_read_in_metres(tmp_path: Path, region, provider, data):
    name, text = PAYLOADS[provider]
    (tmp_path / "cwu.final_nam14.vel").write_text(VELOCITIES)
    places = {"P570": {"latitude": 35.67, "longitude": -118.26}}
    (tmp_path / "stations.json").write_text(json.dumps(places))
    (tmp_path / name).write_bytes(data.draw(mutations(text)).encode())
    config = SourceConfig(name="a", modality="gnss", provider=provider, path=".", latency_days=1)
    window = TimeWindow(np.datetime64("1980-01-01", "ns"), np.datetime64("2100-01-01", "ns"))
    refusal = ""
    try:
        dataset = open_source(provider)(config, tmp_path, region, window).dataset
    except (SourceDataInvalid, SourceEmpty) as error:
        refusal = str(error)
    if refusal:
        assert str(tmp_path) in refusal
        return
    end = dataset["time"].values[:, None] + np.timedelta64(12, "h")
    assert (dataset["available_time"].values >= end).all()
    for component in ("east", "north", "up"):
        values = dataset[component].values
        observed = dataset["quality_flag"].values == 0
        assert dataset[component].attrs["units"] == "m"
        assert not (np.abs(values) > 2e7).any()
        assert provider == "cwu_csv" or np.isfinite(values[observed]).all()
