"""The ground of governed calls."""

from pathlib import Path
from typing import Any

import pytest

from tests.governance.ground import JUMPING, Ground


@pytest.fixture
def anyio_backend() -> Any:
    """Time passes at once: an hour of waiting costs nothing."""
    return JUMPING


@pytest.fixture
async def ground(tmp_path: Path, replay_check: bool) -> Ground:
    return Ground(tmp_path, replay_check)
