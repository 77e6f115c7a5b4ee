"""Damaged products give a complaint that names a file, or the right values; never another error or another unit."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.sources import SourceDataInvalid, SourceEmpty

PROVIDERS = ("licsar", "hyp3", "aria", "opera", "mintpy")
RELAXED = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
# a part of the file (as fraction) is cut off, or blanked for so many bytes
DAMAGE = st.tuples(st.sampled_from(["cut", "zero", "noise"]), st.floats(0, 1), st.integers(1, 2000))


def prepare(provider, write, folder):
    """Write one scene and return the file with the motion in it and the source's path."""
    if provider == "mintpy":
        return write.mintpy(folder / "velocity_a064.h5", write.scene()), "velocity_a064.h5"
    return getattr(write, provider)(folder, write.scene()), ""


def damaged(content: bytes, how: str, where: float, length: int) -> bytes:
    at = int(where * len(content))
    if how == "cut":
        return content[:at]
    filler = bytes(length) if how == "zero" else np.random.default_rng(length).bytes(length)
    return content[:at] + filler[: len(content) - at] + content[at + length :]


def outcome(fetch, provider, path, scene):
    """Return what came out, having checked that it is a complaint about a file, nothing, or a proper Dataset."""
    options = {"step_deg": 0.02} if provider in ("hyp3", "opera") else {}
    try:
        data, invalid = fetch("insar", provider, path, **options)
    except (SourceDataInvalid, SourceEmpty):
        return None
    assert all(isinstance(error, SourceDataInvalid) for error in invalid)
    assert data.los_displacement.attrs["units"] == "m"
    assert (data.available_time > data.time).all()
    assert not (np.abs(data.los_displacement) > 30).any()
    assert set(np.unique(data.quality_flag)) <= {0, 1}
    return data


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_file_damaged_anywhere_gives_a_complaint_or_a_dataset(tmp_path, write, fetch, provider):
    path, source = prepare(provider, write, tmp_path)
    content = path.read_bytes()

    @RELAXED
    @given(DAMAGE)
    def check(damage):
        path.write_bytes(damaged(content, *damage))
        outcome(fetch, provider, source, write.scene())

    check()


NUMBERS = st.one_of(
    st.none(), st.just(""), st.sampled_from(["radians", "m", "cm", "mm/yr", "%", "20190101", "NaN"]),
    st.floats(allow_nan=True, allow_infinity=True), st.integers(-(2**40), 2**40),
)  # fmt: skip


def places(path: Path) -> list[tuple[str, str]]:
    """Return (array, attribute) of all attributes, and (array, "") of all arrays."""
    found: list[tuple[str, str]] = []

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            found.append((name, ""))
            found.extend((name, key) for key in item.attrs)

    with h5py.File(path) as file:
        file.visititems(visit)
        found.extend(("", key) for key in file.attrs)
    return found


@pytest.mark.parametrize("provider", ["aria", "opera", "mintpy"])
def test_an_array_or_attribute_that_is_something_else_gives_a_complaint_or_the_right_values(
    tmp_path, write, fetch, provider
):
    path, source = prepare(provider, write, tmp_path)
    content = path.read_bytes()
    scene = write.scene()

    @RELAXED
    @given(st.sampled_from(places(path)), NUMBERS, st.sampled_from(["delete", "replace", "shorten"]))
    def check(place, value, how):
        path.write_bytes(content)
        name, key = place
        with h5py.File(path, "r+") as file:
            owner = file[name] if name else file
            if key:
                del owner.attrs[key]
                if how != "delete" and value is not None:
                    owner.attrs[key] = value
            else:
                whole = owner[...]
                del file[name]
                if how == "shorten" and whole.ndim:
                    file[name] = whole[:-1]
                elif how == "replace" and value is not None:
                    file[name] = value
        data = outcome(fetch, provider, source, scene)
        if data is None or (provider == "mintpy" and (name, key) in MINTPY_VALUES):
            return
        lat, lon = np.meshgrid(data.lat, data.lon, indexing="ij")
        error = (data.los_displacement.values[0] - scene.los(lat, lon))[
            np.isfinite(data.los_displacement.values[0])
        ]
        assert error.size == 0 or np.median(np.abs(error)) < 2e-3, (place, value, how)

    check()


# what a velocity file says of itself and nothing else in it could contradict
MINTPY_VALUES = {("", key) for key in ("X_FIRST", "X_STEP", "Y_FIRST", "Y_STEP", "START_DATE", "END_DATE",
                                       "incidenceAngle", "azimuthAngle")}  # fmt: skip


@pytest.mark.parametrize("provider", ["licsar", "hyp3"])
def test_a_geotiff_of_another_type_or_place_gives_a_complaint_or_the_right_values(
    tmp_path, write, fetch, provider
):
    path, source = prepare(provider, write, tmp_path)
    siblings = {p: p.read_bytes() for p in sorted(path.parent.glob("*.tif"))}

    @RELAXED
    @given(
        st.sampled_from(sorted(siblings)),
        st.sampled_from(["uint8", "int16", "float32", "float64", "complex64"]),
        st.sampled_from([None, "EPSG:4326", "EPSG:32611", "EPSG:3857"]),
        st.floats(-1e6, 1e6),
        st.integers(1, 3),
    )
    def check(target, dtype, crs, origin, bands):
        for sibling, content in siblings.items():
            sibling.write_bytes(content)
        with rasterio.open(target) as file:
            profile, values = (
                file.profile | {"dtype": dtype, "crs": crs, "count": bands, "nodata": None},
                file.read(1),
            )
        with np.errstate(invalid="ignore"):
            values = values.astype(dtype)
        profile["transform"] = rasterio.transform.from_origin(origin, origin, 0.01, 0.01)
        with rasterio.open(target, "w", **profile) as file:
            for band in range(bands):
                file.write(values, band + 1)
        outcome(fetch, provider, source, write.scene())

    check()
