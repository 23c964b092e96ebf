"""`assent run`: results, waits, failures, and what is wrong with a call."""

import signal
from pathlib import Path

import pytest

from tests.cli.conftest import Day, Shell, line_with


def test_run_prints_the_result_and_nothing_else_on_standard_output(assent: Shell) -> None:
    done = assent.run("run", "app.py:quote", "--arg", "item=lamp")
    assert done.stdout == "400\n"
    assert "completed" in done.stderr


def test_arguments_come_as_the_types_of_the_function(assent: Shell) -> None:
    assert assent("run", "app.py:echo", "--arg", "text=007") == '"007"\n'
    assert assent("run", "app.py:echo", '{"text": "a"}', "--arg", "text=b") == '"b"\n'
    transfer = assent.read("run", "app.py:wire_transfer", "--arg", "amount=0.10", "--arg", "recipient=Acme", code=75)
    assert assent.read("show", transfer["execution_id"])["arguments"] == {"amount": "0.10", "recipient": "Acme"}


def test_a_dotted_name_works_like_a_path(assent: Shell) -> None:
    assert assent("run", "app:quote", "--arg", "item=lamp") == "400\n"


def test_a_file_in_a_package_is_imported_as_part_of_it(assent: Shell) -> None:
    package = assent.folder / "shop"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "words.py").write_text("GREETING = 'hello'\n")
    (package / "flows.py").write_text(
        "from assent import workflow\nfrom shop.words import GREETING\n"
        "@workflow\nasync def greet() -> str:\n    return GREETING\n"
    )
    assert assent("run", "shop/flows.py:greet") == '"hello"\n'


def test_a_call_that_waits_for_people_ends_with_75_and_a_worker_finishes_it_once(assent: Shell) -> None:
    done = assent.run("run", "app.py:wire_transfer", "--arg", "amount=5", "--arg", "recipient=Acme", code=75)
    transfer = assent.read("executions")[0]["id"]
    approval = assent.read("approvals")[0]["id"]
    assert transfer in done.stdout
    assert f"assent approve {approval}" in done.stdout
    assert "assent worker app.py" in done.stdout
    worker = assent.worker("app.py")
    assert "goes on." in assent("approve", approval, "--as", "cfo@company.com")
    line_with(f"{transfer} completed", worker)
    shown = assent.read("show", transfer)
    assert (shown["status"], shown["result"]) == ("completed", "5 to Acme")
    assert [event["type"] for event in shown["events"]].count("permit.consumed") == 1


def test_run_waits_with_its_execution_as_long_as_it_is_told(assent: Shell) -> None:
    assent.run("run", "app.py:quote", "--arg", "item=x")  # makes the store
    running = assent.start("run", "app.py:order", "--arg", "item=lamp", "--id", "o1", "--wait", "20s")
    while not any(each["id"] == "o1" for each in assent.read("executions", "--status", "suspended")):
        pass
    assent("signal", "o1", "address", '"Main St 1"')
    assert running.communicate(timeout=20)[0] == "409\n"


def test_the_same_id_is_the_same_execution(assent: Shell) -> None:
    assert assent("run", "app.py:echo", "--arg", "text=a", "--id", "e1") == '"a"\n'
    assert assent("run", "app.py:echo", "--arg", "text=a", "--id", "e1") == '"a"\n'
    assert len(assent.read("executions")) == 1
    assert "another id" in assent.error("run", "app.py:echo", "--arg", "text=b", "--id", "e1", code=4)


def test_a_failure_shows_where_the_users_code_failed(assent: Shell) -> None:
    done = assent.run("run", "app.py:failing", "--arg", "item=moon", code=1)
    assert done.stdout == ""
    assert "failing failed with KeyError: 'moon'" in done.stderr
    assert done.stderr.index("return await look_up(item)") < done.stderr.index("raise KeyError(item)")
    assert "engine" not in done.stderr


