import lzma
from pathlib import Path

import numpy as np
import obspy
import pytest
from obspy.core.event import Catalog, CreationInfo, Event, Magnitude, Origin, QuantityError

from tasks.sources import SourceDataInvalid, SourceEmpty, SourceUnavailable
from tasks.sources.scedc import parse_times

ROW = "2018/01/01 00:01:50.77 eq  l 2.93 l    35.533 -117.593   2.9 A 1000001   40 1845"
COMCAT_HEADER = (
    "time,latitude,longitude,depth,mag,magType,nst,gap,dmin,rms,net,id,updated,place,type,horizontalError,"
    "depthError,magError,magNst,status,locationSource,magSource"
)


def comcat_row(
    event_id: str, depth: str = "1.9", magnitude: str = "2.83", updated: str = "2019-09-05T00:00:00.000Z"
) -> str:
    return (
        f"2019-09-01T23:35:06.760Z,35.6,-117.4,{depth},{magnitude},ml,36,42,0.03,0.16,ci,{event_id},{updated},"
        f'"14km SSW",earthquake,0.19,0.33,0.188,25,automatic,ci,ci'
    )


def test_scedc_rows_become_canonical_events(tmp_path, fetch):
    rows = [
        "# comment",
        ROW,
        "2018/01/02 23:59:60.00 qb  l 1.50 l    35.500 -117.500  -0.5 A 1000002   40 1845",
        "2018/01/03 00:00:00.00 eq  l 0.00 n    35.500 -117.500   1.0 A 1000003   40 1845",
        "2018/01/04 00:00:00.00 eq  l 3.00 l    33.000 -117.500   1.0 A 1000004   40 1845",
        "### Number of rows returned:4",
    ]
    (tmp_path / "2018.catalog.xz").write_bytes(lzma.compress("\n".join(rows).encode()))
    events, invalid = fetch("catalog", "scedc", "")
    assert not invalid
    assert events.event_id.values.tolist() == ["ci1000001", "ci1000002", "ci1000003"]
    assert events.event_type.values.tolist() == ["earthquake", "quarry_blast", "earthquake"]
    # seconds of 60.00 roll over
    assert events.origin_time.values[1] == np.datetime64("2018-01-03T00:00:00")
    assert np.isnan(events.magnitude.values[2])
    assert events.depth_km.values[1] == -0.5
    delay = events.available_time.values - events.origin_time.values
    assert (delay == np.timedelta64(5, "m")).all()
    assert events.attrs["vintage"] == "reconstructed"
    assert events.event_id.dtype == object


def test_unreadable_clock_is_not_a_time():
    times = parse_times(
        ["2018/01/01", "2018/01/01", "2018/13/01"], ["00:00:01.50", "0x:00:01.50", "00:00:00.00"]
    )
    assert times[0] == np.datetime64("2018-01-01T00:00:01.500")
    assert np.isnat(times[1:]).all()


def test_scedc_listing_that_is_cut_short_is_named_and_the_other_year_is_kept(tmp_path, fetch):
    (tmp_path / "2017.catalog").write_text(f"{ROW}\n### Number of rows returned:2\n")
    (tmp_path / "2018.catalog").write_text(f"{ROW}\n### Number of rows returned:1\n")
    events, invalid = fetch("catalog", "scedc", "")
    assert events.sizes["event"] == 1
    assert [Path(e.path).name for e in invalid] == ["2017.catalog"]
    assert "expected 2 rows" in str(invalid[0])
    assert "found 1 rows" in str(invalid[0])


def test_repeated_ids_give_one_message_and_the_later_row_wins(tmp_path, fetch):
    later = ROW.replace("2.93", "3.10")
    (tmp_path / "2018.catalog").write_text("\n".join([ROW, ROW, later]) + "\n")
    events, invalid = fetch("catalog", "scedc", "")
    assert events.magnitude.values.tolist() == [3.10]
    assert len(invalid) == 1
    assert "ci1000001" in str(invalid[0])


def test_exact_duplicates_are_dropped_without_a_message(tmp_path, fetch):
    (tmp_path / "2018.catalog").write_text("\n".join([ROW, ROW]) + "\n")
    events, invalid = fetch("catalog", "scedc", "")
    assert events.sizes["event"] == 1
    assert not invalid


def test_unreadable_rows_are_reported_and_the_rest_is_delivered(tmp_path, fetch):
    (tmp_path / "2018.catalog").write_text("\n".join([ROW, ROW.replace("35.533", "3x.533")]) + "\n")
    events, invalid = fetch("catalog", "scedc", "")
    assert events.sizes["event"] == 1
    assert "1 rows without" in str(invalid[0])


