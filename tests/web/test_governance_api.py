"""Policies, mandates, people, delegations and notices over REST."""

import io
from dataclasses import replace

from assent import Selector, ValidationPolicy
from assent.governance import policy
from assent.notify import ConsoleChannel
from assent.store import NoticeRecord, NoticeStatus
from tests.web.place import place

OPERATOR, VIEWER, CFO, ADMIN = "operator@company.com", "viewer@company.com", "cfo@company.com", "admin@company.com"
STRANGER = "stranger@company.com"


@policy(name="no sundays", mode="shadow")
def no_sundays(action: object, facts: object) -> bool:
    return False


POSITIVE = ValidationPolicy(
    name="positive", check=lambda action: action.amount > 0, applies_to=Selector(actions=["wire_*"])
)


async def test_the_policies_in_force_are_listed_and_explain_an_action() -> None:
    async with place(policies=[POSITIVE, no_sundays]) as there, there.client(VIEWER) as client:
        items = (await client.get("/api/v1/policies")).json()["items"]
        assert [(each["name"], each["mode"]) for each in items] == [("positive", "enforce"), ("no sundays", "shadow")]
        assert items[0]["applies_to"] == {"actions": ["wire_*"], "labels": [], "risk": ""}

        async def outcome(name: str, amount: int) -> tuple[str, list[str]]:
            body = {"name": name, "arguments": {"amount": amount}, "requester": "ann"}
            found = (await client.post("/api/v1/policies/explain", json=body)).json()
            return found["outcome"], [each["policy"] for each in found["decisions"] if not each["is_shadow"]]

        assert await outcome("wire_transfer", -1) == ("deny", ["positive", "validation", "approval"])
        assert await outcome("wire_transfer", 1) == ("ask", ["positive", "validation", "approval"])
        assert await outcome("other", -1) == ("allow", [])


async def test_a_mandate_is_asked_for_granted_and_listed_with_its_remainder() -> None:
    async with place() as there, there.client(OPERATOR) as client, there.client(CFO) as cfo:
        body = {
            "action": "wire_transfer",
            "approvers": [CFO],
            "until": "2999-01-01T00:00:00Z",
            "count": 3,
            "total": "300.50",
            "only": ['recipient == "Acme"'],
        }
        answer = await client.post("/api/v1/mandates", json=body)
        assert answer.status_code == 202, answer.text
        await there.runtime.engine.waiting(answer.json()["id"])
        (asked,) = (await cfo.get("/api/v1/approvals")).json()["items"]
        assert (asked["request"]["kind"], asked["request"]["requester"]) == ("mandate", OPERATOR)
        await cfo.post(f"/api/v1/approvals/{asked['id']}/verdicts", json={"decision": "approve"})
        await there.ended(answer.json()["id"])
        (mandate,) = (await client.get("/api/v1/mandates")).json()["items"]
        assert (mandate["id"], mandate["is_in_force"], mandate["count_left"]) == (asked["id"], True, 3)
        assert float(mandate["total_left"]) == 300.5


async def test_a_mandate_without_bounds_or_with_nobody_to_grant_it_starts_nothing() -> None:
    async with place() as there, there.client(OPERATOR) as client:
        until = {"until": "2999-01-01T00:00:00Z"}
        for more in ({"count": None}, {"count": 1, "quorum": 2}, {"count": 1, "only": ["x <"]}):
            body = {"action": "wire_transfer", "approvers": [CFO], **until, **more}
            assert (await client.post("/api/v1/mandates", json=body)).status_code == 400, more
        assert (await client.get("/api/v1/executions")).json()["items"] == []


async def test_administrators_say_who_is_who() -> None:
    async with place() as there, there.client(ADMIN) as admin, there.client(OPERATOR) as client:
        body = {"name": "Bob", "roles": ["finance"], "contacts": {"slack": "U2"}, "access": "approver"}
        saved = await admin.put("/api/v1/people/bob@company.com", json=body)
        assert (saved.status_code, saved.json()["roles"], saved.json()["access"]) == (200, ["finance"], "approver")
        assert (await client.put("/api/v1/people/bob@company.com", json=body)).status_code == 403
        await admin.put("/api/v1/people/bob@company.com", json={"name": "Robert"})
        shown = await client.get("/api/v1/people/Bob@company.com")
        assert (shown.json()["name"], shown.json()["access"]) == ("Robert", "approver")
        assert (await admin.post("/api/v1/people/bob@company.com/disable")).json()["disabled_at"] is not None
        assert (await admin.post("/api/v1/people/bob@company.com/enable")).json()["disabled_at"] is None
        for path in ("/api/v1/people/nobody", "/api/v1/people/nobody/disable"):
            answer = await (admin.get(path) if path.endswith("nobody") else admin.post(path))
            assert answer.status_code == 404


