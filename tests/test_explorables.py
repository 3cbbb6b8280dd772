"""The explorables' models compute what hw2lib computes; a wrong sign in one of them is noticed.

Each model runs in the engine that sets the site's formulas, on random inputs.
"""

import json
import shutil
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

import explorables
import numpy as np
import pytest
import quickjs
from explorables import SOURCES, esbuild
from models import Comparison

INPUTS, ALLOWED = 200, 1e-9
COMPARISONS = [
    comparison
    for name in explorables.names()
    for comparison in import_module(f"models.{name.replace('-', '_')}").COMPARISONS
]
MUTANTS = [(each, *mutant) for each in COMPARISONS for mutant in each.mutants]
AS_SCRIPT = ("--bundle", "--format=iife", "--global-name=model")  # that defines ``model``


def source_of(comparison: Comparison) -> str:
    """Return the source of a model."""
    path = SOURCES / comparison.explorable / "model.ts"
    return path.read_text(encoding="utf-8")


@cache
def original_of(path: str) -> str:
    """Return a source as a script."""
    return esbuild(SOURCES / path, *AS_SCRIPT)


@pytest.fixture(scope="module")
def wrong_models(tmp_path_factory) -> list[str]:
    """Return the mutants as scripts, bundled in one go: most of the time goes to the start."""
    folder = tmp_path_factory.mktemp("explorables")
    shutil.copytree(SOURCES / "kit", folder / "kit")
    for number, (comparison, text, instead) in enumerate(MUTANTS):
        (folder / f"{number}").mkdir()
        mutated = source_of(comparison).replace(text, instead)
        (folder / f"{number}" / "model.ts").write_text(mutated, encoding="utf-8")
    models = [folder / f"{number}" / "model.ts" for number in range(len(MUTANTS))]
    esbuild(*models, *AS_SCRIPT, f"--outdir={folder}", f"--outbase={folder}")
    return [model.with_suffix(".js").read_text(encoding="utf-8") for model in models]


@cache
def cases(comparison: Comparison) -> list[tuple[Any, np.ndarray, float]]:
    """Return inputs of a model's function, what it must return, and the size of that."""
    found = []
    for seed in range(INPUTS):
        inputs = comparison.inputs(np.random.default_rng(seed))
        expected = flat(comparison.expected(*inputs))
        size = comparison.size(*inputs) if comparison.size else np.abs(expected).max(initial=0)
        found.append((inputs, expected, size or 1))
    return found


def errors(source: str, comparison: Comparison) -> Iterator[float]:
    """Yield the relative error of a model's function on each input."""
    context = quickjs.Context()
    context.eval(source)
    context.eval(
        "function answer(name, inputs) {"
        "  return JSON.stringify(model[name](...JSON.parse(inputs)))"
        "}"
    )
    answer = context.get("answer")
    for inputs, expected, size in cases(comparison):
        got = flat(comparison.read(json.loads(answer(comparison.function, json.dumps(inputs)))))
        if got.shape != expected.shape:
            yield np.inf
            return
        yield np.nan_to_num(np.abs(got - expected), nan=np.inf).max(initial=0) / size


def flat(value: Any) -> np.ndarray:
    """Return all numbers of nested lists, dictionaries and tensors in their order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return np.concatenate([flat(each) for each in value]) if value else np.zeros(0)
    return np.asarray(np.nan if value is None else value, dtype=float).ravel()


@pytest.mark.parametrize("comparison", COMPARISONS, ids=str)
def test_model_equals_the_library(comparison):
    assert max(errors(original_of(f"{comparison.explorable}/model.ts"), comparison)) <= ALLOWED


@pytest.mark.parametrize("number", range(len(MUTANTS)), ids=lambda number: str(MUTANTS[number][0]))
def test_wrong_model_is_noticed(number, wrong_models):
    comparison, text, instead = MUTANTS[number]
    assert source_of(comparison).count(text) == 1, text
    found = errors(wrong_models[number], comparison)
    assert any(error > 1e3 * ALLOWED for error in found), f"{text} → {instead}"


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("typeset(-1.584)", "−1.58"),
        ("typeset(0)", "0"),
        ("typeset(-0)", "0"),
        ("typeset(8.94e-16, 2)", "8.9·10⁻¹⁶"),
        ("typeset(0.00123)", "0.00123"),
        ("typeset(12345)", "1.23·10⁴"),
        ("typeset(999.9)", "1000"),
        ("typeset(1e301)", "beyond 10³⁰⁰"),
        ("typeset(-Infinity)", "below −10³⁰⁰"),
        ("typeset(NaN)", "beyond 10³⁰⁰"),
        ("decimals(-0.004)", "0.00"),
        ("decimals(2.5, 0)", "3"),
        ("finest(0.2)", "0.20"),
        ("finest(0.203)", "0.203"),
        ("finest(-1.05, 1)", "−1.05"),
        ("decimals(1e301)", "beyond 10³⁰⁰"),
        ("powerOfTen(-7)", "10⁻⁷"),
    ],
)
def test_numbers_are_typeset_as_on_the_site(call, text):
    context = quickjs.Context()
    context.eval(original_of("kit/numbers.ts"))
    assert context.eval(f"model.{call}") == text


def test_every_explorable_is_compared_and_stands_on_a_page():
    assert {comparison.explorable for comparison in COMPARISONS} == set(explorables.names())
    pages = "".join(page.read_text(encoding="utf-8") for page in SOURCES.parent.rglob("*.md"))
    for name in explorables.names():
        assert f"{{explorable}} {name}" in pages
