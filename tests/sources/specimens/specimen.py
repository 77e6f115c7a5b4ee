"""A small valid part of an archive for one reader, and the same world in units that its format does not mean."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from tasks.regions import SourceConfig

Writer = Callable[[Path], None]


class Specimen(NamedTuple):
    """What a reader is tried with.

    Attributes
    ----------
    write : callable
        Writes the payloads into a folder.
    path : str
        The source's path below that folder; "." for the folder itself.
    confused : mapping of name to callable
        Writers of the same world whose numbers are in another unit than the payload says or the format means. Only
        confusions that a reader can see: what is a thousandth of itself may be a quiet day.
    """

    modality: str
    write: Writer
    path: str = "data"
    options: Mapping[str, str | float | int | bool] = {}
    latency_days: float = 1.0
    confused: Mapping[str, Writer] = {}

    def config(self, provider: str) -> SourceConfig:
        """The source of a region file that reads it."""
        return SourceConfig.model_validate(
            {
                "name": provider, "modality": self.modality, "provider": provider, "path": self.path,
                "latency_days": self.latency_days, "options": dict(self.options),
            }
        )  # fmt: skip


def put(path: Path, content: bytes | str) -> None:
    """Write a file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
