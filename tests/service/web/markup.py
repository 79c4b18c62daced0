"""Reads a page strictly: what is opened is closed, in order; ids are unique; nothing runs inline."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

PLAIN = {0xA0: " ", 0xD7: "x", 0x2013: "-", 0x2212: "-"}
"""Signs that look like others, as those."""
VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})
EMPTY_IN_SVG = frozenset({"path", "rect", "circle", "line", "use"})
INLINE = frozenset({"#text", "a", "abbr", "b", "code", "kbd", "span", "time"})
FORBIDDEN = frozenset({"style", "font", "center", "iframe", "object", "embed", "base"})


@dataclass
class Element:
    """One element with its text."""

    name: str
    attributes: dict[str, str]
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def find(self, name: str, /, **attributes: str) -> list[Element]:
        """All below with this name and these attributes (`class_` matches one class)."""
        found: list[Element] = []
        for child in self.children:
            if child.name == name and child.has(**attributes):
                found.append(child)
            found += child.find(name, **attributes)
        return found

    def has(self, **attributes: str) -> bool:
        """Whether it carries these attributes."""
        for key, value in attributes.items():
            given = self.attributes.get(key.rstrip("_").replace("_", "-"))
            if given is None or (value not in given.split() if key == "class_" else value != given):
                return False
        return True

    @property
    def words(self) -> str:
        """Its text and that below, in single spaces and plain signs."""
        return " ".join(self._said().translate(PLAIN).split())

    def _said(self) -> str:
        said = self.text + "".join(child._said() for child in self.children)
        return said if self.name in INLINE else f" {said} "


class Strict(HTMLParser):
    """Builds the tree; `faults` says what is wrong with it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("#root", {})
        self.open = [self.root]
        self.ids: set[str] = set()
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = self._add(tag, attrs)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._add(tag, attrs)
        if tag not in EMPTY_IN_SVG:
            self.faults.append(f"<{tag}/> is not closed in HTML")

    def handle_endtag(self, tag: str) -> None:
        if self.open[-1].name != tag:
            self.faults.append(f"</{tag}> closes <{self.open[-1].name}>")
            return
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(Element("#text", {}, data))

    def _add(self, tag: str, attrs: list[tuple[str, str | None]]) -> Element:
        names = [name for name, _ in attrs]
        if len(names) != len(set(names)):
            self.faults.append(f"<{tag}> has an attribute twice")
        attributes = {name: value or "" for name, value in attrs}
        if tag in FORBIDDEN or "style" in attributes or any(name.startswith("on") for name in attributes):
            self.faults.append(f"<{tag}> does what the content security policy forbids")
        if tag == "script" and "src" not in attributes:
            self.faults.append("a script stands in the page")
        if (mine := attributes.get("id")) is not None:
            if mine in self.ids or not mine:
                self.faults.append(f"id {mine!r} is there twice, or empty")
            self.ids.add(mine)
        element = Element(tag, attributes)
        self.open[-1].children.append(element)
        return element


def read(html: str) -> Element:
    """The page as a tree; fails on the first fault."""
    parser = Strict()
    parser.feed(html)
    parser.close()
    assert parser.faults == []
    assert len(parser.open) == 1, f"<{parser.open[-1].name}> is never closed"
    references = [use.attributes["href"] for use in parser.root.find("use")]
    labelled = [
        one.attributes["aria-labelledby"]
        for name in ("section", "dialog")
        for one in parser.root.find(name)
        if "aria-labelledby" in one.attributes
    ]
    if parser.root.find("html"):
        assert {one.removeprefix("#") for one in references} <= parser.ids
    assert set(labelled) <= parser.ids
    return parser.root
