"""The rules of scoring, read from YAML and fixed before the test period is opened."""

from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator


class ScoringConfig(BaseModel):
    """Horizons, reference model, bootstrap and bins."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    horizons_days: tuple[int, ...] = Field(
        default=(1, 7, 30), min_length=1, description="lengths of the forecast windows, days"
    )
    reference: str = Field(default="etas", description="model against which information gain is measured")
    long_term: str = Field(default="poisson", description="model against which the Brier score is measured")
    bootstrap_draws: int = Field(default=2000, ge=100, description="draws of the block bootstrap")
    block_days: int = Field(
        default=30, ge=1, description="length of a bootstrap block of consecutive windows, days"
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="coverage of every interval")
    sequence_days: int = Field(
        default=30, ge=1, description="events at most this far apart in time are of one sequence, days"
    )
    sequence_km: float = Field(
        default=20.0, gt=0, description="events at most this far apart in space are of one sequence, km"
    )
    min_sequences: float = Field(
        default=5.0,
        ge=2,
        description="effective number of sequences below which they give no interval",
    )
    equivalence_margin: float = Field(
        default=0.02,
        gt=0,
        description="gains within this of zero count as equal to the reference, nats per event",
    )
    simulations: int = Field(
        default=10_000,
        ge=100,
        description="simulated catalogs in each consistency test, the same for every model",
    )
    power_simulations: int = Field(
        default=1000, ge=100, description="catalogs under each of the two laws of a power"
    )
    significance: float = Field(
        default=0.05, gt=0, lt=0.5, description="a consistency test rejects below this p-value"
    )
    shuffles: int = Field(
        default=1000, ge=100, description="exchanges of windows in the label-shuffle control"
    )
    leak_checks: int = Field(
        default=2, ge=1, description="issue times at which each forecaster is tried without the future"
    )
    score_delay_days: int = Field(
        default=7,
        ge=0,
        description="an issued forecast is scored with the catalog as known this long after its window ends, days",
    )
    seed: int = Field(default=20190706, ge=0, description="seed of all draws")
    promotion_horizon_days: int = Field(
        default=7, ge=1, description="horizon at which a network is promoted or not, days"
    )
    promotion_min_low: float = Field(
        default=0.0,
        description="a network is promoted if the lower bound of its gain over the reference exceeds this, nats",
    )
    reliability_edges: tuple[float, ...] = Field(
        default=(0.0, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
        min_length=2,
        description="edges of the bins of forecast probability, from 0 to 1",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        edges = list(self.reliability_edges)
        if edges != sorted(set(edges)) or edges[0] != 0.0 or edges[-1] != 1.0:
            raise ValueError(f"reliability_edges must increase from 0 to 1, found {edges}")
        if min(self.horizons_days) < 1 or len(set(self.horizons_days)) != len(self.horizons_days):
            raise ValueError(f"horizons_days must be different and positive, found {self.horizons_days}")
        if self.promotion_horizon_days not in self.horizons_days:
            raise ValueError(f"promotion_horizon_days must be one of {self.horizons_days}")
        return self


def load_scoring(conf: Path, name: str = "default") -> ScoringConfig:
    """Return `conf`/scoring/`name`.yaml.

    Raises
    ------
    ValueError
        If the file is absent or wrong; the message names the file and each wrong field.
    """
    path = conf / "scoring" / f"{name}.yaml"
    try:
        return ScoringConfig.model_validate(yaml.safe_load(path.read_text()))
    except FileNotFoundError as error:
        known = sorted(p.stem for p in path.parent.glob("*.yaml"))
        raise ValueError(f"{path}: no such scoring configuration, expected one of {known}") from error
    except (ValidationError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: not a valid scoring configuration: {error}") from error
