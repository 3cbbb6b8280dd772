"""Checks of arguments: every error names the argument, what came and what was expected."""

from __future__ import annotations

import itertools
import math
import numbers
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn.parameter import is_lazy

LARGEST = 2**63 - 1
Result = TypeVar("Result", bound=Tensor | tuple[Tensor, ...])


def as_tensor(name: str, value: Any, ndim: int | None = None) -> Tensor:
    """Return `value` as a finite floating-point tensor, with `ndim` dimensions if that is given."""
    tensor = as_dense(name, value)
    if tensor.is_complex():
        raise TypeError(f"{name} must be real, got dtype {tensor.dtype}")
    if not tensor.is_floating_point():
        tensor = tensor.to(torch.get_default_dtype())
    if tensor.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"{name} must be of dtype float32 or float64, got {tensor.dtype}")
    if ndim is not None and tensor.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension(s), got shape {tuple(tensor.shape)}")
    if tensor.numel() == 0:
        raise ValueError(f"{name} must not be empty, got shape {tuple(tensor.shape)}")
    if isinstance(value, list | tuple | float):
        check_fits(name, value, tensor)
    if not all_finite(tensor):
        raise ValueError(f"{name} must be finite, got NaN or Inf in shape {tuple(tensor.shape)}")
    return tensor


def check_fits(name: str, value: Any, tensor: Tensor) -> None:
    """Refuse Python's numbers, which are in double precision, if the tensor's dtype lost one."""
    lost = tensor.isinf() | (tensor.abs() < torch.finfo(tensor.dtype).tiny)
    if tensor.dtype != torch.float64 and lost.any():
        exact = torch.as_tensor(value, dtype=torch.float64)
        lost &= exact.isfinite() & (exact != tensor.double())
        if lost.any():
            raise ValueError(
                f"{name} must fit {tensor.dtype} if it is given as numbers of Python, got "
                f"{exact[lost][0].item()}; make it an array or a tensor of dtype float64"
            )


def all_finite(tensor: Tensor) -> bool:
    """Tell whether there is neither an Inf nor a NaN."""
    total = tensor.detach().sum().item()  # much faster, and not finite if one entry is not
    return math.isfinite(total) or bool(tensor.isfinite().all())


def as_dense(name: str, value: Any) -> Tensor:
    """Return `value` as a tensor that holds a number in every place."""
    try:
        nested = isinstance(value, list | tuple)
        parts = list(leaves(value))
        if any(isinstance(part, np.ma.MaskedArray) for part in parts):
            raise TypeError("torch ignores the mask")
        if nested and any(isinstance(part, Tensor) and part.requires_grad for part in parts):
            raise TypeError("torch ignores the graph")
        if any(isinstance(part, np.ndarray) for part in parts):
            value = np.asarray(value)
        if isinstance(value, np.ndarray):  # torch wants this machine's byte order, steps forward
            value = value.astype(value.dtype.newbyteorder("="), order="C")
        # a tensor stays where it is, whatever the default device
        tensor = (value if isinstance(value, Tensor) else torch.as_tensor(value)).resolve_neg()
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise TypeError(
            f"{name} must be a tensor, an array or nested lists of numbers (integers of 64 bits at "
            f"most), rows of equal length, got {type(value).__name__}: {value!r:.80}"
        ) from error
    kind = "nested" if tensor.is_nested else tensor.dtype if tensor.is_quantized else tensor.layout
    if kind != torch.strided or tensor.device.type == "meta":
        raise TypeError(f"{name} must be dense and hold data, got {kind} on {tensor.device}")
    return tensor


def leaves(value: Any) -> Iterator[Any]:
    """Yield what nested lists hold, of a row of numbers one; or the value itself if it is none."""
    if isinstance(value, list | tuple):
        if value and set(map(type, value)) <= {int, float, bool}:
            yield value[0]  # as all the others are: asking each would take most of the time
            return
        for part in value:
            yield from leaves(part)
    else:
        yield value


def as_tensor_like(name: str, value: Any, like: Tensor, ndim: int = 1) -> Tensor:
    """Return `value` as a finite tensor of the dtype and on the device of another one."""
    tensor = as_tensor(name, value, ndim).to(like)
    if not all_finite(tensor):
        raise ValueError(f"{name} must be finite in {like.dtype}, got an overflow")
    return tensor


def finite(arguments: str, result: Result) -> Result:
    """Return a result, or refuse the arguments that made a number in it overflow, or none."""
    for part in result if isinstance(result, tuple) else (result,):
        if not all_finite(part):
            raise ValueError(
                f"{arguments} must be such that the result is finite, got NaN or Inf in "
                f"{part.dtype}"
            )
    return result


def check_independent(requirement: str, matrix: Tensor, share: float = 0.5) -> None:
    """Refuse a matrix with dependent columns, or nearly so: it would cost a share of the digits."""
    S = torch.linalg.svdvals(matrix)
    if len(S) < matrix.shape[1] or not S[-1] > torch.finfo(S.dtype).eps ** share * S[0]:
        raise ValueError(
            f"{requirement}, not only by a rounding error in {S.dtype}; got singular values from "
            f"{S[0]:.3g} to {S[-1]:.3g} in shape {tuple(matrix.shape)}"
        )


def check_matching(name: str, tensor: Tensor, shape: Sequence[int], reason: str) -> None:
    """Refuse a tensor whose shape is not `shape`; `reason` says where that shape comes from."""
    if tuple(tensor.shape) != tuple(shape):
        raise ValueError(
            f"{name} must have shape {tuple(shape)} ({reason}), got {tuple(tensor.shape)}"
        )


