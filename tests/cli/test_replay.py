"""`assent replay`: today's code against yesterday's journal."""

import pytest

from tests.cli.conftest import Day, Shell


@pytest.mark.parametrize("which", ["transfer", "order", "quote", "failed", "doubtful"])
def test_unchanged_code_follows_every_journal(day: Day, which: str) -> None:
    execution = getattr(day, which)
    before = day.shell.read("show", execution)
    assert day.shell("replay", execution, "app.py").startswith("The same: ")
    facts = {"execution_id": execution, "same": True, "divergence": None}
    assert day.shell.read("replay", execution, "app.py") == facts
    assert day.shell.read("show", execution) == before


@pytest.mark.parametrize(
    ("which", "old", "new", "words"),
    [
        ("order", "await price(item) * count", "count", "op 0 is recorded as 'step price'"),
        ("order", 'signal("address", str)', 'signal("place", str)', "signal address"),
        ("quote", "return await price(item)", "return 1 + await price(item)", "the code with execution.completed 401"),
        ("quote", "return await price(item)", "return await price(item) + await price(item)", "the code goes on"),
        ("failed", "return await look_up(item)", "return 0", "step look_up"),
        ("failed", "return await look_up(item)", "await look_up(item)", ""),
        ("transfer", "ApprovalPolicy(", "ValidationPolicy(check=bool), ApprovalPolicy(", ""),
    ],
)
def test_changed_code_is_found_where_it_parts(day: Day, which: str, old: str, new: str, words: str) -> None:
    changed = day.shell.folder / "changed.py"
    text = (day.shell.folder / "app.py").read_text()
    assert old in text
    changed.write_text(text.replace(old, new))
    code = 8 if words else 0
    done = day.shell.run("replay", getattr(day, which), "changed.py", code=code)
    assert words in done.stdout
    assert done.stderr == ""


def test_code_that_lacks_the_version_is_refused(day: Day) -> None:
    text = (day.shell.folder / "app.py").read_text()
    (day.shell.folder / "newer.py").write_text(
        text.replace("@workflow\nasync def order", "@workflow(version=2)\nasync def order")
    )
    line = day.shell.error("replay", day.order, "newer.py", code=2)
    assert "order version 2" in line
    assert f"execution {day.order} is of order version 1" in line


def test_nothing_is_performed(assent: Shell) -> None:
    (assent.folder / "loud.py").write_text(
        "from pathlib import Path\nfrom assent import step, workflow\n"
        "@step\nasync def shout() -> int:\n    Path('heard').touch()\n    return 1\n"
        "@workflow\nasync def say() -> int:\n    return await shout()\n"
    )
    execution = assent.read("run", "loud.py:say")["execution_id"]
    (assent.folder / "heard").unlink()
    assent("replay", execution, "loud.py")
    assert not (assent.folder / "heard").exists()


def test_values_that_were_not_kept_cannot_be_replayed(assent: Shell) -> None:
    (assent.folder / "secret.py").write_text(
        "from assent import govern\n@govern(capture_state=False)\nasync def act(pin: int) -> int:\n    return pin\n"
    )
    execution = assent.read("run", "secret.py:act", "--arg", "pin=1234")["execution_id"]
    assert "1234" not in assent("events", execution)
    assert "capture_state=False" in assent.error("replay", execution, "secret.py", code=2)
