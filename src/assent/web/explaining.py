"""What policies say of an action that somebody might want: those in force, and those at its function itself."""

from collections.abc import Iterable, Mapping
from typing import Any

from assent.engine import Program
from assent.governance import Action, Policy, Principal, Ruling, evaluate_all
from assent.governance.selection import selected
from assent.governance.terms import PolicySet
from assent.policies.explain import facts_at
from assent.web.desk import Desk


async def explain(
    desk: Desk,
    name: str,
    arguments: Mapping[str, Any],
    *,
    requester: Principal | None = None,
    labels: Iterable[str] = (),
    risk: str = "",
    at: float | None = None,
) -> Ruling:
    """Ask them without doing it: every limit has room, and nothing is counted, drawn, recorded or asked of people.

    `arguments` are JSON values by name. If the function is known here they are read as it would read them, and
    CodecError or TypeError is raised if they do not fit it.
    """
    program = max((one for one in desk.runtime.programs if one.name == name), key=_version, default=None)
    if program is not None:
        arguments = program.signature.bind((), program.signature.read(arguments))
    action = Action(name=name, arguments=arguments, requester=requester, labels=frozenset(labels), risk=risk)
    rules = [*selected(desk.runtime.policies_in_force, action), *(own_rules(program) if program else ())]
    # What only records would log this action as if it had been asked for.
    asked = [one for one in rules if not one.only_records]
    now = desk.clock.now() if at is None else at
    return await evaluate_all(asked, action, facts_at(now, desk.runtime.environment))


def _version(program: Program) -> int:
    return program.version


def own_rules(program: Program) -> tuple[Policy, ...]:
    """The policies that stand at a governed function itself."""
    rules = getattr(program.identity, "rules", None)
    return rules.policies if isinstance(rules, PolicySet) else ()
