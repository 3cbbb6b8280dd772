"""Parameters of a network: counted layer by layer, and split into groups for weight decay."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from types import MethodType
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.nn.utils.parametrize import ParametrizationList

from hw2lib._checks import (
    check_image_shape,
    check_integer,
    check_kind,
    check_model,
    check_number,
    check_visible,
)
from hw2lib.resnet import ResNet, resnet18

__all__ = [
    "ParameterTable",
    "Row",
    "name_rule",
    "name_rule_errors",
    "name_rule_examples",
    "parameter_groups",
    "parameter_table",
]

Result = TypeVar("Result")

NORMALIZATION = (
    nn.modules.batchnorm._NormBase,  # batch norm and instance norm of every dimension
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)
SHAPE_KEEPING = (
    *NORMALIZATION,
    nn.modules.dropout._DropoutNd,
    *(nn.ReLU, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Identity),
)
MULTIPLYING = (nn.modules.conv._ConvNd, nn.Linear)
SMALL = 64  # numbers whose values a copy keeps
EVERY_MODULES_OWN = frozenset(vars(nn.Module()))
HOOKS = (
    *("_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called"),
    *("_forward_pre_hooks", "_forward_pre_hooks_with_kwargs"),
)


@dataclass(frozen=True)
class Row:
    """One line of a :class:`ParameterTable`.

    Attributes
    ----------
    name : str
        The module's name in the network.
    kind : str
        The module's class.
    parameters : int
        Its own parameters, each counted once in the network.
    output : tuple of int or None
        Shape of its output without the batch dimension; None if no input shape was given, or it
        was not called or returned no tensor.
    macs : int or None
        Multiply–accumulates for one input; None if no input shape was given.
    normalization : bool
        Whether the module is a normalisation layer.
    """

    name: str
    kind: str
    parameters: int
    output: tuple[int, ...] | None = None
    macs: int | None = None
    normalization: bool = False


@dataclass(frozen=True)
class ParameterTable:
    """Parameters of a network, one row a module; prints as text and shows as HTML.

    Attributes
    ----------
    rows : tuple of Row
        In the order in which the network registers its modules.
    """

    rows: tuple[Row, ...]

    @property
    def total(self) -> int:
        """All parameters."""
        return sum(row.parameters for row in self.rows)

    @property
    def macs(self) -> int:
        """All multiply–accumulates for one input; 0 if no input shape was given."""
        return sum(row.macs or 0 for row in self.rows)

    def by_layer(self) -> ParameterTable:
        """Fold every normalisation row into the row before it: a convolution with its batch norm.

        Returns
        -------
        ParameterTable
            Its totals are unchanged.

        Examples
        --------
        >>> from hw2lib.resnet import resnet18
        >>> [row.parameters for row in parameter_table(resnet18()).by_layer().rows[:2]]
        [9536, 36992]
        """
        folded: list[Row] = []
        for row in self.rows:
            if row.normalization and folded:
                folded[-1] = merge(folded[-1].name, [folded[-1], row])
            else:
                folded.append(row)
        return ParameterTable(tuple(folded))

    def by_block(self, depth: int = 1) -> ParameterTable:
        """Sum the rows whose names agree in their first `depth` parts.

        Parameters
        ----------
        depth : int
            1 for the stages of a ResNet, 2 for its basic blocks.

        Returns
        -------
        ParameterTable
            Its totals are unchanged.

        Raises
        ------
        TypeError, ValueError
            If `depth` is not a positive integer.

        Examples
        --------
        >>> from hw2lib.resnet import resnet18
        >>> for row in parameter_table(resnet18()).by_layer().by_block().rows:
        ...     print(row.name, row.parameters)
        conv1 9536
        layer1 147968
        layer2 525568
        layer3 2099712
        layer4 8393728
        fc 513000
        """
        depth = check_integer("depth", depth, 1)
        blocks = itertools.groupby(self.rows, lambda row: ".".join(row.name.split(".")[:depth]))
        return ParameterTable(tuple(merge(name, list(rows)) for name, rows in blocks))

    def cells(self) -> Iterator[tuple[str, ...]]:
        """Yield the header, the rows and the total as text."""
        columns = 3 if all(row.macs is None for row in self.rows) else 5
        yield ("name", "kind", "parameters", "output", "multiply–accumulates")[:columns]
        for row in [*self.rows, Row("total", "", self.total, None, self.macs)]:
            shape = "" if row.output is None else "×".join(map(str, row.output))
            macs = "" if row.macs is None else f"{row.macs:,}"
            yield (row.name, row.kind, f"{row.parameters:,}", shape, macs)[:columns]

    def __str__(self) -> str:
        """Return the table with aligned columns."""
        lines = list(self.cells())
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if column < 2 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )

    def _repr_html_(self) -> str:
        header, *lines, total = list(self.cells())
        return (
            '<table class="hw2-table"><thead>'
            + html_row("th", header)
            + "</thead><tbody>"
            + "".join(html_row("td", line) for line in lines)
            + "</tbody><tfoot>"
            + html_row("td", total)
            + "</tfoot></table>"
        )


def html_row(tag: str, cells: Iterable[str]) -> str:
    """Return one HTML table row."""
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def merge(name: str, rows: Sequence[Row]) -> Row:
    """Return one row for several; their kinds are joined with +."""
    first = rows[0]
    if len(rows) == 1:
        return replace(first, name=name)
    macs = None if first.macs is None else sum(row.macs or 0 for row in rows)
    kinds = " + ".join(dict.fromkeys(row.kind for row in rows))
    return Row(name, kinds, sum(row.parameters for row in rows), rows[-1].output, macs)


def parameter_table(model: nn.Module, input_shape: Sequence[int] | None = None) -> ParameterTable:
    """Count the parameters of every module that owns some, and its multiply–accumulates.

    One multiply–accumulate (MAC) is one product added to a sum. Counted are convolutions and
    linear layers, without biases, batch norm, pooling and additions: output positions × weights
    (for a transposed convolution input positions × weights), in every call of a layer. What other
    modules multiply by themselves, attention for example, is not counted.
    Shapes come from a run on an empty batch, which computes nothing and calls no hook; so in every
    layer the first dimension has to be the batch's. It runs a copy of the modules, of the tensors
    and containers in them, but not of other objects that they hold. Serves claims
    1c-stem to 1c-work and 1e-counts.

    Parameters
    ----------
    model : nn.Module
        Any network; it is not modified.
    input_shape : sequence of int, optional
        Shape of one input without the batch dimension, for example (3, 224, 224).

    Returns
    -------
    ParameterTable
        One row a module, in order of registration; a shared parameter is counted where it
        appears first.

    Raises
    ------
    TypeError
        If `model` is not a module or `input_shape` not a sequence of integers.
    ValueError
        If the model does not accept inputs of that shape, is scripted, traced or exported, has a
        compiled part, or its own shapes are not known yet.

    References
    ----------
    He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, table 1
    (its "FLOPs" are multiply–adds).

    Examples
    --------
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4))
    >>> print(parameter_table(model, input_shape=(1, 8, 8)))
    name   kind         parameters  output  multiply–accumulates
    0      Conv2d               36   4×6×6                 1,296
    1      BatchNorm2d           8   4×6×6                     0
    total                       44                         1,296
    """
    check_model("model", model)
    check_visible("model", model, only_parameters=input_shape is None)
    model = getattr(model, "_orig_mod", model)  # what torch.compile has wrapped
    if input_shape is not None and any("_orig_mod" in part._modules for part in model.modules()):
        raise ValueError("model must be compiled as a whole or not at all, got a compiled part")
    calls = None if input_shape is None else run_without_data(model, input_shape, calls_of)
    counted: set[Tensor] = set()
    rows = []
    for name, module in model.named_modules():
        own = {p for p in module._parameters.values() if p is not None} - counted
        done = calls.get(name, Calls(None, 0)) if calls is not None else Calls(None, None)
        if own or done.macs:  # a layer may share all of its parameters, but not its work
            counted |= own
            count, norm = sum(p.numel() for p in own), isinstance(module, NORMALIZATION)
            rows.append(Row(name, type(module).__name__, count, *done, normalization=norm))
    return ParameterTable(tuple(rows))


class Calls(NamedTuple):
    """What a layer did with one input: its last output's shape, and multiply–accumulates of all."""

    output: tuple[int, ...] | None
    macs: int | None


