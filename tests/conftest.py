"""What every test shares: the backend of its event loop, and the switch that replays workflows."""

import pytest
from hypothesis import settings

# How long an example takes says nothing about what must be true, on a machine that runs other things as well.
settings.register_profile("assent", deadline=None)
settings.load_profile("assent")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--replay-check",
        action="store_true",
        help="replay each workflow after every step and compare the commands",
    )


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def replay_check(pytestconfig: pytest.Config) -> bool:
    """Whether each workflow is replayed after every step; pass it on to the runtimes of a test."""
    return bool(pytestconfig.getoption("--replay-check"))
