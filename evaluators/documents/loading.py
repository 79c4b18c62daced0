"""YAML text -> documents, or every error at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from evaluators.agreements import Document
from evaluators.documents import agreements, alert_policies, notification_targets, tree
from evaluators.documents.fields import Field, Report, Section
from evaluators.documents.problems import InvalidDocuments, Problem
from evaluators.documents.tree import Place, RawDocument, shown
from evaluators.policies import DEFAULT_POLICY

API_VERSION: Final = "upheld/v1"
KINDS: Final = ("Agreement", "AlertPolicy", "NotificationTarget")

_OPENSLO: Final = "openslo"

D_co = TypeVar("D_co", bound=Document, covariant=True)


@dataclass(frozen=True, slots=True)
class Sourced(Generic[D_co]):
    """A valid document with where it came from.

    `source` is its own YAML text, which `read` reads back; `spec` is the whole of it as JSON-able values (apiVersion, kind,
    metadata, spec); `line` is where it begins. `places` finds the line and column of a path.
    """

    document: D_co
    source: str
    spec: dict[str, Any]
    file: str
    line: int
    places: Mapping[str, Place] = field(default_factory=dict[str, Place], repr=False, compare=False)

    @property
    def name(self) -> str:
        return self.document.name

    @property
    def kind(self) -> str:
        return kind_of(self.document)


@dataclass(frozen=True, slots=True)
class Loaded:
    """`documents` are the valid ones; `problems` all that is wrong with the file, in the order of its lines."""

    documents: tuple[Sourced[Document], ...]
    problems: tuple[Problem, ...]

    @property
    def failed(self) -> bool:
        return any(each.level == "error" for each in self.problems)


def kind_of(document: Document) -> str:
    """The document's `kind`."""
    return type(document).__name__


def load(text: str, file: str = "<text>") -> Loaded:
    """Reads every document of a file; never raises. What documents say about each other is for `check`."""
    raw = tree.grow(text)
    documents: list[Sourced[Document]] = []
    overall = Report(file)
    problems: list[Problem] = []
    for each in raw.documents:
        report = Report(file)
        found = _document(each, report)
        problems += report.problems
        if found is not None:
            documents.append(found)
    if raw.stopped is not None:
        overall.fault(raw.stopped)
    elif not documents and not problems:
        overall.error(Place(1, 1), "", "holds no document", f"begin with apiVersion: {API_VERSION}")
    problems += overall.problems
    return Loaded(tuple(documents), tuple(sorted(problems, key=lambda each: (each.line, each.column))))


def read(source: str) -> Document:
    """The document of a `source` that was validated before.

    Raises:
        InvalidDocuments: if it is none, or more than one.
    """
    loaded = load(source)
    if loaded.failed or len(loaded.documents) != 1:
        count = Problem("<text>", 1, 1, "", f"one document was expected, {len(loaded.documents)} found")
        raise InvalidDocuments(loaded.problems or (count,))
    return loaded.documents[0].document


def _document(raw: RawDocument, report: Report) -> Sourced[Document] | None:
    for fault in raw.faults:
        report.fault(fault)
    if raw.root is None:
        return None
    document = _read(Field(raw.root, "", report).section())
    if document is None or report.failed:
        return None
    places = dict(_places(raw.root, ""))
    return Sourced(document, raw.source, tree.plain(raw.root), report.file, raw.root.place.line, places)


def _read(top: Section) -> Document | None:
    version = top.need("apiVersion", API_VERSION)
    written = version.text()
    if written.lower().startswith(_OPENSLO):
        mend = f"write it as apiVersion: {API_VERSION}, kind: Agreement"
        version.error("OpenSLO documents are not supported yet", mend)
        return None
    version.choice((API_VERSION,))
    kind_field = top.need("kind", KINDS[0])
    kind = kind_field.choice(KINDS, {"SLO": KINDS[0], "SLA": KINDS[0], "OLA": KINDS[0], "UC": KINDS[0]})
    name, display_name = _metadata(top.need("metadata", "{name: checkout-gold}").section(), kind)
    spec = top.need("spec", "{...}").section()
    top.close()
    if not kind_field.sound:
        return None  # nobody knows what its spec should hold
    if kind == "Agreement":
        return agreements.read(name, display_name, spec)
    if kind == "AlertPolicy":
        return alert_policies.read(name, spec)
    return notification_targets.read(name, spec)


def _metadata(section: Section, kind: str) -> tuple[str, str | None]:
    name_field = section.need("name", "checkout-gold")
    name = name_field.name()
    if kind == "AlertPolicy" and name == DEFAULT_POLICY:
        name_field.error(
            f"{shown(name)} is the built-in policy", f"call yours otherwise, such as {DEFAULT_POLICY}-strict"
        )
    display_name = section.get("displayName")
    for words in (section.get("labels"), section.get("annotations")):
        if words is not None:
            words.section().words()
    section.close()
    return name, None if display_name is None else display_name.text()


def _places(node: tree.Node, path: str) -> list[tuple[str, Place]]:
    found = [(path, node.place)]
    if isinstance(node, tree.Sequence):
        for index, each in enumerate(node.items):
            found += _places(each, tree.joined(path, index))
    elif isinstance(node, tree.Mapping):
        for key, entry in node.entries.items():
            found += _places(entry.node, tree.joined(path, key))
    return found
