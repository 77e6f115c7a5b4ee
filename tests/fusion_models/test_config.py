import pytest

from fusion_models.config import load_model, load_training


@pytest.mark.parametrize("kind", ["concat", "gated", "cross_attention"])
def test_every_network_on_file_loads_and_is_of_its_kind(kind, conf):
    assert load_model(kind, conf).kind == kind


@pytest.mark.parametrize("name", ["demo", "full"])
def test_every_training_on_file_loads(name, conf):
    assert load_training(name, conf).horizons == (1, 7, 30)


def test_an_unknown_name_lists_the_known_ones(conf):
    with pytest.raises(KeyError, match="cross_attention"):
        load_model("oracle", conf)


def test_a_wrong_field_is_named_with_its_file(tmp_path):
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "bad.yaml").write_text("epochs: many\n")

    with pytest.raises(ValueError, match=r"bad\.yaml(.|\n)*epochs"):
        load_training("bad", tmp_path)
