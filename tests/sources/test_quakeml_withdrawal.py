"""A false event was an earthquake until its provider withdrew it: the type has its own moment."""

from pathlib import Path

import numpy as np

from tasks.regions import load_region
from tasks.sources.quakeml import fetch

EVENT = """<?xml version="1.0" encoding="UTF-8"?>
<q:quakeml xmlns:q="http://quakeml.org/xmlns/quakeml/1.2" xmlns="http://quakeml.org/xmlns/bed/1.2">
<eventParameters publicID="smi:x/p"><event publicID="smi:x/event/1"><type>not existing</type>{info}
<origin publicID="smi:x/o"><time><value>2012-03-01T00:00:00Z</value></time><latitude><value>39.0</value></latitude>
<longitude><value>29.0</value></longitude><depth><value>5000</value></depth>
<creationInfo><creationTime>2012-03-01T00:05:00Z</creationTime></creationInfo></origin>
<magnitude publicID="smi:x/m"><mag><value>3.1</value></mag><originID>smi:x/o</originID>
<creationInfo><creationTime>2012-03-01T00:05:00Z</creationTime></creationInfo></magnitude>
</event></eventParameters></q:quakeml>"""
WITHDRAWN = "<creationInfo><creationTime>2012-03-03T12:00:00Z</creationTime></creationInfo>"


def _read(folder: Path, conf: Path, info: str):
    (folder / "catalog").mkdir()
    (folder / "catalog" / "2012.xml").write_text(EVENT.format(info=info))
    region = load_region("simulated", conf)
    source = next(s for s in region.sources if s.provider == "quakeml")
    return fetch(source, folder, region, region.catalog_window).dataset


def test_the_withdrawal_is_a_version_of_its_own(tmp_path: Path, conf: Path) -> None:
    found = _read(tmp_path, conf, WITHDRAWN)
    assert found["event_type"].values.tolist() == ["earthquake", "other"]
    expected = np.array(["2012-03-01T00:05:00", "2012-03-03T12:00:00"], "datetime64[ns]")
    np.testing.assert_array_equal(found["available_time"].values, expected)


def test_a_type_without_a_moment_of_its_own_holds_from_the_start(tmp_path: Path, conf: Path) -> None:
    assert _read(tmp_path, conf, "")["event_type"].values.tolist() == ["other"]


def test_a_quarry_blast_was_one_from_the_start_whenever_its_element_was_made(
    tmp_path: Path, conf: Path
) -> None:
    (tmp_path / "catalog").mkdir()
    text = EVENT.format(info=WITHDRAWN).replace("not existing", "quarry blast")
    (tmp_path / "catalog" / "2012.xml").write_text(text)
    region = load_region("simulated", conf)
    source = next(s for s in region.sources if s.provider == "quakeml")
    found = fetch(source, tmp_path, region, region.catalog_window).dataset
    assert found["event_type"].values.tolist() == ["quarry_blast"]
