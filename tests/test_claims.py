"""The ledger: every claim is accepted, and none could be accepted for nothing."""

import itertools
import math
import os
import re
import signal
import subprocess
import sys
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
import torch

import hw2lib.claims
from hw2lib.claims import Claim, Evidence, Kind, Mutant, Trial, Verdict, find, ledger
from hw2lib.claims.__main__ import main
from hw2lib.claims.registry import (
    CASES,
    MOSTLY,
    add,
    counterexample,
    other_processes,
    outside,
    run_all,
)
from hw2lib.claims.registry import claim as register
from hw2lib.claims.solution_6_recurrent.shared import exponents
from hw2lib.claims.tools import eager, largest, relative, shortfall
from hw2lib.claims.typeset import typeset

ROOT = Path(__file__).resolve().parents[1]

AUDIT = [
    "1a-order",
    "1a-normalised",
    "1a-saturation",
    "1a-relu-off",
    "1a-reverse",
    "1a-conv-bias",
    "1b-modes",
    "1b-running",
    "1b-dropout",
    "1b-hw1",
    "1b-need",
    "1c-figure",
    "1c-stem",
    "1c-stage1..3",
    "1c-stage4",
    "1c-fc",
    "1c-total",
    "1c-eighteen",
    "1c-layers",
    "1c-layer4-1-conv2",
    "1d-linear",
    "1d-shift",
    "1d-penalty",
    "1d-images",
    "1d-invariance",
    "1e-split",
    "1e-heuristic",
    "1e-counts",
    "2a-bilinear",
    "2a-nonconvex",
    "2b-frobenius",
    "2b-span",
    "2b-row",
    "2b-rows-sum",
    "2b-optimum",
    "2b-residual",
    "2c-unique",
    "2c-scale",
    "2c-orbit",
    "2c-permutation",
    "2c-infinite",
    "2c-autoencoder",
    "2c-relu",
    "3a-example",
    "3a-scaling",
    "3a-readings",
    "3a-limit",
    "3a-reference",
    "3b-normalised",
    "3b-denominator",
    "3b-jacobian",
    "3b-step",
    "3b-projector",
    "3b-expand-x",
    "3b-direction",
    "3b-lambda-x",
    "3b-primes",
    "3b-abuse",
    "3b-idempotent",
    "3b-chain",
    "4",
    "5",
    "5-first-order",
    "6a-forward",
    "6a-gradient",
    "6a-norm",
    "6a-zbar",
    "6a-eigen",
    "6a-alpha",
    "6a-inner",
    "6a-explode",
    "6a-vanish",
    "6a-stable-start",
    "6a-boundary",
    "6a-depends",
    "6b-saturate",
    "6b-relu-off",
    "6b-relu-scale",
    "6b-eigen",
    "6b-more-common",
    "6b-all",
    "6c-sgd",
    "6c-frozen",
    "6c-norm",
    "6c-clip",
    "6d-gates",
    "6d-no-weights",
    "6d-rnn",
    "6d-lstm",
    "6d-others",
    "6d-decay-rnn",
    "6d-decay-lstm",
    "6d-control",
    "6d-better",
]

OURS = (Verdict.THEOREM, Verdict.MEASURED)
every_claim = pytest.mark.parametrize("claim", ledger(), ids=lambda claim: claim.id)


BEYOND = {"6b-flat", "6c-cure"}  # printed, and not in the audit
UNPRINTED = {"1a-relu-off", "5-first-order"}  # rows of the audit that the print does not say


def test_every_row_of_the_audit_is_in_the_ledger():
    printed = {claim.id for claim in ledger() if claim.verdict not in OURS}
    assert printed == (set(AUDIT) | BEYOND) - UNPRINTED
    assert {claim.id for claim in ledger()} >= UNPRINTED
    assert len(AUDIT) == len(set(AUDIT))


@every_claim
def test_claim_is_accepted_whatever_the_global_seed(claim):
    vars(claim).pop("evidence", None)  # another test may have asked for it
    start = torch.manual_seed(1).get_state()
    assert claim.accepted, claim.evidence
    if not torch.get_rng_state().equal(start):  # something was drawn from torch's own generator
        torch.manual_seed(2)
        errors = {mutant.name: mutant.errors for mutant in claim.evidence.mutants}
        for mutant in claim.run(cases=9).mutants:
            close = pytest.approx(mutant.errors, rel=1e-3, abs=claim.tolerance)
            assert errors[mutant.name][: len(mutant.errors)] == close, mutant.name


