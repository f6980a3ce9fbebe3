"""The keys of an installation: made once, wrapped, and useless without MCP_KMS_KEY."""

import asyncio
import base64
import secrets
import stat
import subprocess
import sys

import pytest

from orderdesk_app.db.keyring import KeyRows
from orderdesk_app.errors import ConfigurationError
from orderdesk_app.security.keyring import ROOT, Keyring
from orderdesk_app.security.kms import KEY_FILE, load_kms_key


def new_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


@pytest.fixture
def rows(database):
    return KeyRows(database)


async def test_the_same_key_opens_the_same_keyring(rows, data_dir):
    key = new_key()
    first = await Keyring.open(rows, kms_key=key, data_dir=data_dir)

    second = await Keyring.open(rows, kms_key=key, data_dir=data_dir)

    assert second.digest_key == first.digest_key
    assert second.purpose("jwt") == first.purpose("jwt")


async def test_base64url_without_padding_is_the_same_key(rows, data_dir):
    raw = b"\xfb\xff" * 16 + b"x"
    first = await Keyring.open(rows, kms_key=base64.b64encode(raw).decode(), data_dir=data_dir)

    second = await Keyring.open(
        rows, kms_key=base64.urlsafe_b64encode(raw).decode().rstrip("="), data_dir=data_dir
    )

    assert second.digest_key == first.digest_key


async def test_purposes_have_keys_of_their_own(rows, data_dir):
    keyring = await Keyring.open(rows, kms_key=new_key(), data_dir=data_dir)

    keys = {
        keyring.digest_key,
        keyring.purpose("jwt"),
        keyring.purpose("csrf"),
        keyring.purpose("links"),
    }

    assert len(keys) == 4
    assert {len(key) for key in keys} == {32}


async def test_a_wrong_kms_key_stops_the_start_and_names_the_setting(rows, data_dir):
    await Keyring.open(rows, kms_key=new_key(), data_dir=data_dir)

    with pytest.raises(ConfigurationError, match=r"^MCP_KMS_KEY:"):
        await Keyring.open(rows, kms_key=new_key(), data_dir=data_dir)


async def test_development_makes_a_key_file_for_its_owner_alone(rows, data_dir):
    keyring = await Keyring.open(rows, kms_key="", data_dir=data_dir)
    again = await Keyring.open(rows, kms_key="", data_dir=data_dir)

    assert again.digest_key == keyring.digest_key
    assert stat.S_IMODE((data_dir / KEY_FILE).stat().st_mode) == 0o600
    assert sorted(path.name for path in data_dir.iterdir() if "kms" in path.name) == [KEY_FILE]


async def test_a_lost_key_file_is_told_and_no_new_one_is_made(rows, data_dir):
    await Keyring.open(rows, kms_key="", data_dir=data_dir)
    (data_dir / KEY_FILE).unlink()

    with pytest.raises(ConfigurationError, match=r"^MCP_KMS_KEY: .*missing"):
        await Keyring.open(rows, kms_key="", data_dir=data_dir)

    assert not (data_dir / KEY_FILE).exists()


@pytest.mark.parametrize("text", ["", "\n", "not base64 !", "c2hvcnQ="])
async def test_a_damaged_key_file_is_told(rows, data_dir, text):
    (data_dir / KEY_FILE).write_text(text)

    with pytest.raises(ConfigurationError, match=r"^MCP_KMS_KEY:"):
        await Keyring.open(rows, kms_key="", data_dir=data_dir)

    assert (data_dir / KEY_FILE).read_text() == text


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "data").write_text("a file where a folder should be")

    with pytest.raises(ConfigurationError, match=r"^MCP_KMS_KEY:"):
        load_kms_key("", tmp_path / "data", may_make=True)


@pytest.mark.slow
def test_processes_that_start_at_once_agree_on_one_key_file(tmp_path):
    code = (
        "import sys, pathlib; from orderdesk_app.security.kms import load_kms_key; "
        "print(load_kms_key('', pathlib.Path(sys.argv[1]), may_make=True).id)"
    )

    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "data")], stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    told = {process.communicate()[0].strip() for process in started}

    assert len(told) == 1
    assert len(told.pop()) == 16


async def test_keyrings_that_are_opened_at_once_agree(rows, data_dir):
    key = new_key()

    keyrings = await asyncio.gather(
        *(Keyring.open(rows, kms_key=key, data_dir=data_dir) for _ in range(8))
    )

    assert len({keyring.digest_key for keyring in keyrings}) == 1


async def test_no_key_shows_when_printed(keyring, data_dir):
    assert repr(keyring) == "Keyring(***)"
    assert "AESGCM" not in repr(load_kms_key(new_key(), data_dir, may_make=False))


async def test_the_database_holds_no_key_unwrapped(
    keyring, rows, data_dir, database, tenant, everything_in
):
    row = await rows.find(ROOT)
    root = load_kms_key("", data_dir, may_make=False).unwrap(row.wrapped, row_id=row.id)

    kept = await everything_in(database)

    assert b"tenant:" in kept
    assert root not in kept
    assert keyring.digest_key not in kept
