"""Overlapping catalogs become one: one id an earthquake, no blasts, nothing that was believed is rewritten."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from tasks.cubes.catalog_grid import grid_catalog, label_days
from tasks.cubes.merge import last_versions, merge_catalogs
from tasks.regions import Region

SOON, LATE = np.timedelta64(5, "m"), np.timedelta64(400, "D")
EARTHQUAKE, BLAST = "earthquake", "quarry_blast"
MakeCatalog = Callable[..., xr.Dataset]
Row = tuple[str, str, float, float, float, str]
SHOCK: Row = ("100", "2017-05-01T10:00:00", 35.5, -117.5, 4.0, EARTHQUAKE)


def jittered(name: str, seconds: str, kind: str = EARTHQUAKE) -> Row:
    return (name, f"2017-05-01T10:00:{seconds}", 35.504, -117.496, 4.1, kind)


def test_equal_network_numbers_are_one_event(make_catalog: MakeCatalog, region: Region) -> None:
    comcat = make_catalog([("ci100", "2017-05-01T10:00:30", 35.9, -117.5, 3.0, EARTHQUAKE)], SOON)
    merged, report = merge_catalogs({"comcat": comcat, "scedc": make_catalog([SHOCK], LATE)}, region)
    assert list(merged["event_id"].values) == ["ci100"]
    assert float(merged["magnitude"][0]) == 3.0
    assert report["scedc"].duplicates == 1
    assert report["scedc"].superseded == 1


def test_close_in_time_place_and_magnitude_is_one_event(make_catalog: MakeCatalog, region: Region) -> None:
    merged, _ = merge_catalogs(
        {"scedc_m3": make_catalog([jittered("m3_7", "01.5")], SOON), "scedc": make_catalog([SHOCK], SOON)},
        region,
    )
    assert list(merged["event_id"].values) == ["ci100"]
    assert float(merged["magnitude"][0]) == 4.0


@pytest.mark.parametrize(
    "other",
    [
        jittered("m3_7", "02.5"),
        ("m3_7", "2017-05-01T10:00:00", 35.7, -117.5, 4.0, EARTHQUAKE),
        ("m3_7", "2017-05-01T10:00:00", 35.5, -117.5, 4.6, EARTHQUAKE),
    ],
    ids=["time", "distance", "magnitude"],
)
def test_beyond_one_of_the_limits_are_two_events(
    make_catalog: MakeCatalog, region: Region, other: Row
) -> None:
    merged, _ = merge_catalogs(
        {"scedc_m3": make_catalog([other], SOON), "scedc": make_catalog([SHOCK], SOON)}, region
    )
    assert merged.sizes["event"] == 2


def test_two_events_of_one_source_are_never_joined(make_catalog: MakeCatalog, region: Region) -> None:
    twins = [SHOCK, ("101", "2017-05-01T10:00:01", 35.5, -117.5, 4.0, EARTHQUAKE)]
    m3 = [("m3_0", *SHOCK[1:]), ("m3_1", *twins[1][1:])]
    merged, _ = merge_catalogs(
        {"scedc": make_catalog(twins, SOON), "scedc_m3": make_catalog(m3, SOON)}, region
    )
    assert list(merged["event_id"].values) == ["ci100", "ci101"]


def test_a_blast_is_dropped_with_its_untyped_copy(make_catalog: MakeCatalog, region: Region) -> None:
    scedc = make_catalog([(*SHOCK[:5], BLAST)], SOON)
    m3 = make_catalog([jittered("m3_7", "00")], SOON)
    merged, report = merge_catalogs({"scedc": scedc, "scedc_m3": m3}, region)
    assert merged.sizes["event"] == 0
    assert report["scedc"].not_earthquakes == 1


def test_a_better_solution_that_comes_later_is_a_later_version(
    make_catalog: MakeCatalog, region: Region
) -> None:
    comcat = make_catalog([("ci100", *SHOCK[1:4], 4.4, EARTHQUAKE)], LATE)
    merged, _ = merge_catalogs({"comcat": comcat, "scedc": make_catalog([SHOCK], SOON)}, region)
    assert merged["magnitude"].values.tolist() == [4.0, 4.4]
    soon = np.array(["2017-05-02", "2017-05-02"], dtype="datetime64[ns]")
    assert last_versions(merged, soon)["magnitude"].values.tolist() == [4.0]
    assert last_versions(merged)["magnitude"].values.tolist() == [4.4]


def test_a_later_relocation_does_not_change_what_was_known_before(
    make_catalog: MakeCatalog, region: Region
) -> None:
    """Found in real data: the relocated catalog gives another number to the earthquake that ComCat lists."""
    comcat = make_catalog([("ci200", "2017-05-01T10:00:00", 35.502, -117.5, 4.0, EARTHQUAKE)], SOON)
    relocated = make_catalog([("200", "2017-05-01T09:59:57", 35.9, -117.6, 3.0, EARTHQUAKE), SHOCK], LATE)
    m3 = make_catalog([("m3_7", *SHOCK[1:])], SOON)
    before, _ = merge_catalogs({"comcat": comcat, "scedc_m3": m3}, region)
    after, _ = merge_catalogs({"comcat": comcat, "scedc_m3": m3, "relocated": relocated}, region)
    known = after["available_time"].values <= np.datetime64("2017-06-01")
    assert before.sizes["event"] == int(known.sum()) == 1


def test_outside_of_box_period_and_below_completeness_nothing_is_kept(
    make_catalog: MakeCatalog, region: Region
) -> None:
    rows = [
        ("1", "2017-05-01", 34.4, -117.5, 4.0, EARTHQUAKE),
        ("2", "2013-12-31", 35.5, -117.5, 4.0, EARTHQUAKE),
        ("3", "2017-05-01", 35.5, -117.5, 2.99, EARTHQUAKE),
        ("4", "2017-05-01", 35.5, -117.5, np.nan, EARTHQUAKE),
        ("5", "2017-05-01", 34.6, -117.5, 3.0, EARTHQUAKE),
    ]
    merged, _ = merge_catalogs({"scedc": make_catalog(rows, SOON)}, region)
    assert list(merged["event_id"].values) == ["ci5"]


def test_the_grid_holds_what_the_day_knew_and_labels_what_we_know(
    make_catalog: MakeCatalog, region: Region
) -> None:
    rows = [SHOCK, ("101", "2017-05-01T23:58:00", 35.5, -117.5, 3.0, EARTHQUAKE)]
    merged, _ = merge_catalogs({"scedc": make_catalog(rows, SOON)}, region)
    day = {"time": "2017-05-01"}
    feature, label = grid_catalog(merged, region), label_days(merged, region)
    assert float(feature["event_count"].sel(day).sum()) == 1
    assert int(label["event_count"].sel(day).sum()) == 2
    assert label["event_count"].dtype == np.int32
    assert float(feature["log_energy"].sel(day).max()) == pytest.approx(1.5 * 4.0 + 4.8)
    assert feature["available_time"].sel(day).values == np.datetime64("2017-05-02")
    cell = label["event_count"].sel(time="2017-05-01")
    assert int(cell.sel(lat=35.5, lon=-117.5, method="nearest")) == 2


def test_an_event_that_an_aggregated_source_lists_twice_is_one_event(
    make_catalog: MakeCatalog, region: Region
) -> None:
    quakeml = region.sources[0].model_copy(update={"name": "network", "provider": "quakeml"})
    aggregated = region.model_copy(update={"sources": [quakeml, *region.sources]})
    again = ("dup100", "2017-05-01T10:00:01", 35.53, -117.5, 4.2, EARTHQUAKE)
    other = ("300", "2017-05-01T10:00:01", 35.8, -117.5, 4.2, EARTHQUAKE)
    merged, _ = merge_catalogs({"network": make_catalog([SHOCK, again, other], SOON)}, aggregated)
    assert sorted(set(merged["event_id"].values)) == sorted({SHOCK[0], "300"})


def test_a_withdrawn_event_was_believed_until_it_was_withdrawn(
    make_catalog: MakeCatalog, region: Region
) -> None:
    first = make_catalog([SHOCK], SOON)
    gone = first.assign(
        available_time=first["available_time"] + np.timedelta64(1, "D"),
        event_type=("event", np.array(["other"], dtype=object)),
    )
    both = xr.concat([first, gone], dim="event")
    merged, _ = merge_catalogs({"scedc": both}, region)
    known = merged["available_time"].values
    assert np.isfinite(merged["magnitude"].values).tolist() == [True, False]
    assert last_versions(merged.isel(event=known < known[1])).sizes["event"] == 1
    assert last_versions(merged).sizes["event"] == 0


def test_a_revision_below_completeness_withdraws_the_event(make_catalog: MakeCatalog, region: Region) -> None:
    first = make_catalog([SHOCK], SOON)
    small = first.assign(
        available_time=first["available_time"] + np.timedelta64(1, "D"), magnitude=first["magnitude"] - 3.5
    )
    merged, _ = merge_catalogs({"scedc": xr.concat([first, small], dim="event")}, region)
    assert last_versions(merged).sizes["event"] == 0
