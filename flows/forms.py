"""What a person may set when triggering a flow: shallow models that the Prefect form shows readably."""

from datetime import date
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Network = Literal["concat", "gated", "cross_attention"]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")

    region: str = Field(
        default="simulated",
        pattern=r"^[a-z][a-z0-9_]*$",
        description="A file in conf/regions, without .yaml: simulated or ridgecrest.",
    )
    seed: int = Field(
        default=1,
        ge=0,
        le=2**31 - 1,
        description="Seed of the simulated world and of training; 0 to 2147483647.",
    )


_DAY_OR_NOTHING = r"^(|\d{4}-\d{2}-\d{2})$"


class IngestForm(_Form):
    """Ask every source of a region and append what is new to the observation store."""

    replay_from: str = Field(
        default="",
        pattern=_DAY_OR_NOTHING,
        description="Replay: walk the archive from this day, YYYY-MM-DD, day by day as if live. Empty: read all.",
    )
    replay_to: str = Field(
        default="",
        pattern=_DAY_OR_NOTHING,
        description="Replay: last day, YYYY-MM-DD. Empty: the region's end.",
    )

    @model_validator(mode="after")
    def _days_in_order(self) -> Self:
        first, last = (date.fromisoformat(day) if day else None for day in (self.replay_from, self.replay_to))
        if last is not None and (first is None or last <= first):
            raise ValueError(f"a replay goes from an earlier to a later day, found {first} to {last}")
        return self


class QualityForm(_Form):
    """Judge the stored observations of a region: availability, faults with reasons, and what a fault filter leaves."""

    trials: int = Field(
        default=100,
        ge=0,
        le=1000,
        description="Steps, slow-slip events and spikes planted per size into the GNSS series; 0 plants none.",
    )


class CubeForm(_Form):
    """Align the stored observations of a region into a cube."""


class TrainForm(_Form):
    """Fit the baselines and train fusion networks."""

    networks: list[Network] = Field(
        default=["concat", "gated", "cross_attention"],
        min_length=1,
        description="Fusion networks to train, each a file in conf/models.",
    )
    training: Literal["demo", "full"] = Field(
        default="demo", description="Training recipe in conf/training: demo takes minutes, full longer."
    )
    epochs: int = Field(
        default=0, ge=0, le=200, description="Epochs; 0 takes the recipe's own number, at most 200."
    )


class BacktestForm(_Form):
    """Score baselines, networks and ablations on the test period."""


class ScoreIssuedForm(_Form):
    """Score the issued forecasts whose windows are over."""


class RetrainForm(TrainForm):
    """Ingest, rebuild, retrain, backtest; register the best network and apply the promotion rule."""


class PipelineForm(RetrainForm):
    """Everything once: ingest to published forecast."""


class ForecastForm(_Form):
    """Issue a forecast with the champion, or with ETAS where no network has been promoted."""

    issue_date: str = Field(
        default="latest",
        pattern=r"^(latest|\d{4}-\d{2}-\d{2})$",
        description="Day at whose midnight (UTC) the forecast is issued, YYYY-MM-DD, or latest: the end of the data.",
    )


class AftershockForm(_Form):
    """Forecast what follows an earthquake: numbers and probabilities for a day to a year, a map, an advisory."""

    event_id: str = Field(
        default="latest",
        min_length=1,
        max_length=100,
        description="Id of the event as the catalog has it, or latest: the last one that the region takes for large.",
    )
    issue_time: str = Field(
        default="latest",
        pattern=r"^(latest|\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2})?)?)$",
        description="Moment of issue, UTC, YYYY-MM-DDTHH:MM, as known then; or latest: now, or the data's end.",
    )
    replay: bool = Field(
        default=False,
        description="Instead: issue it 1 h, 6 h, 1 d, 3 d and 7 d after the event, as known then, and score them.",
    )


class HousekeepingForm(BaseModel):
    """Let old snapshots of observations and cubes go that no registered model and no issued forecast refers to."""

    model_config = ConfigDict(extra="forbid")

    region: str = Field(
        default="all",
        pattern=r"^[a-z][a-z0-9_]*$",
        description="A file in conf/regions, without .yaml, or all: every store there is.",
    )
    keep_days: int = Field(
        default=30,
        ge=0,
        le=36500,
        description="Snapshots of the last so many days stay, whoever refers to them; 0 to 36500.",
    )
    dry_run: bool = Field(
        default=True, description="Only say what would go. Off: what goes cannot be brought back."
    )
