"""What every store must do for small things that belong to no execution."""

import asyncio
from typing import Any

import pytest

from assent.store import Store
from assent.store.shelf import Cell
from tests.conformance.store_records import NOW


def cell(key: str = "k", text: str = '"v"', *, shelf: str = "notes", **facts: Any) -> Cell:
    """A cell that never expires."""
    return Cell(shelf=shelf, key=key, text=text, **{"written_at": NOW, **facts})


async def keys(store: Store, shelf: str = "notes", now: float = NOW, **options: Any) -> list[str]:
    return [found.key for found in await store.cells(shelf, now, **options)]


class ShelfSuite:
    """For one open store; the fixture `store` comes from the suite that inherits this."""

    async def test_a_cell_comes_back_as_it_was_put(self, store: Store) -> None:
        put = cell("naïve key", '{"text":"\\u0000 🙂"}', written_at=NOW + 0.25, expires_at=NOW + 9)
        assert await store.put(put)
        assert await store.cell("notes", "naïve key", NOW) == put
        assert await store.cell("notes", "other", NOW) is None
        assert await store.cell("other", "naïve key", NOW) is None

    async def test_each_write_replaces_the_cell_and_raises_its_version(self, store: Store) -> None:
        for number in range(1, 4):
            await store.put(cell(text=str(number), version=70))
            assert await store.cell("notes", "k", NOW) == cell(text=str(number), version=number)
        assert await keys(store) == ["k"]

    async def test_a_cell_is_swapped_only_if_it_is_as_expected(self, store: Store) -> None:
        assert not await store.put(cell(), expected=1)
        assert await store.put(cell(text="1"), expected=0)
        assert not await store.put(cell(text="2"), expected=0)
        assert await store.put(cell(text="3"), expected=1)
        assert not await store.put(cell(text="4"), expected=1)
        assert await store.cell("notes", "k", NOW) == cell(text="3", version=2)

    async def test_of_all_who_swap_the_same_version_one_does(self, store: Store) -> None:
        await store.put(cell())
        swapped = await asyncio.gather(*(store.put(cell(text=str(number)), expected=1) for number in range(20)))
        assert swapped.count(True) == 1
        assert await store.cell("notes", "k", NOW) == cell(text=str(swapped.index(True)), version=2)

    async def test_what_has_expired_is_as_good_as_none(self, store: Store) -> None:
        await store.put(cell(expires_at=NOW + 5))
        assert await store.cell("notes", "k", NOW + 4.5) is not None
        assert await store.cell("notes", "k", NOW + 5) is None
        assert await keys(store, now=NOW + 5) == []
        assert not await store.put(cell(written_at=NOW + 4), expected=0)
        assert not await store.put(cell(written_at=NOW + 5), expected=1)
        assert await store.put(cell(written_at=NOW + 5), expected=0)
        assert await store.cell("notes", "k", NOW + 99) == cell(written_at=NOW + 5)

    async def test_what_has_expired_goes_when_leases_are_looked_after(self, store: Store) -> None:
        await store.put(cell("gone", expires_at=NOW + 5))
        await store.put(cell("stays", expires_at=NOW + 6))
        await store.put(cell("always"))
        await store.take_over(NOW + 5)
        assert await keys(store, now=NOW) == ["always", "stays"]

    async def test_the_cells_of_a_shelf_are_listed_by_key_or_the_last_written_first(self, store: Store) -> None:
        for key in ("b", "c", "a", "b"):
            await store.put(cell(key))
        await store.put(cell("z", shelf="notes/other"))
        assert await keys(store) == ["a", "b", "c"]
        assert await keys(store, limit=2) == ["a", "b"]
        assert await keys(store, newest=True) == ["b", "a", "c"]
        assert await keys(store, newest=True, limit=1) == ["b"]
        assert await keys(store, limit=0) == []
        assert await keys(store, "missing") == []

    @pytest.mark.parametrize(
        ("containing", "expected"),
        [("LAMP", ["1"]), ("straße", ["2"]), ("ÉTÉ", ["3-été"]), ("%", []), ("_", []), ("", ["1", "2", "3-été"])],
    )
    async def test_cells_are_found_by_a_part_of_key_or_text(
        self, store: Store, containing: str, expected: list[str]
    ) -> None:
        await store.put(cell("1", '"a green Lamp"'))
        await store.put(cell("2", '"STRASSE"'))
        await store.put(cell("3-été", '"summer"'))
        await store.put(cell("4", '"lamp straße été"', expires_at=NOW))
        await store.put(cell("5", '"lamp straße été"', shelf="other"))
        assert await keys(store, containing=containing) == expected

    async def test_the_limit_counts_what_was_found(self, store: Store) -> None:
        for key in ("a", "b", "c1", "d1", "e1"):
            await store.put(cell(key))
        assert await keys(store, containing="1", limit=2) == ["c1", "d1"]
        assert await keys(store, containing="1", newest=True, limit=2) == ["e1", "d1"]

    async def test_a_cell_is_discarded_once(self, store: Store) -> None:
        await store.put(cell())
        assert await store.discard("notes", "k")
        assert not await store.discard("notes", "k")
        assert await store.cell("notes", "k", NOW) is None
        assert await store.put(cell(), expected=0)

    async def test_a_shelf_is_cleared_and_no_other(self, store: Store) -> None:
        for key in ("a", "b"):
            await store.put(cell(key))
        for shelf in ("notes/ann", "note", "Notes"):
            await store.put(cell(shelf=shelf))
        assert await store.clear("notes") == 2
        assert await store.clear("notes") == 0
        assert [await keys(store, shelf) for shelf in ("notes/ann", "note", "Notes")] == [["k"]] * 3

    async def test_a_shelf_is_trimmed_to_so_many_bytes_from_what_was_written_first(self, store: Store) -> None:
        for key in ("a", "b", "c", "a"):
            await store.put(cell(key, '"äöü"'))  # 8 bytes
        await store.put(cell("z", "0" * 99, shelf="other"))
        assert await store.trim("notes", 24, NOW) == 0
        assert await store.trim("notes", 23, NOW) == 1
        assert await keys(store) == ["a", "c"]
        assert await store.trim("notes", 8, NOW) == 1
        assert await keys(store) == ["a"]
        assert await store.trim("notes", 7, NOW) == 1
        assert await keys(store) == []
        assert await keys(store, "other") == ["z"]

    async def test_what_has_expired_is_trimmed_first(self, store: Store) -> None:
        await store.put(cell("old", "1234"))
        await store.put(cell("expired", "1234", expires_at=NOW + 5))
        await store.put(cell("elsewhere", "1234", shelf="other", expires_at=NOW + 5))
        assert await store.trim("notes", 4, NOW + 5) == 1
        assert await keys(store, now=NOW) == ["old"]
        assert await keys(store, "other", NOW) == ["elsewhere"]
