"""`orderdesk doctor`: each fault is said in one line with what to do, nothing is changed, and no
secret is printed.
"""

import asyncio
import contextlib
import json
import os
import shutil
import sqlite3
import threading
from base64 import b64encode
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from orderdesk_app import cli
from orderdesk_app.cli import doctor
from orderdesk_app.cli.doctor import configuration, files, mail
from orderdesk_app.cli.doctor import database as of_database
from orderdesk_app.context import Secret
from orderdesk_app.db.engine import Database
from orderdesk_app.db.inspection import DatabaseState
from orderdesk_app.db.keyring import KeyRows
from orderdesk_app.db.migrate import known_revisions
from orderdesk_app.mail.smtp import SmtpSender, SmtpServer
from orderdesk_app.security.keyring import Keyring
from orderdesk_app.settings_reader import load_settings, settings_as_given
from tests.mail_server import PASSWORD, USERNAME, mail_server, trusting_context
from tests.storage import damage
from tests.worlds import free_port

KMS_KEY = b64encode(os.urandom(32)).decode()
OTHER_KMS_KEY = b64encode(os.urandom(32)).decode()
URL_PASSWORD = "kept-out-of-sight-4711"


@dataclass
class Upstream:
    """Order Desk, as far as the doctor asks it."""

    url: str = ""
    status: int = 401
    date: str = ""


@pytest.fixture(scope="module")
def upstream_server() -> Iterator[Upstream]:
    state = Upstream()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(state.status)
            self.send_header("Date", state.date or format_datetime(datetime.now(UTC), usegmt=True))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *values: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    state.url = f"http://127.0.0.1:{server.server_port}/api/v2"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture
def upstream(upstream_server: Upstream) -> Upstream:
    upstream_server.status = 401
    upstream_server.date = ""
    return upstream_server


@dataclass
class Report:
    """What the doctor said: `found` are its lines as (check, outcome, words)."""

    code: int
    found: list[tuple[str, str, str]]

    def of(self, check: str) -> list[tuple[str, str]]:
        return [(outcome, words) for name, outcome, words in self.found if name == check]

    def is_fine(self) -> bool:
        return self.code == 0 and all(outcome != "wrong" for _, outcome, _ in self.found)


Doctor = Callable[..., Report]


@pytest.fixture
def examine(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sqlite_url: str,
    upstream: Upstream,
) -> Doctor:
    """Runs the command in this process with these settings alone."""

    def examine(**settings: str) -> Report:
        given = {
            "DATABASE_URL": sqlite_url,
            "MCP_KMS_KEY": KMS_KEY,
            "ORDERDESK_API_URL": upstream.url,
            **settings,
        }
        monkeypatch.setattr(configuration, "load_settings", lambda: load_settings(given))
        monkeypatch.setattr(configuration, "sentences_of_unused_settings", list)
        monkeypatch.setattr(doctor, "settings_as_given", lambda: settings_as_given(given))
        monkeypatch.chdir(cli.ROOT)
        code = cli.main(["doctor", "--json"])
        printed = capsys.readouterr()
        for secret in (KMS_KEY, OTHER_KMS_KEY, URL_PASSWORD, PASSWORD):
            assert secret not in printed.out + printed.err
        checks = json.loads(printed.out)["checks"]
        return Report(code, [(c["check"], c["outcome"], c["message"]) for c in checks])

    return examine


