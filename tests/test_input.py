"""Wrong input to any public function: an error that names the argument, before any work."""

import copy
import importlib
import inspect
import math
import pkgutil
import re
import warnings

import matplotlib.figure
import numpy as np
import pytest
import torch
from torch import nn

import hw2lib
from hw2lib import adversarial, normalization, recurrent, scale_invariance, training
from hw2lib._checks import as_tensor, as_tensor_like
from hw2lib.datasets import ImageData, digits_data
from hw2lib.resnet import resnet18

MODULES = [
    importlib.import_module(f"hw2lib.{info.name}")
    for info in pkgutil.iter_modules(hw2lib.__path__)
    if not info.name.startswith("_") and info.name != "claims"
]
PUBLIC = {
    f"{module.__name__.removeprefix('hw2lib.')}.{name}": getattr(module, name)
    for module in MODULES
    for name in module.__all__
}
FUNCTIONS = {name: thing for name, thing in PUBLIC.items() if inspect.isfunction(thing)}

torch.manual_seed(0)
X, A, B = torch.randn(4, 3).double(), torch.randn(4, 2).double(), torch.randn(2, 3).double()
FIT = {"X": X, "rank": 2, "steps": 3, "generator": torch.Generator().manual_seed(0)}
RECURRENCE = {
    "W": torch.tensor([[2.0, 1.0], [0.0, 0.5]]),
    "z0": torch.ones(2),
    "zbar": torch.ones(2),
    "steps": 3,
}
CLASSIFIER = {
    "model": nn.Sequential(nn.Flatten(), nn.Linear(64, 10)),
    "images": torch.full((2, 1, 8, 8), 0.5),
    "labels": torch.tensor([0, 1]),
}
ATTACK = {"eps": 0.1, "bounds": (0.0, 1.0)}
RESNET = resnet18()
FEW = ImageData(*(part[:80] for part in digits_data()[:4]), digits_data().classes)
VALID = {
    "adversarial.first_switch": {
        "model": nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.ReLU()),
        "images": torch.full((2, 1, 8, 8), 0.5),
        "direction": torch.ones(2, 1, 8, 8),
    },
    "adversarial.input_gradient": CLASSIFIER,
    "adversarial.linear_prediction": CLASSIFIER | {"eps": 0.1},
    "adversarial.locally_affine_loss": CLASSIFIER | {"perturbed": torch.full((2, 1, 8, 8), 0.4)},
    "adversarial.random_sign_perturbation": {"images": CLASSIFIER["images"], "seed": 1} | ATTACK,
    "adversarial.signed_gradient_attack": CLASSIFIER
    | ATTACK
    | {"steps": 2, "step_size": 0.1, "project": True, "targeted": False}
    | {"start": torch.full((2, 1, 8, 8), 0.4)},
    "adversarial.steepest_direction": {"gradient": torch.ones(3), "norm": 2},
    "adversarial.worst_linear_margins": {
        "weight": torch.ones(10, 64),
        "bias": torch.ones(10),
        "images": CLASSIFIER["images"],
        "labels": CLASSIFIER["labels"],
    }
    | ATTACK,
    "architecture.batchnorm_destinations": {"model": RESNET},
    "architecture.residual_blocks": {"model": RESNET, "input_shape": (3, 64, 64)},
    "datasets.cifar10_data": {"path": "nowhere", "download": False},
    "datasets.digits": {},
    "datasets.digits_data": {"unseen_writers": True},
    "datasets.digits_forms": {},
    "dropout.dropout_outputs": {
        "function": torch.relu,
        "x": torch.ones(3),
        "drop_probability": 0.5,
        "convention": "inverted",
    },
    "factorization.alternating_least_squares": FIT,
    "factorization.balance_factors": {"A": A, "B": B},
    "factorization.change_basis": {"A": A, "B": B, "G": torch.eye(2).double()},
    "factorization.connecting_matrix": {"A": A, "A_other": 2 * A},
    "factorization.critical_hessian_eigenvalues": {"X": X, "indices": [0], "rank": 2},
    "factorization.critical_point": {"X": X, "indices": [0], "rank": 2},
    "factorization.gradient_descent": FIT,
    "factorization.loss": {"X": X, "A": A, "B": B},
    "factorization.loss_gradient": {"X": X, "A": A, "B": B},
    "factorization.loss_hessian": {"X": X, "A": A, "B": B},
    "factorization.low_rank_factors": {"X": X, "rank": 2},
    "factorization.truncation_error": {"X": X, "rank": 2},
    "factorization.weyl_gaps": {"X": X, "A": A, "B": B},
    "figures.darken_svg": {"svg": "<svg/>"},
    "figures.describe": {
        "figure": matplotlib.figure.Figure(),
        "description": "a long enough description",
    },
    "figures.draw_pixels": {
        "axes": matplotlib.figure.Figure().add_subplot(),
        "pixels": torch.eye(2),
        "largest": 1.0,
        "signed": False,
    },
    "figures.draw_residual_network": {
        "axes": matplotlib.figure.Figure().add_subplot(),
        "model": RESNET,
        "input_shape": (3, 64, 64),
    },
    "figures.headline": {"figure": matplotlib.figure.Figure(), "text": "The loss falls"},
    "figures.svg_size": {"svg": '<svg viewBox="0 0 3 4">'},
    "figures.picture": {
        "figure": matplotlib.figure.Figure(),
        "description": "a long enough description",
    },
    "recurrent.clip_by_norm": {"gradient": torch.ones(3), "max_norm": 1.0},
    "recurrent.clip_by_value": {"gradient": torch.ones(3), "bound": 1.0},
    "recurrent.eigenvalue_gradient": RECURRENCE,
    "recurrent.kreiss_constant": {"W": 0.5 * torch.eye(2), "points": 5},
    "recurrent.linear_rnn_gradient": RECURRENCE,
    "recurrent.lstm_jacobian": {
        "lstm": nn.LSTM(2, 3),
        "inputs": torch.ones(4, 2),
        "hidden": torch.ones(3),
        "cell": torch.ones(3),
    },
    "recurrent.lyapunov_exponent": {
        "W": torch.eye(2),
        "nonlinearity": "tanh",
        "state": torch.ones(2),
        "steps": 3,
        "warm_up": 1,
    },
    "recurrent.rescale_to_norm": {"gradient": torch.ones(3), "norm": 1.0},
    "recurrent.rnn_jacobian": {
        "rnn": nn.RNN(2, 3),
        "inputs": torch.ones(4, 2),
        "state": torch.ones(3),
    },
    "scale_invariance.batchnorm_loss": {
        "inputs": torch.randn(5, 3),
        "targets": torch.randn(5),
        "eps": 0.1,
        "readout": torch.ones(2),
    },
    "scale_invariance.chain_rule_gradient": {"function": torch.sum, "x": torch.ones(3)},
    "scale_invariance.descend": {
        "function": lambda x: x[0] / x.norm(),
        "x": torch.ones(3),
        "learning_rate": 0.1,
        "steps": 2,
        "weight_decay": 0.1,
    },
    "scale_invariance.equilibrium_angle": {"learning_rate": 0.1, "weight_decay": 0.1},
    "scale_invariance.function_gradient": {"function": torch.sum, "x": torch.ones(3)},
    "scale_invariance.norms_after": {
        "norm": 1.0,
        "gradient_norm": 1.0,
        "learning_rate": 0.1,
        "steps": 3,
        "weight_decay": 0.1,
    },
    "scale_invariance.sphere_step": {
        "x": torch.tensor([1.0, 0.0]),
        "gradient": torch.tensor([0.0, 1.0]),
        "learning_rate": 0.1,
    },
    "scale_invariance.tangent_projector": {"u": torch.tensor([0.6, 0.8])},
    "normalization.absorb_shift": {"layer": nn.Linear(3, 2), "shift": torch.ones(3)},
    "normalization.batch_normalize": {
        "x": torch.randn(4, 3),
        "weight": torch.ones(3),
        "bias": torch.ones(3),
        "eps": 0.1,
    },
    "normalization.bias_offset_in_eval": {
        "shift": torch.ones(3),
        "steps": 2,
        "weight": torch.ones(3),
        "running_variance": torch.ones(3),
        "momentum": 0.1,
        "eps": 1e-5,
    },
    "normalization.layer_inputs": {
        "model": nn.Sequential(nn.Linear(3, 2), nn.ReLU()),
        "images": torch.ones(4, 3),
        "kind": nn.ReLU,
    },
    "normalization.measured_bias_offsets": {
        "layer": nn.Linear(3, 2),
        "batchnorm": nn.BatchNorm1d(2),
        "shift": torch.ones(2),
        "batches": [torch.randn(4, 3)],
    },
    "normalization.pad_channels": {
        "x": torch.ones(1, 2, 3, 3),
        "padding": [1, 1],
        "values": torch.ones(2),
    },
    "normalization.padding_mask": {"layer": nn.Conv2d(2, 2, 3, padding=1), "size": [5, 5]},
    "normalization.relu_off_probability": {"shift": 0.5, "scale": 1.0},
    "normalization.ridge": {
        "inputs": torch.randn(5, 3),
        "targets": torch.randn(5, 2),
        "weight_decay": 1.0,
        "penalize_intercept": True,
    },
    "normalization.running_statistics": {"batches": [torch.randn(4, 3)], "momentum": 0.1},
    "normalization.saturation_probability": {"scale": 1.0, "shift": 0.5, "threshold": 2.0},
    "parameters.name_rule": {"name": "bn1.weight"},
    "parameters.name_rule_errors": {"model": nn.Linear(2, 2)},
    "parameters.name_rule_examples": {},
    "parameters.parameter_groups": {"model": nn.Linear(2, 2), "weight_decay": 0.1},
    "parameters.parameter_table": {"model": nn.Linear(2, 2), "input_shape": (2,)},
    "resnet.resnet18": {"num_classes": 10, "batchnorm_first": True},
    "resnet.resnet34": {"num_classes": 10, "batchnorm_first": True},
    "training.digits_network": {"data": FEW, "seed": 0, "epochs": 1},
    "training.evaluate": CLASSIFIER | {"batch_size": 2},
    "training.evaluation_mode": {"model": nn.Linear(2, 2)},
    "training.fit": {
        "model": CLASSIFIER["model"],
        "data": FEW,
        "epochs": 1,
        "batch_size": 10,
        "learning_rate": 0.1,
        "weight_decay": 0.1,
        "seed": 0,
        "precision": "float32",
        "compile": False,
        "progress": False,
    },
    "training.predict": {
        "model": CLASSIFIER["model"],
        "images": CLASSIFIER["images"],
        "batch_size": 2,
    },
    "training.step_schedule": {"epochs": 3, "learning_rate": 0.1},
}
NEEDS_FILES = {"datasets.cifar10_data"}


