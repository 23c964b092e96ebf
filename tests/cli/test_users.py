"""`assent users`: who decides, in which roles, and who stands in for whom."""

import pytest

from tests.cli.conftest import Day, Shell, ask

CFO, FIN, DEPUTY = "cfo@company.com", "fin@company.com", "deputy@company.com"


def test_people_are_listed_with_roles_and_addresses(office: Shell) -> None:
    office(
        "users", "add", DEPUTY, "--name", "Dee", "--role", "finance", "--role", "role:board", "--contact", "slack=U1"
    )
    assert office.read("users", "list", "--role", "role:board") == office.read("users", "list", "--role", "board")
    (person,) = office.read("users", "list", "--role", "board")
    assert (person["id"], person["name"], person["roles"]) == (DEPUTY, "Dee", ["finance", "board"])
    assert (person["contacts"], person["disabled_at"], person["delegations"]) == ({"slack": "U1"}, None, [])
    assert "deputy@company.com  Dee   finance, board  active  slack U1" in office("users", "list")
    assert "Nobody is known" in office("users", "list", "--role", "nobody")


def test_adding_somebody_again_keeps_what_is_not_given(office: Shell) -> None:
    office("users", "add", "Deputy@Company.com", "--name", "Dee", "--role", "finance", "--contact", "slack=U1")
    assert "known anew" in office("users", "add", DEPUTY, "--role", "board")
    (person,) = office.read("users", "list", "--role", "board")
    assert (person["name"], person["roles"], person["contacts"]) == ("Dee", ["board"], {"slack": "U1"})
    assert "without roles" in office("users", "add", DEPUTY, "--role", "")


def test_a_role_is_whoever_has_it_when_they_decide(office: Shell) -> None:
    approval = ask(office, "pay", "amount=5", "supplier=acme")
    assert "is not an approver" in office.error("approve", approval, "--as", DEPUTY, code=5)
    office("users", "add", DEPUTY, "--role", "finance")
    assert "1 of 2" in office("approve", approval, "--as", DEPUTY)
    assert f"{DEPUTY}: approve for role:finance" in office("approvals")


def test_what_disabled_people_say_does_not_count(office: Shell) -> None:
    approval = ask(office, "pay", "amount=5", "supplier=acme")
    office("approve", approval, "--as", FIN)
    assert "Nothing that fin@company.com says counts" in office("users", "disable", FIN)
    listed = office("approvals")
    assert "0 of 2 so far" in listed
    assert "approve for role:finance, does not count now" in listed
    assert f"{FIN} is disabled" in office.error("approve", approval, "--as", FIN, code=5)
    assert "disabled  since" in office("users", "list")
    assert "may decide again, in the roles finance" in office("users", "enable", FIN)


def test_somebody_stands_in_for_a_time(office: Shell) -> None:
    office("users", "add", DEPUTY)
    approval = ask(office, "pay", "amount=5", "supplier=acme")
    said = office("users", "delegate", CFO, "--to", DEPUTY, "--until", "3d", "--away", "--reason", "holiday")
    assert f"For {CFO}, {DEPUTY} stands in until" in said
    assert "(in 3 d), out of office (holiday)" in said
    (delegation,) = next(each for each in office.read("users", "list") if each["id"] == CFO)["delegations"]
    assert (delegation["delegate"], delegation["away"], delegation["reason"]) == (DEPUTY, True, "holiday")
    assert f"{DEPUTY} may decide, for cfo@company.com" in office("approvals", "show", approval, "--as", DEPUTY)
    office("approve", approval, "--as", DEPUTY)
    assert f"{DEPUTY}: approve for cfo@company.com" in office("approvals")
    assert "both together are one voice" in office.error("approve", approval, "--as", CFO, code=5)
    ended = office("users", "undelegate", delegation["id"][:20])
    assert f"{DEPUTY} stands in for {CFO} no longer" in ended
    assert "stands in" not in office("users", "list")


def test_a_delegation_may_begin_later(office: Shell) -> None:
    office("users", "add", DEPUTY)
    office("users", "delegate", CFO, "--to", DEPUTY, "--since", "2999-01-01", "--until", "2999-01-31T18:00")
    assert "stands in from 2999-01-01 00:00:00" in office("users", "list")
    approval = ask(office, "pay", "amount=5", "supplier=acme")
    assert "is not an approver" in office.error("approve", approval, "--as", DEPUTY, code=5)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["add", "role:finance"], "is a role, not a person"),
        (["add", "x", "--contact", "slack"], "Write --contact kind=address"),
        (["disable", "nobody"], "`assent users add nobody`"),
        (["enable", "nobody"], "Nobody is known as 'nobody'"),
        (["delegate", CFO, "--to", CFO, "--until", "1d"], "cannot stand in for themselves"),
        (["delegate", CFO, "--to", "nobody", "--until", "1d"], "Nobody is known as 'nobody'"),
        (["delegate", CFO, "--to", FIN, "--until", "2001-01-01"], "Give a later moment"),
        (["delegate", CFO, "--to", FIN, "--until", "1h", "--since", "2h"], "Give a later moment"),
        (["delegate", CFO, "--to", FIN, "--until", "friday"], "neither a duration"),
        (["delegate", CFO, "--to", FIN], "Missing option '--until'"),
        (["undelegate", "zzz"], "There is no delegation 'zzz'"),
    ],
)
def test_a_wrong_call_is_one_line_with_its_remedy(desk: Shell, command: list[str], words: str) -> None:
    assert words in desk.error("users", *command, code=2)


def test_an_ambiguous_delegation_and_one_that_is_over_are_told(office: Shell) -> None:
    for until in ("1d", "2d"):
        office("users", "delegate", CFO, "--to", FIN, "--until", until)
    assert "Give more of it" in office.error("users", "undelegate", "0", code=2)
    assert "There is no delegation ''" in office.error("users", "undelegate", "", code=2)


def test_names_and_reasons_are_printed_and_not_obeyed(office: Shell) -> None:
    odd = "\x1b[31m\u202eodd"
    office("users", "add", odd, "--name", odd, "--role", odd, "--contact", f"{odd}={odd}")
    office("users", "delegate", odd, "--to", CFO, "--until", "1d", "--reason", odd)
    printed = office("users", "list") + office("users", "list", "--json") + office("users", "disable", odd)
    assert {each for each in printed if not each.isprintable()} == {"\n"}


def test_a_store_without_people_says_what_that_means(day: Day) -> None:
    assert "stand for themselves" in day.shell("users", "list")
    assert day.shell.read("users", "list") == []
