"""What a claim is, what counts as evidence, and the registry that collects all claims."""

from __future__ import annotations

import atexit
import importlib
import itertools
import math
import numbers
import os
import pkgutil
import re
import signal
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, cached_property
from multiprocessing import active_children, get_context
from typing import Any

import numpy as np

import hw2lib.claims as package
from hw2lib._processes import end_with_parent, uninterrupted
from hw2lib.claims.typeset import typeset

CASES = 100
MOSTLY = 0.9  # of the cases: a wrong conclusion refused on fewer is shown with its share
LEAST = 0.5  # of the cases: one refused on fewer is no evidence
SLOW = ("5",)  # parts that train networks
MOST_PROCESSES = 16  # each needs longer to begin than most claims take
NAMES = ("ReLU", "ResNet", "LSTM", "RNN", "GRU", "SGD", "Adam", "SVD", "Kreiss", "Leibniz")
SPELLED = {name.lower(): name for name in NAMES} | {
    "allcnn": "the all-convolutional network",
    "batchnorm": "batch norm",
    "jacobian": "Jacobian",
}

Family = Callable[[np.random.Generator], Iterable[tuple[str, Any]]]


class Verdict(StrEnum):
    """What the audit says of a statement, read charitably.

    ``holds``, ``conditional``, ``sharpened``, ``corrected`` or ``outside`` (of every check) for
    what is printed; ``theorem`` and ``measured`` for what is ours.
    """

    HOLDS = "holds"
    CONDITIONAL = "conditional"
    SHARPENED = "sharpened"
    CORRECTED = "corrected"
    OUTSIDE = "outside"
    THEOREM = "theorem"
    MEASURED = "measured"


class Kind(StrEnum):
    """What sort of statement a claim makes, and so what its check has to try.

    ``identity``, ``universal``, ``existence``, ``limit``, ``measured`` or ``outside``.
    """

    IDENTITY = "identity"
    UNIVERSAL = "universal"
    EXISTENCE = "existence"
    LIMIT = "limit"
    MEASURED = "measured"
    OUTSIDE = "outside"

    @property
    def cases(self) -> int:
        """The fewest cases that a check of this kind may try."""
        return {"identity": CASES, "universal": CASES, "limit": 3, "measured": 8}.get(self, 1)


@dataclass(frozen=True)
class Trial:
    """What a check found in one case, or in one whole experiment.

    Attributes
    ----------
    error : float
        Error of the right form; for an inequality, by how much it is violated.
    mutants : mapping of str to float
        Wrong conclusion → its error under the same measure.
    values : mapping of str to float
        Named numbers that statements and pages quote.
    cases : int
        How many runs a whole experiment compared; 1 for a case of a family.
    worst : str
        The worst of these runs, in words.
    """

    error: float
    mutants: Mapping[str, float] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    cases: int = 1
    worst: str = ""


Check = Callable[[Any], Trial]


@dataclass(frozen=True)
class Mutant:
    """A variant that a check must refuse: a wrong conclusion, or a dropped condition.

    Attributes
    ----------
    name : str
        The wrong conclusion, or the condition that is dropped, in words.
    errors : tuple of float
        Its error in every case in which it is another conclusion, under the measure of the right
        form.
    tolerance : float
        The largest error that is accepted.
    condition : bool
        Whether this is the claim's own conclusion, tried where a condition is dropped.

    Examples
    --------
    >>> Mutant("flipped sign", (2.0, 0.0, 3.0, 2.0), tolerance=1e-12).share
    0.75
    """

    name: str
    errors: tuple[float, ...]
    tolerance: float
    condition: bool = False

    @property
    def share(self) -> float:
        """The share of the cases in which it is refused; NaN and infinity refuse nothing."""
        return sum(self.tolerance < error < math.inf for error in self.errors) / len(self.errors)

    @property
    def refused(self) -> bool:
        """Whether it is refused often enough: always, for a dropped condition."""
        return self.share >= (1.0 if self.condition else LEAST)

    @property
    def error(self) -> float:
        """The median of its errors."""
        return float(statistics.median(self.errors))


