"""Policies made of criteria, and policies as data.

This room owns criteria (questions about an action that are answered yes or no), the policies that choose others by
them, and policy files. What it makes are policies like any other: it knows governance, and nothing above.
"""

from assent.policies.attributes import Dynamic, Environment, Matches, RiskScore, Threshold
from assent.policies.choices import Composite, Layered, Tiered, When
from assent.policies.choosing import Rule
from assent.policies.criteria import All, Any, Criterion, Finding, Not
from assent.policies.hours import TimeWindow
from assent.policies.measures import Measure, Reading
from assent.policies.scores import Score, Tiers

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
]
