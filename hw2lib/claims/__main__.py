"""Check claims on the command line: ``python -m hw2lib.claims [1c 2b …]``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from io import TextIOWrapper

from tqdm import tqdm

from hw2lib.claims.registry import CASES, Claim, Evidence, Kind, ledger, other_processes, run_all
from hw2lib.claims.typeset import typeset

LINE = "{:24} {:11} {:11} {:>7} {:>10} {:>10}  {:17} {}"
HEADING = ("claim", "verdict", "kind", "cases", "error", "tolerance", "mutants refused", "")
WHY = "an error above its tolerance, no mutant or one that is not refused, or too few cases"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line a claim, as its check ends; return 1 if any fails, 0 otherwise."""
    wanted = parse(arguments)
    several = not wanted.parts or len({claim.part for claim in named(wanted.parts)}) > 1
    with other_processes() if several else nullcontext() as pool:
        chosen = [claim for claim in named(wanted.parts) if wanted.kind in (None, claim.kind)]
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # on Windows a file would take fewer signs
        print(LINE.format(*HEADING).rstrip())
        failed = []
        outcomes = run_all(chosen, wanted.seed, wanted.cases, pool)
        with tqdm(outcomes, total=len(chosen), unit="claim", leave=False, disable=None) as progress:
            for claim, evidence in progress:
                few = claim.family is not None and wanted.cases < CASES
                accepted = evidence.accepted if evidence and few else claim.accepts(evidence)
                failed += [] if accepted else [claim.id]
                tqdm.write(line(claim, evidence, accepted))
    print(f"\n{len(chosen) - len(failed)} of {len(chosen)} claims accepted")
    if failed:
        print(f"failed: {', '.join(failed)} ({WHY})", file=sys.stderr)
    return int(bool(failed))


def named(parts: Sequence[str]) -> list[Claim]:
    """Return the claims whose ids begin with one of the parts; all of them if there is no part."""
    return [claim for claim in ledger() if not parts or claim.id.startswith(tuple(parts))]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; unknown parts, kinds and counts end the program with a message."""
    parser = argparse.ArgumentParser(
        prog="python -m hw2lib.claims", description="Check the claims of the ledger."
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help="beginnings of ids, such as 1c or 2b-row"
    )
    parser.add_argument("--kind", choices=[*Kind], help="only claims of this kind")
    parser.add_argument("--seed", type=int, default=0, help="of the random cases (default 0)")
    parser.add_argument(
        "--cases",
        type=int,
        default=CASES,
        help=f"cases of every family (default {CASES}); experiments have a number of their own",
    )
    wanted = parser.parse_args(arguments)
    for part in wanted.parts:
        if not named([part]):
            known = ", ".join(dict.fromkeys(claim.part for claim in ledger()))
            parser.error(f"no claim's id begins with {part!r}; the parts are {known}")
    # without parts there are claims of every kind: the other processes start before it is read
    if wanted.parts and not [e for e in named(wanted.parts) if wanted.kind in (None, e.kind)]:
        parser.error(f"no claim of {' '.join(wanted.parts)} is of kind {wanted.kind}")
    if wanted.seed < 0:
        parser.error(f"--seed must be at least 0, got {wanted.seed}")
    if wanted.cases < 1:
        parser.error(f"--cases must be at least 1, got {wanted.cases}")
    return wanted


def line(claim: Claim, evidence: Evidence | None, accepted: bool) -> str:
    """Return a claim's line of the table, and below it the worst case and what was let through."""
    if evidence is None:
        columns = (claim.id, claim.verdict, claim.kind, "", "", "", "", "not checked: outside")
        return LINE.format(*columns)
    refused = sum(mutant.refused for mutant in evidence.mutants)
    first = LINE.format(
        claim.id,
        claim.verdict,
        claim.kind,
        f"{evidence.cases}{' exact' if evidence.exact else ''}",
        f"{evidence.error:.1e}",
        f"{evidence.tolerance:.1e}",
        f"{refused} of {len(evidence.mutants)}" if evidence.mutants else "none",
        "ok" if accepted else "FAILED",
    )
    below = [f"worst: {evidence.worst}"] if evidence.worst else []
    below += [
        f"refused in {typeset(mutant.share, '.0%')}: {mutant.name}"
        for mutant in evidence.mutants
        if mutant.share < 1
    ]
    return "\n".join([first, *(f"    {text}" for text in below)])


if __name__ == "__main__":
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough, as `head` has
        code = 1
    except KeyboardInterrupt:
        code = 130
    sys.stderr.flush()
    os._exit(code)  # taking every object apart first would take most of a second
