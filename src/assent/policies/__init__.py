"""Policies made of criteria, and policies as data.

This room owns criteria (questions about an action that are answered yes or no), the policies that choose others by
them, and policy files. What it makes are policies like any other: it knows governance, and nothing above.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from assent.policies.attributes import Dynamic, Environment, Matches, RiskScore, Threshold
from assent.policies.choices import Composite, Layered, Tiered, When
from assent.policies.choosing import Rule
from assent.policies.criteria import All, Any, Criterion, Finding, Not
from assent.policies.hours import TimeWindow
from assent.policies.measures import Measure, Reading
from assent.policies.scores import Score, Tiers

if TYPE_CHECKING:
    from assent.policies.cedar import CedarPolicy
    from assent.policies.cel import Cel
    from assent.policies.files import load_policies
    from assent.policies.schema import json_schema

# Imported when they are first used: criteria in Python need no other language, and no extra.
HOMES = {"Cel": "cel", "CedarPolicy": "cedar", "json_schema": "schema", "load_policies": "files"}

__all__ = [
    # questions about an action
    "Criterion",
    "Dynamic",
    "Environment",
    "Finding",
    "Matches",
    "RiskScore",
    "Threshold",
    "TimeWindow",
    # several of them
    "All",
    "Any",
    "Not",
    # numbers
    "Measure",
    "Reading",
    "Score",
    "Tiers",
    # policies that choose others
    "Composite",
    "Layered",
    "Rule",
    "Tiered",
    "When",
    # other languages, and files
    "CedarPolicy",
    "Cel",
    "json_schema",
    "load_policies",
]


def __getattr__(name: str) -> object:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
    value = globals()[name] = getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
    return value
