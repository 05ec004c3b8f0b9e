"""Evidence of an outlet in one file: frames as they came, readings made of them, registry, digests; and its check."""

from hj212gw.evidence.export import Exported, Request, export_evidence
from hj212gw.evidence.verify import Verdict, verify_evidence

__all__ = ["Exported", "Request", "Verdict", "export_evidence", "verify_evidence"]
