"""What schemathesis cannot guess: a call that the server of the test takes, and with which token it asks itself."""

import os
from typing import Any

import schemathesis


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    operation = case.operation.definition.raw["operationId"]
    if operation == "start_execution" and case.meta is not None and case.meta.phase.name.value == "stateful":
        # A chain of requests would end with a refusal at its first one.
        case.body = {"name": "wire_transfer", "arguments": {"amount": "12.50", "recipient": "Acme"}}
    if case.path_parameters.get("token_id") == os.environ["OWN_TOKEN"]:
        case.path_parameters["token_id"] = "another"  # it uses again whatever ids it was told
