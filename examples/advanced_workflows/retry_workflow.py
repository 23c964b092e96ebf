"""Workflows that cope with failures: retries, fallbacks, breakers, budgets, limits, and ways to go on with less.

    python examples/advanced_workflows/retry_workflow.py
    ASSENT_MODEL=openai:gpt-5 python examples/advanced_workflows/retry_workflow.py

The failures are made: some agents here have a model that fails so many times before it answers. They do not retry by
themselves (`retry=ONCE`), as agents do otherwise, so that it is the workflows that have to. Waits are durable timers,
and what was tried is in the journal: after a restart no workflow waits or counts from the beginning.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Literal

from stage import ALWAYS, MODEL, PATIENCE, Scene, Unreliable, main

from assent import Agent, Retry, agent, execution, now, step, workflow
from assent.errors import CircuitOpen, ModelError, ModelUnavailable
from assent.observe import EventStore
from assent.resilience import CircuitBreaker, Degraded, RateLimiter, RetryBudget, degrade, fallback, gather_all, timeout

log = logging.getLogger("workflows")

ONCE = Retry(1)


@agent(model=MODEL)
async def summarizer(text: str) -> str:
    """Summarise in one sentence: {{ text }}"""
    ...


@agent(model=MODEL)
async def titler(text: str) -> str:
    """Give a title to: {{ text }}"""
    ...


# The same agent with models that fail twice, three times, and always, and with one that hangs once.
unreliable_agent = summarizer.replace(name="unreliable_agent", model=Unreliable(MODEL, fails=2), retry=ONCE)
recovering_agent = summarizer.replace(name="recovering_agent", model=Unreliable(MODEL, fails=3), retry=ONCE)
broken_agent = summarizer.replace(name="broken_agent", model=Unreliable(MODEL, fails=ALWAYS), retry=ONCE)
hanging_agent = summarizer.replace(name="hanging_agent", model=Unreliable(MODEL, hangs=1), retry=ONCE)


# Retries


@workflow
async def retry_workflow(text: str, max_retries: int = 5) -> str:
    """By hand: a loop, and asyncio.sleep, which is a durable timer"""
    attempt = 0
    while True:
        try:
            return await unreliable_agent(text)
        except ModelError:
            attempt += 1
            if attempt == max_retries:
                raise
        await asyncio.sleep(0.025 * 2**attempt)


STRATEGIES: Mapping[str, Retry] = {
    "simple": Retry(5, "fixed", initial=0, jitter=False),
    "fixed": Retry(5, "fixed", initial="50ms", jitter=False),
    "exponential": Retry(5, "exponential", initial="50ms", jitter=False),
    "jittered": Retry(5, "exponential", initial="50ms", jitter="equal"),
}


@workflow
async def strategy_workflow(text: str, strategy: str) -> str:
    """By strategy: at once, after a fixed wait, after ever longer waits, and after waits with some chance in them"""
    return await STRATEGIES[strategy].call(unreliable_agent, text)


careful_agent = unreliable_agent.replace(name="careful_agent", retry=Retry(5, initial="50ms"))


@workflow
async def own_retry_workflow(text: str) -> str:
    """By the agent itself: only the request that failed is made again, not its whole run"""
    return await careful_agent(text)


@workflow
async def deadline_workflow(text: str) -> str:
    """With time limits: one for each attempt, and one for all of them"""
    return await Retry(5, initial="50ms", timeout=PATIENCE, deadline="2m").call(hanging_agent, text)


thrifty = Retry(5, initial="10ms", budget=RetryBudget(3, per="1h", name="summaries"))


@workflow
async def budget_workflow(texts: list[str]) -> list[str]:
    """With a budget: all calls together have three retries, however many calls there are"""
    gathered = await gather_all(*(thrifty.call(broken_agent, text) for text in texts))
    return [type(error).__name__ for error in gathered.errors]


# Other ways

resilient_agent = fallback(broken_agent, summarizer, on=ModelError)


@workflow
async def resilient_workflow(text: str) -> str:
    """Fallback: another agent where the first one fails"""
    return await resilient_agent(text)


@agent(model=MODEL)
async def outliner(topic: str) -> str:
    """Sketch in three words: {{ topic }}"""
    ...


@agent(model=Unreliable(MODEL, fails=2), retry=ONCE)
async def figure_finder(topic: str) -> str:
    """Find the figures for: {{ topic }}"""
    ...


@agent(model=Unreliable(MODEL, fails=ALWAYS), retry=ONCE)
async def deep_analyst(topic: str) -> str:
    """Analyse in one sentence: {{ topic }}"""
    ...


PARTS: Mapping[str, Agent[[str], str]] = {
    "outline": outliner,
    "summary": summarizer,
    "figures": figure_finder,
    "analysis": deep_analyst,
}


@workflow
async def partial_retry(topic: str, parts: list[str]) -> dict[str, str]:
    """Partial retry: what has succeeded is kept, and only what has failed is tried again"""
    done: dict[str, str] = {}
    for wait in (0.0, 0.05, 0.1, 0.2, 0.4):
        await asyncio.sleep(wait)
        attempt = await degrade(**{part: PARTS[part](topic) for part in parts if part not in done})
        done |= attempt.values
        if attempt.status == "complete":
            break
    return done


# Circuit breakers

# With a name it is shared by all processes on the store, and outlives them.
shared_breaker = CircuitBreaker(failure_threshold=3, timeout="1s", on=ModelError, name="summaries")


@workflow
async def breaker_workflow(text: str) -> str:
    """Circuit breaker: open after three failures, half-open a second later, closed when the probe goes well"""
    for _ in range(20):
        try:
            return await shared_breaker.call(recovering_agent, text)
        except CircuitOpen as refused:
            await asyncio.sleep(refused.retry_after)
        except ModelError as error:
            await tell(logging.INFO, f"the breaker has seen: {error}")
    return "given up"


# Without one it is that of this process, and a restart closes it.
breaker = CircuitBreaker(failure_threshold=3)


@workflow
async def protected_workflow(text: str) -> str:
    if breaker.is_open():
        raise CircuitOpen("the circuit breaker is open", retry_after=60)
    try:
        result = await broken_agent(text)
    except ModelError:
        breaker.record_failure()
        raise
    breaker.record_success()
    return result


@workflow
async def outage_workflow(texts: list[str]) -> list[str]:
    """Circuit breaker, asked and told by hand: three calls fail, and those after them are not made"""
    outcomes = []
    for text in texts:
        try:
            outcomes.append(await protected_workflow(text))
        except (CircuitOpen, ModelError) as error:
            outcomes.append(type(error).__name__)
    return outcomes


# With less

premium_agent = summarizer.replace(name="premium_agent", model=Unreliable(MODEL, fails=ALWAYS), retry=ONCE)


@workflow
async def degrading_workflow(text: str) -> dict[str, str]:
    """Graceful degradation, level by level: premium, then basic, then an apology"""
    try:
        return {"detailed_analysis": await premium_agent(text)}
    except ModelError:
        pass
    try:
        return {"basic_analysis": await summarizer(text)}
    except ModelError:
        return {"error": "All agents failed"}


@workflow
async def report_workflow(topic: str, parts: list[str]) -> Degraded:
    """Graceful degradation, part by part: the report says whether it is complete, partial or failed"""
    return await degrade(**{part: PARTS[part](topic) for part in parts})


# Pipelines


@workflow
async def fail_fast(text: str) -> str:
    """Fail fast: without a try, the first error ends it"""
    summary = await summarizer(text)
    analysis = await broken_agent(summary)
    return await titler(analysis)


@workflow
async def collect_errors(text: str) -> dict[str, list[str]]:
    """Collect all errors: everything runs to its end, and then everything is told"""
    gathered = await gather_all(summarizer(text), broken_agent(text), deep_analyst(text))
    errors = [f"{type(error).__name__}: {error}" for error in gathered.errors]
    return {"results": gathered.results, "errors": errors}


@workflow
async def safe_pipeline(text: str) -> dict[str, str]:
    """A try for each step: one goes on without what has failed"""
    results: dict[str, str] = {}
    try:
        results["analysis"] = await broken_agent(text)
    except ModelError as error:
        results["error"] = str(error)
    try:
        results["title"] = await titler(results.get("analysis", text))
    except ModelError as error:
        results["error"] = str(error)
    return results


hanging_titler = titler.replace(name="hanging_titler", model=Unreliable(MODEL, hangs=ALWAYS))

READERS: Mapping[str, Agent[[str], str]] = {"archive": unreliable_agent, "web": broken_agent}


@workflow
async def robust_pipeline(text: str, source: Literal["archive", "web"]) -> dict[str, str]:
    """Robust pipeline: a step that is tried again and needed, one with a fallback, one that may be missing"""
    results: dict[str, str] = {}
    try:
        results["text"] = await Retry(5, initial="20ms").call(READERS[source], text)
    except ModelError as error:
        return {"status": "failed", "error": str(error)}  # the rest builds on it
    results["summary"] = await fallback(broken_agent, summarizer)(results["text"])
    results["title"] = await timeout(hanging_titler(results["text"]), "100ms", default="Untitled")
    return {"status": "complete", **results}


# In production

limiter = RateLimiter(max_per_second=20, burst=1)


@workflow
async def rate_limited_workflow(texts: list[str]) -> list[str]:
    """Rate limiting: no more than twenty requests a second, evenly spread"""

    async def ask(text: str) -> str:
        await limiter.acquire()
        return await summarizer(text)

    return await asyncio.gather(*map(ask, texts))


@step
async def tell(level: int, message: str) -> None:
    """Workflow code runs again after a restart; what a step has logged is not logged again."""
    log.log(level, message)


@workflow
async def logged_workflow(text: str) -> str:
    """Logging: in a step, so that a restart does not repeat it"""
    await tell(logging.INFO, f"{execution().id} begins with {text[:50]!r}")
    try:
        return await broken_agent(text)
    except ModelError as error:
        await tell(logging.WARNING, f"{execution().id} goes on without a model: {error}")
        return text


@workflow
async def measured_workflow(text: str) -> tuple[str, timedelta]:
    """Measuring: now() is the journal's time, the same on replay"""
    begun = now()
    return await summarizer(text), now() - begun