async def test_people_are_listed_a_page_at_a_time() -> None:
    async with place() as there, there.client(VIEWER) as client:
        first = (await client.get("/api/v1/people?limit=4")).json()
        rest = (await client.get(f"/api/v1/people?limit=4&cursor={first['next']}")).json()
        found = [each["id"] for each in (*first["items"], *rest["items"])]
        assert found == sorted(found)
        assert (len(found), rest["next"]) == (6, None)
        assert (await client.get("/api/v1/people?cursor=unknown")).json() == {"items": [], "next": None}


async def test_people_delegate_for_themselves_and_administrators_for_others() -> None:
    async with place() as there, there.client(CFO) as cfo, there.client(ADMIN) as admin:
        body = {"to": "ann@company.com", "until": "2999-01-01T00:00:00Z", "delegator": STRANGER}
        assert (await cfo.post("/api/v1/delegations", json=body)).status_code == 403
        foreign = (await admin.post("/api/v1/delegations", json=body)).json()
        own = (await cfo.post("/api/v1/delegations", json={**body, "delegator": None})).json()
        assert (own["delegator"], foreign["delegator"]) == (CFO, STRANGER)
        assert [each["id"] for each in (await cfo.get("/api/v1/delegations")).json()["items"]] == [own["id"]]
        assert (await cfo.post(f"/api/v1/delegations/{foreign['id']}/end")).status_code == 403
        assert (await cfo.post(f"/api/v1/delegations/{own['id']}/end")).json()["ended_at"] is not None
        assert (await cfo.get("/api/v1/delegations")).json()["items"] == []
        assert len((await admin.get("/api/v1/delegations?all=true")).json()["items"]) == 2


async def test_who_asks_is_told_who_they_are() -> None:
    async with place() as there, there.client(CFO, scopes=["read"]) as cfo, there.client() as nobody:
        me = (await cfo.get("/api/v1/me")).json()
        assert me["person"] == CFO
        assert (me["access"], me["scopes"], me["sees_all"]) == ("approver", ["read"], False)
        refused = await nobody.get("/api/v1/me")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Bearer realm="assent"')


async def test_a_notice_that_was_given_up_is_tried_again() -> None:
    async with place(channels=[ConsoleChannel(file=io.StringIO())]) as there, there.client(OPERATOR) as client:
        _, approval_id = await there.asked(client)
        path, store = "/api/v1/notifications", there.runtime.open_store
        (shown,) = (await client.get(path, params={"approval_id": approval_id})).json()["items"]
        assert (shown["approval_id"], shown["topic"]) == (approval_id, "requested")
        given_up = NoticeRecord(
            id=f"{approval_id}:reminded:mail",
            approval_id=approval_id,
            channel="mail",
            topic="reminded",
            created_at=1.0,
            due_at=1.0,
        )
        (sent,) = await store.notices(approval_id=approval_id)
        await store.close_notice(replace(sent, status=NoticeStatus.SENT), [given_up])
        waiting = await client.post(f"{path}/{given_up.id}/retry")
        assert (waiting.status_code, waiting.json()["type"]) == (409, "urn:assent:notice-not-settled")
        await store.close_notice(replace(given_up, status=NoticeStatus.DEAD, attempts=9, error="no such host"))
        (dead,) = (await client.get(path, params={"status": "dead"})).json()["items"]
        assert (dead["attempts"], dead["error"]) == (9, "no such host")
        again = await client.post(f"{path}/{given_up.id}/retry")
        assert (again.status_code, again.json()["status"], again.json()["attempts"]) == (202, "pending", 0)
        assert (await client.post(f"{path}/none:requested:mail/retry")).status_code == 404


async def test_the_statistics_tell_how_approvers_decide() -> None:
    async with place() as there, there.client(OPERATOR) as client, there.client(CFO) as cfo:
        _, approval_id = await there.asked(client)
        await cfo.post(f"/api/v1/approvals/{approval_id}/verdicts", json={"decision": "approve"})
        found = (await client.get("/api/v1/statistics")).json()["items"]
        assert [(each["approver"], each["approvals"]) for each in found] == [(CFO, 1)]
