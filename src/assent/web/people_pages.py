"""People and delegations: who decides here, in which roles, and who stands in for whom."""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from assent.errors import AccessRefused, UsageError
from assent.governance.approvals import person
from assent.store import DelegationRecord, PersonRecord
from assent.web.access import Access, Identity, identity_of
from assent.web.desk import Desk, desk_of
from assent.web.forms import field, lines, moment_in, texts, words
from assent.web.inbox import waiting_count
from assent.web.pages import local_path, redirect, render
from assent.web.people_api import check_access, check_other
from assent.web.problems import Problem
from assent.web.routing import Route

ACCESSES: Final = (
    ("", "Decides what is asked of them, sees nothing else"),
    ("viewer", "Viewer: sees everything"),
    ("approver", "Approver: sees everything, decides"),
    ("operator", "Operator: also starts, cancels and resolves"),
    ("admin", "Administrator: also says who is who"),
)


async def show_people(request: Request) -> Response:
    """Everybody, with their roles and those who stand in for them."""
    return await _list_page(request, {})


async def _list_page(request: Request, values: Mapping[str, str], error: str = "", status: int = 200) -> Response:
    desk = desk_of(request)
    sought = request.query_params.get("q", "").strip()
    everybody = list(await desk.runtime.people.list())
    lent = [one for one in await desk.runtime.people.delegations(all=True) if _matters(one, desk.clock.now())]
    return await render(
        request,
        "people.html",
        status=status,
        people=[one for one in everybody if _is_sought(one, sought)],
        total=len(everybody),
        sought=sought,
        delegations=lent,
        stand_ins=_stand_ins(lent, desk.clock.now()),
        may_edit=identity_of(request).access >= Access.ADMIN,
        accesses=ACCESSES,
        values=values,
        error=error,
    )


def _matters(delegation: DelegationRecord, now: float) -> bool:
    """Whether it holds, or will."""
    return delegation.until > now and delegation.ended_at is None


def _is_sought(one: PersonRecord, sought: str) -> bool:
    return sought.lower() in " ".join((one.id, one.name, *one.roles)).lower()


def _stand_ins(lent: Sequence[DelegationRecord], now: float) -> dict[str, DelegationRecord]:
    """Who stands in now, by the person who is stood in for."""
    return {person(one.delegator): one for one in lent if one.since <= now}


async def show_person(request: Request) -> Response:
    """One person; everybody may see their own page."""
    return await _person_page(request, await _known(request), {})


async def _person_page(
    request: Request, record: PersonRecord, values: Mapping[str, str], error: str = "", status: int = 200
) -> Response:
    desk, identity = desk_of(request), identity_of(request)
    concerned = [
        one
        for one in await desk.runtime.people.delegations(all=True)
        if person(record.id) in {person(one.delegator), person(one.delegate)}
    ]
    is_own = person(record.id) == person(identity.person)
    return await render(
        request,
        "person.html",
        status=status,
        record=record,
        is_own=is_own,
        current=[one for one in concerned if _matters(one, desk.clock.now())],
        over=[one for one in reversed(concerned) if not _matters(one, desk.clock.now())][:10],
        waiting=await waiting_count(desk, record.id),
        others=[one for one in await desk.runtime.people.list() if one.id != record.id and one.disabled_at is None],
        may_edit=identity.access >= Access.ADMIN,
        may_delegate=identity.access >= (Access.APPROVER if is_own else Access.ADMIN),
        accesses=ACCESSES,
        values=values,
        error=error,
    )


async def _known(request: Request) -> PersonRecord:
    desk, identity, wanted = desk_of(request), identity_of(request), request.path_params["person_id"]
    record = await desk.store.person(person(wanted))
    if not identity.sees_all and person(wanted) != person(identity.person):
        raise AccessRefused(f"{identity.person} may see their own page only.")
    if record is None:
        raise Problem(404, "person-not-found", f"Nobody is known as {wanted!r}.")
    return record


async def save_person(request: Request) -> Response:
    """Add somebody, or say anew who they are."""
    form = await request.form()
    check_access(identity_of(request), field(form, "id"), field(form, "access"))
    try:
        record = await desk_of(request).runtime.people.add(
            field(form, "id"),
            name=field(form, "name"),
            roles=words(field(form, "roles")),
            contacts=_contacts(field(form, "contacts")),
            access=field(form, "access"),
        )
    except UsageError as error:
        return await _list_page(request, texts(form), str(error), error.http_status)
    return redirect(request, page_of(record.id), f"{record.name or record.id} is saved.")