def check_same_kind(**tensors: Tensor) -> None:
    """Refuse tensors of different dtypes or devices."""
    kinds = {name: f"{tensor.dtype} on {tensor.device}" for name, tensor in tensors.items()}
    if len(set(kinds.values())) > 1:
        got = ", ".join(f"{name}: {kind}" for name, kind in kinds.items())
        raise ValueError(f"{', '.join(kinds)} must share dtype and device, got {got}")


def check_integer(
    name: str, value: Any, low: int, high: int | None = None, reason: str = ""
) -> int:
    """Return `value` as an int in [low, high]; `reason` says where the bounds come from."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}: {value!r}")
    number = int(value)
    if not low <= number <= (LARGEST if high is None else high):
        expected = f"be at least {low}" if high is None else f"lie in {low}..{high}{reason}"
        expected += " and fit 64 bits" if number > LARGEST else ""
        raise ValueError(f"{name} must {expected}, got {number}")
    return number


def check_number(
    name: str,
    value: Any,
    expected: str = "a finite number",
    accept: Callable[[float], bool] = lambda number: True,
) -> float:
    """Return `value` as a finite float that `accept` accepts; `expected` says which those are."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be {expected}, got {type(value).__name__}: {value!r}")
    try:
        number = float(value)
    except OverflowError:  # an integer or a fraction that is too large
        number = math.inf
    if not math.isfinite(number) or not accept(number):
        raise ValueError(f"{name} must be {expected}, got {value!r}")
    return number


def check_kind(name: str, value: Any, kind: type | tuple[type, ...]) -> None:
    """Refuse a value that is not an instance of `kind`."""
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        expected = " or ".join(each.__name__ for each in kinds)
        raise TypeError(f"{name} must be of type {expected}, got {type(value).__name__}")


def check_model(name: str, value: Any) -> None:
    """Refuse what is no module, and one whose parameters get their shape at the first call."""
    check_kind(name, value, nn.Module)
    for module in value.modules():
        if any(map(is_lazy, (*module._parameters.values(), *module._buffers.values()))):
            raise ValueError(f"{name} must have parameters of known shape, got {value}")


def check_visible(name: str, model: nn.Module, only_parameters: bool = False) -> None:
    """Refuse scripted, traced or exported parts: their layers do not say of what kind they are.

    Where only parameters count, parts that have none may be of any kind.
    """
    for module in model.modules():
        if not (isinstance(module, torch.jit.ScriptModule) or is_exported(module)):
            continue
        if not only_parameters or next(module.parameters(), None) is not None:
            raise ValueError(
                f"{name} must be made of modules, neither scripted, traced nor exported, got "
                f"{type(module).__name__}"
            )


def is_exported(module: nn.Module) -> bool:
    """Tell whether a module is what ``torch.export`` makes: its graph itself reads parameters."""
    if not isinstance(module, fx.GraphModule):
        return type(module).__module__.startswith("torch.export")
    own = {name for name, _ in module.named_parameters()}
    return any(node.op == "get_attr" and node.target in own for node in module.graph.nodes)


def check_not_compiled(name: str, model: nn.Module) -> None:
    """Refuse a model of which a part is compiled: hooks in it are called only sometimes."""
    for module in model.modules():
        if "_orig_mod" in module._modules or module._compiled_call_impl is not None:
            raise ValueError(
                f"{name} must not be compiled, for then hooks are called only sometimes"
            )


def check_ordinary(name: str, layer: nn.Module) -> None:
    """Refuse a layer that computes something else than its class in PyTorch does."""
    is_own = any(
        each in vars(layer) or not getattr(type(layer), each).__module__.startswith("torch.nn.")
        for each in ("forward", "_conv_forward")
        if hasattr(layer, each)
    )
    if is_own or layer._forward_hooks or layer._forward_pre_hooks:
        raise TypeError(
            f"{name} must compute what its class in torch.nn does, without hooks or a forward of "
            f"its own, got {layer}"
        )


def check_image_shape(name: str, value: Any) -> tuple[int, ...]:
    """Return `value` as a shape without the batch dimension, for example (3, 224, 224)."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TypeError(
            f"{name} must be a shape such as (3, 224, 224), got {type(value).__name__}: {value!r}"
        )
    return tuple(check_integer(f"{name}[{axis}]", size, 1) for axis, size in enumerate(value))


def as_batch(name: str, value: Any) -> Tensor:
    """Return `value` as a batch of finite images."""
    images = as_tensor(name, value)
    if images.ndim < 2:
        raise ValueError(
            f"{name} must be a batch, the first dimension the images', got "
            f"shape {tuple(images.shape)}"
        )
    return images


def as_images(name: str, value: Any, model: nn.Module) -> Tensor:
    """Return `value` as a batch of finite images, of the dtype and on the device of the model."""
    check_model("model", model)
    images = as_batch(name, value)
    for parameter in itertools.islice(model.parameters(), 1):
        check_same_kind(**{name: images, "model": parameter})
    return images


def run_model(model: nn.Module, images: Tensor) -> Any:
    """Return what a model makes of images, or say that they do not fit it."""
    try:
        return model(images.clone())  # its first layer may work in place
    except Exception as error:  # of the model's own code, which may raise anything
        raise ValueError(
            f"images of shape {tuple(images.shape)} do not fit the model: {error}"
        ) from error


def as_labels(name: str, value: Any, count: int) -> Tensor:
    """Return `value` as `count` integers from 0, one an image."""
    labels = as_dense(name, value)
    if labels.dtype not in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
        raise TypeError(f"{name} must be integers, uint8 or signed, got dtype {labels.dtype}")
    check_matching(name, labels, (count,), "one an image")
    if count and int(labels.min()) < 0:
        raise ValueError(f"{name} must be at least 0, got {int(labels.min())}")
    return labels.clone().long() if labels.is_inference() else labels.long()