def multiply_accumulates(module: nn.Module, entering: Tensor, leaving: Tensor) -> int:
    """Return positions × weights of a convolution or linear layer, 0 for other modules."""
    if not isinstance(module, MULTIPLYING):
        return 0
    if isinstance(module, nn.Linear):
        positions = leaving.shape[1:-1]
    elif entering.ndim != len(module.kernel_size) + 2:
        raise ValueError(f"{module} must take batches, got one image of {tuple(entering.shape)}")
    else:
        positions = (entering if module.transposed else leaving).shape[2:]
    return int(positions.numel()) * module.weight.numel()


def run_without_data(
    model: nn.Module, input_shape: Any, run: Callable[[nn.Module, Tensor], Result]
) -> Result:
    """Return what `run` finds when it runs a copy of the model on a batch, both without values.

    Whatever an error is, it is the model's own, which can raise anything.

    An empty batch needs no arithmetic and no meta device, whose first use loads torch's compiler
    for a second; but a model that reshapes with -1 refuses it, so the meta device is the fallback.
    """
    shape = check_image_shape("input_shape", input_shape)
    dtype = next((p.dtype for p in model.parameters()), None)
    empty = torch.empty(0, *shape, dtype=dtype)
    try:
        return run_copy(model, empty, run)
    except Exception:
        try:
            return run_copy(model, torch.empty(1, *shape, dtype=dtype, device="meta"), run)
        except Exception as error:
            raise ValueError(
                f"input_shape {shape} does not fit the model (it is that of one input, without the "
                f"batch dimension): {error}"
            ) from error


