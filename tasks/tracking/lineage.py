"""The Icechunk snapshot of a cube as an MLflow dataset, so that every run names the data it saw."""

from typing import Any

from mlflow.data.dataset_source import DatasetSource
from mlflow.data.meta_dataset import MetaDataset


class IcechunkSource(DatasetSource):
    """A snapshot of an Icechunk repository, by URI and id."""

    def __init__(self, uri: str, snapshot: str) -> None:
        self.uri = uri
        self.snapshot = snapshot

    @staticmethod
    def _get_source_type() -> str:
        return "icechunk"

    def load(self) -> str:
        """Return the URI; the data are read with `tasks.cubes.store`."""
        return self.uri

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return False

    @classmethod
    def _resolve(cls, raw_source: Any) -> "IcechunkSource":
        raise ValueError("an Icechunk source is given by URI and snapshot, it cannot be guessed")

    def to_dict(self) -> dict[str, str]:
        """Return what identifies the snapshot."""
        return {"uri": self.uri, "snapshot": self.snapshot}

    @classmethod
    def from_dict(cls, source_dict: dict[str, str]) -> "IcechunkSource":
        """Return the source that `to_dict` described."""
        return cls(source_dict["uri"], source_dict["snapshot"])


def cube_dataset(uri: str, snapshot: str, region: str) -> MetaDataset:
    """Return the MLflow dataset of a cube snapshot; its digest is the snapshot id (at most 36 characters)."""
    return MetaDataset(  # type: ignore[abstract]
        source=IcechunkSource(uri, snapshot), name=f"cube-{region}", digest=snapshot[:36]
    )
