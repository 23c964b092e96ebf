"""What a server does is what its OpenAPI document says: schemathesis asks it, with every check that it has."""

import asyncio
import sys
from pathlib import Path

import pytest

from assent.web.app import ALL_ROUTES
from assent.web.events import EVENT_STREAM
from assent.web.settings import WebSettings
from tests.web.place import served

CONFIG = Path(__file__).with_name("schemathesis.toml")
# Attempts with wrong tokens are part of the checks.
PATIENT = WebSettings(sign_in_attempts=1_000_000)


@pytest.mark.timeout(180)
async def test_every_answer_is_as_the_document_says(tmp_path: Path) -> None:
    async with served(tmp_path / "store.db", settings=PATIENT) as there, there.client("operator@company.com") as client:
        await there.asked(client)
        token = await there.token("admin@company.com")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)),
            *("run", f"{there.base_url}/api/v1/openapi.json"),
            *("--header", f"Authorization: Bearer {token}", "--checks", "all", "--seed", "7", "--no-color"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = (await process.communicate())[0].decode()
    assert process.returncode == 0, said
    told = [route for route in ALL_ROUTES if route.summary and not route.page and route.media_type != EVENT_STREAM]
    # The address of the document itself is left out.
    assert f"Tested: {len(told) - 1}\n" in said, said