def wrong_values(value):
    """Yield values of the wrong kind, and of the right kind but out of range."""
    if isinstance(value, torch.Tensor):
        yield from (value * float("nan"), value * float("inf"), value + 0j, "text", object())
        yield from (value[:0], value.to_sparse(), np.ma.array(value.detach(), mask=value.detach()))
    elif isinstance(value, bool):
        yield from ("yes", 3)
    elif isinstance(value, int):
        yield from (1.5, "2", -1, True, 10**400)
    elif isinstance(value, float):
        yield from ("2", float("nan"), float("inf"), object(), 10**400)
    elif isinstance(value, str):
        yield from (3, None, ["tanh"])
    elif isinstance(value, list | tuple):
        yield from ("text", 3, [object()], [-1])
    else:
        yield from ("text", 3)


ANY_SHAPE = {  # arguments that broadcast, or that only a model can judge
    "normalization.bias_offset_in_eval": ("shift", "weight", "running_variance"),
    "normalization.layer_inputs": ("images",),
    "adversarial.first_switch": ("images",),
    "adversarial.input_gradient": ("images",),
    "adversarial.linear_prediction": ("images",),
    "adversarial.locally_affine_loss": ("images",),
    "adversarial.random_sign_perturbation": ("images",),
    "adversarial.signed_gradient_attack": ("images",),
    "adversarial.steepest_direction": ("gradient",),
    "adversarial.worst_linear_margins": ("images",),
    "training.evaluate": ("images",),
    "training.predict": ("images",),
    "scale_invariance.function_gradient": ("x",),
    "recurrent.clip_by_norm": ("gradient",),
    "recurrent.clip_by_value": ("gradient",),
    "recurrent.rescale_to_norm": ("gradient",),
}
SHAPED = [
    (name, argument)
    for name, arguments in VALID.items()
    for argument, value in arguments.items()
    if isinstance(value, torch.Tensor) and argument not in ANY_SHAPE.get(name, ())
]
CASES = [
    pytest.param(name, argument, wrong, id=f"{name}-{argument}-{index}")
    for name, arguments in VALID.items()
    for argument, value in arguments.items()
    for index, wrong in enumerate(wrong_values(value))
]


