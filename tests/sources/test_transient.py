"""A disk or network that does not answer makes a source unavailable, so that it is asked again."""

import errno
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from tasks.sources import Fetched, SourceDataInvalid, SourceUnavailable

ROW = "2018/01/01 00:01:50.77 eq  l 2.93 l    35.533 -117.593   2.9 A 1000001   40 1845\n"
# provider of each way in which readers open files -> modality, file, content
READERS = {
    "scedc": ("catalog", "2018.catalog", ROW),
    "quakeml": ("catalog", "2018.xml", "<quakeml/>"),
    "era5": ("weather", "2018.nc", "CDF"),
}
Fetch = Callable[..., Fetched]


def failing(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let every file fail to open as a disk does; no test can have a real one that fails."""

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(number, "as the disk says", str(path))

    monkeypatch.setattr(Path, "open", refuse)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_a_disk_that_does_not_answer_is_unavailable(
    tmp_path: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (tmp_path / "2018.catalog").write_text(ROW)
    failing(monkeypatch, number)
    with pytest.raises(SourceUnavailable, match=r"2018\.catalog: expected an answer .*as the disk says"):
        fetch("catalog", "scedc", "")


@pytest.mark.parametrize("provider", ["scedc", "quakeml", "era5"])
def test_every_way_of_opening_tells_a_disk_from_a_file(
    tmp_path: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    modality, name, content = READERS[provider]
    (tmp_path / name).write_text(content)
    failing(monkeypatch, errno.EIO)
    with pytest.raises(SourceUnavailable, match=name):
        fetch(modality, provider, "")


def test_a_cause_below_a_complaint_about_the_file_is_seen(
    tmp_path: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "velocity.h5").write_bytes(b"")

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EIO, "read failed", str(path))

    monkeypatch.setattr(h5py, "File", refuse)
    with pytest.raises(SourceUnavailable, match=r"velocity\.h5"):
        fetch("insar", "mintpy", "velocity.h5")


def test_a_file_that_must_not_be_read_is_left_out_at_once(
    tmp_path: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "2018.catalog").write_text(ROW)
    failing(monkeypatch, errno.EACCES)
    with pytest.raises(SourceDataInvalid, match=r"expected a readable file, found .*as the disk says"):
        fetch("catalog", "scedc", "")


def test_the_third_try_reads_what_two_tries_could_not(
    tmp_path: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "2018.catalog").write_text(ROW)
    with monkeypatch.context() as broken:
        failing(broken, errno.EIO)
        for _ in range(2):
            with pytest.raises(SourceUnavailable):
                fetch("catalog", "scedc", "")
    assert fetch("catalog", "scedc", "").dataset.sizes["event"] == 1
