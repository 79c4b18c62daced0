"""`upheld init`, `validate` and `apply`, as somebody types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.service.cli.conftest import Command

AWAY = "postgresql://upheld@127.0.0.1:1/upheld"


def test_init_writes_an_agreement_that_is_valid_and_never_over_another(upheld: Command, tmp_path: Path) -> None:
    """What one starts from passes; what one has written stays."""
    assert upheld("init").code == 0
    assert (
        "2 documents valid: Agreement checkout, NotificationTarget oncall" in upheld("validate", "agreement.yaml").out
    )
    mine = tmp_path / "agreement.yaml"
    mine.write_text("mine")
    again = upheld("init")
    assert (again.code, "exists; name another file" in again.err, mine.read_text()) == (2, True, "mine")


def test_init_writes_to_standard_output_too(upheld: Command) -> None:
    """For pipes."""
    shown = upheld("init", "-")
    assert (shown.code, shown.out.count("apiVersion: upheld/v1")) == (0, 2)
    assert upheld("validate", "-", stdin=shown.out.encode()).code == 0


def test_init_says_why_a_file_cannot_be_written(upheld: Command) -> None:
    """In words, not in a traceback."""
    done = upheld("init", "nowhere/agreement.yaml")
    assert (done.code, done.err) == (2, "upheld: nowhere/agreement.yaml cannot be written: No such file or directory\n")


def test_every_problem_is_named_with_file_line_path_and_mend(upheld: Command, tmp_path: Path) -> None:
    """Not only the first."""
    upheld("init")
    file = tmp_path / "agreement.yaml"
    file.write_text(file.read_text().replace("target: 0.999 ", "target: 99.9 ").replace("type: SLA ", "type: SLO "))
    done = upheld("validate", "agreement.yaml")
    assert done.code == 1
    lines = done.err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["error agreement.yaml", "error agreement.yaml", "upheld"]
    assert "spec.type" in lines[0]
    assert "spec.objectives[0].target" in lines[1]
    assert "targetPercent: 99.9" in lines[1]
    assert lines[2] == "upheld: 2 errors in 1 file(s)"


def test_a_folder_stands_for_its_files(upheld: Command, tmp_path: Path) -> None:
    """Targets may lie beside the agreements that name them."""
    folder = tmp_path / "agreements"
    folder.mkdir()
    agreement, target = upheld("init", "-").out.split("---\n")
    (folder / "a.yaml").write_text(agreement)
    (folder / "b.yml").write_text(target)
    (folder / "notes.txt").write_text("not yaml: [")
    assert upheld("validate", str(folder)).code == 0
    assert upheld("validate", str(folder / "a.yaml")).code == 1


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (None, 2, "cannot be read: No such file or directory"),
        (b"\xff\xfe", 1, "is not UTF-8 (byte 0)"),
        (b"a" * (9 << 20), 2, "is larger than 8 MiB"),
    ],
    ids=["missing", "binary", "huge"],
)
def test_a_file_that_is_no_document_is_refused(
    upheld: Command, tmp_path: Path, content: bytes | None, code: int, words: str
) -> None:
    """With its name."""
    if content is not None:
        (tmp_path / "odd.yaml").write_bytes(content)
    done = upheld("validate", "odd.yaml")
    assert (done.code, f"upheld: odd.yaml {words}" in done.err) == (code, True)


def test_an_empty_folder_is_wrong_use(upheld: Command, tmp_path: Path) -> None:
    """Most likely the wrong folder."""
    (tmp_path / "empty").mkdir()
    assert upheld("validate", "empty").code == 2


def test_apply_says_from_when_a_version_counts_and_what_did_not_change(upheld: Command, database_url: str) -> None:
    """A second time nothing changes."""
    upheld("init")
    first = upheld(
        "apply", "agreement.yaml", "--database", database_url, "--from", "2026-01-01T00:00:00Z", "--by", "me"
    )
    assert first.out.splitlines() == [
        "Agreement checkout: version 1, counts from 2026-01-01T00:00:00Z",
        "NotificationTarget oncall: version 1",
    ]
    assert upheld("apply", "agreement.yaml", "--database", database_url).out.splitlines() == [
        "Agreement checkout: unchanged (version 1)",
        "NotificationTarget oncall: unchanged (version 1)",
    ]


@pytest.mark.parametrize(("moment", "words"), [("soon", "is not a time"), ("2026-01-01T00:00:00", "has no zone")])
def test_a_start_that_is_no_moment_is_wrong_use(upheld: Command, moment: str, words: str) -> None:
    """With an example of one that is."""
    upheld("init")
    done = upheld("apply", "agreement.yaml", "--from", moment)
    assert (done.code, words in done.err, "2026-11-23T15:00:00Z" in done.err) == (2, True, True)


def test_a_database_that_is_away_is_exit_code_3(upheld: Command) -> None:
    """Scripts may try again then."""
    upheld("init")
    done = upheld("apply", "agreement.yaml", "--database", AWAY)
    assert (done.code, done.err.startswith("upheld: ")) == (3, True)


def test_migrate_brings_an_empty_database_up_to_date_once(upheld: Command, empty_database_url: str) -> None:
    """It says what it did, without the password."""
    first = upheld("migrate", "--database", empty_database_url)
    assert first.out.startswith("applied ")
    assert first.out.endswith("is up to date\n")
    again = upheld("migrate", "--database", empty_database_url)
    assert again.out.endswith("was up to date\n")
    password = empty_database_url.split(":")[2].split("@", maxsplit=1)[0]
    assert password not in first.out + again.out
