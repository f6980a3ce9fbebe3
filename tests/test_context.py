"""Ids: unique over threads and processes; and roles in words."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection

from orderdesk_app.context import Role, new_id, random_bytes


def test_ids_of_many_threads_are_all_different() -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: new_id(), range(5_000)))

    assert len({*ids}) == 5_000
    assert {len(id_) for id_ in ids} == {26}


def _send_random_bytes(pipe: Connection) -> None:
    pipe.send([random_bytes() for _ in range(300)])


def test_a_forked_process_does_not_make_the_ids_of_its_parent() -> None:
    random_bytes()  # so that the parent holds some for later
    fork = multiprocessing.get_context("fork")
    here, there = fork.Pipe()
    child = fork.Process(target=_send_random_bytes, args=(there,))
    child.start()
    of_child = here.recv()
    child.join()

    assert len({*of_child}) == 300
    assert {*of_child}.isdisjoint(random_bytes() for _ in range(300))


def test_roles_have_words() -> None:
    assert [role.words for role in Role] == ["Owner", "Member", "Viewer"]
    assert [role.with_article for role in Role] == ["an owner", "a member", "a viewer"]