@every_claim
def test_claim_says_what_its_verdict_needs(claim):
    assert claim.statement
    assert bool(claim.printed) == (claim.verdict not in OURS)
    weak = claim.verdict in (Verdict.CORRECTED, Verdict.SHARPENED)
    assert bool(claim.severity) == weak
    assert bool(claim.corrected) == (weak or claim.verdict is Verdict.CONDITIONAL)


@every_claim
def test_values_that_a_claim_quotes_are_there(claim):
    for text in (claim.statement, claim.corrected):
        assert "{value}" not in claim.fill(text)


@every_claim
def test_formulas_stand_in_raw_strings(claim):
    text = claim.statement + claim.printed + claim.corrected
    assert not re.findall(r"[\x00-\x1f]", text.replace("\n", " ")), "\\b, \\f, \\n, \\t were read"
    assert text.count("$") % 2 == 0


@every_claim
def test_check_is_as_wide_as_its_sentence(claim):
    if claim.kind in (Kind.IDENTITY, Kind.UNIVERSAL):
        assert claim.family is not None
        assert claim.exact or claim.evidence.cases >= CASES
    if claim.evidence is not None:
        assert claim.evidence.cases >= (1 if claim.exact else claim.kind.cases)
        assert not claim.evidence.exact or claim.evidence.error == 0


def test_most_mutants_are_refused_nearly_always():
    shares = [m.share for c in ledger() if c.evidence for m in c.evidence.mutants]
    assert sum(share >= MOSTLY for share in shares) >= 0.9 * len(shares)


HEAVY = """
import sys
import torch
from torch.nn import Parameter
import hw2lib.claims
from hw2lib.claims.tools import eager

print([claim.id for claim in hw2lib.claims.ledger() if "evidence" in vars(claim)])
weights = Parameter(torch.ones(2))
optimizer = eager(torch.optim.Adam)([weights])
weights.sum().backward()
optimizer.step()
print([name for name in ("sympy", "scipy", "sklearn", "torch._dynamo") if name in sys.modules])
"""


def test_import_runs_no_check_and_loads_nothing_heavy():
    process = subprocess.run([sys.executable, "-c", HEAVY], capture_output=True, check=True)
    assert process.stdout.decode().splitlines() == ["[]", "[]"]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "fused": True}),
        (torch.optim.Adam, {"weight_decay": 0.1, "fused": True}),
        (torch.optim.LBFGS, {"line_search_fn": "strong_wolfe"}),
    ],
)
def test_eager_optimizers_take_the_same_steps(kind, options):
    def after(optimizer):
        weights = torch.nn.Parameter(torch.linspace(-1, 1, 12).view(3, 4))
        steps = optimizer([weights], **options)

        def objective():
            steps.zero_grad()
            loss = (weights.exp() - weights).square().sum()
            loss.backward()
            return loss

        for _ in range(3):
            steps.step(objective)
        return weights

    assert torch.equal(after(eager(kind)), after(kind))


def test_modules_are_named_like_the_pages():
    pages = {
        path.relative_to(ROOT / "docs" / "solutions").with_suffix("").as_posix().replace("-", "_")
        for path in (ROOT / "docs" / "solutions").glob("*/*.md")
        if path.stem != "index"
    }
    folder = Path(hw2lib.claims.__file__).parent
    for page in pages:
        assert (folder / f"solution_{page}.py").is_file(), page


# ---- evidence


def evidence(error, tolerance, *mutants, condition=False):
    """Return evidence whose mutants have these errors."""
    wrong = tuple(Mutant(f"m{i}", e, tolerance, condition) for i, e in enumerate(mutants))
    return Evidence(error, tolerance, wrong)


