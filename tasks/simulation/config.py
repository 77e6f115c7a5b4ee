"""The simulator's configuration: the law of the world and of its instruments, read from YAML."""

from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FaultConfig(_Frozen):
    """One straight fault segment."""

    name: str = Field(description="name in reports")
    start_latitude: float = Field(ge=-90, le=90, description="latitude of one end, degree north")
    start_longitude: float = Field(ge=-180, le=180, description="longitude of one end, degree east")
    end_latitude: float = Field(ge=-90, le=90, description="latitude of the other end, degree north")
    end_longitude: float = Field(ge=-180, le=180, description="longitude of the other end, degree east")
    dip_deg: float = Field(gt=0, le=90, description="dip, degree, down to the right of start to end")
    rake_deg: float = Field(
        ge=-180, le=180, description="slip direction on the plane, degree (Aki and Richards)"
    )
    half_width_km: float = Field(gt=0, description="standard deviation of seismicity across the fault, km")
    share: float = Field(gt=0, le=1, description="share of the background, 1")


class SeismicityConfig(_Frozen):
    """Background and triggering (space-time ETAS, Ogata 1998)."""

    background_per_day: float = Field(gt=0, description="background events in box and margin, 1/day")
    branching_ratio: float = Field(ge=0, lt=1, description="mean number of direct offspring of an event, 1")
    alpha: float = Field(ge=0, description="growth of productivity with magnitude, 1/magnitude (natural log)")
    omori_c_days: float = Field(gt=0, description="Omori-Utsu c, day")
    omori_p: float = Field(gt=1, description="Omori-Utsu p, 1; not 2, where the integral has another form")
    kernel_d_km2: float = Field(gt=0, description="squared length of the spatial kernel at completeness, km2")
    kernel_gamma: float = Field(ge=0, description="growth of the squared length, 1/magnitude (natural log)")
    b_value: float = Field(gt=0, description="Gutenberg-Richter b, 1")
    magnitude_max: float = Field(description="upper truncation of Gutenberg-Richter")
    load_beta: float = Field(description="log background rate per unit of load anomaly, 1")
    depth_mean_km: float = Field(gt=0, description="mean hypocentre depth, km")
    depth_sd_km: float = Field(gt=0, description="standard deviation of depth, km")
    faults: list[FaultConfig] = Field(min_length=1, description="fault segments")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        total = sum(f.share for f in self.faults)
        if total > 1 + 1e-9:
            raise ValueError(f"the faults' shares must not sum to more than 1, found {total:g}")
        if abs(self.omori_p - 2) < 1e-6:
            raise ValueError("omori_p must differ from 2")
        return self


class SlowSlipConfig(_Frozen):
    """Law of slow-slip events."""

    per_year: float = Field(ge=0, description="Poisson rate of arrivals, 1/yr")
    radius_km: tuple[float, float] = Field(description="uniform range of the patch radius, km")
    factor: tuple[float, float] = Field(
        description="uniform range of the background's factor at the centre, 1"
    )
    duration_mean_days: float = Field(gt=0, description="mean of the gamma distributed duration, day")
    duration_shape: float = Field(gt=0, description="shape of the gamma distributed duration, 1")
    moment_magnitude: tuple[float, float] = Field(description="uniform range of the moment magnitude")
    top_km: float = Field(gt=0, description="upper edge of the slipping patch, km")
    bottom_km: float = Field(gt=0, description="lower edge of the slipping patch, km")


class DeformationConfig(_Frozen):
    """Elastic half-space and postseismic relaxation."""

    poisson_ratio: float = Field(gt=0, lt=0.5, description="Poisson's ratio, 1")
    shear_modulus_pa: float = Field(gt=0, description="shear modulus, Pa")
    coseismic_magnitude: float = Field(description="smallest magnitude that displaces the ground")
    postseismic_amplitude: float = Field(ge=0, description="share of coseismic per e-fold of time, 1")
    postseismic_tau_days: float = Field(gt=0, description="time constant of the log decay, day")


class WeatherConfig(_Frozen):
    """Law of the weather; rain days are a two-state Markov chain with gamma amounts."""

    grid_deg: float = Field(gt=0, description="grid step, degree")
    wet_after_dry: float = Field(gt=0, lt=1, description="probability of a wet day after a dry one, 1")
    wet_after_wet: float = Field(gt=0, lt=1, description="probability of a wet day after a wet one, 1")
    rain_shape: float = Field(gt=0, description="shape of the gamma distributed amount of a wet day, 1")
    rain_mean_mm: float = Field(gt=0, description="annual mean amount of a wet day, mm")
    rain_season: float = Field(
        ge=0, lt=1, description="relative seasonal amplitude of the amount, peak in January"
    )
    load_memory_days: float = Field(gt=0, description="e-folding time of stored water, day")
    load_scale_mm: float = Field(gt=0, description="stored water per unit of load anomaly, mm")
    temperature_mean_k: float = Field(gt=0, description="mean 2 m temperature at sea level, K")
    temperature_season_k: float = Field(ge=0, description="seasonal amplitude, K")
    temperature_diurnal_k: float = Field(ge=0, description="diurnal amplitude, K")
    temperature_synoptic_k: float = Field(ge=0, description="standard deviation of synoptic anomalies, K")
    pressure_synoptic_pa: float = Field(ge=0, description="standard deviation of synoptic pressure, Pa")
    wind_sd_m_s: float = Field(ge=0, description="standard deviation of each wind component, m s-1")
    synoptic_memory_hours: float = Field(gt=0, description="e-folding time of synoptic anomalies, hour")