# Where a range ends: values that are still right, and the first that are not.
AT_LEAST_0, POSITIVE, WHOLE = ([0.0], [-1e-9]), ([1e-9], [0.0, -1e-9]), ([1], [0])
RANK = ([1, 3], [0, 4])
FRACTION = ([0.0, 0.999], [1.0, -1e-9])
EDGES = {
    "adversarial.linear_prediction": {"eps": AT_LEAST_0},
    "adversarial.random_sign_perturbation": {
        "eps": AT_LEAST_0,
        "seed": ([0], [-1]),
        "bounds": ([(0.5, 0.5)], [(0.6, 1.0), (0.0, 0.4), (1.0, 0.0), (0.0, 0.5, 1.0)]),
    },
    "adversarial.signed_gradient_attack": {
        "eps": AT_LEAST_0,
        "steps": WHOLE,
        "step_size": AT_LEAST_0,
        "bounds": ([(0.5, 0.5)], [(0.6, 1.0), (0.0, 0.4), (1.0, 0.0), (0.0, 0.5, 1.0)]),
    },
    "adversarial.steepest_direction": {"norm": ([1, 2, float("inf")], [0, 3, 1.5])},
    "adversarial.worst_linear_margins": {
        "eps": AT_LEAST_0,
        "bounds": ([(0.5, 0.5)], [(0.6, 1.0), (0.0, 0.4), (1.0, 0.0), (0.0, 0.5, 1.0)]),
    },
    "dropout.dropout_outputs": {"drop_probability": FRACTION},
    "factorization.alternating_least_squares": {"rank": RANK, "steps": WHOLE},
    "factorization.critical_point": {"rank": RANK, "indices": ([[], [2], [0, 2]], [[3], [0, 0]])},
    "factorization.critical_hessian_eigenvalues": {
        "rank": RANK,
        "indices": ([[], [2], [0, 2]], [[3], [0, 0], [0, 1, 2]]),
    },
    "factorization.gradient_descent": {"rank": RANK, "steps": WHOLE},
    "factorization.low_rank_factors": {"rank": RANK},
    "factorization.truncation_error": {"rank": ([0, 3], [-1, 4])},
    "normalization.batch_normalize": {"eps": AT_LEAST_0},
    "normalization.bias_offset_in_eval": {
        "steps": ([0], [-1]),
        "momentum": ([0.0, 1.0], [-1e-9, 1.001]),
        "eps": AT_LEAST_0,
    },
    "normalization.pad_channels": {"padding": ([[0, 0]], [[-1, 0], [0]])},
    "normalization.padding_mask": {"size": ([[1, 1]], [[0, 1], [1]])},
    "normalization.ridge": {"weight_decay": POSITIVE},
    "normalization.running_statistics": {"momentum": ([0.0, 1.0, None], [-1e-9, 1.001])},
    "normalization.relu_off_probability": {"scale": ([1e-9, -1e-9], [0.0])},
    "normalization.saturation_probability": {
        "scale": ([1e-9, -1e-9], [0.0]),
        "threshold": POSITIVE,
    },
    "parameters.parameter_groups": {"weight_decay": AT_LEAST_0},
    "recurrent.clip_by_norm": {"max_norm": POSITIVE},
    "recurrent.clip_by_value": {"bound": POSITIVE},
    "recurrent.eigenvalue_gradient": {"steps": WHOLE},
    "recurrent.kreiss_constant": {"points": ([2], [1])},
    "recurrent.linear_rnn_gradient": {"steps": WHOLE},
    "recurrent.lyapunov_exponent": {"steps": WHOLE, "warm_up": ([0], [-1])},
    "recurrent.rescale_to_norm": {"norm": POSITIVE},
    "resnet.resnet18": {"num_classes": WHOLE},
    "resnet.resnet34": {"num_classes": WHOLE},
    "scale_invariance.batchnorm_loss": {"eps": AT_LEAST_0},
    "scale_invariance.descend": {
        "learning_rate": POSITIVE,
        "steps": WHOLE,
        "weight_decay": ([0.0, 9.99], [-1e-9, 10.0]),
    },
    "scale_invariance.equilibrium_angle": {
        "learning_rate": POSITIVE,
        "weight_decay": ([1e-9, 9.99], [0.0, 10.0]),
    },
    "scale_invariance.norms_after": {
        "norm": POSITIVE,
        "gradient_norm": POSITIVE,
        "learning_rate": POSITIVE,
        "steps": ([0], [-1]),
        "weight_decay": ([0.0, 9.99], [-1e-9, 10.0]),
    },
    "scale_invariance.sphere_step": {"learning_rate": POSITIVE},
}
RIGHT, WRONG = (
    [
        pytest.param(name, argument, value, id=f"{name}-{argument}-{value}")
        for name, arguments in EDGES.items()
        for argument, edges in arguments.items()
        for value in edges[side]
    ]
    for side in (0, 1)
)
SAME_DTYPE = (
    *("factorization", "recurrent.l", "recurrent.e", "scale_invariance.sphere"),
    *("normalization.batch_normalize", "normalization.ridge"),
)
PAIRS = [  # functions whose tensors must share a dtype
    (name, argument)
    for name, arguments in VALID.items()
    if name.startswith(SAME_DTYPE)
    and sum(isinstance(value, torch.Tensor) for value in arguments.values()) > 1
    and "lstm" not in arguments
    for argument, value in arguments.items()
    if isinstance(value, torch.Tensor)
]