def snapshot(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    return {
        path.name: (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns)
        for path in folder.iterdir()
    }


@pytest.fixture
async def sealed(sqlite_url: str, data_dir: Path) -> str:
    """A database whose root key is wrapped by KMS_KEY."""
    database = Database(sqlite_url)
    await Keyring.open(KeyRows(database), kms_key=KMS_KEY, data_dir=data_dir)
    await database.close()
    (data_dir / "app.db").chmod(0o600)
    return sqlite_url


# ------------------------------------------------------------------ nothing is wrong


@pytest.mark.parametrize("is_running", [False, True])
def test_a_healthy_installation_is_left_as_it_is(
    examine: Doctor, sealed: str, data_dir: Path, is_running: bool
) -> None:
    with contextlib.closing(sqlite3.connect(data_dir / "app.db")) as server:
        if is_running:
            server.execute("INSERT INTO leases VALUES ('x', '', 0)")
            server.commit()
            for file in data_dir.iterdir():
                file.chmod(0o600)
        before = snapshot(data_dir)

        report = examine()

        after = snapshot(data_dir)
    assert report.is_fine(), report.found
    assert {check for check, _, _ in report.found} == set(doctor.Subject)
    assert [outcome for _, outcome, _ in report.found] == ["ok"] * len(report.found)
    shared_memory = {"app.db-shm"} if is_running else set()  # the locks of those who read
    assert after.keys() == before.keys()
    assert {n: after[n] for n in after.keys() - shared_memory} == {
        n: before[n] for n in before.keys() - shared_memory
    }


def test_a_postgres_can_be_looked_at(examine: Doctor, postgres_url: str) -> None:
    report = examine(DATABASE_URL=postgres_url)

    assert report.is_fine(), report.found
    assert report.of("database")[0] == ("ok", "Postgres can be read and written")
    assert ("ok", "agrees with that of the database") in report.of("clock")


@pytest.mark.parametrize(
    ("key", "previous", "outcome", "words"),
    [
        (OTHER_KMS_KEY, KMS_KEY, "note", "1 of 1 keys are wrapped by a key of MCP_KMS_KEY_PREV"),
        (KMS_KEY, OTHER_KMS_KEY, "note", "nothing is wrapped by a key of MCP_KMS_KEY_PREVIOUS"),
        (OTHER_KMS_KEY, "", "wrong", "name the other key in MCP_KMS_KEY_PREVIOUS"),
    ],
    ids=["under way", "done", "the old key is missing"],
)
def test_a_rotation_that_goes_on_is_known(
    examine: Doctor, sealed: str, key: str, previous: str, outcome: str, words: str
) -> None:
    report = examine(MCP_KMS_KEY=key, MCP_KMS_KEY_PREVIOUS=previous)

    found, said = report.of("keyring")[-1]
    assert (found, words in said) == (outcome, True), said


def test_a_key_that_nobody_has_is_told(examine: Doctor, sealed: str, data_dir: Path) -> None:
    with contextlib.closing(sqlite3.connect(data_dir / "app.db")) as database:
        database.execute(
            "INSERT INTO master_key_metadata SELECT 'tenant:x', 'tenant', NULL, salt, wrapped, "
            "'0123', created_at FROM master_key_metadata"
        )
        database.commit()

    assert examine().of("keyring")[-1][1].startswith("1 of 2 keys are wrapped by one that is")


def test_before_the_first_start_nothing_is_made(examine: Doctor, tmp_path: Path) -> None:
    report = examine(DATABASE_URL=f"sqlite:///{tmp_path}/new.db", MCP_KMS_KEY="")

    assert report.is_fine(), report.found
    assert not list(tmp_path.glob("new.db*"))
    assert not list(tmp_path.glob("*.key"))


def test_people_read_a_table(
    examine: Doctor, sealed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    examine()

    assert cli.main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ok     configuration  a start takes every setting"
    assert [line.split()[1] for line in lines if line.split()[1] != "clock"] == [
        subject for subject in doctor.Subject if subject != "clock"
    ]


# ------------------------------------------------------------------ settings


def test_every_fault_of_the_settings_is_said_and_the_rest_is_looked_at(examine: Doctor) -> None:
    report = examine(
        PORT="many",
        APP_ENV="production",
        MCP_KMS_KEY="",
        ENABLE_PUBLIC_SIGNUP="true",
        EMAIL_PROVIDER="console",
    )

    said = [words.split(":")[0] for _, words in report.of("configuration")]
    assert said == ["PORT", "MCP_KMS_KEY", "PUBLIC_URL", "EMAIL_PROVIDER"]
    assert "nobody would get the links" in report.of("configuration")[-1][1]
    assert report.code == 1
    assert report.of("database") == [("ok", "SQLite can be read and written")]
    assert report.of("keyring") == [("skipped", "not looked at: MCP_KMS_KEY is wrong")]


def test_what_a_wrong_setting_names_is_not_looked_at(examine: Doctor) -> None:
    report = examine(DATABASE_URL="mysql://x", ORDERDESK_API_URL="ftp://y")

    skipped = {check for check, outcome, _ in report.found if outcome == "skipped"}
    assert skipped == {"database", "migrations", "keyring", "upstream", "disk", "files"}


def test_a_faulty_env_file_does_not_stop_the_doctor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in os.environ:
        if name.startswith(("ORDERDESK_", "DATABASE_")):
            monkeypatch.delenv(name)
    path = tmp_path / ".env"
    path.write_text("PORT=9000\nwhat is this\n")

    assert settings_as_given(None, path).port == 8080


def test_a_setting_that_does_nothing_is_a_note(
    examine: Doctor, sealed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    examine()
    monkeypatch.setattr(
        configuration, "sentences_of_unused_settings", lambda: ["REDIS_URL does nothing."]
    )

    assert configuration.findings([])[0].words == "REDIS_URL does nothing."
    assert configuration.findings([])[0].outcome == "note"


# ------------------------------------------------------------------ database, schema, key


def test_a_damaged_file_is_named(examine: Doctor, sealed: str, data_dir: Path) -> None:
    damage(data_dir / "app.db", "audit_log")

    [(outcome, words)] = examine().of("database")
    assert outcome == "wrong"
    assert f"{data_dir / 'app.db'} is damaged. Restore a backup" in words


def test_a_file_that_is_no_database_is_named(examine: Doctor, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("a letter\n" * 1000)

    report = examine(DATABASE_URL=f"sqlite:///{tmp_path}/x.db")

    [(outcome, words)] = report.of("database")
    assert (outcome, report.code) == ("wrong", 1)
    assert "is no SQLite database, or it is damaged" in words or "is damaged" in words


def test_a_file_that_is_held_by_another_program_is_named(
    examine: Doctor, sealed: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orderdesk_app.db.inspection.LOCK_SECONDS", 0.05)
    with contextlib.closing(sqlite3.connect(data_dir / "app.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE leases SET holder = holder")

        [(outcome, words)] = examine().of("database")

    assert outcome == "wrong"
    assert "is held by another program. Stop that program" in words


@pytest.mark.parametrize("name", ["app.db", "data"])
def test_a_file_that_belongs_to_somebody_else_is_named(
    examine: Doctor, sealed: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # the tests may run as root, who may do everything
    monkeypatch.setattr(
        os, "access", lambda path, mode: not (str(path).endswith(name) and mode == os.W_OK)
    )

    [(outcome, words)] = examine().of("database")

    assert outcome == "wrong"
    assert "cannot be written to by this user. Start as the user that it belongs to" in words


def test_a_missing_folder_is_named(examine: Doctor, tmp_path: Path) -> None:
    report = examine(DATABASE_URL=f"sqlite:///{tmp_path}/not/there.db")

    assert "does not exist. Make it, or mount it" in report.of("configuration")[0][1]


def test_a_server_that_cannot_be_reached_is_named_without_its_password(examine: Doctor) -> None:
    url = f"postgresql://someone:{URL_PASSWORD}@127.0.0.1:{free_port()}/app"

    report = examine(DATABASE_URL=url)

    [(outcome, words)] = report.of("database")
    assert outcome == "wrong"
    assert "cannot be reached, is none, or refused us. Check host, port" in words
    assert report.of("migrations")[0][0] == "skipped"


def test_a_server_that_takes_no_changes_is_named(examine: Doctor, postgres_url: str) -> None:
    report = examine(
        DATABASE_URL=f"{postgres_url}&options=-cdefault_transaction_read_only%3Don"
        if "?" in postgres_url
        else f"{postgres_url}?options=-cdefault_transaction_read_only%3Don"
    )

    assert report.of("database")[0][0] == "wrong"
    assert "this server takes no changes" in report.of("database")[0][1]


@pytest.mark.parametrize(
    ("revision", "words"),
    [("0001", "run: orderdesk migrate"), ("9999", "was migrated by a newer release")],
)
def test_a_schema_of_another_release_is_named(
    examine: Doctor, sealed: str, data_dir: Path, revision: str, words: str
) -> None:
    with contextlib.closing(sqlite3.connect(data_dir / "app.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        database.commit()

    report = examine()

    [(outcome, said)] = report.of("migrations")
    assert (outcome, report.code) == ("wrong", 1)
    assert words in said
    with contextlib.closing(sqlite3.connect(data_dir / "app.db")) as database:
        [(kept,)] = database.execute("SELECT version_num FROM alembic_version").fetchall()
    assert kept == revision != known_revisions()[0]


def test_another_kms_key_is_named(examine: Doctor, sealed: str) -> None:
    [(outcome, words)] = examine(MCP_KMS_KEY=OTHER_KMS_KEY).of("keyring")

    assert outcome == "wrong"
    assert "MCP_KMS_KEY: this is not the key that this database was made with" in words


def test_a_missing_key_file_is_named_and_not_made(
    examine: Doctor, sealed: str, data_dir: Path
) -> None:
    [(outcome, words)] = examine(MCP_KMS_KEY="").of("keyring")

    assert outcome == "wrong"
    assert "the key file" in words
    assert "is missing" in words
    assert not (data_dir / "kms.key").exists()


def test_fewer_connections_than_the_workers_open_is_a_note(
    examine: Doctor, postgres_url: str
) -> None:
    report = examine(DATABASE_URL=postgres_url, DATABASE_POOL_SIZE="200")

    assert "Lower DATABASE_POOL_SIZE" in report.of("database")[1][1]
    assert report.is_fine()


# ------------------------------------------------------------------ mail


SMTP = {
    "EMAIL_PROVIDER": "smtp",
    "SMTP_HOST": "127.0.0.1",
    "SMTP_FROM_EMAIL": "orders@example.com",
    "SMTP_USERNAME": USERNAME,
    "SMTP_PASSWORD": PASSWORD,
}


@pytest.mark.parametrize(
    ("password", "outcome", "words"),
    [(PASSWORD, "ok", "takes our log-in"), ("wrong", "wrong", "refused SMTP_USERNAME")],
)
async def test_mail_logs_in_and_sends_nothing(
    monkeypatch: pytest.MonkeyPatch, password: str, outcome: str, words: str
) -> None:
    def trusting(server: SmtpServer, *, seconds: float) -> SmtpSender:
        return SmtpSender(server, context=trusting_context(), seconds=seconds)

    monkeypatch.setattr(mail, "SmtpSender", trusting)
    async with mail_server(with_login=True) as server:
        settings = load_settings({**SMTP, "SMTP_PASSWORD": password, "SMTP_PORT": str(server.port)})

        [found] = await mail.findings(settings, frozenset())

        assert (found.outcome, server.mails) == (outcome, [])
        assert words in found.words
        assert {*server.logins} == {(USERNAME, password)}


def test_a_mail_server_that_is_not_there_is_named(examine: Doctor, sealed: str) -> None:
    report = examine(**SMTP, SMTP_PORT=str(free_port()))

    [(outcome, words)] = report.of("mail")
    assert (outcome, report.code) == ("wrong", 1)
    assert "nothing serves there. Correct SMTP_HOST or SMTP_PORT" in words


def test_a_certificate_that_nobody_vouches_for_is_named(examine: Doctor) -> None:
    async def with_server() -> Report:
        async with mail_server() as server:
            return await asyncio.to_thread(examine, **SMTP, SMTP_PORT=str(server.port))

    [(outcome, words)] = asyncio.run(with_server()).of("mail")
    assert outcome == "wrong"
    assert "certificate that is not trusted" in words


def test_mail_with_a_wrong_setting_is_not_tried(examine: Doctor) -> None:
    report = examine(**SMTP | {"SMTP_FROM_EMAIL": "nobody"}, SMTP_PORT="25")

    assert report.of("mail") == [("skipped", "not looked at: SMTP_FROM_EMAIL is wrong")]


def test_production_without_mail_is_a_note(examine: Doctor, sealed: str) -> None:
    report = examine(APP_ENV="production", PUBLIC_URL="https://o.example.com")

    assert report.of("mail")[0][0] == "note"
    assert "nobody can be invited" in report.of("mail")[0][1]
    assert report.is_fine()


# ------------------------------------------------------------------ Order Desk and the clock


def test_an_order_desk_that_fails_is_named(examine: Doctor, upstream: Upstream) -> None:
    upstream.status = 503

    [(outcome, words)] = examine().of("upstream")
    assert outcome == "wrong"
    assert "127.0.0.1 answers 503" in words


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:{port}", "refused the connection: nothing serves there"),
        ("https://nowhere.invalid/api/v2", "is not found: DNS knows no such name"),
    ],
)
def test_an_order_desk_that_cannot_be_reached_is_named(
    examine: Doctor, url: str, words: str
) -> None:
    [(outcome, said)] = examine(ORDERDESK_API_URL=url.format(port=free_port())).of("upstream")

    assert outcome == "wrong"
    assert words in said


def test_a_proxy_that_is_in_between_is_named_without_its_password(
    examine: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", f"http://me:{URL_PASSWORD}@127.0.0.1:{free_port()}")

    [(outcome, words)] = examine(ORDERDESK_API_URL="https://nowhere.invalid").of("upstream")

    assert outcome == "wrong"
    assert "through the proxy of https_proxy (127.0.0.1:" in words


@pytest.mark.parametrize("minutes", [-5, 5])
def test_a_clock_that_differs_from_order_desk_is_named(
    examine: Doctor, upstream: Upstream, minutes: int
) -> None:
    upstream.date = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)

    [(outcome, words)] = examine().of("clock")
    assert outcome == "wrong"
    assert "Let NTP set the clock" in words


@pytest.mark.parametrize("date", ["", "yesterday", "Sat, 28 Nov 2026 12:00:00 -0000"])
def test_an_answer_without_a_date_says_nothing_of_the_clock(
    examine: Doctor, upstream: Upstream, date: str
) -> None:
    upstream.date = date or " "

    assert examine().of("clock") == []


@pytest.mark.parametrize("seconds", [-60, 60])
def test_a_clock_that_differs_from_the_database_is_named(
    examine: Doctor, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    theirs = datetime.now(UTC) + timedelta(seconds=seconds)
    state = DatabaseState(known_revisions()[0], clock=theirs, most_connections=100)
    monkeypatch.setattr(of_database, "look_at", lambda url: state)

    outcome, words = examine().of("clock")[0]
    assert outcome == "wrong"
    assert "Let NTP set both" in words


# ------------------------------------------------------------------ disk and files


Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(
    ("free", "outcome", "words"),
    [
        (50 * 2**20, "wrong", "has 50 MiB free. Make room: a full disk stops every write"),
        (2**50, "ok", "MiB free"),
    ],
)
def test_a_disk_that_is_nearly_full_is_named(
    examine: Doctor, monkeypatch: pytest.MonkeyPatch, free: int, outcome: str, words: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**50, 0, free))

    [(said, sentence)] = examine().of("disk")
    assert said == outcome
    assert words in sentence


def test_too_little_room_for_an_upgrade_is_a_note(
    examine: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 1000))
    monkeypatch.setattr(files, "LEAST_FREE", 0)

    [(outcome, words)] = examine().of("disk")
    assert outcome == "note"
    assert "three times the database" in words


def test_secrets_that_others_may_read_are_named(
    examine: Doctor, sealed: str, data_dir: Path
) -> None:
    (data_dir / "kms.key").write_text(KMS_KEY)
    for name in ("app.db", "kms.key"):
        (data_dir / name).chmod(0o644)

    report = examine(MCP_KMS_KEY="")

    assert [words.split("Run: ")[1] for _, words in report.of("files")] == [
        f"chmod 600 {data_dir / 'kms.key'}",
        f"chmod 600 {data_dir / 'app.db'}",
    ]
    assert report.code == 1
    assert (data_dir / "kms.key").stat().st_mode & 0o777 == 0o644, "the doctor changes nothing"


def test_a_folder_that_is_closed_to_this_user_is_named(
    examine: Doctor, sealed: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`data/` is closed to all but the user of the server."""
    stat = Path.stat

    def refused(path: Path, **options: bool) -> os.stat_result:
        if data_dir in path.parents:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    # the tests may run as root, who may do everything
    monkeypatch.setattr(Path, "stat", refused)
    monkeypatch.setattr(os, "access", lambda path, _: data_dir not in (path, *path.parents))

    report = examine()

    assert [outcome for outcome, _ in report.of("database")] == ["wrong"]
    assert f"{data_dir} cannot be written to by this user" in report.of("database")[0][1]
    assert [outcome for outcome, _ in report.of("files")] == ["wrong"]
    assert f"this user may not look into {data_dir}. Start as" in report.of("files")[0][1]
    assert [outcome for outcome, _ in report.of("disk")] == ["ok"]


def test_a_name_cannot_make_a_second_line(examine: Doctor, tmp_path: Path) -> None:
    folder = tmp_path / "a\nWRONG  files  b\x1b[2J"
    folder.mkdir()
    (folder / "app.db").write_text("")
    (folder / "app.db").chmod(0o644)

    report = examine(DATABASE_URL=f"sqlite:///{folder}/app.db")

    assert all(words.isprintable() for _, _, words in report.found)


def test_a_secret_of_the_settings_prints_as_stars() -> None:
    """What the doctor could print by mistake is wrapped."""
    settings = load_settings({"MCP_KMS_KEY": KMS_KEY, **SMTP, "SMTP_PORT": "25"})

    assert KMS_KEY not in repr(settings)
    assert PASSWORD not in repr(settings)
    assert "***" in repr(Secret(PASSWORD))
