"""Whether two objectives count the same: a stable name for an indicator and its groups, whatever its formatting."""

from __future__ import annotations

import hashlib
import json

from evaluators.agreements import Objective, RatioIndicator
from evaluators.selectors import Selector


def indicator_fingerprint(objective: Objective) -> str:
    """32 hex digits. Equal for equal selectors, however they are written, and for groupBy in any order.

    A new one starts the objective's windows anew; target, period, alerts and names leave it as it is.
    """
    indicator = objective.indicator
    if isinstance(indicator, RatioIndicator):
        counted: list[object] = [
            "ratio",
            _canonical(indicator.total),
            _canonical(indicator.good),
            _canonical(indicator.bad),
        ]
    else:
        counted = ["threshold", _canonical(indicator.metric), indicator.op, float(indicator.bound)]
    subject = json.dumps([counted, sorted(objective.group_by)], separators=(",", ":"))
    return hashlib.blake2b(subject.encode(), digest_size=16).hexdigest()


def _canonical(selector: Selector | None) -> object:
    if selector is None:
        return None
    return [selector.metric, sorted({(each.name, each.op, each.value) for each in selector.matchers})]
