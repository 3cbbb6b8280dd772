"""Dropout's two conventions, and its training output averaged exactly over all masks."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hw2lib._checks import as_tensor, check_kind, check_number, finite

__all__ = ["DropoutOutputs", "dropout_outputs"]

LARGEST = 16  # 2^16 masks


class DropoutOutputs(NamedTuple):
    """What follows a dropout: its mean over all masks in training, and its value in eval mode."""

    training_mean: Tensor
    evaluation: Tensor


def dropout_outputs(
    function: Callable[[Tensor], Tensor], x: Any, drop_probability: float, convention: str
) -> DropoutOutputs:
    r"""Return the exact mean of function(dropout(x)) over all masks, and its value in eval mode.

    A mask M keeps every unit with probability 1 − p, independently. The *original* convention
    computes f(M∘x) in training and f((1 − p)x) in eval mode; the *inverted* one, PyTorch's,
    f(M∘x/(1 − p)) and f(x). Either way both modes agree in expectation if f is affine. Applied to
    each unit alone, f does no harm at every p exactly if f − f(0) is positively homogeneous: a ReLU
    or leaky ReLU, but not tanh. A ReLU of a linear unit does harm in general. Serves claims
    1b-dropout and 1b-harmless.

    Parameters
    ----------
    function : callable
        What follows the dropout: maps a batch (K, n) to (K, …), row by row.
    x : Tensor or array
        Shape (n,), n at most 16.
    drop_probability : float
        p, in [0, 1).
    convention : {"original", "inverted"}
        Where the scale goes.

    Returns
    -------
    DropoutOutputs
        Mean over the 2ⁿ masks in training mode, and the output in eval mode.

    Raises
    ------
    TypeError, ValueError
        If `x` is not a finite vector of at most 16 entries, the probability is out of range, or
        the convention is unknown.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout", JMLR 2014, sections 4
    and 10 (multiplying by 1/p at training time; their p is the probability to keep).

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([1.0, 2.0])
    >>> dropout_outputs(lambda z: z.sum(1), x, 0.5, "inverted")
    DropoutOutputs(training_mean=tensor(3.), evaluation=tensor(3.))
    >>> dropout_outputs(lambda z: torch.relu(z.sum(1) - 3), x, 0.5, "inverted")
    DropoutOutputs(training_mean=tensor(1.), evaluation=tensor(0.))
    """
    if not callable(function):
        raise TypeError(f"function must be callable, got {type(function).__name__}")
    x = as_tensor("x", x, ndim=1)
    if len(x) > LARGEST:
        raise ValueError(f"x must have at most {LARGEST} entries (2^n masks), got {len(x)}")
    p = check_number("drop_probability", drop_probability, "in [0, 1)", lambda p: 0 <= p < 1)
    check_kind("convention", convention, str)
    if convention not in ("original", "inverted"):
        raise ValueError(f"convention must be 'original' or 'inverted', got {convention!r}")
    masks = torch.tensor(list(itertools.product([0.0, 1.0], repeat=len(x)))).to(x)
    probabilities = (masks * (1 - p) + (1 - masks) * p).prod(1)
    if p == 0:  # the function need not be finite at the other masks
        masks, probabilities = masks[-1:], probabilities[-1:]
    training_scale, evaluation_scale = (1, 1 - p) if convention == "original" else (1 / (1 - p), 1)
    outputs = function(masks * x * training_scale)
    if isinstance(outputs, Tensor) and outputs.is_complex():
        raise ValueError(f"function must return real numbers, got dtype {outputs.dtype}")
    if not isinstance(outputs, Tensor) or outputs.ndim == 0 or len(outputs) != len(masks):
        raise ValueError(
            f"function must return one row a mask, {len(masks)} here, got "
            f"{tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__}"
        )
    outputs = outputs.to(x)  # a truth value is 0 or 1
    mean = torch.tensordot(probabilities, outputs, 1)
    single = function((x * evaluation_scale)[None])
    if not isinstance(single, Tensor) or single.shape != (1, *outputs.shape[1:]):
        raise ValueError(
            f"function must return one row a mask, 1 here, got "
            f"{tuple(single.shape) if isinstance(single, Tensor) else type(single).__name__}"
        )
    evaluation = single[0].to(x)
    return finite("function and x", DropoutOutputs(mean, evaluation))
