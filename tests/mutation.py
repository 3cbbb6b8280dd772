"""Mutation testing of the mathematical modules: what the claims kill alone, and what all tests do.

Run by ``nox -s mutants``; arguments are modules (all, without one), ``--sample N`` mutants of
each, drawn with ``--seed``. Mutmut makes the mutants and runs the tests that reach each of them,
twice: the claims alone, then doctests and tests too on what the claims have let live.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import random
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MUTANTS = ROOT / "mutants"
CLAIMS_ALONE = "-k test_claim_is_accepted"
CHECKS = re.compile(r"as_tensor\(|check_\w+\(|raise |Error\(")  # lines that look at arguments
SURVIVED, NOT_REACHED = 0, 33  # mutmut's exit codes
NO_MATCH = "nothing matches"  # what mutmut says when it has made the mutants and tests none


def modules() -> list[str]:
    """Return the names of the modules that are mutated."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [Path(path).stem for path in settings["tool"]["mutmut"]["only_mutate"]]


def mutmut(*arguments: str, options: str = "") -> str:
    """Run mutmut, the tests with further options of pytest's; a failure is shown."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTEST_ADDOPTS": options}
    command = [sys.executable, "-m", "mutmut", *arguments]
    process = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if process.returncode and NO_MATCH not in process.stdout + process.stderr:
        sys.exit(f"{' '.join(command)} failed:\n{process.stdout[-4000:]}{process.stderr[-4000:]}")
    return process.stdout


def outcomes(module: str) -> dict[str, int | None]:
    """Return mutmut's exit code for every mutant of a module."""
    found = json.loads((MUTANTS / "hw2lib" / f"{module}.py.meta").read_text(encoding="utf-8"))
    return found["exit_code_by_key"]


def survivors(names: Iterable[str]) -> list[str]:
    """Return those mutants that no test has failed on."""
    codes = {name: code for module in modules() for name, code in outcomes(module).items()}
    return [name for name in names if codes[name] in (SURVIVED, NOT_REACHED)]


def run(names: list[str], options: str) -> list[str]:
    """Test mutants, and return those that survive."""
    (MUTANTS / "mutmut-stats.json").unlink(missing_ok=True)  # which tests reach which function
    mutmut("run", *names, options=options)
    return survivors(names)


def changes(module: str) -> dict[str, str]:
    """Return the lines that every mutant of a module changes."""
    source = (MUTANTS / "hw2lib" / f"{module}.py").read_text(encoding="utf-8")
    bodies = {
        node.name: ast.unparse(node).splitlines()[1:]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    }

    def difference(name: str) -> str:
        short = name.rpartition(".")[2]
        original = bodies[f"{short.rpartition('__mutmut_')[0]}__mutmut_orig"]
        lines = list(difflib.unified_diff(original, bodies[short], lineterm="", n=0))[2:]
        return "\n".join(line for line in lines if not line.startswith("@@"))

    return {name: difference(name) for name in outcomes(module)}


def main() -> None:
    """Print a table of the modules, then every mutant that survived."""
    parser = argparse.ArgumentParser(prog="nox -s mutants --", description=__doc__)
    parser.add_argument("modules", nargs="*", choices=[*modules(), []], metavar="MODULE")
    parser.add_argument("--sample", type=int, default=0, help="mutants of each module (0: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    wanted = parser.parse_args()
    mutmut("run", "none of them", options=CLAIMS_ALONE)
    draw = random.Random(wanted.seed)
    chosen, changed = {}, {}
    for module in wanted.modules or modules():
        names = sorted(outcomes(module))
        chosen[module] = draw.sample(names, min(wanted.sample or len(names), len(names)))
        changed |= changes(module)
    every = [name for names in chosen.values() for name in names]
    by_claims = set(run(every, CLAIMS_ALONE))
    by_all = set(run(sorted(by_claims), ""))
    groups = {**chosen, "all": every}
    for title, inside in (("the mathematics", False), ("checks of arguments", True)):
        print(f"\n{title:20}{'mutants':>9}{'claims alone':>14}{'all tests':>11}")
        for group, names in groups.items():
            part = {name for name in names if bool(CHECKS.search(changed[name])) == inside}
            alone, together = (
                1 - len(left & part) / max(1, len(part)) for left in (by_claims, by_all)
            )
            print(f"{group:20}{len(part):9}{alone:14.0%}{together:11.0%}")
    for name in sorted(by_all):
        print(f"\n{name}\n{changed[name]}")


if __name__ == "__main__":
    main()
