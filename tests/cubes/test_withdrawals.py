"""What a network takes back ends at that moment, and was believed before; one earthquake is one event."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from tasks.cubes.audit import audit_cube
from tasks.cubes.build import build_groups
from tasks.cubes.catalog_grid import grid_catalog, label_days
from tasks.cubes.clock import known_at
from tasks.cubes.merge import last_versions, merge_catalogs
from tasks.regions import Region

EARTHQUAKE, BLAST, OTHER = "earthquake", "quarry_blast", "other"
DAY = np.timedelta64(1, "D")
FIRST, SECOND, THIRD = (np.datetime64(f"2017-05-0{k}T12:00", "ns") for k in (2, 4, 6))
Catalog = Callable[..., xr.Dataset]
# event id, when it became known, latitude, magnitude, type; all at one moment and one longitude
Version = tuple[str, np.datetime64, float, float, str]


@pytest.fixture
def versions(make_catalog: Catalog) -> Callable[[list[Version]], xr.Dataset]:
    def make(rows: list[Version]) -> xr.Dataset:
        same = [(i, "2017-05-02T10:00", lat, -117.5, magnitude, kind) for i, _, lat, magnitude, kind in rows]
        catalog = make_catalog(same, np.timedelta64(0, "m"))
        return catalog.assign(available_time=("event", np.array([row[1] for row in rows])))

    return make


@pytest.fixture
def network(region: Region) -> Region:
    """The region with one source that gathers from several networks."""
    one = region.sources[0].model_copy(update={"name": "network", "provider": "quakeml"})
    return region.model_copy(update={"sources": [one, *region.sources[1:]]})


def believed(catalog: xr.Dataset, moment: np.datetime64) -> list[tuple[str, float]]:
    known = last_versions(known_at(catalog, moment))
    return list(zip(known["event_id"].values, known["magnitude"].values.tolist(), strict=True))


@pytest.mark.parametrize(
    ("latitude", "magnitude", "kind"),
    [
        (35.5, 3.5, OTHER),
        (35.5, 3.5, BLAST),
        (35.5, 2.9, EARTHQUAKE),
        (35.5, 0.4, EARTHQUAKE),
        (37.0, 3.5, EARTHQUAKE),
    ],
    ids=["deleted", "blast", "small", "far below", "outside"],
)
def test_a_correction_ends_the_event_and_does_not_rewrite_what_was_believed(
    versions: Callable[..., xr.Dataset], network: Region, latitude: float, magnitude: float, kind: str
) -> None:
    rows = [("a", FIRST, 35.5, 3.5, EARTHQUAKE), ("a", SECOND, latitude, magnitude, kind)]
    merged, report = merge_catalogs({"network": versions(rows)}, network)
    assert believed(merged, SECOND - DAY) == [("a", 3.5)]
    assert believed(merged, SECOND) == []
    assert report["network"].withdrawals == 1
    assert int(label_days(merged, network)["event_count"].sum()) == 0
    assert float(grid_catalog(merged, network)["event_count"].sum()) == 1, (
        "the day's end knew of no withdrawal"
    )


def test_a_withdrawn_event_that_its_source_lists_again_is_back(
    versions: Callable[..., xr.Dataset], network: Region
) -> None:
    rows = [("a", moment, 35.5, 3.5, kind)
            for moment, kind in ((FIRST, EARTHQUAKE), (SECOND, OTHER), (THIRD, EARTHQUAKE))]  # fmt: skip
    merged, _ = merge_catalogs({"network": versions(rows)}, network)
    assert [bool(believed(merged, moment)) for moment in (FIRST, SECOND, THIRD)] == [True, False, True]


def test_a_location_without_magnitude_is_no_withdrawal(
    versions: Callable[..., xr.Dataset], network: Region
) -> None:
    rows = [("a", FIRST, 35.5, 3.5, EARTHQUAKE), ("a", SECOND, 35.51, np.nan, EARTHQUAKE)]
    merged, _ = merge_catalogs({"network": versions(rows)}, network)
    assert believed(merged, THIRD) == [("a", 3.5)]


def test_a_second_id_is_the_same_event_from_the_moment_that_shows_it(
    versions: Callable[..., xr.Dataset], network: Region
) -> None:
    """The first solutions are 20 km apart; the revision of the second agrees with the first."""
    rows = [("a", FIRST, 35.5, 3.5, EARTHQUAKE), ("b", FIRST + DAY, 35.68, 3.6, EARTHQUAKE),
            ("b", SECOND + DAY, 35.51, 3.6, EARTHQUAKE)]  # fmt: skip
    merged, _ = merge_catalogs({"network": versions(rows)}, network)
    assert believed(merged, FIRST) == [("a", 3.5)]
    assert believed(merged, SECOND) == [("a", 3.5), ("b", 3.6)]
    assert believed(merged, THIRD) == [("a", 3.5)]
    assert int(label_days(merged, network)["event_count"].sum()) == 1


@pytest.mark.parametrize(("gone", "stays"), [("a", "b"), ("b", "a")])
def test_of_two_ids_of_one_event_the_one_that_is_not_deleted_stands(
    versions: Callable[..., xr.Dataset], network: Region, gone: str, stays: str
) -> None:
    rows = [("a", FIRST, 35.5, 3.5, EARTHQUAKE), ("b", FIRST + DAY, 35.5, 3.6, EARTHQUAKE),
            (gone, THIRD, 35.5, 3.5, OTHER)]  # fmt: skip
    merged, _ = merge_catalogs({"network": versions(rows)}, network)
    assert [name for name, _ in believed(merged, SECOND)] == ["a"]
    assert [name for name, _ in believed(merged, THIRD)] == [stays]


def test_a_cube_with_withdrawals_and_twins_passes_the_audit_at_every_stage(
    versions: Callable[..., xr.Dataset], network: Region
) -> None:
    rows = [("a", FIRST, 35.5, 3.5, EARTHQUAKE), ("b", FIRST + DAY, 35.68, 3.6, EARTHQUAKE),
            ("b", SECOND + DAY, 35.51, 3.6, EARTHQUAKE), ("a", THIRD, 35.5, 2.0, EARTHQUAKE),
            ("c", FIRST, 35.2, 3.1, EARTHQUAKE), ("c", THIRD, 35.2, 3.1, OTHER)]  # fmt: skip
    read = {"catalog/network": versions(rows)}.get
    moments = [FIRST, FIRST + DAY, SECOND, SECOND + DAY, THIRD - DAY / 2, THIRD, THIRD + DAY]
    assert audit_cube(network, read, build_groups(network, read), moments) == moments
