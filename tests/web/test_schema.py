"""What a server does is what its OpenAPI document says: schemathesis asks it, in every phase, with every check."""

import asyncio
import os
import re
import sys
from pathlib import Path

import jsonschema
import pytest

from assent.web.app import ALL_ROUTES
from assent.web.openapi import document_of
from assent.web.settings import WebSettings
from tests.web.place import served

HERE = Path(__file__).parent
# Attempts with wrong tokens are part of the checks.
PATIENT = WebSettings(sign_in_attempts=1_000_000)
ADMIN = "admin@company.com"
TOLD = [route for route in ALL_ROUTES if route.summary and not route.page]


@pytest.mark.timeout(180)
async def test_every_answer_is_as_the_document_says(tmp_path: Path) -> None:
    async with served(tmp_path / "store.db", settings=PATIENT) as there, there.client("operator@company.com") as client:
        await there.runtime.people.add(ADMIN, roles=["finance"])  # so that their verdicts count
        for _ in range(20):
            await there.asked(client)
        token = await there.token(ADMIN)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")),
            *("run", f"{there.base_url}/api/v1/openapi.json"),
            *("--header", f"Authorization: Bearer {token}", "--checks", "all", "--seed", "7", "--no-color"),
            cwd=tmp_path,
            env={**os.environ, "HOOKS": str(HERE / "schemathesis_hooks.py"), "OWN_TOKEN": token.split("_")[1]},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = (await process.communicate())[0].decode()
    assert process.returncode == 0, said
    # The address of the document itself is left out.
    assert f"Tested: {len(TOLD) - 1}\n" in said, said
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert f"✅ {phase}\n" in said, said
    (covered,) = re.findall(r"API Links: +(\d+) covered", said)
    assert int(covered) >= 8, said


def test_every_link_leads_to_a_parameter_of_another_request() -> None:
    paths = {route.name: route.path for route in TOLD}
    for route in TOLD:
        for onward in route.onward:
            assert f"{{{onward.parameter}}}" in paths[onward.name], (route.name, onward)
    document = document_of(ALL_ROUTES)
    started = document["paths"]["/api/v1/executions"]["post"]["responses"]
    assert started["202"]["links"]["show_execution"]["parameters"] == {"execution_id": "$response.body#/id"}
    assert started["200"]["links"].keys() == started["202"]["links"].keys()


def test_every_body_is_shown_by_an_example_that_fits() -> None:
    document = document_of(ALL_ROUTES)
    schemas = document["components"]["schemas"]
    for route in TOLD:
        if route.body is not None:
            examples = schemas[route.body.__name__]["examples"]
            for example in examples:
                whole = {"$ref": f"#/components/schemas/{route.body.__name__}", "components": {"schemas": schemas}}
                jsonschema.validate(example, whole, format_checker=jsonschema.FormatChecker())
            assert examples
