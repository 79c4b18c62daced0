"""`upheld token`."""

from __future__ import annotations

from pathlib import Path

from ruamel.yaml import YAML

from service.api.tokens import Role, TokenFile
from tests.service.cli.conftest import Command


def test_a_token_is_a_secret_for_its_holder_and_a_line_for_the_file(upheld: Command, tmp_path: Path) -> None:
    """The file that the line goes into lets the secret in."""
    made = upheld("token", "pager", "--role", "oncall")
    (secret,) = [line.split()[-1] for line in made.err.splitlines() if line.startswith("secret")]
    assert secret not in made.out
    file = tmp_path / "tokens.yaml"
    file.write_text("tokens:\n" + made.out)
    assert len(YAML(typ="safe").load(file)["tokens"]) == 1
    holder = TokenFile(file).principal(secret)
    assert holder is not None
    assert (holder.name, holder.role) == ("pager", Role.ONCALL)


def test_a_role_that_does_not_exist_is_wrong_use(upheld: Command) -> None:
    """With those that do."""
    done = upheld("token", "pager", "--role", "king")
    assert (done.code, "reader, oncall, owner, emitter" in done.err) == (2, True)
