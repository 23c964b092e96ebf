"""`/api/v1`: who asks, who decides, who stands in for whom, and what people were told."""

from dataclasses import replace
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from assent.errors import AccessRefused, NoticeNotFound
from assent.governance.approvals import person
from assent.store import DelegationRecord, NoticeStatus, PersonRecord
from assent.web.access import Access, Identity, identity_of
from assent.web.bodies import answer, answer_tagged, body_of, query_of
from assent.web.desk import Desk, desk_of
from assent.web.paging import answer_page
from assent.web.people_answers import Delegations, DelegationShown, Me, Notices, NoticeShown, People, PersonShown
from assent.web.problems import Problem, invalid
from assent.web.reading import EVERYTHING, page_of
from assent.web.routing import Onward, Route
from assent.web.schemas import LONGEST_ID, Delegate, DelegationFilter, NoticeFilter, Paged, PersonToSave

PEOPLE: Final = "/api/v1/people"
DELEGATIONS: Final = "/api/v1/delegations"


async def me(request: Request) -> Response:
    """Who asks, and what they may do."""
    identity = identity_of(request)
    return answer(
        Me(
            person=identity.person,
            name=identity.name,
            access=identity.access.name.lower(),
            via=identity.via,
            scopes=sorted(identity.scopes),
            sees_all=identity.sees_all,
        )
    )


# People


async def list_people(request: Request) -> Response:
    """A page of people, disabled ones too."""
    wanted = query_of(request, Paged)
    page = page_of(list(await desk_of(request).runtime.people.list()), lambda one: one.id, wanted.cursor, wanted.limit)
    return answer_page(request, People(items=[PersonShown.of(one) for one in page.items], next=page.next), page.next)


async def show_person(request: Request) -> Response:
    """One person."""
    return answer_tagged(request, PersonShown.of(await _person(request)))


async def _person(request: Request) -> PersonRecord:
    person_id = request.path_params["person_id"]
    found = await desk_of(request).store.person(person(person_id))
    if found is None:
        raise Problem(404, "person-not-found", f"Nobody is known as {person_id!r}. GET {PEOPLE} lists who is.")
    return found


async def save_person(request: Request) -> Response:
    """Add somebody, or say anew who they are."""
    wanted, person_id = await body_of(request, PersonToSave), request.path_params["person_id"]
    if len(person_id) > LONGEST_ID:
        raise invalid(f"The id of a person has at most {LONGEST_ID} characters.")
    if wanted.access is not None:
        check_access(identity_of(request), person_id, wanted.access)
    record = await desk_of(request).runtime.people.add(
        person_id,
        name=wanted.name,
        roles=wanted.roles,
        contacts=wanted.contacts,
        access=wanted.access,
    )
    return answer(PersonShown.of(record))


async def disable_person(request: Request) -> Response:
    """From now on nothing that they say counts."""
    known = await _person(request)
    check_other(identity_of(request), known.id, "disable yourself")
    return answer(PersonShown.of(await desk_of(request).runtime.people.disable(known.id)))


def check_access(identity: Identity, person_id: str, access: str) -> None:
    """Raise Problem if whoever asks would change their own access."""
    if access != identity.access.name.lower():
        check_other(identity, person_id, "change your own access")


def check_other(identity: Identity, person_id: str, what: str) -> None:
    """Raise Problem if it is about whoever asks: the last administrator must not lock everybody out."""
    if person(person_id) == person(identity.person):
        raise Problem(409, "not-yourself", f"You cannot {what}. Another administrator can.")


async def enable_person(request: Request) -> Response:
    """Take back that somebody was disabled."""
    known = await _person(request)
    return answer(PersonShown.of(await desk_of(request).runtime.people.enable(known.id)))


# Delegations


async def list_delegations(request: Request) -> Response:
    """Those that hold now, or all; people who do not see everything get their own."""
    identity, wanted = identity_of(request), query_of(request, DelegationFilter)
    found = await desk_of(request).runtime.people.delegations(all=wanted.all)
    mine = [one for one in found if identity.sees_all or _is_of(one, identity)]
    return answer(Delegations(items=[DelegationShown.of(one) for one in mine]))


def _is_of(delegation: DelegationRecord, identity: Identity) -> bool:
    return person(identity.person) in {person(delegation.delegator), person(delegation.delegate)}


async def delegate(request: Request) -> Response:
    """Let somebody stand in for whoever asks; administrators may say for whom."""
    desk, identity = desk_of(request), identity_of(request)
    wanted = await body_of(request, Delegate)
    delegator = wanted.delegator or identity.person
    _check_own(delegator, identity)
    record = await desk.runtime.people.delegate(
        delegator, wanted.to, until=wanted.until, since=wanted.since, is_away=wanted.is_away, reason=wanted.reason
    )
    return answer(DelegationShown.of(record), 201)


def _check_own(delegator: str, identity: Identity) -> None:
    if person(delegator) != person(identity.person) and identity.access < Access.ADMIN:
        raise AccessRefused(f"{identity.person} may speak for themselves only. An administrator may for {delegator}.")


