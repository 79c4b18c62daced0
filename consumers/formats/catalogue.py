"""The formats by name, which topic speaks which, and how one is told from another where nobody says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, get_args

from consumers.formats.recognition import recognised
from consumers.formats.samples import Payload, Sample

Format = Literal["auto", "native"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)


class Reader(Protocol):
    """Reads records of one format. One for each partition: it may remember what it has seen, within bounds."""

    def read(self, payload: Payload) -> Sequence[Sample] | None:
        """Every sample of a record; None: it is for the native format to read, or to say what is wrong with it.
        Raises Unusable: then nothing of the record counts.
        """
        ...


READERS: Final[Mapping[str, Callable[[], Reader]]] = {}
"""Of the formats but `auto` and `native`."""


def reader(form: Format) -> Reader | None:
    """A new reader; None: the native format, which the combiner reads by itself."""
    if form == "native":
        return None
    return Recognising() if form == "auto" else READERS[form]()


class Recognising:
    """Reads each record in the format that its headers or its shape show."""

    def __init__(self) -> None:
        self._readers: dict[str, Reader] = {}

    def read(self, payload: Payload) -> Sequence[Sample] | None:
        form = recognised(payload.value, payload.headers)
        if form is None:
            return None
        known = self._readers.get(form)
        if known is None:
            known = self._readers[form] = READERS[form]()
        return known.read(payload)


@dataclass(frozen=True, slots=True)
class Formats:
    """Topics and their formats; `otherwise` holds where a topic has none of its own."""

    otherwise: Format = "auto"
    by_topic: Mapping[str, Format] = field(default_factory=dict[str, Format])

    def of(self, topic: str) -> Format:
        return self.by_topic.get(topic, self.otherwise)
