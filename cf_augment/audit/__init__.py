"""An audit of a causal model of mobility against the truth, by what any such model can be asked."""

from cf_augment.audit.contract import AbductedTrace, AuditedModel
from cf_augment.audit.findings import MEASURES, Findings, Measure
from cf_augment.audit.material import Material, Question, questions
from cf_augment.audit.study import ERRORS, MODEL, Auditor

__all__ = [
    "ERRORS", "MEASURES", "MODEL", "AbductedTrace", "AuditedModel", "Auditor", "Findings", "Material", "Measure",
    "Question", "questions",
]  # fmt: skip