@dataclass(frozen=True)
class Bill:
    cost: Decimal
    tokens: int
    is_high: bool


@step
async def bill_of(execution_id: str, limit: Decimal) -> Bill:
    metrics = (await EventStore().get_execution(execution_id)).metrics
    return Bill(metrics.total_cost, metrics.total_tokens, metrics.total_cost > limit)


@workflow
async def monitored_workflow(text: str, limit: Decimal) -> Bill:
    """Monitoring: what it has cost so far is read from its own journal"""
    await asyncio.gather(summarizer(text), outliner(text))
    bill = await bill_of(execution().id, limit)
    if bill.is_high:
        await tell(logging.WARNING, f"high cost: ${bill.cost}")
    return bill


# What is expected of them

TEXT = "Why kettles whistle"
SEVEN = [f"{TEXT}, part {number}" for number in range(1, 8)]
DONE, FAILING = ["outline", "summary"], ["analysis"]

SCENES = [
    Scene(retry_workflow, [TEXT], ["unreliable_agent"], waits=0.15),
    Scene(strategy_workflow, [TEXT, "simple"], ["unreliable_agent"]),
    Scene(strategy_workflow, [TEXT, "fixed"], ["unreliable_agent"], waits=0.1),
    Scene(strategy_workflow, [TEXT, "exponential"], ["unreliable_agent"], waits=0.15),
    Scene(strategy_workflow, [TEXT, "jittered"], ["unreliable_agent"], waits=0.075),
    Scene(own_retry_workflow, [TEXT], ["careful_agent"]),
    Scene(deadline_workflow, [TEXT], ["hanging_agent"]),
    Scene(budget_workflow, [SEVEN[:4]], ["broken_agent"], lambda found: "RetryBudgetSpent" in found, at_most=4 + 3),
    Scene(resilient_workflow, [TEXT], ["broken_agent", "summarizer"]),
    Scene(
        partial_retry,
        [TEXT, [*DONE, "figures"]],
        ["outliner", "summarizer", "figure_finder"],
        lambda parts: set(parts) == {*DONE, "figures"},
        at_most=7,  # it would be nine if all three were tried three times
    ),
    Scene(breaker_workflow, [TEXT], ["recovering_agent"], lambda answer: answer != "given up"),
    Scene(outage_workflow, [SEVEN], ["broken_agent"], lambda outcomes: outcomes[-1] == "CircuitOpen"),
    Scene(degrading_workflow, [TEXT], ["premium_agent", "summarizer"], lambda found: "basic_analysis" in found),
    Scene(report_workflow, [TEXT, DONE], ["outliner", "summarizer"], lambda report: report.status == "complete"),
    Scene(
        report_workflow,
        [TEXT, [*DONE, *FAILING]],
        ["outliner", "summarizer", "deep_analyst"],
        lambda report: report.status == "partial" and set(report.errors) == set(FAILING),
    ),
    Scene(report_workflow, [TEXT, FAILING], ["deep_analyst"], lambda report: report.status == "failed"),
    Scene(fail_fast, [TEXT], ["summarizer", "broken_agent"], raises=ModelUnavailable),
    Scene(
        collect_errors,
        [TEXT],
        ["summarizer", "broken_agent", "deep_analyst"],
        lambda found: [len(found["results"]), len(found["errors"])] == [1, 2],
    ),
    Scene(safe_pipeline, [TEXT], ["broken_agent", "titler"], lambda found: set(found) == {"error", "title"}),
    Scene(
        robust_pipeline,
        [TEXT, "archive"],
        ["unreliable_agent", "broken_agent", "summarizer", "hanging_titler"],
        lambda found: found["status"] == "complete" and found["title"] == "Untitled",
    ),
    Scene(robust_pipeline, [TEXT, "web"], ["broken_agent"], lambda found: found["status"] == "failed"),
    Scene(rate_limited_workflow, [SEVEN[:4]], ["summarizer"], lambda found: len(found) == 4, waits=0.15),
    Scene(logged_workflow, [TEXT], ["broken_agent"], lambda found: found == TEXT),
    Scene(measured_workflow, [TEXT], ["summarizer"], lambda found: found[1] > timedelta(0)),
    Scene(monitored_workflow, [TEXT, Decimal(10)], ["summarizer", "outliner"], lambda bill: not bill.is_high),
    Scene(monitored_workflow, [TEXT, Decimal(-1)], ["summarizer", "outliner"], lambda bill: bill.is_high),
]

if __name__ == "__main__":
    main(SCENES)
