"""Workflows that do several things at once: analysis, translation, batches, phases, modes, errors, time limits.

    python examples/advanced_workflows/parallel_workflow.py
    ASSENT_MODEL=openai:gpt-5 python examples/advanced_workflows/parallel_workflow.py

It is plain asyncio. The branches may have as many steps as they like: after a restart each of them goes on where it
was, with its own results. That they overlap is read from the journal.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from stage import ALWAYS, MODEL, Scene, Unreliable, main

from assent import Agent, ModelUnavailable, Retry, agent, gather_all, now, parallel_map, race, timeout, workflow

Sentiment = Literal["positive", "negative", "neutral"]


@agent(model=MODEL)
async def sentiment_analyzer(text: str) -> Sentiment:
    """What is the sentiment of this text? {{ text }}"""
    ...


@agent(model=MODEL)
async def keyword_extractor(text: str) -> list[str]:
    """List three keywords of this text: {{ text }}"""
    ...


@agent(model=MODEL)
async def summarizer(text: str) -> str:
    """Summarise in one sentence: {{ text }}"""
    ...


# All at once


@workflow
async def parallel_workflow(text: str) -> dict[str, Any]:
    """Basic: several agents look at one text at the same time"""
    sentiment, keywords, summary = await asyncio.gather(
        sentiment_analyzer(text),
        keyword_extractor(text),
        summarizer(text),
    )
    return {"sentiment": sentiment, "keywords": keywords, "summary": summary}


@agent(model=MODEL)
async def translator(text: str, language: str) -> str:
    """Translate to {{ language }}, with nothing but the translation: {{ text }}"""
    ...


@workflow
async def translation_workflow(text: str, languages: list[str]) -> dict[str, str]:
    """Translation: one agent, once for each language"""
    translations = await asyncio.gather(*(translator(text, language) for language in languages))
    return dict(zip(languages, translations, strict=True))


@workflow
async def batch_workflow(texts: list[str]) -> list[Sentiment]:
    """Batch: any number of items, three at a time, results in the order of the items"""
    return await parallel_map(sentiment_analyzer, texts, limit=3)


# Parallel and sequential together


@workflow
async def hybrid_workflow(text: str) -> str:
    """Hybrid: a phase in parallel, and one that builds on its results"""
    sentiment, keywords = await asyncio.gather(sentiment_analyzer(text), keyword_extractor(text))
    return await summarizer(f"{text} (A {sentiment} text on {', '.join(keywords)}.)")


@workflow
async def branches_workflow(texts: list[str], language: str) -> list[str]:
    """Mixed: branches of several steps each, which do not wait for each other"""

    async def branch(text: str) -> str:
        summary = await summarizer(text)
        return await translator(summary, language)

    return await asyncio.gather(*map(branch, texts))


@workflow
async def conditional_parallel(text: str, mode: Literal["quick", "comprehensive"]) -> dict[str, Any]:
    """Conditional: in parallel only where it is worth it"""
    if mode == "quick":
        return {"summary": await summarizer(text)}
    return await parallel_workflow(text)


# What goes wrong, and what takes too long


@agent(model=Unreliable(MODEL, fails=ALWAYS), retry=Retry(1))
async def broken_analyst(text: str) -> str:
    """Analyse in one sentence: {{ text }}"""
    ...


@agent(model=Unreliable(MODEL, hangs=ALWAYS))
async def slow_researcher(text: str) -> str:
    """Research in one sentence: {{ text }}"""
    ...


@workflow
async def tolerant_workflow(text: str) -> dict[str, list[str]]:
    """Errors: what succeeds is kept, and all errors are collected"""
    gathered = await gather_all(summarizer(text), broken_analyst(text), sentiment_analyzer(text))
    return {"results": gathered.results, "errors": [str(error) for error in gathered.errors]}


@workflow
async def strict_workflow(text: str) -> list[str]:
    """Errors: the first one cancels all that is still under way, and is raised"""

    async def ask(analyst: Agent[[str], str]) -> str:
        return await analyst(text)

    return await parallel_map(ask, [slow_researcher, broken_analyst])


@workflow
async def timeout_workflow(text: str) -> dict[str, str]:
    """Time limits: each task has its own, and something to say where it is missed"""
    summary, research = await asyncio.gather(
        timeout(summarizer(text), "60s"),
        timeout(slow_researcher(text), "100ms", default="no research in time"),
    )
    return {"summary": summary, "research": research}


@workflow
async def cancelling_workflow(text: str) -> str:
    """Cancellation: a task of its own is cancelled when it is not needed any more"""
    research = asyncio.create_task(slow_researcher(text))
    summary = await summarizer(text)  # meanwhile
    if not research.done():
        research.cancel()
    await asyncio.wait({research})
    return f"{summary} (The research was cancelled.)" if research.cancelled() else research.result()


@workflow
async def racing_workflow(text: str) -> str:
    """Race: the first answer wins, and the others are cancelled"""
    return await race(slow_researcher(text), summarizer(text), broken_analyst(text))


# How much faster


@dataclass(frozen=True)
class Comparison:
    one_after_another: timedelta
    side_by_side: timedelta


@workflow
async def comparison_workflow(text: str) -> Comparison:
    """Timing: the same three agents, one after another and side by side"""
    begun = now()
    await sentiment_analyzer(text)
    await keyword_extractor(text)
    await summarizer(text)
    halfway = now()
    await asyncio.gather(sentiment_analyzer(text), keyword_extractor(text), summarizer(text))
    return Comparison(halfway - begun, now() - halfway)


# What is expected of them. How many requests are under way at once is known beforehand; how long they take is not.

TEXT = "I love how my kettle whistles when the tea is ready."
REVIEWS = [f"Review {number}: {text}" for number, text in enumerate(["the best", "the worst", "it came"] * 2, 1)]
ANALYSTS = ["sentiment_analyzer", "keyword_extractor", "summarizer"]


SCENES = [
    Scene(parallel_workflow, [TEXT], ANALYSTS, lambda found: len(found["keywords"]) == 3, at_once=3),
    Scene(
        translation_workflow,
        [TEXT, ["German", "Italian", "French"]],
        ["translator"],
        lambda found: list(found) == ["German", "Italian", "French"] and len(set(found.values())) == 3,
        at_once=3,
    ),
    Scene(
        batch_workflow,
        [REVIEWS],
        ["sentiment_analyzer"],
        lambda found: found == ["positive", "negative", "neutral"] * 2,
        at_once=3,
    ),
    Scene(hybrid_workflow, [TEXT], ANALYSTS, at_once=2),
    Scene(
        branches_workflow,
        [REVIEWS[:2], "French"],
        ["summarizer", "translator"],
        lambda found: len(found) == 2,
        at_once=2,
    ),
    Scene(conditional_parallel, [TEXT, "quick"], ["summarizer"], at_once=1),
    Scene(conditional_parallel, [TEXT, "comprehensive"], ANALYSTS, at_once=3),
    Scene(
        tolerant_workflow,
        [TEXT],
        ["summarizer", "broken_analyst", "sentiment_analyzer"],
        lambda found: [len(found["results"]), len(found["errors"])] == [2, 1],
    ),
    Scene(strict_workflow, [TEXT], ["slow_researcher", "broken_analyst"], raises=ModelUnavailable),
    Scene(
        timeout_workflow,
        [TEXT],
        ["summarizer", "slow_researcher"],
        lambda found: found["research"] == "no research in time",
        at_once=2,
    ),
    Scene(
        cancelling_workflow,
        [TEXT],
        ["summarizer", "slow_researcher"],
        lambda found: found.endswith("(The research was cancelled.)"),
        at_once=2,
    ),
    Scene(racing_workflow, [TEXT], ["slow_researcher", "summarizer", "broken_analyst"]),
    Scene(comparison_workflow, [TEXT], ANALYSTS, lambda found: found.one_after_another > timedelta(0), at_once=3),
]

if __name__ == "__main__":
    main(SCENES)