@pytest.mark.parametrize(("name", "argument", "value"), RIGHT)
def test_last_right_value_is_taken(name, argument, value):
    assert FUNCTIONS[name](**VALID[name] | {argument: value}) is not None


@pytest.mark.parametrize(("name", "argument", "value"), WRONG)
def test_first_wrong_value_is_refused(name, argument, value):
    with pytest.raises((TypeError, ValueError), match=rf"\b{re.escape(argument)}\b"):
        FUNCTIONS[name](**VALID[name] | {argument: value})


@pytest.mark.parametrize(
    "name", [name for name, given in VALID.items() if {"X", "A"} <= set(given)]
)
def test_x_of_another_shape_than_the_product_is_named(name):
    with pytest.raises(ValueError, match=r"^X must have shape"):
        FUNCTIONS[name](**VALID[name] | {"X": X[:3]})


TIED = [  # tensors whose shape follows from another argument
    ("factorization.connecting_matrix", "A_other"),
    ("normalization.absorb_shift", "shift"),
    ("normalization.measured_bias_offsets", "shift"),
    ("recurrent.lstm_jacobian", "hidden"),
    ("recurrent.lstm_jacobian", "cell"),
]


@pytest.mark.parametrize(("name", "argument"), TIED)
def test_tensor_of_another_length_is_named_with_the_shape_that_fits(name, argument):
    value = torch.as_tensor(VALID[name][argument])
    shape = re.escape(str(tuple(value.shape)))
    with pytest.raises(ValueError, match=rf"^{argument} must have shape {shape}"):
        FUNCTIONS[name](**VALID[name] | {argument: torch.cat([value, value])})