@pytest.mark.parametrize(
    "bad",
    [
        evidence(2.0, 1.0, (3.0,)),
        evidence(0.0, 1.0, (0.5,)),
        evidence(0.0, 1.0, (1.0,)),
        evidence(0.0, 1.0, (math.nan,)),
        evidence(0.0, 1.0, (math.inf,)),
        evidence(math.nan, 1.0, (3.0,)),
        evidence(math.inf, math.inf, (3.0,)),
        evidence(0.0, 1.0, (3.0,), (0.5,)),
        evidence(0.0, 1.0, (3.0, 0.0, 0.0)),
        evidence(0.0, 1.0, (3.0, 0.0), condition=True),
        evidence(0.0, 1.0),
    ],
)
def test_bad_evidence_is_not_accepted(bad):
    assert not bad.accepted


def test_right_evidence_is_accepted_at_the_tolerance():
    assert evidence(1.0, 1.0, (1.5,)).accepted
    assert evidence(1.0, 1.0, (1.5, 0.0)).accepted  # refused on half of the cases


def numbers(rng):
    """Yield zero, then random numbers without end."""
    yield "zero", 0.0
    for index in itertools.count():
        yield f"number {index}", rng.normal()


def make(check, family=numbers, kind=Kind.IDENTITY, **rest):
    """Return a claim that is not in the ledger."""
    return Claim("1z-x", "1z", kind, "s", "p", Verdict.HOLDS, check=check, family=family, **rest)


def test_family_is_tried_on_as_many_cases_as_asked_for():
    seen = []

    def check(x):
        seen.append(x)
        return Trial(abs(x) if len(seen) == 4 else 0.0, {"two": 3.0 + x}, {"x": x})

    found = make(check, tolerance=10.0).run(seed=5, cases=7)
    assert found.cases == len(seen) == 7
    assert found.worst == "number 2"
    assert found.error == abs(seen[3])
    assert found.mutants[0].errors == tuple(3.0 + x for x in seen)
    assert found.values["x_least"] == min(seen)
    assert found.values["x_most"] == max(seen)
    assert found.values["x"] == sorted(seen)[3]
    assert seen == [x for _, x in itertools.islice(numbers(np.random.default_rng(5)), 7)]


def test_experiment_has_the_seed_it_is_given():
    seen = []

    def check(seed):
        seen.append(seed)
        return Trial(0.0, {"m": 1.0}, cases=8)

    experiment = make(check, None, Kind.MEASURED)
    experiment.run(seed=3)
    assert list(run_all([experiment], seed=4)) == [(experiment, experiment.run(seed=5))]
    assert seen == [3, 4, 5]


def test_every_kind_of_claim_is_in_the_ledger():
    assert {entry.kind for entry in ledger()} == {*Kind}


