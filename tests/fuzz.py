"""Ten thousand odd calls: each gives a finite result, or a refusal that names an argument.

``nox -s fuzz``; not one of the tests, for it takes minutes.
"""

import contextlib
import copy
import dataclasses
import inspect
import math
import re
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from test_input import FUNCTIONS, VALID
from torch import nn

KEPT = {"compile", "download"}  # a minute of compiling, 170 MB of data
NAMES = sorted(name for name in VALID if VALID[name])
INTO_INFINITY = {  # as their documentation says
    "adversarial.first_switch": lambda call: True,
    "factorization.gradient_descent": lambda call: call["learning_rate"] is not None,
    "recurrent.lyapunov_exponent": lambda call: True,
}
IN_PLACE = {("training.fit", "model")}
NUMBERS = (
    *(0, -1, 1, 2, 3, 10**30, 10**400, True, np.int64(2), np.uint8(3), np.bool_(True)),
    *(0.0, -0.0, 0.5, 1.5, -1.5, 5e-324, 1e-300, 1e-40, 1e-9, 1e9, 1e40, 1e300, 1 - 2**-53),
    *(math.nan, math.inf, -math.inf, np.float32(0.5), np.float64(1e300), Fraction(1, 3), 1j),
)
THINGS = (
    *(None, "", "text", "tanh", "float32", b"text", object(), {}, {"a": 1}, range(2), ...),
    *([], [[]], [1.0], (1, 1), (0.0, 1.0), (1e300, 1e300), [[1.0, 2.0], [3.0]], [10**400], ["1"]),
    *(np.array(1.0), np.array(["a"]), np.array([1, None]), [np.ones(2), np.ones(2)]),
    *(torch.tensor(1.0), torch.ones(3), torch.eye(2), torch.zeros(2, 3, 4, 4), torch.ones(0)),
    torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged),
)


def odd_tensors(value):
    """Yield tensors and arrays that differ from one in size, sign, shape, type or memory."""
    double, array = value.detach().double(), value.detach().double().numpy()
    yield from (value * 10.0**power for power in (-44, -30, -20, -9, 9, 20, 30, 38))
    yield from (double * 10.0**power for power in (-323, -200, -100, 100, 200, 300, 308))
    types = (torch.float16, torch.float32, torch.float64, torch.int32, torch.bool, torch.complex64)
    yield from (value.to(dtype) for dtype in types)
    yield from (value * 0, -value, value - value.flatten()[0], value[:0], value[:1], value[None])
    yield from (value[..., :1], value.flatten(), value.movedim(0, -1), torch.cat([value, value]))
    yield from (array.tolist(), array[::-1], array.astype(">f8"), np.asfortranarray(array))
    yield from (np.broadcast_to(array, array.shape), np.ma.array(array, mask=array > 0))
    yield from (value.to_sparse(), value.to("meta"), double.requires_grad_())
    yield from (torch.where(double == double.max(), bad, double) for bad in (math.nan, math.inf))


def odd_models(value):
    """Yield networks that differ from one in precision, mode or weights, and quite others."""
    for change in (nn.Module.double, nn.Module.half, nn.Module.eval, nn.Module.train):
        yield change(copy.deepcopy(value))
    for factor in (0.0, 1e-30, 1e30, math.nan):
        changed = copy.deepcopy(value)
        with torch.no_grad():
            for parameter in changed.parameters():
                parameter.mul_(factor)
        yield changed
    yield from (nn.Identity(), nn.Sequential(), nn.Linear(3, 2), nn.LazyLinear(2), nn.Linear)
    yield from (nn.BatchNorm1d(3), nn.RNN(2, 3, 2), nn.LSTM(2, 3, proj_size=1), nn.Conv2d(2, 2, 3))
    yield nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    yield nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2))


def odd_values(value):
    """Return values that an argument should not have, and some that it may."""
    values = [*NUMBERS, *THINGS]
    if isinstance(value, torch.Tensor):
        values += odd_tensors(value)
    if isinstance(value, nn.Module):
        values += odd_models(value)
    if isinstance(value, list | tuple):
        values += [[odd] for odd in (*NUMBERS, *THINGS)]
        values += [[odd, each] for each in value[:1] for odd in (*NUMBERS, *odd_values(each))]
    if isinstance(value, type):
        values += [int, nn.Linear, nn.BatchNorm1d, torch.Tensor]
    if callable(value) and not isinstance(value, nn.Module | type):
        values += [torch.sum, torch.abs, torch.log, lambda x: 1.0, lambda x: torch.tensor(1.0)]
        values += [lambda x: x.sum() * math.nan, lambda x: (x * 1e30).square().sum()]
    return values


def arguments_of(name):
    """Return the arguments of a valid call, defaults included."""
    parameters = inspect.signature(FUNCTIONS[name]).parameters.values()
    return {each.name: each.default for each in parameters} | VALID[name]


def numbers(result):
    """Yield all numbers that a result holds, as tensors, but for a network's own weights."""
    if isinstance(result, torch.Tensor) and not isinstance(result, nn.Parameter):
        yield result.detach()
    elif isinstance(result, float):
        yield torch.tensor(result, dtype=torch.float64)
    elif isinstance(result, nn.Module):
        yield from result.state_dict().values()
    elif dataclasses.is_dataclass(result):
        yield from numbers(vars(result))
    elif isinstance(result, dict):
        yield from numbers(list(result.values()))
    elif isinstance(result, list | tuple):
        for part in result:
            yield from numbers(part)


def state(value):
    """Return what may not change in an argument, to be compared."""
    if isinstance(value, nn.Module):
        modes = [module.training for module in value.modules()]
        return repr(value), modes, state([*value.parameters(), *value.buffers()])
    if isinstance(value, list | tuple):
        return [state(part) for part in value]
    if type(value) in (torch.Tensor, nn.Parameter) and value.is_cpu and not value.is_sparse:
        value = value.detach().numpy()
    return (value.dtype, value.tobytes()) if isinstance(value, np.ndarray) else repr(value)


@pytest.fixture(scope="module", autouse=True)
def _elsewhere(tmp_path_factory):
    with contextlib.chdir(tmp_path_factory.mktemp("fuzz")):
        yield


@pytest.mark.parametrize("name", NAMES)
@settings(
    max_examples=math.ceil(10_000 / len(NAMES)),
    derandomize=False,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_odd_call_is_answered_or_refused(name, data):
    call = {
        key: copy.deepcopy(value) if isinstance(value, nn.Module) else value
        for key, value in arguments_of(name).items()
    }
    names = st.sampled_from(sorted(call.keys() - KEPT))
    for argument in data.draw(st.lists(names, min_size=1, max_size=2, unique=True)):
        call[argument] = data.draw(st.sampled_from(odd_values(call[argument])))
    note(f"{name}(**{call})")
    before = {key: state(value) for key, value in call.items()}
    torch.manual_seed(0)
    try:
        result, refusal = FUNCTIONS[name](**call), None
    except (TypeError, ValueError, FileNotFoundError) as error:  # the last from cifar10_data
        result, refusal = None, str(error)
    if refusal is not None:
        assert any(re.search(rf"\b{key}\b", refusal) for key in call), f"none named: {refusal}"
    elif not INTO_INFINITY.get(name, lambda call: False)(call):
        assert all(part.isfinite().all() for part in numbers(result)), result
    for key, value in call.items():
        assert (name, key) in IN_PLACE or state(value) == before[key], f"{key} was modified"