def test_range_is_said_in_words():
    for name, argument, value, words in (
        ("scale_invariance.norms_after", "gradient_norm", -1.0, "positive"),
        ("dropout.dropout_outputs", "drop_probability", 1.0, "in [0, 1)"),
    ):
        with pytest.raises(ValueError, match=rf"^{argument} must be {re.escape(words)}, got"):
            FUNCTIONS[name](**VALID[name] | {argument: value})


@pytest.mark.parametrize(("name", "argument"), PAIRS)
def test_mixed_precision_is_refused(name, argument):
    value = VALID[name][argument]
    other = torch.float32 if value.dtype == torch.float64 else torch.float64
    with pytest.raises(ValueError, match=f"{argument}.* must share dtype and device"):
        FUNCTIONS[name](**VALID[name] | {argument: value.to(other)})


ARRAYS = {  # numbers 1, 2, 3 that torch does not take as they are
    "reversed": np.array([3.0, 2.0, 1.0])[::-1],
    "big-endian": np.array([1.0, 2.0, 3.0], dtype=">f8"),
    "read-only": np.broadcast_to(np.arange(1.0, 4.0), (2, 3))[0],
    "list of arrays": [np.array(1.0), np.array(2.0), np.array(3.0)],
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_array_that_torch_refuses_is_taken(array):
    found = as_tensor("x", array)
    assert found.dtype == torch.float64
    assert found.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensor_is_refused():
    with pytest.raises(TypeError, match="x must be dense and hold data, got nested on cpu"):
        as_tensor("x", torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]))


