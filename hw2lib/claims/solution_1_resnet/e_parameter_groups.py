"""Claims of Solution 1(e): three groups of parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from hw2lib.claims.registry import Trial, claim, counterexample
from hw2lib.claims.solution_1_resnet.shared import one_network, seeded
from hw2lib.claims.tools import eager
from hw2lib.parameters import (
    name_rule,
    name_rule_errors,
    name_rule_examples,
    parameter_groups,
    parameter_table,
)
from hw2lib.resnet import ResNet

DECAY = 0.01
PRINTED_COUNTS = {"weights": 11678912, "batchnorm": 9600, "bias": 1000}
PRINTED_TOTAL = 11689512  # of part (e); part (c) prints 11698512


@cache
def examples() -> dict[str, nn.Module]:
    """Return the networks on which the name rule is tried."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return name_rule_examples()


def shared_and_frozen() -> nn.Module:
    """Return a network that uses one layer twice, shares a weight, and has a frozen parameter."""
    twice, tied = nn.Linear(3, 3), nn.Linear(3, 3)
    tied.weight = twice.weight
    frozen = nn.Linear(3, 2)
    frozen.weight.requires_grad_(False)
    return nn.Sequential(twice, nn.LayerNorm(3), twice, tied, frozen)


def networks(rng: np.random.Generator) -> Iterator[tuple[str, nn.Module]]:
    """Yield networks with odd names, other norm layers, shared and frozen parameters."""
    yield from examples().items()
    yield "shared and frozen parameters", seeded(shared_and_frozen)
    yield "no parameters", nn.ReLU()
    yield "attention", seeded(lambda: nn.TransformerEncoderLayer(8, 2, 16))
    yield "norm layers only", nn.Sequential(nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True))


def reaches(model: nn.Module, groups: Any) -> int:
    """Return how many trainable parameters an optimiser lacks, has twice, or decays wrongly."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    try:
        optimizer = eager(torch.optim.Optimizer)(groups, {"weight_decay": 0.0})
    except (TypeError, ValueError):
        return len(trainable) if trainable else 0
    held = Counter(p for group in optimizer.param_groups for p in group["params"])
    decayed = {
        p for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]
    }
    spared = {
        p
        for module in model.modules()
        for name, p in module.named_parameters(recurse=False)
        if "Norm" in type(module).__name__ or "bias" in name
    }
    return sum(held[p] != 1 or (p in decayed) == (p in spared) for p in trainable)


@claim(
    "1e-split",
    kind="identity",
    verdict="sharpened",
    severity=1,
    printed=r"Code for separating out bias parameters … `batchNormGroup.append((name, numparam))`",
    statement=r"It collects pairs of name and count; an optimiser needs the parameters themselves, each once, in "
    r"groups with their own weight decay. So split, all {value}`tensors` tensors of ResNet-18 reach the "
    r"optimiser, and only the weights decay; so it is in each of the other networks tried, one of them with shared and frozen parameters.",
    corrected=r"groups that `torch.optim` accepts",
    family=networks,
    exact=True,
)
def optimiser_accepts_the_groups(model: nn.Module) -> Trial:
    printed: dict[str, list[tuple[str, int]]] = {"batchnorm": [], "bias": [], "weights": []}
    for name, parameter in model.named_parameters():
        printed[name_rule(name)].append((name, parameter.numel()))
    mutants = {}
    if any(p.requires_grad for p in model.parameters()):
        mutants = {
            "pairs of name and count": reaches(model, [{"params": p} for p in printed.values()]),
            "one group, one decay": reaches(
                model, [{"params": list(model.parameters()), "weight_decay": DECAY}]
            ),
        }
    tensors = len(list(model.parameters()))
    return Trial(
        reaches(model, parameter_groups(model, DECAY)),
        mutants,
        {"tensors": tensors} if isinstance(model, ResNet) else {},
    )


@claim(
    "1e-heuristic",
    kind="identity",
    verdict="holds",
    printed='`if "bn" in name or "downsample.1" in name: batchNormGroup.append((name, numparam))`',
    statement=r"Right for ResNet-18, the network of the question, where every batch norm and nothing else is called so. It fails for batch norm "
    r"inside a Sequential ({value}`sequential` of {value}`sequential_all` tensors), for a module called ‘subnet’ "
    r"({value}`subnet` of {value}`subnet_all`), and for ResNet-18 with the shortcuts of ResNet-D, whose `downsample.1` is a convolution "
    r"({value}`resnet_d` of {value}`resnet_d_all`). Split by the type of the module.",
    family=one_network,
    exact=True,
)
def name_rule_is_right_by_luck(model: ResNet) -> Trial:
    titles = {"Sequential": "sequential", "subnet": "subnet", "ResNet-18-D": "resnet_d"}
    wrong = {key: len(name_rule_errors(examples()[title])) for title, key in titles.items()}
    sizes = {
        f"{key}_all": len(list(examples()[title].parameters())) for title, key in titles.items()
    }
    batchnorms = {
        f"{prefix}.{name}"
        for prefix, module in model.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        for name, _ in module.named_parameters(recurse=False)
    }
    called = {name for name, _ in model.named_parameters() if name_rule(name) == "batchnorm"}
    return Trial(len(name_rule_errors(model)) + len(batchnorms ^ called), {}, wrong | sizes)


def drop_the_network(title: str) -> Callable[[], float]:
    """Return the number of errors of the name rule on another network."""
    return lambda: float(len(name_rule_errors(examples()[title])))


counterexample("1e-heuristic", "ResNet-18: batch norm inside a Sequential")(
    drop_the_network("Sequential")
)
counterexample("1e-heuristic", "ResNet-18: a module called ‘subnet’")(drop_the_network("subnet"))
counterexample("1e-heuristic", "ResNet-18: ResNet-18-D")(drop_the_network("ResNet-18-D"))


@claim(
    "1e-counts",
    kind="identity",
    verdict="holds",
    printed=r"BatchNorm 9600, Biases params 1000, Rest params 11678912, Total params 11689512",
    statement=r"Batch norm holds {value}`batchnorm` parameters in {value}`batchnorm_tensors` tensors, the biases "
    r"{value}`bias` in {value}`bias_tensors`, the rest {value}`weights` in {value}`weights_tensors`; the total, "
    r"{value}`total`, is right and contradicts the table of part (c).",
    family=one_network,
    exact=True,
)
def group_sizes(model: ResNet) -> Trial:
    groups = {group["name"]: group["params"] for group in parameter_groups(model)}
    sizes = {name: sum(p.numel() for p in params) for name, params in groups.items()}
    total = parameter_table(model).total
    tensors = {f"{name}_tensors": len(params) for name, params in groups.items()}
    by_hand = 2 * (64 + 4 * 64 + 5 * 128 + 5 * 256 + 5 * 512)  # γ and β of 20 batch norms

    def error(printed: dict[str, int], printed_total: int) -> float:
        wrong = sum(abs(sizes[name] - count) for name, count in printed.items())
        return float(wrong + abs(total - printed_total))

    return Trial(
        error(PRINTED_COUNTS, PRINTED_TOTAL)
        + abs(sizes["batchnorm"] - by_hand)
        + abs(sum(sizes.values()) - total),
        {
            "the total of part (c)": error(PRINTED_COUNTS, 11698512),
            "γ and β among the rest": error(
                {"weights": total - 1000, "batchnorm": 0}, PRINTED_TOTAL
            ),
        },
        {**sizes, **tensors, "total": total, "share": sizes["bias"] / total},
        cases=len(groups),
    )
