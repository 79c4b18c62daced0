"""`upheld token`."""

from __future__ import annotations

import typer

from service.api.tokens import Role, hash_token, new_token
from service.errors import BadSettings


def token(name: str, role: str) -> None:
    """Shows the secret once, and what to put into the tokens file."""
    if role not in [known.value for known in Role]:
        raise BadSettings(f"{role!r} is no role: {', '.join(Role)}")
    secret = new_token()
    typer.echo(f"secret, shown only now:  {secret}", err=True)
    typer.echo("line for the tokens file (UPHELD_TOKENS_FILE), below `tokens:`", err=True)
    typer.echo(f"- {{name: {name!r}, role: {role}, hash: {hash_token(secret)!r}}}")
