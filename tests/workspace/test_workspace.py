"""References are named by content, and folders appear whole or not at all."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.regions import Region
from tasks.workspace import Workspace, code_digest, digest, folder_fingerprint, whole_folder, write_json
from tasks.workspace.kept import Kept

PLAIN = st.dictionaries(
    st.text(max_size=5), st.one_of(st.integers(), st.text(max_size=5), st.booleans()), max_size=5
)


@given(PLAIN)
def test_the_digest_does_not_depend_on_the_order_of_keys(value: dict) -> None:
    assert digest(value) == digest(dict(reversed(list(value.items()))))


@given(PLAIN, st.integers())
def test_the_digest_changes_with_a_value(value: dict, number: int) -> None:
    assert digest(value | {"key": number}) != digest(value | {"key": number + 1})


def test_the_code_digest_of_one_library_is_not_that_of_all() -> None:
    assert code_digest("tasks/simulation") != code_digest()
    assert code_digest() == code_digest()


def _write_and_fail(target: Path) -> None:
    with whole_folder(target) as partial:
        (partial / "a").write_text("second")
        raise RuntimeError


def test_a_folder_is_replaced_only_when_the_block_ends_well(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with whole_folder(target) as partial:
        (partial / "a").write_text("first")
    with pytest.raises(RuntimeError):
        _write_and_fail(target)
    assert (target / "a").read_text() == "first"
    with whole_folder(target) as partial:
        assert list(partial.iterdir()) == [], "what the failed block left is gone"
        (partial / "b").write_text("third")
    assert [p.name for p in target.iterdir()] == ["b"]


def test_a_new_or_changed_file_changes_the_fingerprint(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    (folder / "a.csv").write_text("1")
    first = folder_fingerprint(folder)
    assert folder_fingerprint(folder) == first
    (folder / "b.csv").write_text("2")
    second = folder_fingerprint(folder)
    (folder / "b.csv").write_text("22")
    assert len({first, second, folder_fingerprint(folder)}) == 3


def test_who_is_reading_a_json_file_reads_it_whole_while_it_is_written_anew(tmp_path: Path) -> None:
    path = write_json(tmp_path / "new" / "a.json", {"n": 1})
    with path.open() as reader:
        write_json(path, {"n": 2})
        assert reader.read() == '{\n "n": 1\n}\n'
    assert path.read_text() == '{\n "n": 2\n}\n'


class Answer(Kept):
    file_name = "answer.json"
    made_by = "think"

    value: int


def test_what_a_flow_keeps_is_there_for_the_next_and_its_absence_names_the_flow(
    tmp_path: Path, conf: Path, make_region: Callable[..., Region]
) -> None:
    region = make_region(["2001-01-01", "2002-01-01", "2002-02-01", "2003-01-01", "2003-02-01", "2004-01-01"])
    workspace = Workspace(home=tmp_path, conf=conf, tracking_uri="sqlite://")
    with pytest.raises(ValueError, match=r"expected .*answer\.json, found none; run the flow think first"):
        Answer.load(workspace, region)
    Answer(value=1).save(workspace, region)
    Answer(value=42).save(workspace, region)
    assert Answer.load(workspace, region).value == 42
    assert [p.name for p in Answer.path(workspace, region).parent.iterdir()] == ["answer.json"]
