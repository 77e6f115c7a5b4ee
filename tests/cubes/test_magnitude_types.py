"""Magnitudes of several types become one type by the region's policy, before completeness, and say so."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from tasks.cubes.merge import merge_catalogs
from tasks.regions import MagnitudeConversion, Region

SOON = np.timedelta64(5, "m")
MakeCatalog = Callable[..., xr.Dataset]
CODA = MagnitudeConversion(
    types=("C",),
    to="ml",
    slope=1.1,
    intercept=-0.2,
    standard_error=0.3,
    smallest=2.0,
    reference="a regression",
)


@pytest.fixture
def two_types(make_catalog: MakeCatalog) -> xr.Dataset:
    rows = [
        (str(k), f"2017-05-0{k}T10:00", 35.5, -117.5, magnitude, "earthquake")
        for k, magnitude in ((1, 3.0), (2, 3.0), (3, 2.95), (4, 2.85))
    ]
    catalog = make_catalog(rows, SOON)
    return catalog.assign(
        magnitude_type=("event", np.array(["l", "c", "c", "c"], dtype=object)),
        magnitude_error=("event", [0.1, 0.4, np.nan, np.nan]),
    )


def merged(catalog: xr.Dataset, region: Region, *policy: MagnitudeConversion):
    changed = region.model_copy(update={"magnitude_conversions": policy})
    return merge_catalogs({"scedc": catalog}, changed)


def test_without_a_policy_nothing_changes(two_types: xr.Dataset, region: Region):
    found, report = merged(two_types, region)
    np.testing.assert_array_equal(found.magnitude, [3.0, 3.0])
    assert report["scedc"].converted == 0
    assert report["scedc"].magnitude_types == {"c": 1, "l": 1}


def test_converted_magnitudes_decide_completeness_and_are_counted(two_types: xr.Dataset, region: Region):
    found, report = merged(two_types, region, CODA)
    np.testing.assert_allclose(found.magnitude, [3.0, 3.1, 3.045])
    assert found.magnitude_type.values.tolist() == ["l", "ml(c)", "ml(c)"]
    np.testing.assert_allclose(found.magnitude_error, [0.1, np.hypot(0.44, 0.3), np.nan])
    assert report["scedc"].converted == 3
    assert report["scedc"].magnitude_types == {"l": 1, "ml(c)": 2}


def test_a_policy_can_be_undone(two_types: xr.Dataset, region: Region):
    found, _ = merged(two_types, region, CODA)
    was = found.magnitude_type.str.startswith("ml(").values
    back = np.where(was, (found.magnitude - CODA.intercept) / CODA.slope, found.magnitude)
    np.testing.assert_allclose(back, [3.0, 3.0, 2.95])


@pytest.mark.parametrize(
    "change", [{"sources": ("comcat",)}, {"types": ("w",)}, {"smallest": 3.5}, {"largest": 2.0}]
)
def test_a_rule_holds_only_where_it_says(two_types: xr.Dataset, region: Region, change: dict[str, object]):
    _, report = merged(two_types, region, CODA.model_copy(update=change))
    assert report["scedc"].converted == 0


def test_the_first_rule_that_fits_holds(two_types: xr.Dataset, region: Region):
    second = CODA.model_copy(update={"slope": 2.0, "types": ("c", "l")})
    found, report = merged(two_types, region, CODA, second)
    np.testing.assert_allclose(found.magnitude, [5.8, 3.1, 3.045])
    assert report["scedc"].converted == 4


def test_a_conversion_names_where_it_comes_from():
    with pytest.raises(ValidationError, match="reference"):
        MagnitudeConversion.model_validate({"types": ["c"], "to": "ml"})