def page_of(person_id: str) -> str:
    """The address of a person's page."""
    return f"/people/{quote(person_id, safe='@')}"


def _contacts(text: str) -> dict[str, str]:
    """Addresses by kind of channel, one `kind=address` on each line. Raises UsageError."""
    found = {}
    for line in lines(text):
        kind, equals, address = (part.strip() for part in line.partition("="))
        if not (kind and equals and address):
            raise UsageError(f"{line!r} is no contact. Write kind=address, as in slack=U012AB3CD.")
        found[kind] = address
    return found


async def disable_person(request: Request) -> Response:
    """From now on nothing that they say counts, and they cannot sign in."""
    form = await request.form()
    check_other(identity_of(request), field(form, "id"), "disable yourself")
    record = await desk_of(request).runtime.people.disable(field(form, "id"))
    return redirect(request, page_of(record.id), f"{record.name or record.id} is disabled. Nothing they say counts.")


async def enable_person(request: Request) -> Response:
    """Take back that somebody was disabled."""
    form = await request.form()
    record = await desk_of(request).runtime.people.enable(field(form, "id"))
    return redirect(request, page_of(record.id), f"{record.name or record.id} may decide again.")


async def delegate(request: Request) -> Response:
    """Let somebody stand in for oneself; administrators may say for whom."""
    desk, identity, form = desk_of(request), identity_of(request), await request.form()
    delegator = field(form, "delegator") or identity.person
    _check_own(delegator, identity)
    since = field(form, "since")
    try:
        record = await desk.runtime.people.delegate(
            delegator,
            field(form, "to"),
            until=moment_in(field(form, "until")),
            since=moment_in(since) if since else None,
            is_away=bool(field(form, "is_away")),
            reason=field(form, "reason"),
        )
    except UsageError as error:
        giver = await _giver(desk, delegator)
        return await _person_page(request, giver, texts(form), str(error), error.http_status)
    return redirect(request, page_of(record.delegator), f"{record.delegate} stands in for {record.delegator}.")


async def _giver(desk: Desk, person_id: str) -> PersonRecord:
    record = await desk.store.person(person(person_id))
    if record is None:
        raise Problem(404, "person-not-found", f"Nobody is known as {person_id!r}.")
    return record


def _check_own(delegator: str, identity: Identity) -> None:
    if person(delegator) != person(identity.person) and identity.access < Access.ADMIN:
        raise AccessRefused(f"{identity.person} may speak for themselves only. An administrator may for {delegator}.")


async def end_delegation(request: Request) -> Response:
    """End a delegation before its time."""
    desk, form = desk_of(request), await request.form()
    wanted = field(form, "delegation")
    record = next((one for one in await desk.store.delegations() if one.id == wanted), None)
    if record is None:
        raise Problem(404, "delegation-not-found", f"There is no delegation {wanted!r}.")
    _check_own(record.delegator, identity_of(request))
    await desk.runtime.people.end_delegation(record.id)
    message = f"{record.delegate} stands in for {record.delegator} no longer."
    return redirect(request, local_path(field(form, "back"), page_of(record.delegator)), message)


ROUTES: Final[tuple[Route, ...]] = (
    Route(method="GET", path="/people", access=Access.VIEWER, handler=show_people, name="people_page", page=True),
    Route(method="POST", path="/people", access=Access.ADMIN, handler=save_person, name="person_save_page", page=True),
    Route(
        method="POST",
        path="/people/disable",
        access=Access.ADMIN,
        handler=disable_person,
        name="person_disable_page",
        page=True,
    ),
    Route(
        method="POST",
        path="/people/enable",
        access=Access.ADMIN,
        handler=enable_person,
        name="person_enable_page",
        page=True,
    ),
    Route(
        method="GET",
        path="/people/{person_id:path}",
        access=Access.VIEWER,
        handler=show_person,
        name="person_page",
        page=True,
        own=True,
    ),
    Route(
        method="POST",
        path="/delegations",
        access=Access.APPROVER,
        handler=delegate,
        name="delegate_page",
        page=True,
        own=True,
    ),
    Route(
        method="POST",
        path="/delegations/end",
        access=Access.APPROVER,
        handler=end_delegation,
        name="delegation_end_page",
        page=True,
        own=True,
    ),
)
