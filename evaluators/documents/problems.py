"""What is wrong with a document, where, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """`line` and `column` count from 1; `path` is as in `spec.objectives[0].target`, empty for the whole document."""

    file: str
    line: int
    column: int
    path: str
    message: str
    mend: str = ""
    level: Level = "error"

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: "
        path = f"{self.path}: " if self.path else ""
        mend = f" ({self.mend})" if self.mend else ""
        return where + path + self.message + mend


class InvalidDocuments(ValueError):
    """Documents with errors; `problems` holds every one of them."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(str(each) for each in problems))
        self.problems = problems
