"""A false event was an earthquake until its provider withdrew it: the type has its own moment."""

import tempfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.regions import load_region
from tasks.sources.quakeml import _parse, fetch

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


MOMENTS = st.integers(3600, 86_400).map(lambda s: datetime(2012, 3, 1, tzinfo=UTC) + timedelta(seconds=s))
OFFSETS = st.one_of(st.none(), st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m))))


@given(MOMENTS, MOMENTS, MOMENTS, OFFSETS, OFFSETS, OFFSETS)
def test_of_moments_with_other_offsets_the_later_one_counts(
    origin, magnitude, own, zone, other, third
) -> None:
    def text(moment: datetime, offset: timezone | None) -> str:
        said = moment.replace(tzinfo=None) if offset is None else moment.astimezone(offset)
        return f"<creationTime>{said.isoformat()}</creationTime>"

    same = "<creationTime>2012-03-01T00:05:00Z</creationTime>"
    before, between, after = EVENT.format(info=f"<creationInfo>{text(own, third)}</creationInfo>").split(same)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.xml"
        path.write_text(f"{before}{text(origin, zone)}{between}{text(magnitude, other)}{after}")
        found, _ = _parse(path)
    known = max(origin, magnitude)
    expected = [known] if own <= known else [known, own]

    assert [datetime.fromisoformat(v.available_time) for v in found] == [
        m.replace(tzinfo=UTC) for m in expected
    ]
    assert [v.event_type for v in found] == (["other"] if own <= known else ["earthquake", "other"])
