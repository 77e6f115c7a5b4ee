"""Versions in ComCat's CSV and QuakeML's ids, and what becomes of damaged answers of event services."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.sources import SourceDataInvalid
from tasks.sources.quakeml import event_id_of
from tasks.sources.services.event_formats import ComcatCsv, QuakeML
from tasks.sources.services.fdsn_stations import parse_epochs
from tests.sources.services.servers.fdsn import Quake, csv_of, quakeml_of

FIRST = Quake("ci1", "2019-09-01T10:00:00", 4.0, "2019-09-01T10:03:00")
REVISED = Quake("ci1", "2019-09-01T10:00:01", 4.2, "2019-09-02T08:00:00")
DELETED = Quake("ci1", "2019-09-01T10:00:01", 4.2, "2019-09-05T00:00:00", is_deleted=True)
LATE = Quake("ci2", "2019-09-02T00:00:00", 3.0, "2019-11-01T00:00:00")


def write(folder, *files):
    (folder / "c").mkdir()
    for k, quakes in enumerate(files):
        (folder / "c" / f"{k}.csv").write_bytes(csv_of(list(quakes)))


def rows(events):
    return [
        (str(e), float(m), str(t), str(a.astype("datetime64[s]")))
        for e, m, t, a in zip(
            events.event_id.values,
            events.magnitude.values,
            events.event_type.values,
            events.available_time.values,
            strict=True,
        )
    ]


def test_every_version_is_known_when_it_was_written(tmp_path, fetch):
    write(tmp_path, [FIRST, LATE], [REVISED], [REVISED], [DELETED])
    data, invalid = fetch("catalog", "comcat", "c", availability="updated")
    assert not invalid
    assert data.attrs["vintage"] == "as issued"
    assert rows(data) == [
        ("ci1", 4.0, "earthquake", "2019-09-01T10:03:00"),
        ("ci1", 4.2, "earthquake", "2019-09-02T08:00:00"),
        ("ci1", 4.2, "other", "2019-09-05T00:00:00"),
        ("ci2", 3.0, "earthquake", "2019-11-01T00:00:00"),
    ]


def test_a_first_version_that_was_seen_too_late_is_known_after_the_delay(tmp_path, fetch):
    write(tmp_path, [FIRST, LATE], [REVISED])
    data = fetch("catalog", "comcat", "c", availability="versions").dataset
    assert data.attrs["vintage"] == "reconstructed"
    assert rows(data) == [
        ("ci1", 4.0, "earthquake", "2019-09-01T10:03:00"),
        ("ci1", 4.2, "earthquake", "2019-09-02T08:00:00"),
        ("ci2", 3.0, "earthquake", "2019-09-02T00:05:00"),
    ]


def test_a_version_that_was_asked_for_at_once_is_known_when_it_was_written(tmp_path, fetch):
    write(tmp_path, [FIRST], [LATE])
    archived = fetch("catalog", "comcat", "c", availability="versions").dataset
    assert [known for *_, known in rows(archived)] == ["2019-09-01T10:05:00", "2019-09-02T00:05:00"]
    for k, asked in enumerate(("20190901T120000", "20191102T000000")):
        (tmp_path / "c" / f"{k}.csv").rename(tmp_path / "c" / f"20190901T000000_20191001T000000_{asked}.csv")
    watched = fetch("catalog", "comcat", "c", availability="versions").dataset
    assert [known for *_, known in rows(watched)] == ["2019-09-01T10:03:00", "2019-09-02T00:05:00"]


def test_a_row_without_its_moment_is_named_and_left_out(tmp_path, fetch):
    write(tmp_path, [FIRST, LATE])
    path = tmp_path / "c" / "0.csv"
    path.write_text(path.read_text().replace(f"{LATE.updated}Z", "soon"))
    data, invalid = fetch("catalog", "comcat", "c", availability="updated")
    assert [row[0] for row in rows(data)] == ["ci1"]
    assert "expected a time in `updated`, found 1 rows without (such as ci2)" in str(invalid[0])


def test_with_a_delay_only_the_latest_version_counts(tmp_path, fetch):
    write(tmp_path, [REVISED, LATE], [FIRST])
    data, invalid = fetch("catalog", "comcat", "c")
    assert not invalid
    assert rows(data) == [
        ("ci1", 4.2, "earthquake", "2019-09-01T10:05:01"),
        ("ci2", 3.0, "earthquake", "2019-09-02T00:05:00"),
    ]


@pytest.mark.parametrize(
    ("public_id", "event_id"),
    [
        ("quakeml:earthquake.usgs.gov/fdsnws/event/1/query?eventid=ci38457511&format=quakeml", "ci38457511"),
        ("smi:webservices.ingv.it/fdsnws/event/1/query?eventId=863301", "863301"),
        ("quakeml:service.scedc.caltech.edu/fdsnws/event/1/query?eventid=38457511", "38457511"),
        ("smi:nz.org.geonet/2016p858000", "2016p858000"),
        ("smi:local/event=12", "12"),
    ],
)
def test_the_id_is_the_providers_own(public_id, event_id):
    assert event_id_of(public_id) == event_id


@pytest.mark.parametrize(("form", "write_all"), [(ComcatCsv(), csv_of), (QuakeML(), quakeml_of)])
def test_events_taken_apart_and_put_together_are_the_same(form, write_all):
    events = form.parse(write_all([FIRST, LATE]), "answer")
    again = form.parse(form.join([event for _, event in events]), "again")
    assert [name for name, _ in again] == ["ci1", "ci2"]
    for (_, before), (_, after) in zip(events, again, strict=True):
        assert form.fingerprint(before) == form.fingerprint(after)
    assert form.fingerprint(events[0][1]) != form.fingerprint(form.parse(write_all([REVISED]), "x")[0][1])


CHANNELS = (
    b"#Network|Station|Location|Channel|Latitude|Longitude|Elevation|Depth|Azimuth|Dip|SensorDescription|Scale|"
    b"ScaleFreq|ScaleUnits|SampleRate|StartTime|EndTime\n"
    b"CI|CLC||BHZ|35.8|-117.6|775.0|0.0|0.0|-90.0|STS-1|6.3E8|0.03|M/S|40.0|2010-01-01T00:00:00|2599-12-31T23:59:59\n"
)
PAYLOADS = {
    "csv": (csv_of([FIRST, LATE]), ComcatCsv().parse),
    "xml": (quakeml_of([FIRST, LATE]), QuakeML().parse),
    "channels": (CHANNELS, parse_epochs),
}


@pytest.mark.parametrize("kind", sorted(PAYLOADS))
@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=3)), max_size=3), st.integers(0, 4000))
def test_mutated_answers_are_refused_or_parsed_and_nothing_else(kind, changes, length):
    body, parse = PAYLOADS[kind]
    for place, piece in changes:
        place %= len(body)
        body = body[:place] + piece + body[place + len(piece) :]
    try:
        found = parse(body[: length % (len(body) + 1)], "mutant")
    except SourceDataInvalid as error:
        message = str(error)
    else:
        message = "mutant: expected"
        assert len(found) <= 3
    assert message.startswith("mutant: expected")


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=3)), min_size=1, max_size=3),
    st.sampled_from([".csv", ".xml"]),
)
def test_mutated_files_are_named_or_read_in_the_right_units(tmp_path_factory, region, changes, suffix):
    from tasks.regions import SourceConfig
    from tasks.sources import SourceEmpty, open_source

    body = {".csv": csv_of([FIRST, LATE]), ".xml": quakeml_of([FIRST, LATE])}[suffix]
    for place, piece in changes:
        place %= len(body)
        body = body[:place] + piece + body[place + len(piece) :]
    root = tmp_path_factory.mktemp("mutants")
    (root / f"m{suffix}").write_bytes(body)
    provider = "comcat" if suffix == ".csv" else "quakeml"
    config = SourceConfig(name="m", modality="catalog", provider=provider, path=f"m{suffix}")
    try:
        data = open_source(provider)(config, root, region, region.catalog_window).dataset
    except (SourceDataInvalid, SourceEmpty) as error:
        assert f"m{suffix}" in str(error)  # noqa: PT017
    else:
        assert (np.abs(data.latitude) <= 90).all()
        assert (data.available_time >= data.origin_time).all()