def test_masked_row_is_refused():
    with pytest.raises(TypeError, match="x must be a tensor, an array or nested lists of numbers"):
        as_tensor("x", [np.ma.array([1.0, 2.0], mask=[False, True]), np.ones(2)])


def test_vector_that_overflows_in_the_dtype_of_another_is_refused():
    with pytest.raises(ValueError, match=r"x must be finite in torch.float32"):
        as_tensor_like("x", np.array([1e300]), torch.ones(1))


FLAT = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
HUGE = 3e38 * FLAT[1].weight.detach()[:2].sign()  # beyond every number for FLAT
UNFIT = nn.Linear(3, 2)
TORN = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))  # its logits are 3e38 and −3e38
with torch.no_grad():
    TORN[1].bias.copy_(torch.tensor([3e38, -3e38]))
with warnings.catch_warnings(action="ignore"):
    OLD = nn.utils.weight_norm(nn.Linear(3, 2))
MADE = nn.Linear(3, 2)
nn.utils.parametrize.register_parametrization(MADE, "bias", nn.Identity())
DRIVEN = nn.utils.parametrizations.orthogonal(nn.RNN(4, 3), "weight_hh_l0")
REFUSED = [
    ("adversarial.first_switch", {"model": UNFIT}, "do not fit the model"),
    (
        "adversarial.first_switch",
        {"model": nn.Sequential(*FLAT, nn.ReLU()), "direction": HUGE.view(2, 1, 8, 8)},
        "model, images and direction must be such that",
    ),
    ("adversarial.input_gradient", {"model": UNFIT}, "do not fit the model"),
    ("adversarial.input_gradient", {"model": nn.Flatten(2)}, "model must map images to logits, sh"),
    ("adversarial.input_gradient", {"model": TORN}, "model and images must be such that"),
    ("adversarial.input_gradient", {"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ("adversarial.linear_prediction", {"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ("adversarial.signed_gradient_attack", {"batch_size": 0}, "batch_size must be at least 1, got"),
    ("training.predict", {"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ("adversarial.linear_prediction", {"model": UNFIT}, "do not fit the model"),
    ("adversarial.linear_prediction", {"eps": 1e40}, "model, images and eps must be such that"),
    ("adversarial.locally_affine_loss", {"model": UNFIT}, "do not fit the model"),
    (
        "adversarial.locally_affine_loss",
        {"model": FLAT, "perturbed": HUGE.view(2, 1, 8, 8)},
        "model, images and perturbed must be such that",
    ),
    ("adversarial.signed_gradient_attack", {"model": UNFIT}, "do not fit the model"),
    ("adversarial.signed_gradient_attack", {"model": TORN}, "model and images must be such that"),
    ("adversarial.worst_linear_margins", {"images": 0.5}, "images must be a batch"),
    ("adversarial.worst_linear_margins", {"images": torch.ones(64)}, "images must be a batch"),
    (
        "adversarial.worst_linear_margins",
        {"weight": torch.cat([HUGE[:1], -HUGE[:1]] * 5)},
        "weight, bias, images and bounds must be such that",
    ),
    (
        "architecture.batchnorm_destinations",
        {"model": nn.RNN(2, 3)},
        "model must be one that torch",
    ),
    ("architecture.residual_blocks", {"model": nn.RNN(2, 3)}, "model must be one that torch"),
    ("dropout.dropout_outputs", {"function": torch.log}, "function and x must be such that"),
    ("dropout.dropout_outputs", {"convention": np.array([1, 2])}, "convention must be of type str"),
    (
        "factorization.balance_factors",
        {"A": torch.ones(4, 3), "B": torch.ones(3, 2)},
        "A and B must",
    ),
    ("factorization.gradient_descent", {"start": [np.ones(2), np.ones(2)]}, "start: A must have 2"),
    ("figures.draw_residual_network", {"model": nn.Identity()}, "model must have a layer"),
    (
        "normalization.bias_offset_in_eval",
        {"weight": torch.ones(2)},
        "must have shapes that broadc",
    ),
    ("normalization.layer_inputs", {"model": FLAT, "images": 1.0}, "do not fit the model"),
    ("normalization.layer_inputs", {"model": OLD, "images": X}, "model must be what copy.deepcopy"),
    ("normalization.measured_bias_offsets", {"layer": OLD}, "layer and batchnorm must be what cop"),
    ("normalization.measured_bias_offsets", {"layer": MADE}, "layer must have a bias as a paramet"),
    ("recurrent.rnn_jacobian", {"rnn": DRIVEN}, "rnn must have its weights as parameters"),
    (
        "recurrent.rnn_jacobian",
        {"inputs": np.full((1, 2), 1e300)},
        "inputs must be finite in torch.float32",
    ),
    (
        "scale_invariance.chain_rule_gradient",
        {"x": np.full(2, 1.5e308)},
        "x must have a finite length",
    ),
    ("scale_invariance.function_gradient", {"function": lambda z: 1j * z.sum()}, "one real number"),
    (
        "normalization.measured_bias_offsets",
        {"layer": nn.LazyLinear(2)},
        "layer must have paramete",
    ),
    ("normalization.measured_bias_offsets", {"batches": [torch.ones(1, 3)]}, "batches do not fit"),
    (
        "normalization.ridge",
        {"inputs": 3e38 * torch.ones(5, 3), "penalize_intercept": False},
        "inputs must be such that",
    ),
    ("normalization.running_statistics", {"batches": [X, X[:, :2]]}, "batches.1. must have shape"),
    ("parameters.parameter_table", {"model": nn.LazyLinear(2)}, "model must have parameters of"),
    ("training.evaluate", {"model": UNFIT}, "do not fit the model"),
    ("training.evaluate", {"model": TORN}, "model and images must be such that"),
    ("training.fit", {"checkpoint": "."}, "checkpoint must be a file, got the folder"),
    ("training.fit", {"learning_rate": 1e30}, "learning_rate must be small enough for the loss"),
    ("training.fit", {"model": nn.Flatten()}, "model must have parameters to train"),
    ("training.fit", {"precision": np.array([1, 2])}, "precision must be of type str"),
    (
        "training.predict",
        {"model": FLAT, "images": HUGE},
        "model must map images to finite logits",
    ),
    ("training.predict", {"model": nn.Flatten(2)}, "model must map images to logits"),
]


@pytest.mark.parametrize(("name", "changed", "message"), REFUSED)
def test_call_that_cannot_be_answered_is_refused(name, changed, message):
    given = VALID[name] | changed
    if name == "training.fit":
        given["model"] = copy.deepcopy(given["model"])  # for it is trained
    with pytest.raises((TypeError, ValueError), match=message):
        FUNCTIONS[name](**given)


def test_every_public_function_is_covered():
    assert VALID.keys() == FUNCTIONS.keys()


@pytest.mark.parametrize(("name", "argument", "wrong"), CASES)
def test_wrong_argument_is_named(name, argument, wrong):
    with pytest.raises((TypeError, ValueError), match=rf"\b{re.escape(argument)}\b"):
        FUNCTIONS[name](**VALID[name] | {argument: wrong})


@pytest.mark.parametrize(("name", "argument"), SHAPED)
def test_wrong_shape_is_named(name, argument):
    wrong = VALID[name][argument][None, None, None, None]
    with pytest.raises(ValueError, match=rf"\b{argument}\b"):
        FUNCTIONS[name](**VALID[name] | {argument: wrong})


@pytest.mark.parametrize("name", sorted(VALID.keys() - NEEDS_FILES))
def test_valid_call_modifies_no_argument(name):
    tensors = {k: v for k, v in VALID[name].items() if isinstance(v, torch.Tensor)}
    before = copy.deepcopy(tensors)
    FUNCTIONS[name](**VALID[name])
    for key, tensor in tensors.items():
        assert torch.equal(tensor, before[key])


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring_is_complete(name):
    import numpydoc.docscrape  # here, for tests/fuzz.py takes VALID and has no need of it

    thing = PUBLIC[name]
    if not callable(thing):
        return
    doc = numpydoc.docscrape.get_doc_object(thing)
    assert doc["Summary"], "no summary"
    if inspect.isfunction(thing):
        parameters = inspect.signature(thing).parameters
        documented = {part.strip() for entry in doc["Parameters"] for part in entry.name.split(",")}
        assert documented == set(parameters)
        assert doc["Raises"] or not parameters, "no Raises"
        assert doc["References"], "no References"
        assert ">>>" in "".join(doc["Examples"]), "no example that runs"


def test_results_carry_no_graph():
    model = nn.Sequential(nn.Linear(1, 2), nn.ReLU())
    x = torch.full((2, 1), 0.5)
    y = x.clone().requires_grad_()
    found = [
        training.predict(model, x),
        *normalization.layer_inputs(model, x),
        adversarial.signed_gradient_attack(model, x, [0, 1], eps=0.1, start=y),
        adversarial.signed_gradient_attack(model, y, [0, 1], eps=0.1),
    ]
    assert not any(each.requires_grad for each in found)


def filled(layer, value):
    for parameter in layer.parameters():
        nn.init.constant_(parameter, value)
    return layer


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: recurrent.rnn_jacobian(
            filled(nn.RNN(1, 1, bias=False, nonlinearity="relu"), 1e30), [[0.0]] * 3, [1.0]),
         "rnn, inputs and state"),
        (lambda: recurrent.lstm_jacobian(
            filled(nn.LSTM(1, 1, bias=False), 1e20), [[0.0]] * 4, [0.0], [0.0]),
         "lstm, inputs, hidden and cell"),
        (lambda: scale_invariance.descend(lambda z: 1e30 * z[1], [1.0, 1.0], 1e30, 1),
         "function, x and learning_rate"),
        (lambda: scale_invariance.sphere_step([1.0, 0.0], [0.0, 1e30], 1e30),
         "x, gradient and learning_rate"),
        (lambda: normalization.absorb_shift(filled(nn.Linear(1, 1), 1e30), [1e30]),
         "layer and shift"),
        (lambda: normalization.batch_normalize(
            torch.tensor([[0.0], [0.0], [1.0]]), torch.tensor([3e38])),
         "x, weight, bias and eps"),
        (lambda: normalization.ridge(
            [[0.0], [1e-10]], [[0.0], [1e35]], 1e-30, penalize_intercept=True),
         "inputs and targets"),
    ],
)  # fmt: skip
def test_overflow_of_the_result_is_refused(call, names):
    with pytest.raises(ValueError, match=f"^{names} must be such that the result is finite"):
        call()


def test_tensors_without_data_lazy_buffers_and_byte_labels():
    with pytest.raises(TypeError, match=r"gradient must be dense and hold data, got .* on meta"):
        recurrent.clip_by_norm(torch.ones(2, device="meta"), 1.0)
    lazy = nn.Sequential(nn.LazyBatchNorm1d(affine=False), nn.Linear(2, 2))
    with pytest.raises(ValueError, match="model must have parameters of known shape"):
        training.predict(lazy, torch.ones(2, 2))
    labels = torch.tensor([0, 1], dtype=torch.uint8)
    assert training.evaluate(nn.Linear(2, 2), torch.ones(2, 2), labels).error == 0.5


def test_list_of_numbers_that_single_precision_lacks_is_refused():
    for lost in (1e300, -1e300, 1e-46, 1e-42):
        with pytest.raises(ValueError, match=r"^x must fit torch.float32") as refused:
            as_tensor("x", [[1.0, 0.0], [lost, 2.0]])
        assert f"got {lost}; make it an array or a tensor of dtype float64" in str(refused.value)
        assert as_tensor("x", np.array([lost])).item() == lost
    assert as_tensor("x", [0.0, 2**-126, 2**-140]).tolist() == [0.0, 2**-126, 2**-140]
    with pytest.raises(ValueError, match="x must be finite, got NaN or Inf"):
        as_tensor("x", [math.inf])