@dataclass(frozen=True)
class Evidence:
    """The outcome of a check: the right form within the tolerance, every wrong form outside it.

    Attributes
    ----------
    error : float
        The largest error of the right form over all cases.
    tolerance : float
        The largest error that is accepted.
    mutants : tuple of Mutant
        Wrong conclusions, then dropped conditions.
    cases : int
        How many cases were tried.
    worst : str
        The case with the largest error, in words; empty if no case had one.
    values : mapping of str to float
        Named numbers, and "error", "tolerance", "cases". A value that the cases of a family give
        has its median under its name, the least under name_least, the largest under name_most.
    exact : bool
        Whether no rounding was involved, or the object is finite and was counted.

    Examples
    --------
    >>> sign = Mutant("flipped sign", (2.0,), tolerance=1e-12)
    >>> Evidence(error=1e-16, tolerance=1e-12, mutants=(sign,)).accepted
    True
    >>> same = Mutant("same thing", (1e-15,), tolerance=1e-12)
    >>> Evidence(error=1e-16, tolerance=1e-12, mutants=(sign, same)).accepted
    False
    >>> Evidence(error=0.0, tolerance=1.0, mutants=()).accepted
    False
    """

    error: float
    tolerance: float
    mutants: tuple[Mutant, ...]
    cases: int = 1
    worst: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    exact: bool = False

    @property
    def accepted(self) -> bool:
        """Whether the right form passes, and at least one mutant exists and all are refused."""
        return (
            math.isfinite(self.error)
            and self.error <= self.tolerance
            and len(self.mutants) > 0
            and all(mutant.refused for mutant in self.mutants)
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
    kind : Kind
        What sort of statement it is.
    statement : str
        What is true, in full, as Markdown with maths. A number that the check computes is quoted
        as ``{value}`name``` or, with a format, ``{value}`name:.1%```.
    printed : str
        What the original says, verbatim, as Markdown with maths; empty for what is ours.
    verdict : Verdict
        See :class:`Verdict`.
    corrected : str
        The right value or form in short; empty where the printed one stands.
    severity : int
        How far a reader who trusts the print goes wrong: 3 in a main result or a method, 2 if a
        formula, a number or a proof is wrong or missing, 1 if it is vague or wrong by a detail;
        0 where the print stands.
    check : callable or None
        Takes one case of the family, or the seed if there is no family, and returns a
        :class:`Trial`; None only for statements that are outside.
    family : callable or None
        Takes a random generator and yields cases, each with its description: degenerate members
        first, then random ones without end. A finite family is tried whole.
    tolerance : float
        The largest error that is accepted.
    exact : bool
        Whether the check involves no rounding, or counts a finite object.
    """

    id: str
    part: str
    kind: Kind
    statement: str
    printed: str
    verdict: Verdict
    corrected: str = ""
    severity: int = 0
    check: Check | None = field(default=None, repr=False)
    family: Family | None = field(default=None, repr=False)
    tolerance: float = 0.0
    exact: bool = False
    counterexamples: dict[str, Callable[[], float]] = field(default_factory=dict, repr=False)

    @property
    def title(self) -> str:
        """What the check shows, in a few words: the name of its function, spelled as in prose."""
        if self.check is None:
            return "Beyond any check"
        words = self.check.__name__.split("_")
        text = " ".join(SPELLED.get(word, word) for word in words)
        return text[0].upper() + text[1:]

    @cached_property
    def evidence(self) -> Evidence | None:
        """The outcome of the check at seed 0, computed once; None if there is nothing to check."""
        return self.run()

    def run(self, seed: int = 0, cases: int = CASES) -> Evidence | None:
        """Run the check on the first cases that its family draws from a seed."""
        if cases < 1:
            raise ValueError(f"cases must be at least 1, got {cases}")
        if self.check is None:
            return None
        if self.family is None:
            descriptions, trials = [""], [self.try_case("the experiment", seed)]
        else:
            family = self.family(np.random.default_rng(seed))
            drawn = list(itertools.islice(family, cases))
            if not drawn:
                raise ValueError(f"claim {self.id!r}: its family yields no case")
            descriptions = [description for description, _ in drawn]
            trials = [self.try_case(description, case) for description, case in drawn]
        return self.gather(descriptions, trials)

    def try_case(self, description: str, case: Any) -> Trial:
        """Run the check on one case; an error names the claim and the case."""
        assert self.check is not None
        try:
            trial = self.check(case)
            if not isinstance(trial, Trial):
                raise TypeError(f"a check must return a Trial, got {type(trial).__name__}")
        except Exception as error:
            error.add_note(f"in the check of claim {self.id!r}, case: {description}")
            raise
        return trial

    def without(self, condition: str) -> float:
        """Run a counterexample; an error names the claim and the condition that is dropped."""
        try:
            return self.counterexamples[condition]()
        except Exception as error:
            error.add_note(f"in the counterexample of claim {self.id!r}: {condition}")
            raise

    def gather(self, descriptions: list[str], trials: list[Trial]) -> Evidence:
        """Put the outcomes of all cases together."""
        names = dict.fromkeys(name for trial in trials for name in trial.mutants)
        wrong = [
            Mutant(
                name,
                tuple(trial.mutants[name] for trial in trials if name in trial.mutants),
                self.tolerance,
            )
            for name in names
        ]
        dropped = [
            Mutant(name, (self.without(name),), self.tolerance, condition=True)
            for name in self.counterexamples
        ]
        for mutant in wrong:
            if len(trials) >= CASES and len(mutant.errors) < len(trials) / 10:
                raise ValueError(
                    f"claim {self.id!r}: the wrong conclusion {mutant.name!r} must be measured in "
                    f"a tenth of the {len(trials)} cases at least, got {len(mutant.errors)}"
                )
        errors = [math.inf if math.isnan(trial.error) else float(trial.error) for trial in trials]
        worst = max(range(len(trials)), key=errors.__getitem__)
        cases = sum(trial.cases for trial in trials)
        return Evidence(
            errors[worst],
            self.tolerance,
            (*wrong, *dropped),
            cases,
            (trials[worst].worst or descriptions[worst]) if errors[worst] > 0 else "",
            spread_of(trials)
            | {"error": errors[worst], "tolerance": self.tolerance, "cases": cases},
            self.exact,
        )

    @property
    def accepted(self) -> bool:
        """Whether the check at seed 0 passes."""
        return self.accepts(self.evidence)

    def accepts(self, evidence: Evidence | None) -> bool:
        """Say whether evidence supports the claim, from as many cases as its kind needs.

        A statement without a check must be outside. A finite object that is counted exactly has
        as many cases as it has.
        """
        if evidence is None:
            return self.kind is Kind.OUTSIDE
        return evidence.accepted and (self.exact or evidence.cases >= self.kind.cases)

    def fill(self, text: str) -> str:
        """Return a text in which the values of the evidence that it quotes are typeset."""
        return fill(self.id, self.evidence.values if self.evidence else {}, text)


def fill(id: str, values: Mapping[str, float], text: str) -> str:
    """Return a text in which the values of a claim that it quotes are typeset.

    Examples
    --------
    >>> fill("6d-others", {"ratio": 287.3}, "It is {value}`ratio` times as large.")
    'It is 290 times as large.'
    """
    return re.sub(r"\{value\}`([^`]*)`", lambda found: quote(id, values, found[1]), text)


def quote(id: str, values: Mapping[str, float], wanted: str) -> str:
    """Return a value of a claim, typeset: "ratio", or with a format "ratio:.1%".

    The least and largest of several are rounded outwards, so that all lie between what is quoted.

    Examples
    --------
    >>> quote("6d-others", {"ratio": 287.3}, "ratio"), quote("x", {"share": 0.5}, "share:.0%")
    ('290', '50\u202f%')
    >>> quote("x", {"share_least": 0.928}, "share_least:.0%")
    '92\u202f%'
    """
    name, _, form = wanted.partition(":")
    if name not in values:
        there = f"there are {', '.join(values)}" if values else "it has no check"
        raise ValueError(f"claim {id!r} computes no value {name!r}; {there}")
    try:
        direction = {"least": -1, "most": 1}.get(name.rpartition("_")[2], 0)
        return typeset(values[name], form, direction)
    except ValueError as error:
        raise ValueError(f"claim {id!r}, value {name!r}: {error}") from error


def spread_of(trials: list[Trial]) -> dict[str, float]:
    """Return every value's median over the trials, and its extremes if it varies."""
    values: dict[str, float] = {}
    for name in dict.fromkeys(name for trial in trials for name in trial.values):
        found = [plain(trial.values[name]) for trial in trials if name in trial.values]
        values[name] = found[0] if len(set(found)) == 1 else statistics.median(found)
        if len(found) > 1:
            values |= {f"{name}_least": min(found), f"{name}_most": max(found)}
    return values


def plain(value: float) -> float:
    """Return a number of Python's own, an int if it is whole by type."""
    return int(value) if isinstance(value, numbers.Integral) else float(value)


_registry: dict[str, Claim] = {}


def claim(
    id: str,
    *,
    kind: str,
    verdict: str,
    statement: str,
    printed: str = "",
    corrected: str = "",
    severity: int = 0,
    family: Family | None = None,
    tolerance: float = 0.0,
    exact: bool = False,
) -> Callable[[Check], Check]:
    """Register the decorated check as the evidence of a claim; the part is the id's beginning."""
    if verdict not in set(Verdict):
        raise ValueError(f"verdict of {id!r} must be one of {', '.join(Verdict)}, got {verdict!r}")
    if kind not in set(Kind):
        raise ValueError(f"kind of {id!r} must be one of {', '.join(Kind)}, got {kind!r}")

    def register(check: Check) -> Check:
        add(
            Claim(
                id,
                part_of(id),
                Kind(kind),
                statement,
                printed,
                Verdict(verdict),
                corrected,
                severity,
                check,
                family,
                tolerance,
                exact,
            )
        )
        return check

    return register


def outside(id: str, *, statement: str, printed: str) -> None:
    """Register a statement that cannot be checked; `statement` says why."""
    add(Claim(id, part_of(id), Kind.OUTSIDE, statement, printed, Verdict.OUTSIDE))


def counterexample(id: str, condition: str) -> Callable[[Callable[[], float]], Callable[[], float]]:
    """Register the error of a claim's conclusion where `condition` is dropped: it is needed.

    The decorated function takes nothing and measures the error as the claim's check does.
    """
    if id not in _registry:
        raise ValueError(f"no claim {id!r} is registered yet: put the counterexample after it")

    def register(measure: Callable[[], float]) -> Callable[[], float]:
        _registry[id].counterexamples[condition] = measure
        return measure

    return register


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
    """Return all claims, part by part.

    Returns
    -------
    tuple of Claim
        Checks run when their `evidence` is asked for.

    Examples
    --------
    >>> [claim.id for claim in ledger()][:2]
    ['1a-order', '1a-moments']
    """
    modules = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    for name in sorted(info.name for info in modules):
        if ".solution_" in name:
            importlib.import_module(name)
    return tuple(sorted(_registry.values(), key=lambda entry: entry.part))


def run_all(
    claims: Sequence[Claim], seed: int = 0, cases: int = CASES, pool: Executor | None = None
) -> Iterator[tuple[Claim, Evidence | None]]:
    """Yield claims with their evidence, in order.

    Parameters
    ----------
    claims : sequence of Claim
        Of :func:`ledger`.
    seed, cases : int
        See :meth:`Claim.run`.
    pool : Executor or None
        Of :func:`other_processes`, to check side by side with this one.

    Yields
    ------
    tuple of Claim and Evidence
        As soon as its check is done, and those before it.
    """
    if pool is None:
        yield from ((entry, entry.run(seed, cases)) for entry in claims)
        return
    use_one_thread()
    # a slow part trains its networks once, in one process; other claims go one by one
    slow = [tuple(entry.id for entry in claims if entry.part == part) for part in SLOW]
    quick = [(entry.id,) for entry in claims if entry.part not in SLOW]
    # the other processes start at the end, this one at the beginning; they meet
    groups = [*slow, *reversed(quick)]
    jobs = {ids: pool.submit(run_here, ids, seed, cases) for ids in groups if ids}
    group_of = {id: ids for ids in jobs for id in ids}
    found: dict[str, Evidence | None] = {}
    for entry in claims:
        if entry.id not in found:
            ids = group_of[entry.id]
            job = jobs[ids]
            found |= run_here(ids, seed, cases) if job.cancel() else job.result()
        yield entry, found[entry.id]


@contextmanager
def other_processes() -> Iterator[Executor | None]:
    """Start a process for every other core, to read the ledger at once; give None if there is none.

    It takes each of them more than a second, in which this process reads it too.
    """
    count = min(os.cpu_count() or 1, MOST_PROCESSES) - 1
    if not count:
        yield None
        return
    pool = ProcessPoolExecutor(count, get_context("spawn"), initializer=begin_worker)
    before, begun = active_children(), []
    try:
        with uninterrupted():  # or each would print where it was when it was interrupted
            for _ in range(count):
                pool.submit(int)  # each starts one
            begun = [process for process in active_children() if process not in before]
        yield pool
    except BaseException:  # nobody waits for what is left
        for process in begun:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def run_here(ids: Sequence[str], seed: int, cases: int) -> dict[str, Evidence | None]:
    """Run the checks of some claims in this process."""
    return {id: find(id).run(seed, cases) for id in ids}


def use_one_thread() -> None:
    """Leave the other cores to the other processes."""
    import torch

    torch.set_num_threads(1)


def begin_worker() -> None:
    """Read the ledger; at the end leave without taking every object apart, which takes a second."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it is not inherited, as on Windows
    use_one_thread()
    ledger()
    atexit.register(os._exit, 0)


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