def test_period_without_events_is_empty_and_says_where_and_when(tmp_path, fetch):
    (tmp_path / "2018.catalog").write_text(ROW + "\n")
    with pytest.raises(SourceEmpty, match=r"nothing for region 'toy' between 2012-01-01.*2013-01-01"):
        fetch("catalog", "scedc", "", start="2012-01-01", end="2013-01-01")


def test_missing_folder_is_unavailable(fetch):
    with pytest.raises(SourceUnavailable, match="nowhere"):
        fetch("catalog", "scedc", "nowhere")


def test_comcat_takes_depth_nan_and_offers_both_availabilities(tmp_path, fetch):
    (tmp_path / "c.csv").write_text(
        "\n".join([COMCAT_HEADER, comcat_row("ci1"), comcat_row("ci2", depth="")])
    )
    delayed = fetch("catalog", "comcat", "c.csv").dataset
    assert np.isnan(delayed.depth_km.values).tolist() == [False, True]
    assert (delayed.available_time.values - delayed.origin_time.values == np.timedelta64(5, "m")).all()
    updated = fetch("catalog", "comcat", "c.csv", availability="updated").dataset
    assert (updated.available_time.values == np.datetime64("2019-09-05")).all()
    assert updated.attrs["vintage"] == "as issued"
    assert updated.magnitude_error.values[0] == 0.188


def test_comcat_without_a_column_is_named(tmp_path, fetch):
    (tmp_path / "c.csv").write_text(COMCAT_HEADER.replace("updated", "changed") + "\n" + comcat_row("ci1"))
    with pytest.raises(SourceDataInvalid, match=r"c\.csv: expected columns .*updated"):
        fetch("catalog", "comcat", "c.csv")


@pytest.mark.parametrize(
    ("provider", "content", "message"),
    [
        ("comcat", "", "a table with columns"),
        ("relocated", "1,2,3\n", "found 3 columns"),
        ("scedc_m3", "a,b\n1,2,3\n4\n", "expected"),
    ],
)
def test_a_table_of_another_kind_is_named(tmp_path, fetch, provider, content, message):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(SourceDataInvalid, match=rf"t\.csv.*{message}"):
        fetch("catalog", provider, "t.csv", published="2020-01-01")


def test_unknown_availability_is_refused(tmp_path, fetch):
    (tmp_path / "c.csv").write_text(COMCAT_HEADER)
    with pytest.raises(ValueError, match="must be one of"):
        fetch("catalog", "comcat", "c.csv", availability="soon")


def test_extract_has_neither_depth_nor_type(tmp_path, fetch):
    (tmp_path / "m3.csv").write_text(
        "index,time,longitude,latitude,magnitude\n7,2019-01-02 15:03:09.420,-117.3,35.5,3.13\n"
        "8,2019-01-02 15:03:10,-117.3,35.5,3.2\n"
    )
    events = fetch("catalog", "scedc_m3", "m3.csv").dataset
    assert events.event_id.values.tolist() == ["m3_7", "m3_8"]
    assert np.isnan(events.depth_km.values).all()


def test_relocated_catalog_is_unknown_before_its_publication(tmp_path, fetch):
    (tmp_path / "r.csv").write_text("91,2019-07-06,03:19:53.040000,7.1,-117.599,35.7695,8.0,0\n")
    events = fetch("catalog", "relocated", "r.csv", published="2020-08-01").dataset
    assert events.available_time.values[0] == np.datetime64("2020-08-01")
    assert events.event_id.values[0] == "ci91"


def quake(name: str, versions: list[tuple[str, float, float | None]]) -> Event:
    """Build an event of (creation time, magnitude, depth m) versions, the last preferred."""
    event = Event(resource_id=f"smi:toy/event/{name}", event_type="earthquake")
    for k, (created, magnitude, depth) in enumerate(versions):
        info = CreationInfo(creation_time=obspy.UTCDateTime(created))
        origin = Origin(
            resource_id=f"smi:toy/origin/{name}/{k}",
            time=obspy.UTCDateTime("2019-07-06T03:19:53.04"),
            latitude=35.7,
            longitude=-117.5,
            depth=depth,
            creation_info=info,
        )
        event.origins.append(origin)
        event.magnitudes.append(
            Magnitude(
                resource_id=f"smi:toy/magnitude/{name}/{k}",
                mag=magnitude,
                mag_errors=QuantityError(uncertainty=0.1),
                magnitude_type="Mw",
                origin_id=origin.resource_id,
                creation_info=info,
            )
        )
    event.preferred_origin_id = event.origins[-1].resource_id
    event.preferred_magnitude_id = event.magnitudes[-1].resource_id
    return event


