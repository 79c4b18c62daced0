"""Reads the spec of a NotificationTarget."""

from __future__ import annotations

import re
from typing import Final, get_args

from evaluators.agreements import NotificationTarget, TargetType
from evaluators.documents.fields import Section
from evaluators.documents.tree import shown

TYPES: Final[tuple[TargetType, ...]] = get_args(TargetType)
LATER_TYPES: Final = frozenset({"pagerduty", "slack", "email", "apprise"})
_ENVIRONMENT_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}", re.ASCII)


def read(name: str, spec: Section) -> NotificationTarget:
    kind = spec.need("type", "webhook")
    written = kind.text()
    target_type: TargetType = TYPES[0]
    if written in LATER_TYPES:
        kind.error(f"{shown(written)} is not supported yet", "use webhook or alertmanager")
    else:
        target_type = kind.choice(TYPES)
    url = spec.need("url", '"https://example.com/hook"').url()
    secret = spec.get("secretEnv")
    secret_env = None if secret is None else secret.text()
    if secret is not None and secret_env and not _ENVIRONMENT_NAME.fullmatch(secret_env):
        # Perhaps it is the secret itself: the message must not repeat it.
        secret.error(
            "is not the name of an environment variable", "put the secret in one and write its name: HOOK_SECRET"
        )
    spec.close()
    return NotificationTarget(name=name, type=target_type, url=url, secret_env=secret_env)