async def end_delegation(request: Request) -> Response:
    """End a delegation before its time."""
    desk, identity = desk_of(request), identity_of(request)
    found = await _delegation(desk, request.path_params["delegation_id"])
    _check_own(found.delegator, identity)
    return answer(DelegationShown.of(await desk.runtime.people.end_delegation(found.id)))


async def _delegation(desk: Desk, delegation_id: str) -> DelegationRecord:
    found = [one for one in await desk.store.delegations() if one.id == delegation_id]
    if not found:
        raise Problem(404, "delegation-not-found", f"There is no delegation {delegation_id!r}.")
    return found[0]


# Notices


async def list_notices(request: Request) -> Response:
    """A page of what people are told, newest first."""
    wanted = query_of(request, NoticeFilter)
    found = await desk_of(request).store.notices(
        wanted.status, wanted.approval_id, before=wanted.cursor, limit=wanted.limit + 1
    )
    items = found[: wanted.limit]
    last = items[-1].id if len(found) > wanted.limit else None
    return answer_page(request, Notices(items=[NoticeShown.of(one) for one in items], next=last), last)


async def retry_notice(request: Request) -> Response:
    """Send once more what was given up or skipped."""
    desk, notice_id = desk_of(request), request.path_params["notice_id"]
    about = await desk.store.notices(approval_id=notice_id.partition(":")[0], limit=EVERYTHING)
    notice = next((one for one in about if one.id == notice_id), None)
    if notice is None:
        raise NoticeNotFound(f"There is no notice {notice_id!r} in this store.", notice_id=notice_id)
    if notice.status not in {NoticeStatus.DEAD, NoticeStatus.SKIPPED}:
        raise Problem(
            409, "notice-not-settled", f"The notice is {notice.status}. Only dead or skipped ones are retried."
        )
    fresh = replace(notice, status=NoticeStatus.PENDING, attempts=0, due_at=desk.clock.now(), error=None)
    await desk.store.close_notice(fresh)
    return answer(NoticeShown.of(fresh), 202)


ROUTES: Final = (
    Route(
        method="GET",
        path="/api/v1/me",
        access=Access.VIEWER,
        scope="read",
        handler=me,
        name="me",
        summary="Who you are here, and what you may do",
        answers={200: Me},
        own=True,
    ),
    Route(
        method="GET",
        path=PEOPLE,
        access=Access.VIEWER,
        scope="read",
        handler=list_people,
        name="list_people",
        summary="Who decides here",
        query=Paged,
        answers={200: People},
        onward=[Onward("show_person", "person_id", "$response.body#/items/0/id")],
    ),
    Route(
        method="GET",
        path=PEOPLE + "/{person_id}",
        access=Access.VIEWER,
        scope="read",
        handler=show_person,
        name="show_person",
        summary="One person",
        answers={200: PersonShown},
        has_etag=True,
    ),
    Route(
        method="PUT",
        path=PEOPLE + "/{person_id}",
        access=Access.ADMIN,
        scope="administer",
        handler=save_person,
        name="save_person",
        summary="Add somebody, or say anew who they are",
        body=PersonToSave,
        answers={200: PersonShown},
    ),
    Route(
        method="POST",
        path=PEOPLE + "/{person_id}/disable",
        access=Access.ADMIN,
        scope="administer",
        handler=disable_person,
        name="disable_person",
        summary="Nothing that they say counts from now on",
        answers={200: PersonShown},
    ),
    Route(
        method="POST",
        path=PEOPLE + "/{person_id}/enable",
        access=Access.ADMIN,
        scope="administer",
        handler=enable_person,
        name="enable_person",
        summary="Take back that somebody was disabled",
        answers={200: PersonShown},
    ),
    Route(
        method="GET",
        path=DELEGATIONS,
        access=Access.VIEWER,
        scope="read",
        handler=list_delegations,
        name="list_delegations",
        summary="Who stands in for whom",
        query=DelegationFilter,
        answers={200: Delegations},
        own=True,
    ),
    Route(
        method="POST",
        path=DELEGATIONS,
        access=Access.APPROVER,
        scope="decide",
        handler=delegate,
        name="delegate",
        summary="Let somebody stand in for you",
        body=Delegate,
        answers={201: DelegationShown},
        onward=[Onward("end_delegation", "delegation_id", "$response.body#/id")],
        own=True,
    ),
    Route(
        method="POST",
        path=DELEGATIONS + "/{delegation_id}/end",
        access=Access.APPROVER,
        scope="decide",
        handler=end_delegation,
        name="end_delegation",
        summary="End a delegation before its time",
        answers={200: DelegationShown},
        own=True,
    ),
    Route(
        method="GET",
        path="/api/v1/notifications",
        access=Access.VIEWER,
        scope="read",
        handler=list_notices,
        name="list_notifications",
        summary="What people are told, newest first",
        query=NoticeFilter,
        answers={200: Notices},
        onward=[Onward("retry_notification", "notice_id", "$response.body#/items/0/id")],
    ),
    Route(
        method="POST",
        path="/api/v1/notifications/{notice_id}/retry",
        access=Access.OPERATOR,
        scope="operate",
        handler=retry_notice,
        name="retry_notification",
        summary="Send once more what was given up",
        answers={202: NoticeShown},
    ),
)
