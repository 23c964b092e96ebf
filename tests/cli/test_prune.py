"""`assent prune`: what ended long ago goes, and what is still of use stays."""

import json
import sqlite3
from contextlib import closing

import pytest

from tests.cli.conftest import Shell

REFUSED = 5


def start(shell: Shell, name: str, *arguments: str, code: int = 0) -> str:
    return str(shell.read("run", f"app.py:{name}", *arguments, code=code)["execution_id"])


def ids(shell: Shell) -> set[str]:
    return {each["id"] for each in shell.read("executions")}


@pytest.fixture
def shop(assent: Shell) -> Shell:
    """A store with an execution that has ended after an approval, one that has failed, and one that waits."""
    start(assent, "wire_transfer", '{"amount": 5, "recipient": "Acme"}', "--id", "paid", code=75)
    (approval,) = assent.read("approvals")
    assent("approve", approval["id"], "--as", "cfo@company.com")
    start(assent, "wire_transfer", '{"amount": 5, "recipient": "Acme"}', "--id", "paid")
    start(assent, "failing", "--arg", "item=moon", "--id", "failed", code=1)
    start(assent, "order", "--arg", "item=lamp", "--id", "waits", code=75)
    return assent


def test_what_has_ended_goes_with_all_that_belongs_to_it(shop: Shell) -> None:
    assert shop.read("prune", "--older-than", "1h")["executions"] == 0
    facts = shop.read("prune", "--older-than", "0s", "--dry-run")
    assert (facts["dry_run"], facts["executions"], ids(shop)) == (True, 2, {"paid", "failed", "waits"})
    facts = shop.read("prune", "--older-than", "0s")
    assert (facts["dry_run"], facts["executions"], facts["approvals"], facts["events"] > 10) == (False, 2, 1, True)
    assert ids(shop) == {"waits"}
    assert "Executions that ended before" in shop("prune", "--older-than", "0s")
    assert "no execution 'paid'" in shop.error("show", "paid", code=3)
    assert shop.read("doctor")["store"]["problem"] is None


def test_an_archive_has_all_of_it_and_grows(shop: Shell) -> None:
    shown = {name: shop.read("show", name) for name in ("paid", "failed")}
    shop("prune", "--older-than", "0s", "--archive", "old.jsonl")
    for name in ("third", "youngest"):
        start(shop, "quote", "--arg", "item=lamp", "--id", name)
    shop("prune", "--older-than", "0s", "--archive", "old.jsonl")
    archive = shop.folder / "old.jsonl"
    assert archive.stat().st_mode & 0o777 == 0o600
    kept = {each["execution"]["id"]: each for each in map(json.loads, archive.read_text(encoding="utf-8").splitlines())}
    assert set(kept) == {"paid", "failed", "third"}
    for name, facts in shown.items():
        assert [each["type"] for each in kept[name]["events"]] == [each["type"] for each in facts["events"]]
        assert [each["seq"] for each in kept[name]["events"]] == [each["seq"] for each in facts["events"]]
    (approval,) = kept["paid"]["approvals"]
    assert [(each["approver"], each["decision"]) for each in approval["verdicts"]] == [("cfo@company.com", "approve")]


def test_no_event_ever_gets_the_number_of_one_that_is_gone(assent: Shell) -> None:
    for name in ("older", "younger"):
        start(assent, "quote", "--arg", "item=lamp", "--id", name)
    last = assent.read("show", "younger")["events"][-1]["seq"]
    for dry in (["--dry-run"], []):
        assert assent.read("prune", "--older-than", "0s", *dry)["executions"] == 1
    assert ids(assent) == {"younger"}
    start(assent, "quote", "--arg", "item=lamp", "--id", "next")
    assert assent.read("show", "next")["events"][0]["seq"] > last


def test_a_permit_outlives_its_execution_so_that_nothing_is_done_again_under_its_id(shop: Shell) -> None:
    shop("prune", "--older-than", "0s")
    again = ("wire_transfer", '{"amount": 5, "recipient": "Acme"}', "--id", "paid")
    start(shop, *again, code=75)
    (approval,) = shop.read("approvals")
    shop("approve", approval["id"], "--as", "cfo@company.com")
    assert shop.read("run", f"app.py:{again[0]}", *again[1:], code=REFUSED)["status"] == "failed"


def test_a_worker_beside_it_is_not_disturbed(shop: Shell) -> None:
    worker = shop.worker("app.py")
    shop("prune", "--older-than", "0s")
    shop("signal", "waits", "address", '"home"')
    assert worker.stdout is not None
    assert any("waits completed" in line for line in worker.stdout)
    worker.terminate()
    worker.communicate(timeout=10)


def test_nothing_is_removed_that_the_archive_cannot_take(shop: Shell) -> None:
    assert "cannot be opened" in shop.error("prune", "--older-than", "0s", "--archive", "no/old.jsonl", code=9)
    assert ids(shop) == {"paid", "failed", "waits"}


def test_a_time_to_come_is_refused(shop: Shell) -> None:
    assert "is to come" in shop.error("prune", "--older-than", "2999-01-01", code=2)


def test_expired_credentials_and_idle_values_go_as_well(shop: Shell) -> None:
    with closing(sqlite3.connect(shop.folder / "assent.db", isolation_level=None)) as connection:
        connection.execute("INSERT INTO blobs (digest, text) VALUES ('d', 'nobody refers to it')")
    assert shop.read("prune", "--older-than", "0s")["large_values"] == 1