def test_other_processes_begin_at_once_and_end_with_an_error(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    before, begun = active_children(), set()

    def interrupt():
        with other_processes():
            begun.update({*active_children()} - {*before})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert len(begun) == 2
    assert not any(process.is_alive() for process in begun)


def test_other_processes_have_the_seed_too():
    chosen = [find("2b-frobenius"), find("6c-step")]
    with other_processes() as pool:
        found = [evidence.error for _, evidence in run_all(chosen, seed=3, cases=12, pool=pool)]
    assert found == [claim.run(seed=3, cases=12).error for claim in chosen]
    assert found != [claim.run(seed=0, cases=12).error for claim in chosen]


def test_command_line_hands_on_seed_and_cases(monkeypatch):
    given = []
    monkeypatch.setattr(
        "hw2lib.claims.__main__.run_all", lambda *arguments: given.append(arguments) or []
    )
    main(["2b-frob", "--seed", "9", "--cases", "17"])
    assert given == [([find("2b-frobenius")], 9, 17, None)]


def test_values_are_pythons_own_numbers():
    check = lambda x: Trial(0.0, {"m": 1.0}, {"n": np.int64(3), "x": np.float64(x)})  # noqa: E731
    values = make(check).evidence.values
    assert type(values["n"]) is int
    assert type(values["x"]) is float


def test_nan_in_one_case_of_many_is_not_accepted():
    right = make(lambda x: Trial(0.0, {"m": 1.0}))
    assert right.accepted
    assert not make(lambda x: Trial(math.nan if x > 1 else 0.0, {"m": 1.0})).accepted


def test_nan_is_not_lost_among_other_errors():
    bad = torch.tensor([0.0, math.nan])
    for error in (largest(bad), relative(bad, torch.ones(2)), relative(bad, bad)):
        assert max(0.0, error) == math.inf
    for value, bound in ((math.nan, 1.0), (1.0, math.nan)):
        assert max(0.0, shortfall(value, bound)) == math.inf


def test_rate_of_a_change_that_dies_is_minus_infinity():
    W = -torch.ones(1, 1, dtype=torch.float64)
    for inputs in (None, torch.zeros(60, 1, dtype=torch.float64)):
        found = exponents("relu", W, torch.ones(1, dtype=torch.float64), inputs, steps=20)
        assert found.tolist() == [-math.inf]


def test_too_few_cases_are_not_enough():
    def few(rng):
        yield from itertools.islice(numbers(rng), 99)

    assert not make(lambda x: Trial(0.0, {"m": 1.0}), few).accepted
    assert make(lambda x: Trial(0.0, {"m": 1.0}), few, exact=True).accepted
    for kind, cases in ((Kind.MEASURED, 7), (Kind.LIMIT, 2)):
        check = lambda seed, cases=cases: Trial(0.0, {"m": 1.0}, cases=cases)  # noqa: E731
        assert not make(check, None, kind).accepted


def test_claim_without_check_is_accepted_only_outside():
    assert not make(None, None, Kind.EXISTENCE).accepted
    assert make(None, None, Kind.OUTSIDE).accepted


# ---- bad input


def test_family_without_a_case_is_refused():
    with pytest.raises(ValueError, match="claim '1z-x': its family yields no case"):
        make(lambda x: Trial(0.0), lambda rng: []).run()


def test_error_in_a_check_names_claim_and_case():
    with pytest.raises(ZeroDivisionError) as caught:
        make(lambda x: Trial(1 / x)).run()
    assert caught.value.__notes__ == ["in the check of claim '1z-x', case: zero"]


def test_check_that_returns_nothing_is_named():
    with pytest.raises(TypeError, match="a check must return a Trial, got NoneType") as caught:
        make(lambda x: None).run()
    assert caught.value.__notes__ == ["in the check of claim '1z-x', case: zero"]


def test_error_in_a_counterexample_names_claim_and_condition():
    broken = make(lambda x: Trial(0.0, {"m": 1.0}))
    broken.counterexamples["x > 0"] = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError) as caught:
        broken.run()
    assert caught.value.__notes__ == ["in the counterexample of claim '1z-x': x > 0"]


def test_wrong_conclusion_of_one_case_is_no_evidence():
    once = make(lambda x: Trial(0.0, {"once": 5.0} if x == 0 else {}))
    with pytest.raises(ValueError, match="'once' must be measured in a tenth of the 100 cases"):
        once.run()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("shape", "claim '1z-x' computes no value 'shape'; there are x, x_least"),
        ("x:d", "claim '1z-x', value 'x': the format 'd' does not fit"),
        ("x:.0g", "the format '.0g' does not fit"),
        ("x:word", "the format 'word' does not fit"),
    ],
)
def test_value_that_cannot_be_quoted(wanted, message):
    claim = make(lambda x: Trial(0.0, {"m": 1.0}, {"x": x + 0.5}))
    with pytest.raises(ValueError, match=re.escape(message)):
        claim.fill(f"It is {{value}}`{wanted}`.")


def test_claim_without_check_has_no_values():
    with pytest.raises(ValueError, match="claim '4' computes no value 'x'; it has no check"):
        find("4").fill("{value}`x`")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"verdict": "fine", "kind": "identity"}, "verdict of '1z' must be one of holds"),
        ({"verdict": "holds", "kind": "guess"}, "kind of '1z' must be one of identity"),
    ],
)
def test_unknown_verdict_or_kind(wrong, message):
    with pytest.raises(ValueError, match=message):
        register("1z", statement="s", **wrong)


def test_ids_are_unique():
    with pytest.raises(ValueError, match="'1c-total' is registered twice"):
        add(find("1c-total"))
    with pytest.raises(ValueError, match="'4' is registered twice"):
        outside("4", statement="s", printed="p")


def test_counterexample_needs_its_claim():
    with pytest.raises(ValueError, match="no claim '1z-x' is registered yet"):
        counterexample("1z-x", "x > 0")


def test_unknown_id_names_those_that_start_alike():
    with pytest.raises(KeyError, match="no claim has the id '2c-x'; there are 2c-unique"):
        find("2c-x")


