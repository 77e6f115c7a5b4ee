"""What every mirror shares: on past what fails, from the first address that has it, and until the question changes."""

import pytest

from tasks.sources import SourceDataInvalid, SourceUnavailable
from tasks.sources.contract import SourceDenied
from tasks.sources.services.mirroring import bring_each, first_of


def bringing(failures, came):
    def bring(item):
        if item in failures:
            raise failures[item]
        came.append(item)

    return bring


@pytest.mark.parametrize(
    "failure",
    [
        SourceDenied("restricted", 403),
        SourceUnavailable("timed out"),
        SourceDataInvalid("b", "a table", "a page"),
    ],
)
def test_one_that_fails_keeps_nothing_back_and_is_said_at_the_end(failure):
    came = []
    with pytest.raises(type(failure)) as caught:
        bring_each("abcdef", bringing({"b": failure}, came))
    assert caught.value is failure
    assert came == list("acdef")


def test_a_refused_credential_ends_it_at_once():
    came = []
    with pytest.raises(SourceDenied):
        bring_each("abcdef", bringing({"b": SourceDenied("log in", 401)}, came))
    assert came == ["a"]


def test_so_does_a_refusal_of_everything_so_far_and_three_silences_in_a_row():
    tried = []

    def refuse(item):
        tried.append(item)
        raise SourceDenied("no", 403)

    with pytest.raises(SourceDenied):
        bring_each("abcdef", refuse)
    assert tried == list("abc")
    came = []
    with pytest.raises(SourceUnavailable):
        bring_each("abcdef", bringing(dict.fromkeys("bcd", SourceUnavailable("down")), came))
    assert came == ["a"]
    came = []
    with pytest.raises(SourceUnavailable):
        bring_each("abcdefg", bringing(dict.fromkeys("bcef", SourceUnavailable("down")), came))
    assert came == list("adg")


def test_mirrors_are_asked_in_order_and_one_that_is_down_is_passed_over():
    answers = {"lacks": None, "has": b"here", "other": b"there"}

    def ask(address):
        if address not in answers:
            raise SourceUnavailable(f"{address} is down")
        return answers[address]

    assert first_of(["down", "lacks", "has", "other"], ask) == b"here"
    assert first_of(["lacks"], ask) is None
    with pytest.raises(SourceUnavailable, match="down"):
        first_of(["lacks", "down"], ask)
