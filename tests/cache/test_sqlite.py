"""What a cache in a file owes beyond what every cache owes."""

import stat
from pathlib import Path

from orderdesk_app.cache.sqlite import SqliteCache


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_answers_outlive_a_restart(tmp_path):
    first = SqliteCache(tmp_path / "cache.db")
    await first.put("a", b"one", 60, ())
    await first.close()

    second = SqliteCache(tmp_path / "cache.db")

    assert await second.get("a") == b"one"
    await second.close()


async def test_one_process_drops_what_another_put(tmp_path):
    one, other = SqliteCache(tmp_path / "cache.db"), SqliteCache(tmp_path / "cache.db")
    await one.put("a", b"one", 60, ("s",))

    await other.drop("s")

    assert await one.get("a") is None
    await one.close()
    await other.close()


async def test_the_file_tells_no_key_and_is_its_owners_alone(tmp_path):
    cache = SqliteCache(tmp_path / "cache.db", secret=b"s" * 32)
    await cache.put("email=jane@example.com", b"sealed", 60, ("https://shop.example|77",))
    await cache.close()

    written = everything_in(tmp_path)
    assert b"sealed" in written
    assert b"jane" not in written
    assert b"shop.example" not in written
    assert stat.S_IMODE((tmp_path / "cache.db").stat().st_mode) == 0o600


async def test_a_broken_file_is_begun_again(tmp_path):
    (tmp_path / "cache.db").write_bytes(
        b"this is no database, and long enough to be looked at" * 100
    )
    cache = SqliteCache(tmp_path / "cache.db")

    await cache.put("a", b"one", 60, ())

    assert await cache.get("a") == b"one"
    await cache.close()


async def test_a_folder_that_cannot_be_written_costs_no_answer(tmp_path):
    (tmp_path / "cache.db").mkdir()
    cache = SqliteCache(tmp_path / "cache.db")

    await cache.put("a", b"one", 60, ())

    assert await cache.get("a") is None
    await cache.close()
