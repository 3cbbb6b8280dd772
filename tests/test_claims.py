"""The ledger: every claim is accepted, and none could be accepted for nothing."""

import pytest

from hw2lib.claims import Claim, Evidence, Verdict, find, ledger
from hw2lib.claims.__main__ import main
from hw2lib.claims.registry import add

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
    "6d-better",
]

OURS = (Verdict.THEOREM, Verdict.MEASURED)


def test_every_row_of_the_audit_is_in_the_ledger():
    ours = [claim.id for claim in ledger() if claim.verdict not in OURS]
    assert ours == AUDIT


@pytest.mark.parametrize("claim", ledger(), ids=lambda claim: claim.id)
def test_claim_is_accepted(claim):
    assert claim.accepted, claim.evidence


@pytest.mark.parametrize("claim", ledger(), ids=lambda claim: claim.id)
def test_claim_says_what_its_verdict_needs(claim):
    assert claim.statement
    assert bool(claim.printed) == (claim.verdict not in OURS)
    weak = claim.verdict in (Verdict.CORRECTED, Verdict.SHARPENED)
    assert bool(claim.severity) == weak
    assert bool(claim.corrected) == (weak or claim.verdict is Verdict.CONDITIONAL)
    if claim.evidence is not None:
        assert claim.evidence.computed


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence(2.0, 1.0, {"mutant": 3.0}),
        Evidence(0.0, 1.0, {"mutant": 0.5}),
        Evidence(0.0, 1.0, {"mutant": float("nan")}),
        Evidence(float("nan"), 1.0, {"mutant": 3.0}),
        Evidence(0.0, 1.0, {}),
    ],
)
def test_bad_evidence_is_not_accepted(evidence):
    assert not evidence.accepted
    assert not Claim("x", "x", "s", "p", Verdict.HOLDS, check=lambda: evidence).accepted


def test_claim_without_check_is_accepted_only_outside():
    assert not Claim("x", "x", "s", "p", Verdict.HOLDS).accepted
    assert Claim("x", "x", "s", "p", Verdict.OUTSIDE).accepted


def test_ids_are_unique():
    with pytest.raises(ValueError, match="'1c-total' is registered twice"):
        add(find("1c-total"))


def test_unknown_id_names_those_that_start_alike():
    with pytest.raises(KeyError, match="no claim has the id '2c-x'; there are 2c-unique"):
        find("2c-x")


def test_command_line_prints_a_part(capsys):
    assert main(["1e"]) == 0
    output = capsys.readouterr().out
    assert "3 of 3 claims accepted" in output
    assert "1e-heuristic" in output
    assert "1a-order" not in output


def test_command_line_refuses_an_unknown_part(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["9z"])
    assert stopped.value.code == 2
    assert "no claim's id begins with '9z'; the parts are 1a" in capsys.readouterr().err


def test_command_line_fails_with_a_failing_claim(capsys, monkeypatch):
    failing = Claim(
        "1z-x", "1z", "s", "p", Verdict.HOLDS, check=lambda: Evidence(1.0, 0.0, {"m": 2.0})
    )
    monkeypatch.setattr("hw2lib.claims.__main__.ledger", lambda: (failing,))
    assert main([]) == 1
    captured = capsys.readouterr()
    assert "FAILED" in captured.out
    assert "failed: 1z-x" in captured.err
