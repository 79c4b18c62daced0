"""Agreements, alert policies and notification targets as YAML: `load` a file, `check` documents together, `read` one back."""

from evaluators.documents.checks import NOTHING_KNOWN, Known, check
from evaluators.documents.loading import API_VERSION, KINDS, Loaded, Sourced, kind_of, load, read
from evaluators.documents.problems import InvalidDocuments, Problem

__all__ = [
    "API_VERSION",
    "KINDS",
    "NOTHING_KNOWN",
    "InvalidDocuments",
    "Known",
    "Loaded",
    "Problem",
    "Sourced",
    "check",
    "kind_of",
    "load",
    "read",
]
