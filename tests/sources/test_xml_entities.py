"""Documents with entities are refused at once by the services and by the readers, and what they name is never read."""

import time
from pathlib import Path

import pytest

from tasks.sources import SourceDataInvalid
from tasks.sources.services.event_formats import QuakeML
from tasks.sources.station_metadata import StationReader
from tasks.sources.xml_entities import refuse_doctype
from tests.sources.services.servers.fdsn import Quake, inventory_of, quakeml_of

LAUGHS = (
    '<!DOCTYPE x [<!ENTITY l0 "ha">'
    + "".join(f'<!ENTITY l{k} "{f"&l{k - 1};" * 10}">' for k in range(1, 12))
    + "]>"
)
QUAKE = Quake("ci1", "2019-07-04T17:33:49", 6.4, "2019-07-04T17:40:00")


def with_doctype(document: bytes, doctype: str, entity: str) -> bytes:
    """`document` with `doctype` after its declaration and `entity` in the type of its events."""
    declaration, _, rest = document.decode().partition("?>")
    return f"{declaration}?>{doctype}{rest}".replace("earthquake</type>", f"{entity}</type>").encode()


def doctypes(folder: Path) -> dict[str, tuple[str, str]]:
    (folder / "secret").write_text("SECRET")
    return {
        "laughs": (LAUGHS, "&l11;"),
        "external": (f'<!DOCTYPE x [<!ENTITY s SYSTEM "file://{folder}/secret">]>', "&s;"),
        "parameter": (f'<!DOCTYPE x [<!ENTITY % s SYSTEM "file://{folder}/secret"> %s;]>', "earthquake"),
        "plain": ('<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">', "earthquake"),
    }


@pytest.mark.parametrize("kind", ["laughs", "external", "parameter", "plain"])
def test_quakeml_with_a_document_type_is_refused_quickly(tmp_path, fetch, kind):
    content = with_doctype(quakeml_of([QUAKE]), *doctypes(tmp_path)[kind])
    (tmp_path / "q.xml").write_bytes(content)
    began = time.monotonic()
    with pytest.raises(SourceDataInvalid, match=r"q\.xml: expected XML without a document type") as refused:
        fetch("catalog", "quakeml", "q.xml")
    with pytest.raises(SourceDataInvalid, match="without a document type"):
        QuakeML().parse(content, "answer")
    assert time.monotonic() - began < 1.0
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize("kind", ["laughs", "external", "parameter", "plain"])
def test_station_xml_with_a_document_type_is_refused_quickly(tmp_path, kind):
    path = tmp_path / "CI.CLC.xml"
    inventory_of(["CI.CLC..BHZ"]).write(str(path), format="STATIONXML")
    doctype, entity = doctypes(tmp_path)[kind]
    text = with_doctype(path.read_bytes(), doctype, "").replace(b"<Source>test", f"<Source>{entity}".encode())
    path.write_bytes(text)
    began = time.monotonic()
    with pytest.raises(SourceDataInvalid, match="without a document type"):
        StationReader().place(path, "CI.CLC")
    assert time.monotonic() - began < 1.0


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_the_encoding_hides_no_document_type(encoding):
    document = (
        f'<?xml version="1.0" encoding="{encoding}"?><!-- é --><!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'
    )
    with pytest.raises(SourceDataInvalid, match="DOCTYPE x"):
        refuse_doctype(document.encode(encoding), "answer")


def test_an_encoding_that_cannot_be_looked_into_is_refused():
    with pytest.raises(SourceDataInvalid, match="known encoding"):
        refuse_doctype(b'<?xml version="1.0" encoding="rot-14"?><x/>', "answer")


def test_a_long_comment_before_the_document_type_brings_no_entity_through(tmp_path, fetch):
    comment = f"<!--{'x' * 100_000}-->"
    (tmp_path / "q.xml").write_bytes(with_doctype(quakeml_of([QUAKE]), comment + LAUGHS, "&l11;"))
    began = time.monotonic()
    with pytest.raises(SourceDataInvalid):
        fetch("catalog", "quakeml", "q.xml")
    assert time.monotonic() - began < 1.0


def test_documents_without_one_pass():
    refuse_doctype(quakeml_of([QUAKE]), "answer")
    refuse_doctype(b"no xml at all", "answer")
    refuse_doctype(b"", "answer")