def run_copy(
    model: nn.Module, images: Tensor, run: Callable[[nn.Module, Tensor], Result]
) -> Result:
    """Run a copy of the model without its data, in which no layer that keeps shapes computes."""
    skeleton, originals = without_data(model, images.device, {}), set(model.modules())
    here = threading.get_ident()

    def refuse(module: nn.Module, inputs: Any) -> None:
        if module in originals and threading.get_ident() == here:
            raise RuntimeError(f"it must call its layers as attributes, and calls {module} else")

    for module in skeleton.modules():
        own = type(module).forward.__module__
        if isinstance(module, SHAPE_KEEPING) and own.startswith("torch.nn."):
            vars(module)["forward"] = partial(keep_shape, module)
    watch = register_module_forward_pre_hook(refuse)  # behind a lambda, for example
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            return run(skeleton, images)
    finally:
        watch.remove()


def calls_of(model: nn.Module, images: Tensor) -> dict[str, Calls]:
    """Run a model and return what its modules with parameters do."""
    calls: dict[str, Calls] = {}

    def record(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, named: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                entering = inputs[0] if inputs else named.get("input", output)
                before = calls[name].macs or 0 if name in calls else 0
                work = before + multiply_accumulates(module, entering, output)
                calls[name] = Calls(tuple(output.shape[1:]), work)

        return hook

    for name, module in model.named_modules():
        if module._parameters or isinstance(module, MULTIPLYING):  # they may be parametrised
            module.register_forward_hook(record(name), with_kwargs=True)
    model(images)
    return calls


def keep_shape(module: nn.Module, *inputs: Tensor, **named: Tensor) -> Tensor:
    """Return the one input: all that a shape-keeping layer does to a shape that it accepts."""
    (x,) = (*inputs, *named.values())
    found: Sequence[int] = ()
    expected: Sequence[int] = ()
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        expected = module.normalized_shape
        found = x.shape[-len(expected) :]
    elif isinstance(module, NORMALIZATION):
        if isinstance(module, nn.modules.batchnorm._NormBase):
            module._check_input_dim(x)
        own = (module.weight, getattr(module, "running_mean", None))
        expected = next((each.shape for each in own if each is not None), ())
        found = x.shape[1 : 1 + len(expected)]  # without any, it takes any number of channels
    if tuple(found) != tuple(expected):
        raise ValueError(f"{module} got an input of shape {('N', *x.shape[1:])}")
    return x


def without_data(module: nn.Module, device: torch.device, copies: dict[int, Any]) -> nn.Module:
    """Return a copy of a module, and of those inside, whose tensors have shapes but no values.

    ``copy.deepcopy`` would do the same, in three times the time of all the rest. `copies` holds
    those made so far, by the original's identity, for a module may stand in several places.
    """
    if id(module) in copies:
        return copies[id(module)]
    copies[id(module)] = bare = object.__new__(type(module))  # some modules refuse to be copied
    vars(bare).update(vars(module))
    for name in vars(module).keys() - EVERY_MODULES_OWN:
        vars(bare)[name] = with_copies(vars(module)[name], device, copies)
    for hooks in HOOKS:
        setattr(bare, hooks, OrderedDict())
    bare._parameters = {
        name: None if p is None else nn.Parameter(bare_tensor(p, device), False)
        for name, p in module._parameters.items()
    }
    bare._buffers = {
        name: None if b is None else bare_tensor(b, device) for name, b in module._buffers.items()
    }
    bare._modules = {
        name: None if child is None else without_data(child, device, copies)
        for name, child in module._modules.items()
    }
    vars(bare).pop("_compiled_call_impl", None)  # it would call the original
    return bare


def bare_tensor(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a copy of a tensor without its values, unless it is small: a loop may count to it."""
    if device.type == "cpu" and tensor.numel() <= SMALL:
        return tensor.detach().to(device, copy=True)
    return torch.empty_like(tensor, device=device)


def with_copies(value: Any, device: torch.device, copies: dict[int, Any]) -> Any:
    """Return an attribute for a copy: containers are copied, and the modules in them."""
    if id(value) in copies:
        return copies[id(value)]
    if isinstance(value, nn.Module):
        return without_data(value, device, copies)
    if isinstance(value, MethodType) and isinstance(value.__self__, nn.Module):
        return MethodType(value.__func__, without_data(value.__self__, device, copies))
    if isinstance(value, Tensor):
        bare = torch.empty_like(value, device=device) if device.type == "meta" else value.clone()
        copies[id(value)] = bare
        return bare
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, dict | list | deque | set):
        try:
            copies[id(value)] = result = copy(value)  # it may hold itself
            refill(result, value, lambda each: with_copies(each, device, copies))
        except Exception:  # it refuses changes, so the model makes none either
            copies[id(value)] = result = value
        return result
    if type(value) is tuple:
        return tuple(with_copies(each, device, copies) for each in value)
    return value


def refill(container: Any, original: Any, change: Callable[[Any], Any]) -> None:
    """Put what another container of the same kind holds into a container, changed."""
    container.clear()
    if isinstance(original, dict):
        for key, value in original.items():
            container[change(key)] = change(value)
    elif isinstance(original, set):
        container.update(map(change, original))
    else:
        container.extend(map(change, original))


def parameter_groups(model: nn.Module, weight_decay: float = 1e-4) -> list[dict[str, Any]]:
    """Split the trainable parameters into three groups for an optimiser; only weights decay.

    The split asks for the *type* of the module that owns a parameter, not for its name:
    "batchnorm" holds the affine parameters of every normalisation layer (batch, instance, layer,
    group and RMS norm), "bias" every other parameter whose own name contains "bias", "weights" the
    rest. Serves claims 1e-split, 1e-heuristic and 1e-counts.

    Parameters
    ----------
    model : nn.Module
        Any network; it is not modified.
    weight_decay : float
        For the group "weights"; the two others get 0.

    Returns
    -------
    list of dict
        Keys "name", "params" and "weight_decay"; pass it to any ``torch.optim`` optimiser.
        A shared parameter stands once, in the group where it appears first; frozen ones are left
        out.

    Raises
    ------
    TypeError
        If `model` is not a module or `weight_decay` not a number.
    ValueError
        If `weight_decay` is negative, NaN or infinite, or the model scripted, traced or exported.

    References
    ----------
    He et al., "Bag of tricks for image classification with convolutional neural networks",
    CVPR 2019, section 3.1 (no bias decay).

    Examples
    --------
    >>> import torch
    >>> from hw2lib.resnet import resnet18
    >>> groups = parameter_groups(resnet18(), weight_decay=1e-4)
    >>> for group in groups:
    ...     print(group["name"], len(group["params"]), sum(p.numel() for p in group["params"]))
    weights 21 11678912
    batchnorm 40 9600
    bias 1 1000
    >>> optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    """
    check_kind("model", model, nn.Module)
    check_visible("model", model, only_parameters=True)
    decay = check_number("weight_decay", weight_decay, "a number of at least 0", lambda v: v >= 0)
    groups: dict[str, list[nn.Parameter]] = {"weights": [], "batchnorm": [], "bias": []}
    seen: set[nn.Parameter] = set()
    for module, name, _, parameter in owned_parameters(model):
        if parameter.requires_grad and parameter not in seen:
            seen.add(parameter)
            groups[group_of(module, name)].append(parameter)
    return [
        {"name": name, "params": params, "weight_decay": decay if name == "weights" else 0.0}
        for name, params in groups.items()
    ]


def owned_parameters(model: nn.Module) -> Iterator[tuple[nn.Module, str, str, nn.Parameter]]:
    """Yield every parameter's module, its name there, its name in the network, and itself.

    One behind a parametrisation belongs to the module whose tensor is made of it, by its name.
    """
    for prefix, module in model.named_modules():
        owner, own_name = module, ""
        if isinstance(module, ParametrizationList):
            path, _, own_name = prefix.rpartition(".")
            owner = model.get_submodule(path.removesuffix("parametrizations").rstrip("."))
        for name, parameter in module.named_parameters(recurse=False):
            yield owner, own_name or name, f"{prefix}.{name}".lstrip("."), parameter


def group_of(module: nn.Module, parameter_name: str) -> str:
    """Return the group of a parameter by the type of its module and its own name."""
    if isinstance(module, NORMALIZATION):
        return "batchnorm"
    return "bias" if "bias" in parameter_name else "weights"


def name_rule(name: str) -> str:
    """Return the group of a parameter as the printed code decides it: by its name alone.

    Kept for comparison with :func:`parameter_groups`; it is right for ResNet-18 only by luck of
    naming. Serves claim 1e-heuristic.

    Parameters
    ----------
    name : str
        A name from ``model.named_parameters()``.

    Returns
    -------
    str
        "batchnorm", "bias" or "weights".

    Raises
    ------
    TypeError
        If `name` is not a string.

    References
    ----------
    ESE 546, Fall 2020, homework 2, instructor solutions, solution 1(e).

    Examples
    --------
    >>> name_rule("layer1.0.bn1.weight"), name_rule("subnet.weight")
    ('batchnorm', 'batchnorm')
    """
    check_kind("name", name, str)
    if "bn" in name or "downsample.1" in name:
        return "batchnorm"
    return "bias" if "bias" in name else "weights"


def name_rule_errors(model: nn.Module) -> dict[str, tuple[str, str]]:
    """Return the parameters that the name rule puts into another group than the type does.

    Parameters
    ----------
    model : nn.Module
        Any network; it is not modified.

    Returns
    -------
    dict
        Name of the parameter → (group by name, group by type).

    Raises
    ------
    TypeError
        If `model` is not a module.
    ValueError
        If it is scripted, traced or exported.

    References
    ----------
    ESE 546, Fall 2020, homework 2, instructor solutions, solution 1(e).

    Examples
    --------
    >>> from torch import nn
    >>> name_rule_errors(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    {'1.weight': ('weights', 'batchnorm'), '1.bias': ('bias', 'batchnorm')}
    """
    check_kind("model", model, nn.Module)
    check_visible("model", model, only_parameters=True)
    by_type = {
        full_name: group_of(module, name) for module, name, full_name, _ in owned_parameters(model)
    }
    return {
        name: (name_rule(name), group)
        for name, group in by_type.items()
        if name_rule(name) != group
    }


def name_rule_examples() -> dict[str, nn.Module]:
    """Return four networks on which to try the name rule: right on the first, wrong on the others.

    Returns
    -------
    dict
        Title → network: ResNet-18; a convolutional network as one ``nn.Sequential``; a network
        with a linear layer called "subnet"; ResNet-18-D, ResNet-18 with ResNet-D's shortcuts,
        which average before they convolve.

    References
    ----------
    He et al., "Bag of tricks for image classification with convolutional neural networks",
    CVPR 2019, figure 2(c) (ResNet-D's shortcut).

    Examples
    --------
    >>> {title: len(name_rule_errors(model)) for title, model in name_rule_examples().items()}
    {'ResNet-18': 0, 'Sequential': 4, 'subnet': 2, 'ResNet-18-D': 9}
    """
    sequential = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)
    )
    subnet = nn.ModuleDict({"subnet": nn.Linear(8, 8), "head": nn.Linear(8, 2)})
    return {
        "ResNet-18": resnet18(),
        "Sequential": sequential,
        "subnet": subnet,
        "ResNet-18-D": with_average_shortcuts(resnet18()),
    }


def with_average_shortcuts(model: ResNet) -> ResNet:
    """Return the network with ResNet-D's shortcuts: average, convolve 1×1, normalise."""
    for stage in (model.layer2, model.layer3, model.layer4):
        channels, in_channels = stage.get_parameter("0.downsample.0.weight").shape[:2]
        stage[0].downsample = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False),  # odd sizes: like the stride
            nn.Conv2d(in_channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
    return model
