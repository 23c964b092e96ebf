"""Workflows that take different ways: by sentiment, content, level, context, state, priority, and kind of query.

    python examples/advanced_workflows/conditional_workflow.py
    ASSENT_MODEL=openai:gpt-5 python examples/advanced_workflows/conditional_workflow.py

An agent's return annotation is what it may answer, so a workflow branches on values and not on parts of texts. The
branches are ordinary Python. Each answer is journaled before a workflow sees it, so after a restart it takes the same
way again and asks nothing twice.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Literal, assert_never

from stage import MODEL, Scene, main

from assent import Agent, agent, workflow

# By sentiment


@agent(model=MODEL)
async def sentiment_analyzer(text: str) -> Literal["positive", "negative", "neutral"]:
    """What is the sentiment of this text? {{ text }}"""
    ...


@agent(model=MODEL)
async def positive_responder(text: str) -> str:
    """Thank in one sentence for: {{ text }}"""
    ...


@agent(model=MODEL)
async def negative_responder(text: str) -> str:
    """Apologise in one sentence for: {{ text }}"""
    ...


@agent(model=MODEL)
async def neutral_responder(text: str) -> str:
    """Acknowledge in one sentence: {{ text }}"""
    ...


@workflow
async def conditional_workflow(text: str) -> str:
    """By sentiment: an answer in the tone of the text"""
    match await sentiment_analyzer(text):
        case "positive":
            return await positive_responder(text)
        case "negative":
            return await negative_responder(text)
        case "neutral":
            return await neutral_responder(text)


# By content type


@agent(model=MODEL)
async def content_classifier(content: str) -> Literal["code", "table", "question", "prose"]:
    """What kind of content is this? {{ content }}"""
    ...


@agent(model=MODEL)
async def code_reviewer(content: str) -> str:
    """Review this code in one sentence: {{ content }}"""
    ...


@agent(model=MODEL)
async def table_reader(content: str) -> str:
    """Describe this table in one sentence: {{ content }}"""
    ...


@agent(model=MODEL)
async def question_handler(query: str) -> str:
    """Answer in one sentence: {{ query }}"""
    ...


@agent(model=MODEL)
async def summarizer(content: str) -> str:
    """Summarise in one sentence: {{ content }}"""
    ...


# A pool of agents: adding one is adding a line.
SPECIALISTS: Mapping[str, Agent[[str], str]] = {
    "code": code_reviewer,
    "table": table_reader,
    "question": question_handler,
    "prose": summarizer,
}


@workflow
async def content_workflow(content: str) -> str:
    """By content type: the specialist comes out of a pool"""
    specialist = SPECIALISTS[await content_classifier(content)]
    return await specialist(content)


# By level: the second question depends on the answer to the first.


@agent(model=MODEL)
async def department_classifier(message: str) -> Literal["technical", "billing", "other"]:
    """Which department is this message for? {{ message }}"""
    ...


@agent(model=MODEL)
async def severity_classifier(message: str) -> Literal["outage", "bug"]:
    """Does nothing work any more (outage), or is something wrong (bug)? {{ message }}"""
    ...


@agent(model=MODEL)
async def amount_finder(message: str) -> Decimal:
    """What amount is this message about? {{ message }}"""
    ...


@agent(model=MODEL)
async def incident_handler(message: str) -> str:
    """Say what is done first, in one sentence, about: {{ message }}"""
    ...


@agent(model=MODEL)
async def bug_handler(message: str) -> str:
    """Find a workaround, in one sentence, for: {{ message }}"""
    ...


@agent(model=MODEL)
async def accountant(message: str) -> str:
    """Write to the accountants, in one sentence, about: {{ message }}"""
    ...


@agent(model=MODEL)
async def cashier(message: str) -> str:
    """Confirm the refund in one sentence: {{ message }}"""
    ...


@agent(model=MODEL)
async def receptionist(message: str) -> str:
    """Pass on this message, and say so in one sentence: {{ message }}"""
    ...


@workflow
async def multi_level_workflow(message: str) -> str:
    """By level: first the department, then what matters there"""
    department = await department_classifier(message)
    if department == "technical":
        if await severity_classifier(message) == "outage":
            return await incident_handler(message)
        return await bug_handler(message)
    if department == "billing":
        return await (accountant if await amount_finder(message) > 100 else cashier)(message)
    return await receptionist(message)


# By context


@dataclass(frozen=True)
class Customer:
    name: str
    plan: Literal["free", "premium"] = "free"
    complaints: int = 0


@agent(model=MODEL)
async def senior_engineer(question: str) -> str:
    """As a senior engineer, answer in one sentence: {{ question }}"""
    ...


@agent(model=MODEL)
async def account_manager(question: str, customer: Customer) -> str:
    """As an account manager, write to {{ customer.name }} ({{ customer.complaints }} complaints) on: {{ question }}"""
    ...


@workflow
async def context_workflow(question: str, customer: Customer) -> str:
    """By context: who asks, and what was before, decides who answers"""
    if customer.complaints >= 3:
        return await account_manager(question, customer)
    if customer.plan == "premium":
        return await senior_engineer(question)
    return await question_handler(question)


# By state: a state machine whose transitions agents decide on.


class State(StrEnum):
    NEW = "new"
    DRAFTING = "drafting"
    REVIEW = "review"
    ANSWERED = "answered"
    WITH_PEOPLE = "with people"


@dataclass(frozen=True)
class Review:
    is_good: bool
    remarks: str


@dataclass(frozen=True)
class Ticket:
    path: list[State]
    answer: str


@agent(model=MODEL)
async def danger_detector(issue: str) -> bool:
    """Is somebody in danger? {{ issue }}"""
    ...


@agent(model=MODEL)
async def drafter(issue: str, remarks: str) -> str:
    """Draft an answer, in one sentence, to: {{ issue }} Remarks: {{ remarks }}"""
    ...


@agent(model=MODEL)
async def reviewer(issue: str, draft: str) -> Review:
    """Review this draft of an answer, which must say how and for how long: {{ draft }} The issue: {{ issue }}"""
    ...


@workflow
async def state_machine_workflow(issue: str) -> Ticket:
    """By state: a ticket goes from state to state until it is answered or with people"""
    state, path, draft, remarks = State.NEW, list[State](), "", ""
    while True:
        path.append(state)
        match state:
            case State.NEW:
                state = State.WITH_PEOPLE if await danger_detector(issue) else State.DRAFTING
            case State.DRAFTING:
                draft = await drafter(issue, remarks)
                state = State.REVIEW
            case State.REVIEW:
                review = await reviewer(issue, draft)
                remarks = review.remarks
                has_tried = path.count(State.DRAFTING) >= 3
                state = State.ANSWERED if review.is_good else State.WITH_PEOPLE if has_tried else State.DRAFTING
            case State.ANSWERED:
                return Ticket(path, draft)
            case State.WITH_PEOPLE:
                return Ticket(path, "")
            case _:
                assert_never(state)


# By priority


@agent(model=MODEL)
async def priority_classifier(ticket: str) -> Literal["critical", "high", "low"]:
    """How urgent is this ticket? {{ ticket }}"""
    ...


@agent(model=MODEL)
async def digest_writer(tickets: list[str]) -> str:
    """Digest in one sentence: {{ tickets | join("; ") }}"""
    ...


@workflow
async def priority_workflow(tickets: list[str]) -> list[str]:
    """By priority: the critical ones first, then those of high priority side by side, and a digest of the rest"""
    priorities = await asyncio.gather(*map(priority_classifier, tickets))
    critical, high, low = (
        [ticket for ticket, found in zip(tickets, priorities, strict=True) if found == priority]
        for priority in ("critical", "high", "low")
    )
    answers = [await incident_handler(ticket) for ticket in critical]
    answers += await asyncio.gather(*map(bug_handler, high))
    return [*answers, await digest_writer(low)] if low else answers


# By kind of query


@agent(model=MODEL)
async def query_classifier(query: str) -> Literal["question", "request", "other"]:
    """Is this a question, a request, or something other? {{ query }}"""
    ...


@agent(model=MODEL)
async def request_handler(query: str) -> str:
    """Carry out, and say so in one sentence: {{ query }}"""
    ...


@agent(model=MODEL)
async def general_handler(query: str) -> str:
    """Reply in one sentence to: {{ query }}"""
    ...


@workflow
async def smart_router(query: str) -> str:
    """By kind of query: a smart router"""
    kind = await query_classifier(query)
    if kind == "question":
        return await question_handler(query)
    if kind == "request":
        return await request_handler(query)
    return await general_handler(query)


# What is expected of them. A real model words its answers in its own way, but it should take the same ways.

LOVE, BROKEN, CAME = (
    "I love this kettle, it is the best.",
    "It came broken. The worst kettle ever.",
    "It came on Monday.",
)
RESET, SMOKE, ERROR, GREEN = "How do I reset it?", "There is smoke.", "It shows error 7.", "Is there a green one?"

SCENES = [
    Scene(conditional_workflow, [LOVE], ["sentiment_analyzer", "positive_responder"]),
    Scene(conditional_workflow, [BROKEN], ["sentiment_analyzer", "negative_responder"]),
    Scene(conditional_workflow, [CAME], ["sentiment_analyzer", "neutral_responder"]),
    Scene(content_workflow, ["def mean(xs): return sum(xs) / len(xs)"], ["content_classifier", "code_reviewer"]),
    Scene(content_workflow, ["city,rain\nOslo,80\nRome,20"], ["content_classifier", "table_reader"]),
    Scene(content_workflow, [RESET], ["content_classifier", "question_handler"]),
    Scene(content_workflow, ["Once there was a kettle that whistled."], ["content_classifier", "summarizer"]),
    Scene(multi_level_workflow, [SMOKE], ["department_classifier", "severity_classifier", "incident_handler"]),
    Scene(multi_level_workflow, [ERROR], ["department_classifier", "severity_classifier", "bug_handler"]),
    Scene(
        multi_level_workflow,
        ["I was charged 900 euros too much."],
        ["department_classifier", "amount_finder", "accountant"],
    ),
    Scene(multi_level_workflow, ["A refund of 12.50, please."], ["department_classifier", "amount_finder", "cashier"]),
    Scene(multi_level_workflow, ["Do you hire?"], ["department_classifier", "receptionist"]),
    Scene(context_workflow, [RESET, Customer("Ada")], ["question_handler"]),
    Scene(context_workflow, [RESET, Customer("Ada", plan="premium")], ["senior_engineer"]),
    Scene(context_workflow, [RESET, Customer("Ada", complaints=3)], ["account_manager"]),
    Scene(
        state_machine_workflow,
        [RESET],
        ["danger_detector", "drafter", "reviewer"],
        lambda ticket: ticket.path[:3] == [State.NEW, State.DRAFTING, State.REVIEW],
    ),
    Scene(
        state_machine_workflow,
        [SMOKE],
        ["danger_detector"],
        lambda ticket: ticket == Ticket([State.NEW, State.WITH_PEOPLE], ""),
    ),
    Scene(
        priority_workflow,
        [[GREEN, ERROR, SMOKE, "I want it in green."]],
        ["priority_classifier", "incident_handler", "bug_handler", "digest_writer"],
        lambda answers: len(answers) == 3,
        at_once=4,
    ),
    Scene(smart_router, [RESET], ["query_classifier", "question_handler"]),
    Scene(smart_router, ["Please order two filters."], ["query_classifier", "request_handler"]),
    Scene(smart_router, ["Good morning!"], ["query_classifier", "general_handler"]),
]

if __name__ == "__main__":
    main(SCENES)
