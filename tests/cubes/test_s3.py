"""The stores on an S3 endpoint: unchanged, refused where commits would be lost, and safe for two writers at once."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tasks.cubes.housekeeping import expire_store
from tasks.cubes.storage import Bucket, StoreUnreachable, StoreUnsafe, identity_of, names_below, probe
from tasks.cubes.store import CubeStore, ObservationStore, open_cube

pytest.importorskip("obstore", reason="needs obstore, the client that probes object stores")
DAY = np.timedelta64(86_400_000_000_000, "ns")
CarelessStore = Callable[[frozenset[str]], tuple[str, dict[str, bytes]]]


def row(day: int, value: float) -> xr.Dataset:
    moment = np.datetime64("2020-01-01", "ns") + np.array([day]) * DAY
    return xr.Dataset(
        {
            "v": (("time", "station"), [[value]]),
            "available_time": (("time", "station"), (moment + DAY)[:, None]),
        },
        coords={"time": moment, "station": np.array(["A"], dtype=object)},
    )


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "never-to-be-seen")


@pytest.fixture
def uri(moto: str, request: pytest.FixtureRequest) -> str:
    return f"s3://observatory/{request.node.name}?endpoint={moto}"


def test_observations_and_cubes_are_kept_in_a_bucket_as_in_a_folder(uri: str) -> None:
    store = ObservationStore(uri, "tiny")
    assert store.snapshot() is None
    first = store.write("gnss/a", row(0, 1.0))
    assert store.write("gnss/a", row(0, 1.0)) == first
    second = store.write("gnss/a", row(1, 2.0))
    old, new = store.read("gnss/a", first), store.read("gnss/a", second)
    assert old is not None
    assert new is not None
    assert (old["v"].values.ravel().tolist(), new["v"].values.ravel().tolist()) == ([1.0], [1.0, 2.0])
    ref = CubeStore(uri, "tiny").write({"gnss": row(0, 3.0)}, "one")
    assert open_cube(ref)["gnss"]["v"].values.tolist() == [[3.0]]
    assert "never-to-be-seen" not in ref.model_dump_json()


def test_two_writers_at_once_lose_nothing(uri: str) -> None:
    ObservationStore(uri, "tiny").write("gnss/a", row(0, 0.0))

    def write(writer: int) -> None:
        store = ObservationStore(uri, "tiny")
        for k in range(4):
            store.write("gnss/a", row(1 + writer * 4 + k, float(writer)))

    with ThreadPoolExecutor(2) as both:
        list(both.map(write, range(2)))
    found = ObservationStore(uri, "tiny").read("gnss/a")
    assert found is not None
    assert found["v"].values.ravel().tolist() == [0.0] + 4 * [0.0] + 4 * [1.0]
    assert len(ObservationStore(uri, "tiny").history()) == 9


@pytest.mark.parametrize(
    ("enforced", "missing"),
    [
        (frozenset(), "If-None-Match"),
        (frozenset({"If-Match"}), "If-None-Match"),
        (frozenset({"If-None-Match"}), "If-Match"),
        (frozenset({"If-None-Match", "If-Match"}), None),
    ],
)
def test_a_store_that_would_lose_commits_is_refused(
    careless_store: CarelessStore, enforced: frozenset[str], missing: str | None
) -> None:
    url, objects = careless_store(enforced)
    address = f"s3://bucket/p?endpoint={url}"
    if missing is None:
        probe(Bucket.parse(address))
    else:
        with pytest.raises(StoreUnsafe, match=missing):
            ObservationStore(address, "tiny").write("gnss/a", row(0, 1.0))
    assert objects == {}, "the probe leaves its key behind, or something was written"


def test_a_store_that_does_not_answer_or_has_no_such_bucket_is_named(moto: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for address in (f"s3://bucket/p?endpoint=http://127.0.0.1:{port}", f"s3://nobodys/p?endpoint={moto}"):
        with pytest.raises(StoreUnreachable, match="expected a bucket that") as refused:
            probe(Bucket.parse(address))
        assert address in str(refused.value)
        assert "never-to-be-seen" not in str(refused.value)


def test_housekeeping_runs_on_a_bucket_as_on_a_folder(uri: str) -> None:
    store, cubes = (Bucket.parse(uri).below(name).uri for name in ("observations", "cubes"))
    observations = ObservationStore(store, "tiny")
    sources = [observations.write("gnss/a", row(day, 1.0)) for day in range(3)]
    refs = [
        CubeStore(cubes, "tiny").write({"gnss": row(k, 2.0)}, f"observations {s}")
        for k, s in enumerate(sources)
    ]
    later = datetime.now(UTC) + timedelta(days=1)
    for dry_run in (True, False):
        reports = expire_store(store, cubes, "tiny", {refs[0].snapshot: "forecast"}, later, dry_run=dry_run)
        assert [r.gone for r in reports] == [[refs[1].snapshot], [sources[1]]]
        assert len(observations.history()) == (3 if dry_run else 1)
    assert open_cube(refs[0])["gnss"]["v"].values.tolist() == [[2.0]]
    first = observations.read("gnss/a", sources[0])
    assert first is not None
    assert first.sizes["time"] == 1


def test_an_address_is_written_as_it_is_read() -> None:
    place = Bucket.parse("s3://bucket/a/", endpoint="http://127.0.0.1:9000", region="eu-1").below("cubes")
    assert place.uri == "s3://bucket/a/cubes?endpoint=http://127.0.0.1:9000&region=eu-1"
    assert Bucket.parse(place.uri, endpoint="http://other", region="other") == place
    assert Bucket.parse("s3://bucket").uri == "s3://bucket"


def test_the_names_and_the_token_of_a_place_go_with_it(uri: str) -> None:
    place = Bucket.parse(uri)
    assert names_below(uri) == []
    token = identity_of(place)
    assert identity_of(place) == token
    assert identity_of(place.below("other")) != token
    ObservationStore(uri, "tiny").write("gnss/a", row(0, 1.0))
    ObservationStore(uri, "vast").write("gnss/a", row(0, 1.0))
    assert names_below(uri) == ["other", "tiny", "vast"]


@pytest.mark.parametrize(
    "uri",
    [
        "s3://",
        "s3:///prefix",
        "s3://bucket/p?key=1",
        "s3://me:secret@bucket/p",
        "s3://bucket/p?endpoint=http://me:secret@host",
    ],
)
def test_an_address_that_is_no_bucket_is_refused_without_telling_a_secret(uri: str) -> None:
    with pytest.raises(ValueError, match="expected") as refused:
        Bucket.parse(uri)
    assert "secret" not in str(refused.value)


def test_the_probe_runs_in_a_process_of_its_own_too(uri: str) -> None:
    script = (
        f"from tasks.cubes.store import ObservationStore; print(ObservationStore({uri!r}, 'tiny').snapshot())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "None\n", done.stderr