def test_every_quakeml_version_becomes_a_row_and_agrees_with_obspy(tmp_path, fetch):
    written = Catalog(
        [
            quake("a1", [("2019-07-06T03:22:00", 6.9, 9000.0), ("2019-07-07T00:00:00", 7.1, 8000.0)]),
            quake("a2", [("2019-07-06T03:25:00", 3.0, None)]),
        ]
    )
    written.write(str(tmp_path / "2019.xml"), format="QUAKEML")
    events, invalid = fetch("catalog", "quakeml", "")
    assert not invalid
    assert events.event_id.values.tolist() == ["a1", "a1", "a2"]
    read = [
        (
            m.mag,
            m.mag_errors.uncertainty,
            o.latitude,
            o.longitude,
            o.depth / 1000 if o.depth is not None else np.nan,
        )
        for event in obspy.read_events(str(tmp_path / "2019.xml"))
        for m, o in zip(event.magnitudes, event.origins, strict=True)
    ]
    names = ("magnitude", "magnitude_error", "latitude", "longitude", "depth_km")
    np.testing.assert_allclose(np.stack([events[n].values for n in names], axis=1), np.array(read))
    assert events.available_time.values[1] == np.datetime64("2019-07-07")
    assert (events.origin_time.values == np.datetime64("2019-07-06T03:19:53.040")).all()
    assert events.attrs["vintage"] == "as issued"


def test_quakeml_without_creation_time_is_reconstructed(tmp_path, fetch):
    event = quake("a1", [("2019-07-07", 5.0, 1000.0)])
    event.origins[0].creation_info = None
    event.magnitudes[0].creation_info = None
    Catalog([event]).write(str(tmp_path / "x.xml"), format="QUAKEML")
    events = fetch("catalog", "quakeml", "").dataset
    assert events.attrs["vintage"] == "reconstructed"
    assert events.available_time.values[0] == np.datetime64("2019-07-06T03:24:53.040")


def test_of_versions_made_at_one_moment_the_preferred_is_kept(tmp_path, fetch):
    event = quake("a1", [("2019-07-07", 6.8, 1000.0), ("2019-07-07", 7.1, 1000.0)])
    event.preferred_magnitude_id = event.magnitudes[0].resource_id
    Catalog([event]).write(str(tmp_path / "x.xml"), format="QUAKEML")
    events, invalid = fetch("catalog", "quakeml", "")
    assert events.magnitude.values.tolist() == [6.8]
    assert not invalid


def test_broken_quakeml_is_left_out_and_the_good_file_is_read(tmp_path, fetch):
    Catalog([quake("a1", [("2019-07-07", 5.0, 1000.0)])]).write(str(tmp_path / "good.xml"), format="QUAKEML")
    (tmp_path / "bad.xml").write_bytes((tmp_path / "good.xml").read_bytes()[:-200])
    events, invalid = fetch("catalog", "quakeml", "")
    assert events.sizes["event"] == 1
    assert [Path(e.path).name for e in invalid] == ["bad.xml"]


def test_a_folder_of_broken_files_only_is_invalid(tmp_path, fetch):
    for name in ("a.xml", "b.xml"):
        (tmp_path / name).write_text("<quakeml><event>")
    with pytest.raises(SourceDataInvalid, match=r"at least one valid file among 2.*a\.xml"):
        fetch("catalog", "quakeml", "")


@pytest.mark.parametrize("depth", ["NaN", "inf", "deep"])
def test_a_depth_that_is_no_finite_number_is_unknown_and_said(tmp_path, fetch, depth):
    (tmp_path / "c.csv").write_text(
        "\n".join([COMCAT_HEADER, comcat_row("ci1"), comcat_row("ci2", depth=depth)])
    )
    events, invalid = fetch("catalog", "comcat", "c.csv")
    assert np.isnan(events.depth_km.values).tolist() == [False, True]
    (message,) = map(str, invalid)
    assert message.startswith(str(tmp_path / "c.csv"))
    assert f"found 1 others (such as {depth!r})" in message


def test_an_id_given_to_two_quakeml_events_of_a_file_is_named(tmp_path, fetch):
    one = quake("a1", [("2019-07-07", 5.0, 1000.0)])
    Catalog([one]).write(str(tmp_path / "x.xml"), format="QUAKEML")
    text = (tmp_path / "x.xml").read_text()
    event = text[text.index("<event ") : text.index("</event>") + len("</event>")]
    (tmp_path / "x.xml").write_text(text.replace(event, event + event.replace("5.0", "4.0")))
    events, invalid = fetch("catalog", "quakeml", "")
    assert events.magnitude.values.tolist() == [4.0]
    (message,) = map(str, invalid)
    assert "x.xml: expected one event for each publicID, found 1 given more than once (such as a1)" in message
