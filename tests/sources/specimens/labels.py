"""Units that a payload states and that are not those of its numbers: a reader converts what it says, or refuses it."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import h5py

# what stands for a unit in the texts, and what is put there instead
TEXTS: Final = (
    ("(mm)", "(m)"), ("(m)", "(mm)"), (",m\n", ",mm\n"), ('"hPa"', '"Pa"'), ('"°C"', '"K"'), ('"mm"', '"inch"'),
    ('"m/s"', '"km/h"'), ("<Name>M/S</Name>", "<Name>NM/S</Name>"), ("<Name>M/S</Name>", "<Name>FURLONGS</Name>"),
)  # fmt: skip
ATTRIBUTES: Final = ("degC", "hPa", "mm", "cm", "km", "degree", "parsec")


class Label:
    """One statement of a unit in one file, and how to change it."""

    def __init__(self, name: str, path: Path, change: Callable[[], None]) -> None:
        self.name, self.path, self._change = name, path, change

    def change(self) -> None:
        """State another unit; the numbers stay."""
        self._change()


def labels_of(folder: Path) -> Iterator[Label]:
    """All that can be stated otherwise in the files of a specimen."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        if content.startswith(b"\x89HDF"):
            yield from _of_hdf5(path)
            continue
        try:
            text = content.decode()
        except UnicodeDecodeError:
            continue
        for old, new in TEXTS:
            if old in text:
                changed = re.sub(re.escape(old), new, text)
                yield Label(f"{old.strip()} -> {new.strip()}", path, _writer(path, changed))


def _writer(path: Path, text: str) -> Callable[[], None]:
    return lambda: path.write_text(text) and None


def _of_hdf5(path: Path) -> Iterator[Label]:
    found: list[tuple[str, str]] = []

    def visit(name: str, item: object) -> None:
        if (
            isinstance(item, h5py.Dataset)
            and "units" in item.attrs
            and "since" not in str(item.attrs["units"])
        ):
            found.append((name, "units"))

    with h5py.File(path) as file:
        file.visititems(visit)
        found += [("", key) for key in ("UNIT",) if key in file.attrs]
    for k, (name, key) in enumerate(found):
        for unit in (ATTRIBUTES[k % len(ATTRIBUTES)], ATTRIBUTES[(k + 2) % len(ATTRIBUTES)]):
            yield Label(f"{name}.{key} -> {unit!r}", path, _setter(path, name, key, unit))


def _setter(path: Path, name: str, key: str, unit: str) -> Callable[[], None]:
    def change() -> None:
        with h5py.File(path, "r+") as file:
            (file[name] if name else file).attrs[key] = unit

    return change
