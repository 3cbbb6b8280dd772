"""Check claims on the command line: ``python -m hw2lib.claims [1c 2b …]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from hw2lib.claims.registry import Claim, ledger

LINE = "{:24} {:12} {:>10} {:>10}  {:28} {}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line a claim, as its check ends; return 1 if any fails, 0 otherwise."""
    parser = argparse.ArgumentParser(
        prog="python -m hw2lib.claims", description="Check the claims of the ledger."
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help="beginnings of ids, such as 1c or 2b-row"
    )
    wanted = parser.parse_args(arguments).parts
    for part in wanted:
        if not any(claim.id.startswith(part) for claim in ledger()):
            known = ", ".join(dict.fromkeys(claim.part for claim in ledger()))
            parser.error(f"no claim's id begins with {part!r}; the parts are {known}")
    chosen = [claim for claim in ledger() if not wanted or claim.id.startswith(tuple(wanted))]
    print(
        LINE.format("claim", "verdict", "error", "tolerance", "mutants (least error)", "").rstrip()
    )
    for claim in chosen:
        print(line(claim), flush=True)
    failed = [claim.id for claim in chosen if not claim.accepted]
    print(f"\n{len(chosen) - len(failed)} of {len(chosen)} claims accepted")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


def line(claim: Claim) -> str:
    """Return a claim's line of the table."""
    evidence = claim.evidence
    if evidence is None:
        return LINE.format(claim.id, claim.verdict, "", "", "", "not checked: outside")
    if not evidence.mutants:
        return LINE.format(
            claim.id,
            claim.verdict,
            f"{evidence.error:.1e}",
            f"{evidence.tolerance:.1e}",
            "none",
            "FAILED",
        )
    refused = sum(error > evidence.tolerance for error in evidence.mutants.values())
    least = min(evidence.mutants.values())
    return LINE.format(
        claim.id,
        claim.verdict,
        f"{evidence.error:.1e}",
        f"{evidence.tolerance:.1e}",
        f"{refused} of {len(evidence.mutants)} refused ({least:.1e})",
        "ok" if claim.accepted else "FAILED",
    )


if __name__ == "__main__":
    sys.exit(main())
