"""What may be done, by whom, and with whose consent.

This room owns actions, policies, what several policies say together, and approvals. It fails closed: whatever goes
wrong in a policy is a denial. It knows the store and the engine, and neither agents nor the web.
"""

from assent.governance.action import Action, Outcome, Principal, acting_as, current_principal
from assent.governance.approval_policies import ApprovalPolicy, ApprovalStage, SequentialApprovalPolicy
from assent.governance.approvals import ApprovalRequest, expire
from assent.governance.asking import approve
from assent.governance.audit import AuditPolicy
from assent.governance.authority import Authority, ambient_authority
from assent.governance.authorization import AuthorizationPolicy
from assent.governance.budgets import BudgetPolicy
from assent.governance.conditions import Condition
from assent.governance.evaluating import evaluate_all
from assent.governance.govern import govern, govern_class
from assent.governance.governed import Governed
from assent.governance.judging import Judgement, judge
from assent.governance.mandates import (
    MandateOptions,
    MandateTerms,
    Remainder,
    ask_mandate,
    mandate,
    mandate_program,
    remainders,
)
from assent.governance.people import Roster, roster_of
from assent.governance.policy import Decision, Facts, Phase, Policy, policy
from assent.governance.previews import Preview
from assent.governance.rate_limit import Buckets, RateLimitPolicy
from assent.governance.redaction import Redaction
from assent.governance.ruling import Ruling, policies_digest, redaction_of
from assent.governance.selection import Selector
from assent.governance.statistics import ApproverStatistics, statistics_of
from assent.governance.validation import ValidationPolicy
from assent.governance.verdicts import Cast, cast, cast_all, lapse, remind, show

__all__ = [
    # what is to be done, for whom
    "Action",
    "Outcome",
    "Principal",
    "acting_as",
    "current_principal",
    # policies
    "ApprovalPolicy",
    "BudgetPolicy",
    "Selector",
    "ApprovalStage",
    "AuditPolicy",
    "AuthorizationPolicy",
    "RateLimitPolicy",
    "SequentialApprovalPolicy",
    "ValidationPolicy",
    # policies of your own, and what policies say together
    "Decision",
    "Facts",
    "Phase",
    "Policy",
    "Ruling",
    "evaluate_all",
    "policies_digest",
    "policy",
    # governed functions
    "Authority",
    "Governed",
    "ambient_authority",
    "approve",
    "govern",
    "govern_class",
    # approvals
    "ApprovalRequest",
    "Cast",
    "Condition",
    "Judgement",
    "Preview",
    "cast",
    "cast_all",
    "expire",
    "judge",
    "lapse",
    "remind",
    "show",
    # people
    "ApproverStatistics",
    "Roster",
    "roster_of",
    "statistics_of",
    # mandates
    "MandateOptions",
    "MandateTerms",
    "Remainder",
    "ask_mandate",
    "mandate",
    "mandate_program",
    "remainders",
    # what policies need beside
    "Buckets",
    "Redaction",
    "redaction_of",
]
