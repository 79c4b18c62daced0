"""The tokens file: hashes, roles, and a change while the process runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.api.tokens import Principal, Role, TokenFile, hash_token, new_token
from service.errors import BadSettings


def written(path: Path, *entries: tuple[str, str, str]) -> Path:
    lines = [f"- {{name: {name}, role: {role}, hash: '{hashed}'}}\n" for name, role, hashed in entries]
    path.write_text("tokens:\n" + "".join("  " + line for line in lines))
    return path


def test_a_token_names_its_holder_and_role(tmp_path: Path) -> None:
    """And any other token nobody."""
    token = new_token()
    tokens = TokenFile(written(tmp_path / "tokens.yaml", ("alice", "oncall", hash_token(token))))
    assert tokens.principal(token) == Principal("alice", Role.ONCALL)
    assert tokens.principal(new_token()) is None
    assert tokens.principal("") is None
    assert tokens.principal("\ud800") is None


def test_a_bare_list_is_a_tokens_file_too(tmp_path: Path) -> None:
    """What `upheld token` prints can be appended line by line."""
    token = new_token()
    path = tmp_path / "tokens.yaml"
    path.write_text(f"- {{name: bob, role: reader, hash: '{hash_token(token)}'}}\n")
    assert TokenFile(path).principal(token) == Principal("bob", Role.READER)


def test_a_changed_file_counts_without_a_restart(tmp_path: Path) -> None:
    """A token taken out is refused at its next use."""
    old, new = new_token(), new_token()
    path = written(tmp_path / "tokens.yaml", ("alice", "oncall", hash_token(old)))
    tokens = TokenFile(path)
    written(path, ("alice", "owner", hash_token(new)), ("bob", "reader", hash_token(new_token())))
    assert tokens.principal(old) is None
    assert tokens.principal(new) == Principal("alice", Role.OWNER)


@pytest.mark.parametrize("content", [None, "tokens: [", "tokens: 7", "- {name: x}"])
def test_a_file_that_breaks_while_running_leaves_the_tokens_as_they_were(tmp_path: Path, content: str | None) -> None:
    """It neither opens what was closed nor locks everybody out; mended, it counts again."""
    token, other = new_token(), new_token()
    path = written(tmp_path / "tokens.yaml", ("alice", "oncall", hash_token(token)))
    tokens = TokenFile(path)
    path.unlink()
    if content is not None:
        path.write_text(content)
    assert tokens.principal(token) is not None
    assert tokens.principal(token) is not None
    assert tokens.principal(other) is None
    written(path, ("bob", "owner", hash_token(other)))
    os.utime(path, ns=(1, 1))
    assert tokens.principal(other) == Principal("bob", Role.OWNER)
    assert tokens.principal(token) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("tokens: 7\n", "no list"),
        ("{", "not YAML"),
        ("- 5\n", "no mapping"),
        ("- {name: a, role: reader}\n", "exactly name, role and hash"),
        ("- {name: a, role: king, hash: x}\n", "unknown role"),
        ("- {name: a, role: reader, hash: secret-in-clear}\n", "sha256"),
        ("- {name: '', role: reader, hash: x}\n", "no usable name"),
    ],
)
def test_a_file_that_cannot_be_used_says_which_entry_and_shows_nothing_of_it(
    tmp_path: Path, content: str, said: str
) -> None:
    """A secret written in clear by mistake must not end in a log."""
    path = tmp_path / "tokens.yaml"
    path.write_text(content)
    with pytest.raises(BadSettings) as refused:
        TokenFile(path)
    assert said in str(refused.value)
    assert "secret-in-clear" not in str(refused.value)


def test_one_name_stands_once(tmp_path: Path) -> None:
    """Every write records the name, so it must mean one token."""
    path = written(tmp_path / "t", ("a", "reader", hash_token(new_token())), ("a", "owner", hash_token(new_token())))
    with pytest.raises(BadSettings, match="twice"):
        TokenFile(path)


def test_a_missing_file_is_refused_at_start(tmp_path: Path) -> None:
    """An empty path must not mean open doors."""
    with pytest.raises(BadSettings, match="cannot be read"):
        TokenFile(tmp_path / "none")


def test_a_token_that_could_be_guessed_is_not_hashed() -> None:
    """One round of SHA-256 is enough for random tokens only."""
    with pytest.raises(BadSettings):
        hash_token("hunter2")


def test_roles_include_what_is_below_them_and_an_emitter_only_emits() -> None:
    """owner > oncall > reader; emitter stands beside."""
    may = {role: {needed for needed in Role if role.may(needed)} for role in Role}
    assert may == {
        Role.READER: {Role.READER},
        Role.ONCALL: {Role.READER, Role.ONCALL},
        Role.OWNER: {Role.READER, Role.ONCALL, Role.OWNER},
        Role.EMITTER: {Role.EMITTER},
    }
