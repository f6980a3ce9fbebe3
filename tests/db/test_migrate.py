"""A database is brought to the schema of this release, whole, once, from wherever the program is
started.
"""

import contextlib
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from orderdesk_app.db.migrate import SCRIPTS, exclusive, known_revisions, upgrade
from orderdesk_app.db.schema import METADATA
from orderdesk_app.errors import ConfigurationError


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, data_dir: Path) -> str:
    return (
        f"sqlite:///{data_dir / 'new.db'}"
        if request.param == "sqlite"
        else str(request.getfixturevalue("empty_postgres_url"))
    )


def test_the_migrated_schema_is_what_the_tables_say(empty_url):
    upgrade(empty_url)

    with exclusive(empty_url) as connection:
        differences = compare_metadata(
            MigrationContext.configure(connection, opts={"compare_type": True}), METADATA
        )

    assert differences == []


def test_the_known_revisions_are_those_that_alembic_walks():
    scripts = ScriptDirectory(str(SCRIPTS))

    assert known_revisions() == tuple(one.revision for one in scripts.walk_revisions())


def test_a_second_start_changes_nothing(empty_url):
    upgrade(empty_url)
    with exclusive(empty_url) as connection:
        connection.execute(text("INSERT INTO buckets (key, tokens, updated_at) VALUES ('a', 1, 1)"))

    upgrade(empty_url)

    with exclusive(empty_url) as connection:
        assert connection.execute(text("SELECT count(*) FROM buckets")).scalar() == 1


@pytest.mark.slow
def test_processes_that_start_at_once_agree(empty_url, tmp_path):
    code = "import sys; from orderdesk_app.db.migrate import upgrade; upgrade(sys.argv[1])"

    def start(_number):
        return subprocess.run(
            [sys.executable, "-c", code, empty_url],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    with ThreadPoolExecutor(4) as pool:
        started = list(pool.map(start, range(4)))

    assert [(one.returncode, one.stderr) for one in started] == [(0, "")] * 4


def test_a_database_of_a_newer_release_stops_the_start(empty_url):
    upgrade(empty_url)
    with exclusive(empty_url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(ConfigurationError, match="newer release"):
        upgrade(empty_url)


def test_an_unreachable_database_is_told_without_its_password(tmp_path):
    with pytest.raises(ConfigurationError, match="DATABASE_URL") as caught:
        upgrade(f"postgresql://someone:pa%24%24word-of-mine@/app?host={tmp_path}&connect_timeout=2")

    assert "word-of-mine" not in repr(caught.value) + repr(caught.value.__cause__)


def no_database(path):
    path.write_bytes(b"a shopping list, and long enough to be looked at" * 100)


def damaged_database(path):
    upgrade(f"sqlite:///{path}")
    path.write_bytes(path.read_bytes()[:4096] + b"x" * 200_000)


def tables_of_others(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE tenants (id TEXT)")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (no_database, "is no SQLite database"),
        (damaged_database, "damaged"),
        (tables_of_others, "holds tables"),
    ],
)
def test_a_file_that_will_not_do_is_told_as_a_file(tmp_path, make, said):
    path = tmp_path / "app.db"
    make(path)

    with pytest.raises(ConfigurationError) as caught:
        upgrade(f"sqlite:///{path}")

    assert f"DATABASE_URL: the file {path} " in str(caught.value)
    assert said in str(caught.value)
    assert "password" not in str(caught.value)


def test_a_file_that_another_program_holds_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("orderdesk_app.db.migrate.WAIT_SECONDS", 0.1)
    path = tmp_path / "app.db"
    upgrade(f"sqlite:///{path}")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(ConfigurationError, match="held by another program"):
            upgrade(f"sqlite:///{path}")


def test_a_postgres_table_that_another_program_holds_is_told(
    empty_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orderdesk_app.db.migrate.WAIT_SECONDS", 0.1)
    upgrade(empty_postgres_url, to="0001")
    with psycopg.connect(empty_postgres_url) as other:
        other.execute("SELECT count(*) FROM tenants")

        with pytest.raises(ConfigurationError, match="held by another program"):
            upgrade(empty_postgres_url)

    upgrade(empty_postgres_url)


def test_the_servers_own_words_are_not_shown(postgres):
    with pytest.raises(ConfigurationError) as caught:
        upgrade(postgres.url("there_is_no_such_database"))

    assert "there_is_no_such_database" not in str(caught.value)
    assert not isinstance(caught.value.__cause__, psycopg.Error)


@pytest.mark.parametrize("tail", ["&connect_timeout=abc", "&application_name=\udce9"])
def test_an_address_that_libpq_cannot_use_is_told_in_words(
    empty_postgres_url: str, tail: str
) -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL: this is no address"):
        upgrade(empty_postgres_url + tail)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("-c%20default_transaction_read_only%3Don", "takes no changes"),
        ("-csearch_path%3Dnope", "no schema"),
        ("-crole%3Dpoor", "may not make tables"),
    ],
)
def test_a_server_that_lets_us_make_no_tables_is_told_in_words(
    empty_postgres_url: str, option: str, words: str
) -> None:
    with (
        psycopg.connect(empty_postgres_url, autocommit=True) as connection,
        contextlib.suppress(psycopg.errors.DuplicateObject),
    ):
        connection.execute("CREATE ROLE poor")

    with pytest.raises(ConfigurationError, match=f"DATABASE_URL: .*{words}"):
        upgrade(f"{empty_postgres_url}&options={option}")