# ---- numbers


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (0, "", "0"),
        (0.0, "", "0"),
        (40, "", "40"),
        (1234, "", "1234"),
        (12345, "", "12 345"),
        (-0.00123, ".2g", "−0.0012"),
        (0.000999, ".1g", "0.001"),
        (0.00099, "", "9.9·10⁻⁴"),
        (999999.0, ".2g", "1.0·10⁶"),
        (1e-17, ".1g", "10⁻¹⁷"),
        (-2e43, ".1g", "−2·10⁴³"),
        (0.5, ".0%", "50 %"),
        (float("inf"), "", "∞"),
        (float("-inf"), "", "−∞"),
    ],
)
def test_numbers_are_typeset(value, form, text):
    assert typeset(value, form).replace("\u202f", " ") == text


# ---- the command line


def test_command_line_prints_a_part(capsys):
    assert main(["1e"]) == 0
    output = capsys.readouterr().out
    assert "claims accepted" in output
    assert "1e-heuristic" in output
    assert "1a-order" not in output


def test_command_line_checks_several_parts_side_by_side(capsys):
    assert main(["1e-counts", "2b-frobenius", "6c-step"]) == 0
    output = capsys.readouterr().out
    ids = re.findall(r"^(\d\w-\w+) .* ok$", output, re.MULTILINE)
    assert ids == ["1e-counts", "2b-frobenius", "6c-step"]
    assert "3 of 3 claims accepted" in output


def test_command_line_ends_quietly_when_its_reader_does():
    command = [sys.executable, "-m", "hw2lib.claims", "3a-example"]
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert process.returncode == 1
    assert process.stderr == b""


if sys.platform != "win32":  # there a signal reaches other programs too

    def test_command_line_ends_quietly_and_soon_when_it_is_interrupted():
        command = [sys.executable, "-u", "-m", "hw2lib.claims"]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            # a job in the background ignores it, and what it starts does so, too
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        process.stdout.readline()  # the heading: other processes are still about to begin
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate(timeout=15)[1] == b""
        assert process.returncode == 130


def test_command_line_takes_kind_seed_and_cases(capsys):
    assert main(["2b", "--kind", "universal", "--seed", "3", "--cases", "12"]) == 0
    output = capsys.readouterr().out
    assert re.search(r"2b-optimum +sharpened +universal +12 ", output)
    assert "2b-row" not in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["9z"], "no claim's id begins with '9z'; the parts are 1a"),
        (["--kind", "guess"], "invalid choice: 'guess'"),
        (["1c", "--kind", "limit"], "no claim of 1c is of kind limit"),
        (["--cases", "0"], "--cases must be at least 1, got 0"),
        (["--seed", "-1"], "--seed must be at least 0, got -1"),
    ],
)
def test_command_line_refuses(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_command_line_fails_with_a_failing_claim(capsys, monkeypatch):
    failing = make(lambda x: Trial(1.0, {"m": 2.0}))
    monkeypatch.setattr("hw2lib.claims.__main__.ledger", lambda: (failing,))
    assert main(["1z"]) == 1
    captured = capsys.readouterr()
    assert "FAILED" in captured.out
    assert "worst: zero" in captured.out
    assert "0 of 1 claims accepted" in captured.out
    assert "failed: 1z-x" in captured.err


def test_few_cases_are_no_excuse_for_an_experiment(capsys, monkeypatch):
    experiment = make(lambda seed: Trial(0.0, {"m": 1.0}, cases=2), None, Kind.MEASURED)
    monkeypatch.setattr("hw2lib.claims.__main__.ledger", lambda: (experiment,))
    assert main(["1z", "--cases", "50"]) == 1


def test_command_line_shows_what_is_let_through(capsys, monkeypatch):
    weak = make(lambda x: Trial(0.0, {"right": 1.0, "weak": float(x > 0), "none": 0.0}))
    monkeypatch.setattr("hw2lib.claims.__main__.ledger", lambda: (weak,))
    assert main(["1z", "--seed", "1"]) == 1
    shown = capsys.readouterr().out
    share = np.mean([x > 0 for _, x in itertools.islice(numbers(np.random.default_rng(1)), CASES)])
    assert f"{1 + (share >= 0.5)} of 3" in shown
    assert re.search(rf"refused in {round(100 * share)}.%: weak", shown)
    assert "%: right" not in shown