def test_a_denied_call_ends_with_5(assent: Shell) -> None:
    done = assent.run("run", "app.py:wire_transfer", "--arg", "amount=-1", "--arg", "recipient=Acme", code=5)
    assert "denied by policy 'validation'" in done.stderr
    assert assent.read("executions", "--cause", "denied")[0]["status"] == "failed"


def test_the_requester_is_kept(day: Day) -> None:
    assert "alice" in day.shell("show", day.transfer)
    assert day.shell.read("approvals")[0]["request"]["requester"] == "alice"


def test_the_runtime_of_a_module_brings_its_store_and_its_policies(assent: Shell) -> None:
    (assent.folder / "own.py").write_text(
        "from assent import Runtime, govern, policy\n"
        "@policy\n"
        "def closed(action, facts):\n    return False\n"
        "runtime = Runtime('sqlite:///own.db', policies=[closed])\n"
        "@govern()\n"
        "async def act() -> int:\n    return 1\n"
    )
    assent.run("run", "own.py:act", code=5)
    assert (assent.folder / "own.db").exists()
    assent.run("run", "own.py:act", "--store", "sqlite:///other.db", code=5)
    assert (assent.folder / "other.db").exists()


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("nofile.py:order", "There is no file 'nofile.py'"),
        ("nomodule:order", "no module 'nomodule'"),
        ("app.py", "app.py:pay_supplier"),
        ("app.py:nothing", "It has doubtful, echo, failing"),
        ("app.py:plain", "without @workflow or @govern"),
        ("app.py:price", "a step, which runs inside a workflow"),
        ("app.py:decimal", "no function but module"),
        ("broken.py:order", "line 2: "),
        ("lacking.py:order", "(line 1): ModuleNotFoundError: No module named 'nowhere'"),
        ("leaving.py:order", "SystemExit: 3"),
        ("sub/json.py:order", "The name 'json' is taken"),
    ],
)
def test_a_bad_reference_is_one_line_that_says_what_to_do(assent: Shell, reference: str, words: str) -> None:
    (assent.folder / "broken.py").write_text("x = 1\ndef f(:\n")
    (assent.folder / "lacking.py").write_text("import nowhere\n")
    (assent.folder / "leaving.py").write_text("raise SystemExit(3)\n")
    (assent.folder / "sub").mkdir()
    (assent.folder / "sub/json.py").touch()
    assert words in assent.error("run", reference, code=2)
    assert not (assent.folder / "assent.db").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "missing a required argument: 'item'"),
        (["--arg", "item=x", "--arg", "size=2"], "unexpected keyword argument 'size'"),
        (["--arg", "item=x", "--arg", "count=many"], "Argument count does not fit"),
        (["--arg", "item"], "Write --arg name=value"),
        (["{bad"], "is no JSON"),
        (["[1]"], "is no JSON object"),
        (['{"item": 5}'], "Argument item does not fit"),
        (["--arg", "item=x", "--wait", "soon"], "'soon' is not a duration"),
    ],
)
def test_bad_arguments_are_one_line_that_says_what_to_do(assent: Shell, arguments: list[str], words: str) -> None:
    assert words in assent.error("run", "app.py:order", *arguments, code=2)
    assert not (assent.folder / "assent.db").exists()


def test_a_store_that_cannot_be_made_is_one_line(assent: Shell) -> None:
    line = assent.error("run", "app.py:echo", "--arg", "text=a", "--store", "sqlite:///no/where.db", code=9)
    assert "create the folder 'no'" in line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_says_what_it_does_and_stops_when_asked(assent: Shell, number: signal.Signals) -> None:
    worker = assent.worker("app.py")
    worker.send_signal(number)
    assert f"{number.name}: nothing new is taken" in line_with(number.name, worker)
    assert "has stopped" in line_with("stopped", worker)
    assert worker.wait(20) == 0
    assert "None is at work" in assent("doctor")


def test_a_worker_without_workflows_is_refused(assent: Shell, tmp_path: Path) -> None:
    (tmp_path / "empty.py").touch()
    assert "There is no workflow in empty.py" in assent.error("worker", "empty.py", code=2)
