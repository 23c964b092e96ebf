"""The FastAPI example does what it says, in two processes and over HTTP."""

import os
import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples/fastapi_integration.py"


def test_the_example_is_served_by_several_processes_and_refunds_each_customer_once(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ASSENT_", "SHOP_"))}
    command = [sys.executable, str(EXAMPLE)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=55, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert done.stdout.startswith("2 processes serve http://127.0.0.1:")
    calls = re.findall(r"^  (\w+)  POST (\S+)  → (\d+)", done.stdout, re.MULTILINE)
    answers = {path: [status for _, called, status in calls if called == path] for _, path, _ in calls}
    # Two of the refunds are decided too late for their caller, one is not valid, and one is asked for by nobody.
    assert sorted(answers["/refunds"]) == ["200", "200", "202", "202", "401", "422"]
    assert (answers["/shop/close"], answers["/reminders/Ada"], answers["/refunds/several"]) == (
        ["403"],
        ["429"],
        ["202"],
    )
    verdicts = [(who, status) for who, path, status in calls if path.endswith("/verdicts")]
    assert sorted(verdicts) == [("ana", "409"), ("lea", "200"), ("lea", "200"), ("lea", "200")]
    assert done.stdout.count("→ completed") == 3
    assert done.stdout.splitlines()[-1] == "The ledger: Ada 20, Bo 500, Cy 700, Di 900, Flo 20, Gus 20"
    assert list(tmp_path.iterdir()) == []
