"""How a source finds its files, opens them whatever they are wrapped in, and survives the bad ones among them."""

import gzip
import io
import logging
import lzma
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import pandas as pd
import xarray as xr

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import SourceDataInvalid, SourceEmpty, SourceMissing
from tasks.sources.plausible import refuse_other_units, refuse_values
from tasks.sources.transient import raise_if_transient

logger = logging.getLogger(__name__)

T = TypeVar("T")

SMALL: Final = 64 << 20
LARGEST_RATIO: Final = 200
_MAGIC: Final = {".xz": b"\xfd7zXZ\x00", ".gz": b"\x1f\x8b"}


def locate(config: SourceConfig, root: Path) -> Path:
    """Return the source's file or folder.

    Raises
    ------
    SourceMissing
        If it is not there.
    """
    path = root / config.path
    if not path.exists():
        raise SourceMissing(
            f"{path}: expected the {config.provider} data of source {config.group}, found nothing; "
            "check the archive and the source's path in conf/regions"
        )
    return path


def list_payloads(config: SourceConfig, root: Path, *patterns: str) -> list[Path]:
    """Return the source's files in name order: itself if it is a file, else what matches `patterns` below it.

    Files whose name starts with a dot are left out: archivers on other systems add such companions.

    Raises
    ------
    SourceMissing
        If the path is not there.
    SourceEmpty
        If the folder holds no such file.
    """
    path = locate(config, root)
    if path.is_file():
        return [path]
    found = sorted({p for pattern in patterns for p in path.glob(pattern) if not p.name.startswith(".")})
    if not found:
        raise SourceEmpty(f"{path}: expected files like {' or '.join(patterns)}, found none")
    return found


def is_packed(path: Path) -> bool:
    """Tell whether a file whose name ends in .xz or .gz is packed indeed.

    An archive wraps what its provider publishes plain, and a web server may unpack on the way.
    """
    magic = _MAGIC.get(path.suffix)
    if magic is None:
        return False
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def read_payload(path: Path) -> bytes:
    """Return the content of `path`, unpacked if it is packed and its name says so (.xz, .gz).

    Raises
    ------
    SourceDataInvalid
        If the packed stream is damaged, or is absurdly small for what it unpacks to.
    """
    if not is_packed(path):
        return path.read_bytes()
    most = max(SMALL, LARGEST_RATIO * path.stat().st_size)
    opener = lzma.open if path.suffix == ".xz" else gzip.open
    try:
        with opener(path, "rb") as stream:
            content: bytes = stream.read(most + 1)
    except (lzma.LZMAError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceDataInvalid(path, f"a whole {path.suffix} stream", str(error)) from error
    if len(content) > most:
        raise SourceDataInvalid(path, f"a stream of at most {most} bytes", "one that unpacks to more")
    return content


def read_text(path: Path) -> str:
    """Return the text of `path`, unpacked.

    Raises
    ------
    SourceDataInvalid
        If it is not UTF-8 text.
    """
    try:
        return read_payload(path).decode()
    except UnicodeDecodeError as error:
        raise SourceDataInvalid(path, "UTF-8 text", f"binary data ({error.reason})") from error


def read_csv(path: Path, names: Sequence[str], has_header: bool = True) -> pd.DataFrame:
    """Return the table in a CSV file, plain or packed, every field as text and NaN where it is empty.

    Parameters
    ----------
    names : sequence of str
        Columns that have to be in the header; without a header, the names of all columns in their order.

    Raises
    ------
    SourceDataInvalid
        If the file is no such table.
    """
    text = read_text(path)
    try:
        table = pd.read_csv(
            io.StringIO(text),
            header="infer" if has_header else None,
            dtype=str,
            # only what is empty is missing: the text NaN is a value to complain about
            keep_default_na=False,
            na_values=[""],
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise SourceDataInvalid(path, f"a table with columns {list(names)}", str(error).strip()) from error
    if not has_header:
        if table.shape[1] != len(names):
            raise SourceDataInvalid(path, f"{len(names)} columns {list(names)}", f"{table.shape[1]} columns")
        table.columns = pd.Index(names)
    table.columns = pd.Index([" ".join(str(c).split()) for c in table.columns])
    if not set(names) <= set(table.columns):
        raise SourceDataInvalid(path, f"columns {list(names)}", f"{list(table.columns)}")
    return table


def read_each(
    paths: Iterable[Path], read: Callable[[Path], T | None]
) -> tuple[list[T], list[SourceDataInvalid]]:
    """Read every file; return what was read and the complaints about the rest.

    `read` returns None where a file holds nothing of the window. A Dataset or catalog whose values cannot be in the
    unit of their names is invalid.

    Raises
    ------
    SourceUnavailable
        If the disk or network did not answer for one of them: without it the source would be taken as shorter.
    SourceDataInvalid
        If there are files and every one of them is invalid.
    """
    results: list[T] = []
    invalid: list[SourceDataInvalid] = []
    n_read = 0
    for path in paths:
        try:
            result = read(path)
            _refuse_other_units(result, path)
        except OSError as error:
            raise_if_transient(error, path)
            unreadable = SourceDataInvalid(path, "a readable file", str(error))
            unreadable.is_left_out = True
            logger.info("left out: %s", unreadable)
            invalid.append(unreadable)
            continue
        except SourceDataInvalid as error:
            raise_if_transient(error, path)
            error.is_left_out = True
            logger.info("left out: %s", error)
            invalid.append(error)
            continue
        n_read += 1
        if result is not None:
            results.append(result)
    if invalid and not n_read:
        first = invalid[0]
        if len(invalid) == 1:
            raise first
        folder = Path(first.path).parent
        raise SourceDataInvalid(
            folder, f"at least one valid file among {len(invalid)}", f"none; the first complaint: {first}"
        ) from first
    return results, invalid


def _refuse_other_units(result: object, path: Path) -> None:
    """Judge one file of many by itself: among others it would not show in the median."""
    if isinstance(result, xr.Dataset):
        refuse_other_units(result, path)
    elif isinstance(result, dict):  # versions of one file
        for part in result.values():
            _refuse_other_units(part, path)
    elif isinstance(result, pd.DataFrame):
        # catalogs; places may still be in degrees of another turn
        for name in ("depth_km", "magnitude"):
            if name in result:
                refuse_values(name, result[name].to_numpy(np.float64), path)


def empty(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> SourceEmpty:
    """Return the error that says that `window` holds nothing of `region`."""
    return SourceEmpty(
        f"{root / config.path}: expected observations, found nothing for region {region.name!r} between "
        f"{window.start.astype('datetime64[D]')} and {window.end.astype('datetime64[D]')}"
    )
