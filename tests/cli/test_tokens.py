"""`assent tokens` and `assent sign-in-link`: what lets programs and people in."""

import re

import pytest

from tests.cli.conftest import Shell

CFO = "cfo@company.com"


def test_a_token_is_shown_once(office: Shell) -> None:
    said = office("tokens", "add", CFO, "--name", "CI", "--scope", "read", "--scope", "metrics")
    token, *_ = said.split()
    assert re.fullmatch(r"assent_[0-9a-f]{32}_[0-9a-f]{48}", token)
    assert "It is for read, metrics, and expires" in said
    (listed,) = office.read("tokens", "list")
    assert (listed["person"], listed["name"], listed["scopes"]) == (CFO, "CI", ["read", "metrics"])
    assert token.startswith(f"assent_{listed['id']}_")
    assert token.split("_")[2] not in office("tokens", "list") + str(listed)


def test_a_token_can_be_for_everything_and_for_good(office: Shell) -> None:
    made = office.read("tokens", "add", CFO, "--expires", "never")
    assert (made["scopes"], made["expires_at"]) == ([], None)
    assert made["token"].startswith("assent_")
    assert "everything" in office("tokens", "list")
    assert "never expires" in office("tokens", "list")


def test_a_token_is_taken_back_by_the_beginning_of_its_id_or_itself(office: Shell) -> None:
    first, second = (office.read("tokens", "add", CFO) for _ in range(2))
    assert "lets nobody in any more" in office("tokens", "revoke", first["id"][:-1])
    assert "was taken back before" in office("tokens", "revoke", first["token"])
    assert "beginning of 2 tokens" in office.error("tokens", "revoke", first["id"][:4], code=2)
    assert "no token" in office.error("tokens", "revoke", "nope", code=2)
    revoked = {each["id"]: each["revoked_at"] is not None for each in office.read("tokens", "list")}
    assert revoked == {first["id"]: True, second["id"]: False}
    assert "revoked" in office("tokens", "list", "--of", "CFO@company.com")
    assert office.read("tokens", "list", "--of", "nobody") == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tokens", "add", "nobody@company.com"], "assent users add nobody@company.com"),
        (["tokens", "add", CFO, "--scope", "everything"], "no scope 'everything'"),
        (["tokens", "add", CFO, "--expires", "soon"], "is not a duration"),
        (["sign-in-link", "nobody@company.com"], "assent users add nobody@company.com"),
        (["users", "add", CFO, "--access", "root"], "no access 'root'"),
    ],
)
def test_what_cannot_be_made_is_told(office: Shell, arguments: list[str], words: str) -> None:
    assert words in office.error(*arguments, code=2)


def test_a_link_signs_somebody_in_for_a_while(office: Shell) -> None:
    said = office("sign-in-link", CFO, "--base-url", "https://assent.example.com/", "--expires", "1h")
    assert re.match(r"https://assent\.example\.com/sign-in/[0-9a-f]{48}\n", said)
    assert f"It lets {CFO} sign in, once, and expires" in said
    assert office.read("sign-in-link", CFO)["url"].startswith("http://127.0.0.1:8400/sign-in/")
    assert office.read("tokens", "list") == []


def test_nobody_who_is_disabled_gets_anything(office: Shell) -> None:
    office("users", "disable", CFO)
    assert "disabled" in office.error("tokens", "add", CFO, code=2)
    assert "disabled" in office.error("sign-in-link", CFO, code=2)


def test_what_people_may_in_the_web_is_kept_until_it_is_said_anew(office: Shell) -> None:
    assert "with the access operator" in office("users", "add", CFO, "--access", "operator")
    office("users", "add", CFO, "--role", "finance")
    (known,) = (each for each in office.read("users", "list") if each["id"] == CFO)
    assert known["access"] == "operator"
    assert "access operator" in office("users", "list")
    office("users", "add", CFO, "--access", "")
    (known,) = (each for each in office.read("users", "list") if each["id"] == CFO)
    assert known["access"] == ""
