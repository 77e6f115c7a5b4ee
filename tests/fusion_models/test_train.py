import numpy as np
import pytest
import torch

from fusion_models.bundle import example_inputs, load_bundle, predict_batch
from fusion_models.data.asof import as_of
from fusion_models.data.samples import stack_samples
from fusion_models.forecaster import NetworkForecaster
from fusion_models.train import fit


class Constant:
    """A baseline that knows its rates in advance."""

    name = "constant"

    def __init__(self, rates):
        self.rates = rates

    def forecast(self, view):
        return self.rates.sel(issue_time=view.issue_time, drop=True)


def train(world, dates, model, training, out, **options):
    return fit(world.cube, world.baseline_rates, world.counts, dates, model, training, out, **options)


@pytest.mark.parametrize("kind", ["concat", "gated", "cross_attention"])
def test_training_finds_the_planted_effect_of_strain_on_rate(
    kind, world, dates, model_config, training_config, tmp_path
):
    told = []
    path = train(
        world,
        dates,
        model_config.model_copy(update={"kind": kind}),
        training_config.model_copy(update={"epochs": 10, "issue_step_days": 1}),
        tmp_path,
        on_epoch=lambda epoch, metrics: told.append((epoch, metrics)),
    )

    card = load_bundle(path).card
    assert max(metrics["val_igpe"] for _, metrics in told) > 0.15
    assert [epoch for epoch, _ in told] == list(range(1, len(told) + 1))
    assert all(0 < share <= 1 for share in card.shrinkage)
    assert {"train_nll", "train_igpe", "val_nll", "val_igpe_30"} <= set(told[0][1])


def test_a_network_that_learned_what_does_not_hold_falls_back_to_the_baseline(
    world, dates, model_config, training_config, tmp_path
):
    # In validation the events happen three cells away from where the strain is.
    elsewhere = world.counts.roll(lat=3, lon=3, roll_coords=False)
    later = world.counts["issue_time"] >= np.datetime64("2001-07-15")
    world = world._replace(counts=world.counts.where(~later, elsewhere))
    path = train(world, dates, model_config, training_config.model_copy(update={"epochs": 6}), tmp_path)
    bundle = load_bundle(path)
    views = [as_of(world.cube, "2001-08-01")]
    rates = world.baseline_rates.sel(issue_time=["2001-08-01"])

    forecast = NetworkForecaster(bundle, Constant(world.baseline_rates)).forecast_many(views, rates)

    assert bundle.card.shrinkage == (0.0, 0.0, 0.0)
    np.testing.assert_array_equal(forecast.values, rates.values)


def test_a_run_killed_after_an_epoch_ends_where_an_uninterrupted_one_does(
    world, dates, model_config, training_config, tmp_path
):
    class KilledError(Exception):
        pass

    def kill(epoch, metrics):
        if epoch == 2:
            raise KilledError

    config = training_config.model_copy(update={"epochs": 3})
    whole = load_bundle(train(world, dates, model_config, config, tmp_path / "whole"))
    with pytest.raises(KilledError):
        train(world, dates, model_config, config, tmp_path / "cut", on_epoch=kill)
    told = []
    cut = load_bundle(
        train(world, dates, model_config, config, tmp_path / "cut", on_epoch=lambda e, m: told.append(e))
    )

    assert told == [1, 2, 3]
    assert cut.card.shrinkage == whole.card.shrinkage
    assert cut.card.dispersion == whole.card.dispersion
    for name, weights in whole.network.state_dict().items():
        torch.testing.assert_close(cut.network.state_dict()[name], weights, rtol=0, atol=0)


def test_a_finished_run_is_not_trained_again_but_tells_its_epochs(
    world, dates, model_config, training_config, tmp_path
):
    path = train(world, dates, model_config, training_config, tmp_path)
    before = (path / "model.safetensors").stat().st_mtime_ns
    told = []

    train(world, dates, model_config, training_config, tmp_path, on_epoch=lambda e, m: told.append(e))

    assert (path / "model.safetensors").stat().st_mtime_ns == before
    assert told == [1, 2]


@pytest.fixture(scope="module")
def bundle(world, dates, tmp_path_factory):
    from fusion_models.config import LookbackDays, ModelConfig, TrainingConfig

    model = ModelConfig(
        kind="cross_attention",
        width=8,
        channels=8,
        n_events=12,
        coarse_cells=3,
        lookback_days=LookbackDays(waveform=8, gnss=16, strain=5, strain_change=20, weather=8),
    )
    training = TrainingConfig(
        epochs=3,
        batch_size=16,
        learning_rate=0.01,
        weight_decay=0.0,
        modality_dropout=0.1,
        likelihood="negative_binomial",
        patience=5,
        issue_step_days=3,
    )
    return load_bundle(train(world, dates, model, training, tmp_path_factory.mktemp("run")))


def test_the_bundle_forecasts_the_same_one_by_one_in_batches_and_by_arrays(world, bundle):
    times = world.baseline_rates["issue_time"].values[200:204]
    views = [as_of(world.cube, time) for time in times]
    rates = world.baseline_rates.sel(issue_time=times)
    forecaster = NetworkForecaster(bundle, Constant(world.baseline_rates))

    many = forecaster.forecast_many(views, rates)
    one = forecaster.forecast(views[2])
    arrays = stack_samples(bundle.card.spec, views, rates.values)

    assert one.dims == ("horizon", "lat", "lon")
    np.testing.assert_allclose(one.values, many.values[2], rtol=1e-5)
    np.testing.assert_array_equal(predict_batch(bundle, arrays), many.values)
    assert not np.allclose(many.values, rates.values)


@pytest.mark.parametrize("kind", ["seismic", "gnss", "insar", "weather"])
def test_hiding_a_kind_of_provider_equals_a_cube_that_lacks_it(kind, world, bundle):
    groups = {
        "seismic": ("waveform", "catalog", "catalog_grid"),
        "gnss": ("gnss", "strain"),
        "insar": ("insar",),
        "weather": ("weather",),
    }[kind]
    time = world.baseline_rates["issue_time"].values[230]
    lacking = world._replace(groups={k: v for k, v in world.groups.items() if k not in groups})
    baseline = Constant(world.baseline_rates)

    hidden = NetworkForecaster(bundle, baseline, without=(kind,)).forecast(as_of(world.cube, time))
    lacked = NetworkForecaster(bundle, baseline).forecast(as_of(lacking.cube, time))

    np.testing.assert_allclose(hidden.values, lacked.values, rtol=1e-5)
    assert np.isfinite(hidden.values).all()


def test_the_bundle_states_the_spread_of_counts_of_every_horizon(bundle):
    assert len(bundle.card.dispersion) == len(bundle.card.spec.horizons)
    assert min(bundle.card.dispersion) > 0


def test_the_example_inputs_give_finite_rates(bundle):
    example = example_inputs(bundle)

    rates = predict_batch(bundle, example)

    assert rates.shape == example["baseline_rates"].shape
    assert np.isfinite(rates).all()
    assert (rates > 0).all()


def test_a_missing_array_and_an_unknown_kind_are_named(bundle):
    example = example_inputs(bundle)

    with pytest.raises(KeyError, match="sonar"):
        predict_batch(bundle, example, without=("sonar",))
    del example["gnss.values"]
    with pytest.raises(ValueError, match=r"gnss\.values"):
        predict_batch(bundle, example)


def test_a_folder_without_a_bundle_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"bundle\.json"):
        load_bundle(tmp_path)