class GnssConfig(_Frozen):
    """Daily positions; flicker amplitudes after Williams (2003)."""

    stations_per_side: int = Field(ge=2, le=10, description="stations on a jittered square grid, per side")
    white_horizontal_m: float = Field(ge=0, description="white noise of east and north, m")
    white_up_m: float = Field(ge=0, description="white noise of up, m")
    flicker_horizontal_m: float = Field(ge=0, description="flicker noise of east and north, m/yr^0.25")
    flicker_up_m: float = Field(ge=0, description="flicker noise of up, m/yr^0.25")
    common_mode_m: float = Field(ge=0, description="white noise common to all stations, m")
    annual_up_m: float = Field(ge=0, description="largest annual amplitude of up, m")
    load_up_m: float = Field(ge=0, description="subsidence per unit of load anomaly, m")
    secular_m_yr: float = Field(ge=0, description="interseismic velocity across the region, m/yr")
    offsets_per_year: float = Field(ge=0, description="equipment changes of a station, 1/yr")
    gap_share: float = Field(ge=0, lt=1, description="share of single days missing, 1")
    outages_per_year: float = Field(ge=0, description="outages of days to months of a station, 1/yr")


class InsarConfig(_Frozen):
    """Two tracks of interferograms of consecutive acquisitions."""

    step_deg: float = Field(gt=0, description="pixel, degree")
    repeat_days: int = Field(ge=1, description="days between acquisitions of a track")
    ascending: str = Field(description="name of the ascending track")
    descending: str = Field(description="name of the descending track")
    turbulence: float = Field(ge=0, description="standard deviation of turbulent delay per wet delay, 1")
    ramp_m: float = Field(ge=0, description="standard deviation of the orbital ramp at the scene's edge, m")
    noise_m: float = Field(ge=0, description="decorrelation noise at coherence 0.5, m")


class WaveformConfig(_Frozen):
    """Seismometers and their records."""

    stations: int = Field(ge=1, le=99, description="three-component stations")
    magnitude_min: float = Field(description="smallest magnitude that is recorded as an event")
    events_max: int = Field(ge=0, description="event folders at most")
    sampling_rate_hz: float = Field(ge=10, lt=80, description="event records, Hz")
    length_s: float = Field(gt=10, description="event records, s")
    continuous_days: int = Field(ge=0, description="sample days of continuous records")
    continuous_stations: int = Field(ge=0, description="stations with continuous records")
    continuous_rate_hz: float = Field(gt=1, lt=10, description="continuous records, Hz")
    quality_factor: float = Field(gt=0, description="Q of the path, 1")
    kappa_s: float = Field(ge=0, description="site attenuation, s")
    stress_drop_pa: float = Field(gt=0, description="Brune stress drop, Pa")
    noise_m_s: float = Field(gt=0, description="rms ground noise in calm weather, m s-1")


class CatalogConfig(_Frozen):
    """How the network sees the true events."""

    preliminary_minutes: float = Field(gt=0, description="delay of the automatic solution, minute")
    revision_days: float = Field(gt=0, description="mean delay of the revised solution, day")
    preliminary_location_km: float = Field(ge=0, description="location error of the automatic solution, km")
    revised_location_km: float = Field(ge=0, description="location error of the revised solution, km")
    preliminary_magnitude_error: float = Field(ge=0, description="magnitude error of the automatic solution")
    revised_magnitude_error: float = Field(ge=0, description="magnitude error of the revised solution")
    incompleteness_width: float = Field(gt=0, description="width of the detection probability in magnitude")
    quarry_blasts_per_year: float = Field(ge=0, description="quarry blasts listed, 1/yr")
    false_events_per_year: float = Field(ge=0, description="events listed and withdrawn, 1/yr")
    duplicates_per_year: float = Field(ge=0, description="events listed twice under two ids, 1/yr")


class SimulationConfig(_Frozen):
    """Everything that decides a world, but for the region and the seed."""

    name: str = Field(description="name of this world's law")
    seismicity: SeismicityConfig = Field(description="events")
    slow_slip: SlowSlipConfig = Field(description="hidden slip")
    deformation: DeformationConfig = Field(description="ground displacement")
    weather: WeatherConfig = Field(description="weather and load")
    gnss: GnssConfig = Field(description="GNSS network")
    insar: InsarConfig = Field(description="satellites")
    waveforms: WaveformConfig = Field(description="seismometers")
    catalog: CatalogConfig = Field(description="catalog")

    @model_validator(mode="after")
    def _finite_mean_rate(self) -> Self:
        exponent = self.seismicity.load_beta / self.weather.load_scale_mm
        scale = self.weather.rain_mean_mm * (1 + self.weather.rain_season) / self.weather.rain_shape
        if exponent * scale >= 1:
            raise ValueError(
                "load_beta / load_scale_mm times the scale of rain must be below 1, else the mean rate is "
                f"infinite; found {exponent * scale:g}"
            )
        return self


def load_simulation(name: str, conf: Path) -> SimulationConfig:
    """Return the configuration in `conf`/simulation/`name`.yaml.

    Raises
    ------
    KeyError
        If there is no such file; the message lists those there are.
    ValueError
        If the file does not describe a simulation; the message names the file and each wrong field.
    """
    folder = conf / "simulation"
    known = sorted(p.stem for p in folder.glob("*.yaml"))
    if name not in known:
        raise KeyError(f"unknown simulation {name!r}: expected one of {known} (files in {folder})")
    path = folder / f"{name}.yaml"
    try:
        return SimulationConfig.model_validate(yaml.safe_load(path.read_text()))
    except (ValidationError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: not a valid simulation: {error}") from error
