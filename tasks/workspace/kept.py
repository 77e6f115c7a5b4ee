"""What one flow leaves for the next: a small JSON file among a region's runs, whole or not there."""

from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel

from tasks.regions import Region
from tasks.workspace import Workspace, write_json


class Kept(BaseModel):
    """A result that a later flow run takes up: the one last asked for, not the one last computed."""

    file_name: ClassVar[str]
    made_by: ClassVar[str]

    @classmethod
    def path(cls, workspace: Workspace, region: Region) -> Path:
        """Return where it is kept."""
        return workspace.runs(region.store_name) / cls.file_name

    def save(self, workspace: Workspace, region: Region) -> None:
        """Keep this in place of what was kept before."""
        write_json(self.path(workspace, region), self.model_dump(mode="json"))

    @classmethod
    def load(cls, workspace: Workspace, region: Region) -> Self:
        """Return what is kept, or raise ValueError saying which flow makes it."""
        path = cls.path(workspace, region)
        if not path.is_file():
            raise ValueError(
                f"region {region.name!r}: expected {path}, found none; run the flow {cls.made_by} first"
            )
        return cls.model_validate_json(path.read_text())
