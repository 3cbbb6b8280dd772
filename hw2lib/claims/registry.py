"""What a claim is, what counts as evidence, and the registry that collects all claims."""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, cached_property

import hw2lib.claims as package


class Verdict(StrEnum):
    """What the audit says of a statement, read charitably; the last two are ours."""

    HOLDS = "holds"
    CONDITIONAL = "conditional"
    SHARPENED = "sharpened"
    CORRECTED = "corrected"
    OUTSIDE = "outside"
    THEOREM = "theorem"
    MEASURED = "measured"


@dataclass(frozen=True)
class Evidence:
    """The outcome of a check: the right form within the tolerance, every wrong form outside it.

    Attributes
    ----------
    error : float
        Error of the right form.
    tolerance : float
        The largest error that is accepted.
    mutants : mapping of str to float
        Wrong variant → its error under the same measure.
    computed : str
        The value that the check computed, for display.

    Examples
    --------
    >>> Evidence(error=1e-16, tolerance=1e-12, mutants={"flipped sign": 2.0}).accepted
    True
    >>> Evidence(error=1e-16, tolerance=1e-12, mutants={"same thing": 1e-15}).accepted
    False
    >>> Evidence(error=0.0, tolerance=1.0, mutants={}).accepted
    False
    """

    error: float
    tolerance: float
    mutants: Mapping[str, float]
    computed: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the right form passes and at least one mutant exists and all are refused."""
        return (
            math.isfinite(self.error)
            and self.error <= self.tolerance
            and len(self.mutants) > 0
            and all(error > self.tolerance for error in self.mutants.values())
        )


@dataclass(frozen=True)
class Claim:
    """One statement of the original, the verdict on it, and the check that supports the verdict.

    Attributes
    ----------
    id : str
        Stable, for example "1c-total".
    part : str
        Part of the homework, for example "1c".
    statement : str
        What is true, in full, as Markdown with maths.
    printed : str
        What the original says, as Markdown with maths; empty for what is ours.
    verdict : Verdict
        See :class:`Verdict`.
    corrected : str
        The right value or form in short; empty where the printed one stands.
    severity : int
        How far a reader who trusts the print goes wrong: 3 a wrong headline or method, 2 a wrong
        number or a missing proof, 1 a vague form or a detail; 0 where the print stands.
    check : callable or None
        Returns the evidence; None only for statements that are outside.
    """

    id: str
    part: str
    statement: str
    printed: str
    verdict: Verdict
    corrected: str = ""
    severity: int = 0
    check: Callable[[], Evidence] | None = field(default=None, repr=False)

    @cached_property
    def evidence(self) -> Evidence | None:
        """The outcome of the check, computed once; None if there is nothing to check."""
        return None if self.check is None else self.check()

    @property
    def accepted(self) -> bool:
        """Whether the check passes; statements without a check must be outside."""
        if self.evidence is None:
            return self.verdict is Verdict.OUTSIDE
        return self.evidence.accepted


_registry: dict[str, Claim] = {}


def claim(
    id: str,
    *,
    verdict: str,
    statement: str,
    printed: str = "",
    corrected: str = "",
    severity: int = 0,
) -> Callable[[Callable[[], Evidence]], Callable[[], Evidence]]:
    """Register the decorated check as the evidence of a claim; the part is the id's beginning."""
    if verdict not in set(Verdict):
        raise ValueError(f"verdict of {id!r} must be one of {', '.join(Verdict)}, got {verdict!r}")

    def register(check: Callable[[], Evidence]) -> Callable[[], Evidence]:
        add(
            Claim(id, part_of(id), statement, printed, Verdict(verdict), corrected, severity, check)
        )
        return check

    return register


def outside(id: str, *, statement: str, printed: str) -> None:
    """Register a statement that cannot be checked; `statement` says why."""
    add(Claim(id, part_of(id), statement, printed, Verdict.OUTSIDE))


def add(entry: Claim) -> None:
    """Add a claim, once."""
    if entry.id in _registry:
        raise ValueError(f"claim {entry.id!r} is registered twice")
    _registry[entry.id] = entry


def part_of(id: str) -> str:
    """Return the part of a claim's id: "1c" of "1c-total"."""
    return id.partition("-")[0]


@cache
def ledger() -> tuple[Claim, ...]:
    """Return all claims, in the order of the original.

    Returns
    -------
    tuple of Claim
        Checks run when their `evidence` is asked for.

    Examples
    --------
    >>> [claim.id for claim in ledger()][:2]
    ['1a-order', '1a-normalised']
    """
    for module in sorted(info.name for info in pkgutil.iter_modules(package.__path__)):
        if module.startswith("solution_"):
            importlib.import_module(f"{package.__name__}.{module}")
    return tuple(_registry.values())


def find(id: str) -> Claim:
    """Return the claim with this id.

    Parameters
    ----------
    id : str
        For example "1c-total".

    Returns
    -------
    Claim
        From :func:`ledger`.

    Raises
    ------
    KeyError
        If there is none; the message names the ids that start alike.

    Examples
    --------
    >>> find("1c-total").verdict.value
    'corrected'
    """
    by_id = {entry.id: entry for entry in ledger()}
    if id not in by_id:
        alike = [known for known in by_id if known.startswith(str(id)[:2])] or list(by_id)
        raise KeyError(f"no claim has the id {id!r}; there are {', '.join(alike)}")
    return by_id[id]
