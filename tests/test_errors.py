"""Every error that users can meet says what it means for a web client and for a shell."""

import inspect

import pytest

import assent
from assent import errors

ERRORS = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, errors.AssentError) and value.__module__ == errors.__name__
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_an_error_has_a_status_an_exit_code_and_a_sentence(error: type[errors.AssentError]) -> None:
    assert 200 <= error.http_status < 600
    assert 0 < error.exit_code < 126
    assert error.__doc__


def test_the_tree_in_the_module_shows_every_error() -> None:
    shown = (errors.__doc__ or "").split()
    assert [error.__name__ for error in ERRORS if error.__name__ not in shown] == []


def test_all_errors_but_the_root_of_stores_are_exported() -> None:
    assert [error.__name__ for error in ERRORS if not hasattr(assent, error.__name__)] == []


def test_facts_become_attributes() -> None:
    error = errors.ApprovalRejected("no", approver="cfo", reason="too much")
    assert (error.approver, error.reason, str(error)) == ("cfo", "too much", "no")
