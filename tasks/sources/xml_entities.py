"""XML from strangers: document types, and with them every kind of entity, are refused before anything is expanded."""

from pathlib import Path
from xml.parsers import expat

from tasks.sources.contract import SourceDataInvalid


class _RootReached(Exception):
    """The root element begins: no document type can follow."""


def refuse_doctype(content: bytes, where: Path | str) -> None:
    """Raise SourceDataInvalid, naming `where`, if the XML document declares a document type.

    QuakeML and StationXML have none; those that are sent hold entities that expand without end or name local files.
    Only what stands before the root element is parsed, in the encoding that it says, which has to be a known one; what
    is no XML passes, for the format's parser to complain about.
    """

    def found(name: str, *_: object) -> None:
        raise SourceDataInvalid(where, "XML without a document type", f"<!DOCTYPE {name}>"[:80])

    def root(*_: object) -> None:
        raise _RootReached

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = found
    parser.StartElementHandler = root
    try:
        parser.Parse(content, True)
    except (_RootReached, expat.ExpatError):
        return
    except (LookupError, ValueError) as error:
        raise SourceDataInvalid(where, "XML in a known encoding", str(error)[:80]) from error
