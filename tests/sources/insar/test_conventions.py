"""One uplift in five native conventions comes out as one line-of-sight displacement."""

import numpy as np
import pytest

from tasks.sources import SourceDataInvalid

PROVIDERS = ("licsar", "hyp3", "hyp3_los_disp", "aria", "opera", "mintpy")
ASCENDING, DESCENDING = "ascending", "descending"


@pytest.fixture(params=PROVIDERS)
def delivered(request, tmp_path, write, fetch):
    """Return a function that writes a scene as one provider and reads it back."""
    provider, _, layer = request.param.partition("_")

    def call(scene, **options):
        if provider == "mintpy":
            write.mintpy(tmp_path / "velocity_a064.h5", scene)
            return fetch("insar", "mintpy", "velocity_a064.h5", **options).dataset
        keys = {"layer": layer} if layer else {}
        getattr(write, provider)(tmp_path / "data", scene, **keys)
        if provider in ("hyp3", "opera"):
            options["step_deg"] = 0.02
        return fetch("insar", provider, "data", **options).dataset

    return call


@pytest.mark.parametrize("orbit", [ASCENDING, DESCENDING])
def test_an_uplift_is_the_same_motion_towards_the_satellite(delivered, write, orbit):
    scene = write.scene() if orbit == ASCENDING else write.scene(look=write.descending)
    data = delivered(scene)

    assert data.los_displacement.attrs["units"] == "m"
    lat, lon = np.meshgrid(data.lat, data.lon, indexing="ij")
    los = data.los_displacement.values[0]
    seen = np.isfinite(los)
    assert seen.mean() > 0.9
    # cells of 2 km hold means of a bump that is 20 km wide
    np.testing.assert_allclose(los[seen], scene.los(lat, lon)[seen], atol=1e-3)
    assert (los[seen] > 0.03).all()

    # what the provider marked is missing, and nothing of it is left in a mean
    assert np.isnan(los[-3:, :3]).all()
    assert (data.quality_flag.values[0][~seen] == 1).all()

    parts = [data[f"look_{part}"].values for part in ("east", "north", "up")]
    known = np.isfinite(parts[2])
    assert known[seen].all()
    assert (parts[2][known] > 0).all()
    np.testing.assert_allclose(np.sqrt(sum(p**2 for p in parts))[known], 1.0, atol=1e-3)
    for part, wanted in zip(parts, scene.look, strict=True):
        np.testing.assert_allclose(part[known], wanted, atol=1e-3)
    assert data.attrs["orbit"] == orbit

    coherence = data.coherence.values[0]
    assert np.isnan(coherence).all() or np.nanmax(np.abs(coherence - 0.8)) < 1e-3


def test_the_two_acquisitions_bound_the_motion_and_nothing_is_known_before_the_later_day_ends(
    delivered, write
):
    data = delivered(write.scene())
    assert data.time_start.values[0].astype("datetime64[D]") == np.datetime64("2019-06-28")
    assert data.time.values[0].astype("datetime64[D]") == np.datetime64("2019-07-10")
    assert data.available_time.values[0] >= np.datetime64("2019-07-11")


def test_a_reference_area_moves_by_nothing_and_is_recorded(delivered, write):
    whole, data = delivered(write.scene()), delivered(write.scene(), reference="35.2,-117.2,8")
    difference = (whole.los_displacement - data.los_displacement).values
    assert np.nanstd(difference) < 1e-6
    assert float(data.los_displacement.sel(lat=35.2, lon=-117.2, method="nearest")[0]) == pytest.approx(
        0, abs=2e-3
    )
    assert (whole.attrs["reference"], data.attrs["reference"]) == ("as delivered", "35.2,-117.2,8 km")


def test_a_reference_area_without_data_is_a_complaint_not_a_guess(delivered, write):
    # the north-western corner
    with pytest.raises(SourceDataInvalid, match="data in the reference area"):
        delivered(write.scene(), reference="35.98,-117.98,1")


@pytest.mark.parametrize("text", ["35.2,-117.2", "35.2,-117.2,x", "30,-117.2,5", "35.2,-117.2,0", "1,2,3,4"])
def test_a_wrong_reference_option_is_named(tmp_path, write, fetch, text):
    write.aria(tmp_path, write.scene())
    with pytest.raises(ValueError, match="option 'reference' must be"):
        fetch("insar", "aria", "", reference=text)
