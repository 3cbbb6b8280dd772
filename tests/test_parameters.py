"""Counting parameters, and splitting them into groups."""

import collections
import itertools
import re
import threading
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from hw2lib import parameters
from hw2lib.architecture import batchnorm_destinations
from hw2lib.normalization import layer_inputs
from hw2lib.parameters import (
    name_rule_errors,
    name_rule_examples,
    parameter_groups,
    parameter_table,
)
from hw2lib.resnet import resnet18
from hw2lib.training import predict


def multiplications(model, images):
    """Count multiply–accumulates the slow way: run the model and look at each layer's call."""
    count = 0

    def hook(module, inputs, output):
        nonlocal count
        if isinstance(module, nn.Conv2d):
            taps = (
                module.in_channels // module.groups * module.kernel_size[0] * module.kernel_size[1]
            )
            count += output.numel() * taps
        elif isinstance(module, nn.Linear):
            count += output.numel() * module.in_features

    handles = [module.register_forward_hook(hook) for module in model.modules()]
    with torch.no_grad():
        model.eval()(images)
    for handle in handles:
        handle.remove()
    return count / len(images)


def test_macs_are_those_of_a_real_run():
    model = resnet18(10)
    table = parameter_table(model, (3, 40, 56))
    assert table.macs == multiplications(model, torch.zeros(2, 3, 40, 56))


def test_grouped_convolution_counts_its_own_channels_only():
    model = nn.Sequential(nn.Conv2d(4, 8, 3, groups=4))
    assert parameter_table(model, (4, 5, 5)).macs == multiplications(model, torch.zeros(2, 4, 5, 5))


def test_model_that_reshapes_by_minus_one_has_shapes_too():
    class Reshaping(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(1, 2, 3), nn.Linear(2 * 6 * 6, 5)

        def forward(self, x):
            return self.fc(self.conv(x).view(len(x), -1))

    table = parameter_table(Reshaping(), (1, 8, 8))
    assert [row.output for row in table.rows] == [(2, 6, 6), (5,)]
    assert table.macs == multiplications(Reshaping(), torch.zeros(2, 1, 8, 8))


def test_totals_survive_folding_and_summing():
    table = parameter_table(resnet18(), (3, 64, 64))
    for other in (table.by_layer(), table.by_block(), table.by_block(2)):
        assert (other.total, other.macs) == (table.total, table.macs)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda c: nn.Sequential(c, c), 2 * 4 * 4 * 9 * 64),
        (lambda c: nn.Sequential(c, sharing(c)), 2 * 4 * 4 * 9 * 64),
        (lambda c: nn.ConvTranspose2d(4, 3, 2, stride=2), 4 * 3 * 4 * 64),
        (lambda c: nn.ConvTranspose2d(4, 6, 3, groups=2), 4 * 3 * 9 * 64),
    ],
    ids=["called twice", "weights shared", "transposed", "transposed, groups"],
)
def test_every_product_counts(build, expected):
    model = build(nn.Conv2d(4, 4, 3, padding=1, bias=False))
    table = parameter_table(model, (4, 8, 8))
    assert table.macs == expected
    assert table.total == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2)).double(),
        nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 2, 3)),
        nn.Sequential(nn.utils.spectral_norm(nn.Conv2d(1, 2, 3)), nn.BatchNorm2d(2)),
    ],
    ids=["double", "weight norm", "spectral norm"],
)
def test_table_leaves_the_model_and_its_hooks_alone(model):
    met = []
    model.register_forward_hook(lambda *of_the_call: met.append(1))
    model.register_forward_hook(lambda *of_the_call: met.append(1), with_kwargs=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    hooks = len(model._forward_hooks), len(model._forward_hooks_with_kwargs)
    assert parameter_table(model, (1, 4, 4)).macs >= 2 * 9 * 4
    assert not met
    assert hooks == (len(model._forward_hooks), len(model._forward_hooks_with_kwargs))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


class Listed(nn.Module):
    """Layers that the network also keeps in a plain list, called with named inputs."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1)
        self.steps = [{"layers": (self.convolution, self.norm)}] * 2

    def forward(self, x):
        """Keep the shape (N, 1, H, W)."""
        for step in self.steps:
            for layer in step["layers"]:
                x = layer(input=x)
        return x


def test_layers_in_a_plain_list_count():
    model = Listed()
    assert parameter_table(model, (1, 4, 4)).macs == 2 * 9 * 16
    assert not model.norm.num_batches_tracked


def sharing(convolution):
    """Return another convolution with the same weights."""
    other = nn.Conv2d(4, 4, 3, padding=1, bias=False)
    other.weight = convolution.weight
    return other


def test_shared_parameters_count_once_and_are_optimised_once():
    layer = nn.Linear(3, 3)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    assert parameter_table(model).total == 12
    assert sum(len(group["params"]) for group in parameter_groups(model)) == 2
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    assert parameter_table(tied).total == 15
    assert sum(len(group["params"]) for group in parameter_groups(tied)) == 3


def test_counting_leaves_the_model_as_it_was():
    model = resnet18(10)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    parameter_table(model, (3, 64, 64))
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_wrong_image_shape_is_named():
    with pytest.raises(ValueError, match=r"input_shape \(1, 64, 64\) does not fit the model"):
        parameter_table(resnet18(), (1, 64, 64))


def test_frozen_parameters_are_left_out():
    model = resnet18(10)
    model.conv1.weight.requires_grad_(False)
    groups = {group["name"]: group["params"] for group in parameter_groups(model)}
    assert len(groups["weights"]) == 20
    assert all(p.requires_grad for params in groups.values() for p in params)


@pytest.mark.parametrize(
    "norm",
    [
        nn.BatchNorm1d(4),
        nn.BatchNorm3d(4),
        nn.InstanceNorm2d(4, affine=True),
        nn.LayerNorm(4),
        nn.GroupNorm(2, 4),
        nn.RMSNorm(4),
    ],
    ids=lambda norm: type(norm).__name__,
)
def test_every_norm_layer_is_in_the_group_of_batchnorm(norm):
    groups = {group["name"]: group["params"] for group in parameter_groups(nn.Sequential(norm))}
    assert len(groups["batchnorm"]) == len(list(norm.parameters())) > 0
    assert not groups["weights"]
    assert not groups["bias"]


def test_only_weights_decay_in_an_optimiser_step():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.SGD(parameter_groups(model, weight_decay=0.5), lr=0.1)
    (0 * sum(p.sum() for p in model.parameters())).backward()
    optimizer.step()
    for name, p in model.named_parameters():
        factor = 1 - 0.1 * 0.5 if name in ("0.weight", "2.weight") else 1
        torch.testing.assert_close(p.detach(), factor * before[name])


def test_groups_are_right_where_the_name_rule_is_wrong():
    for title, model in name_rule_examples().items():
        norms = {
            id(p)
            for module in model.modules()
            if type(module) is nn.BatchNorm2d
            for p in module.parameters()
        }
        groups = {group["name"]: group["params"] for group in parameter_groups(model)}
        assert {id(p) for p in groups["batchnorm"]} == norms
        assert bool(name_rule_errors(model)) == (title != "ResNet-18")


@pytest.mark.parametrize("side", [32, 50])
def test_example_networks_compute(side):
    networks = name_rule_examples()
    images = torch.randn(2, 3, side, side)
    model = networks["ResNet-18-D"].eval()
    assert model(images).shape == networks["ResNet-18"].eval()(images).shape == (2, 1000)
    assert networks["Sequential"](images).shape == (2, 8, side - 4, side - 4)


def test_average_shortcuts_average_then_convolve():
    model = name_rule_examples()["ResNet-18-D"]
    shortcut = model.layer2[0].downsample.eval()
    x = torch.randn(2, 64, 8, 6)
    averages = x.reshape(2, 64, 4, 2, 3, 2).mean((3, 5))
    expected = torch.einsum("oc,nchw->nohw", shortcut[1].weight[:, :, 0, 0], averages)
    torch.testing.assert_close(shortcut(x), expected / (1 + 1e-5) ** 0.5, rtol=1e-4, atol=1e-4)
    total = parameter_table(model).total
    assert total == parameter_table(resnet18()).total


def test_table_shows_as_text_and_html():
    table = parameter_table(nn.Sequential(nn.Linear(1000, 10)), (1000,))
    assert str(table).splitlines()[-1].split() == ["total", "10,010", "10,000"]
    header, *_ = str(table).splitlines()
    assert len(re.split(r"  +", header.strip())) == 5
    assert len(re.split(r"  +", str(parameter_table(nn.Linear(2, 2))).splitlines()[0].strip())) == 3
    assert "<th>" in table._repr_html_().partition("</thead>")[0]
    assert table._repr_html_().count("<tr>") == 3
    assert table._repr_html_().startswith('<table class="hw2-table"><thead><tr>')


def test_table_takes_parts_that_are_none():
    class Optional(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.extra = nn.Linear(3, 3, bias=False), None
            self.norm = nn.BatchNorm1d(3, affine=False, track_running_stats=False)
            self.register_module("absent", None)

        def forward(self, x):
            return self.norm(self.linear(x))

    rows = parameter_table(Optional(), (3,)).rows
    assert [(row.name, row.parameters, row.macs) for row in rows] == [("linear", 9, 9)]


class Caching(nn.Module):
    """A network that keeps what it has made of its weights, and calls a method by another name."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3)
        self.cache, self.act = {}, self.activated

    def activated(self, x):
        """Map (N, 1, H, W) to (N, 3, H − 2, W − 2)."""
        return self.norm(self.convolution(x)).relu()

    def forward(self, x):
        """Map (N, 1, H, W) to (N, 3, H − 2, W − 2)."""
        scale = self.cache.setdefault("scale", self.convolution.weight.detach().mean() + 1)
        return self.act(x) * scale


@pytest.mark.parametrize("compiled", [False, True])
def test_table_leaves_what_a_network_keeps(compiled):
    model, met = Caching(), []
    model.convolution.register_forward_hook(lambda *of_the_call: met.append(1))
    wrapped = torch.compile(model, backend="eager") if compiled else model
    assert parameter_table(wrapped, (1, 5, 5)).macs == 27 * 9
    assert model.cache == {}
    assert met == []
    assert not model.norm.num_batches_tracked


def test_table_of_a_model_compiled_in_place_and_none_of_one_with_a_compiled_part():
    model = nn.Sequential(nn.Linear(4, 3))
    model.compile(backend="eager")
    assert parameter_table(model, (4,)).macs == 12
    part = torch.compile(nn.Linear(4, 3), backend="eager")
    with pytest.raises(ValueError, match="compiled as a whole or not at all"):
        parameter_table(nn.Sequential(part), (4,))


def test_a_layer_without_parameters_of_its_own_works_all_the_same():
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
    nn.utils.parametrize.register_parametrization(layer, "bias", nn.Identity())
    assert parameter_table(layer, (4,)).macs == 12


class Halving(nn.Identity):
    """Not an identity."""

    def forward(self, x):
        """Average in windows of 2."""
        return nn.functional.avg_pool2d(x, 2)


def test_layers_that_are_derived_from_those_that_keep_shapes_run():
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), Halving(), nn.Conv2d(2, 3, 3, padding=1))
    assert [row.output for row in parameter_table(model, (1, 8, 8)).rows] == [(2, 8, 8), (3, 4, 4)]
    assert parameter_table(model, (1, 8, 8)).rows[1].macs == 16 * 54


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.reshape(len(x), x.numel() // len(x)),
        lambda x: (x - x.amax(0)).flatten(1),
        lambda x: x.view(len(x), -1) * torch.ones(16, device=x.device),
    ],
)
def test_models_that_an_empty_batch_breaks_have_shapes(change):
    class Net(nn.Linear):
        def __init__(self):
            super().__init__(16, 2)
            self.scale = torch.ones(16)

        def forward(self, x):
            return super().forward(change(x) * self.scale)

    assert parameter_table(Net(), (1, 4, 4)).macs == 32


def test_model_of_two_inputs_is_refused_by_name():
    with pytest.raises(ValueError, match=r"input_shape \(2,\) does not fit the model"):
        parameter_table(nn.Bilinear(2, 2, 1), (2,))


def test_parametrised_tensors_are_in_the_group_of_their_layer():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    for layer, name in itertools.product(model, ("weight", "bias")):
        nn.utils.parametrize.register_parametrization(layer, name, nn.Softplus())
    groups = {group["name"]: len(group["params"]) for group in parameter_groups(model)}
    assert groups == {"weights": 1, "batchnorm": 2, "bias": 1}


def test_only_normalisation_is_folded_into_the_layer_before_it():
    class WeightNormLinear(nn.Linear):
        pass

    model = nn.Sequential(nn.Linear(2, 3), WeightNormLinear(3, 3), nn.BatchNorm1d(3))
    assert [row.parameters for row in parameter_table(model).by_layer().rows] == [9, 18]


class Kept(nn.Module):
    """A network that keeps shapes it has met, and itself, in containers of several kinds."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 2, 3)
        self.met, self.scale = collections.deque(maxlen=3), {self.convolution: 2.0}
        self.layers = [self.convolution]
        self.layers.append(self.layers)

    def forward(self, x):
        """Map (N, 1, H, W) to (N, 2, H − 2, W − 2)."""
        self.met.append(x.shape)
        layer = self.layers[1][0]
        return layer(x) * self.scale[layer]


def test_containers_of_every_kind_are_copied():
    model = Kept()
    assert parameter_table(model, (1, 4, 4)).macs == 4 * 18
    assert not model.met


def test_layers_behind_a_function_are_refused_and_left():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(1)
            self.call = lambda x: self.norm(x)

        def forward(self, x):
            return self.call(x)

    model = Hidden()
    with pytest.raises(ValueError, match="it must call its layers as attributes"):
        parameter_table(model, (1, 4, 4))
    assert not model.norm.num_batches_tracked
    assert model(torch.ones(1, 1, 4, 4)).shape == (1, 1, 4, 4)


class Counted(nn.Module):
    """A network that calls its layer as often as a number says that it holds."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4, bias=False)
        self.register_buffer("depth", torch.tensor(3))

    def forward(self, x):
        """Keep the shape (N, 4)."""
        for _ in range(int(self.depth)):
            x = self.linear(x)
        return x


def test_a_loop_counts_to_the_number_that_the_network_holds():
    assert parameter_table(Counted(), (4,)).macs == 48


def test_names_are_escaped_in_html():
    table = parameter_table(nn.ModuleDict({"a<b>&c": nn.Linear(1, 1)}))
    assert "<td>a&lt;b&gt;&amp;c</td>" in table._repr_html_()


def test_linear_layer_counts_every_position():
    assert parameters.parameter_table(nn.Linear(2, 3), (5, 2)).macs == 5 * 6


def test_block_has_the_shape_of_its_last_layer():
    model = nn.Sequential(nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 3, 2)))
    (row,) = parameters.parameter_table(model, (1, 4, 4)).by_block().rows
    assert row.output == (3, 3, 3)


def test_norm_that_comes_first_is_a_row_of_its_own():
    table = parameters.parameter_table(nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2)))
    assert [row.name for row in table.by_layer().rows] == ["0", "1"]


class Noisy(nn.Module):
    """A network that draws a number, with its layer in a set."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 1)
        self.all = {self.conv}

    def forward(self, x):
        """Map (N, C, H, W) to what its layer makes of it, scaled at random."""
        return next(iter(self.all))(x) * torch.rand(1)


def test_table_leaves_the_generator_and_follows_modules_in_a_set():
    assert parameters.parameter_table(Noisy(), (2, 4, 4)).macs == 4 * 16
    torch.manual_seed(0)
    model, before = Noisy(), torch.get_rng_state()
    parameters.parameter_table(model, (2, 4, 4))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(4)), (1, 8, 8)),
        (nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm1d(8)), (1, 8, 8)),
        (nn.Sequential(nn.Conv2d(1, 8, 3), nn.InstanceNorm2d(4, affine=True)), (1, 8, 8)),
        (nn.Sequential(nn.Conv2d(1, 8, 3), nn.GroupNorm(2, 4)), (1, 8, 8)),
        (nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(4, affine=False)), (1, 8, 8)),
        (nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(5)), (8,)),
        (nn.Sequential(nn.Linear(8, 8), nn.RMSNorm((2, 8))), (8,)),
    ],
)
def test_network_whose_normalisation_does_not_fit_has_no_table(model, shape):
    with pytest.raises((ValueError, RuntimeError)):
        model(torch.ones(3, *shape))
    with pytest.raises(ValueError, match="does not fit the model"):
        parameter_table(model, shape)


def test_normalisations_that_take_any_number_of_channels_have_a_table():
    bare = nn.BatchNorm2d(4, affine=False, track_running_stats=False)
    group = nn.GroupNorm(2, 4, affine=False)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), bare, nn.InstanceNorm2d(3), group)
    with warnings.catch_warnings(action="ignore"):  # of a number of channels that is not used
        model(torch.ones(2, 1, 8, 8))
    assert parameter_table(model, (1, 8, 8)).rows[0].output == (8, 6, 6)


def test_tensors_and_arrays_that_a_network_changes_are_its_own():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.calls, self.array = nn.Linear(2, 2), torch.zeros(()), np.zeros(1)

        def forward(self, x):
            self.calls += 1
            self.array += 1
            return self.layer(x)

    model = Counting()
    parameter_table(model, (2,))
    assert (model.calls.item(), model.array.item()) == (0, 0)


def test_table_of_a_network_that_another_thread_runs():
    model, failed, stop = nn.Sequential(nn.Linear(2, 2), nn.ReLU()), [], threading.Event()

    def run():
        while not stop.is_set():
            try:
                model(torch.ones(1, 2))
            except RuntimeError as error:
                failed.append(error)

    other = threading.Thread(target=run)
    other.start()
    for _ in range(30):
        parameter_table(model, (2,))
    stop.set()
    other.join()
    assert not failed


@pytest.mark.parametrize("make", [torch.jit.script, lambda m: nn.Sequential(torch.jit.script(m))])
def test_scripted_layers_do_not_say_what_they_are(make):
    with warnings.catch_warnings(action="ignore"):  # torch.jit is deprecated
        model = make(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)))
    for call in (
        lambda: parameter_groups(model, 0.1),
        lambda: name_rule_errors(model),
        lambda: parameter_table(model),
        lambda: layer_inputs(model, torch.ones(2, 2)),
        lambda: batchnorm_destinations(model),
    ):
        with pytest.raises(ValueError, match="model must be made of modules, neither scripted"):
            call()


def test_exported_layers_do_not_say_what_they_are():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).eval()
    exported = torch.export.export(model, (torch.ones(2, 2),)).module()
    with pytest.raises(ValueError, match="neither scripted, traced nor exported, got GraphModule"):
        parameter_groups(exported, 0.1)
    with pytest.raises(ValueError, match="model must have an evaluation mode"):
        predict(exported, torch.ones(2, 2))
    with warnings.catch_warnings(action="ignore"):  # torch warns of itself
        unflattened = torch.export.unflatten(torch.export.export(model, (torch.ones(2, 2),)))
    with pytest.raises(ValueError, match="got UnflattenedModule"):
        name_rule_errors(unflattened)
    mixed = nn.Sequential(nn.BatchNorm1d(2), exported)
    with pytest.raises(ValueError, match="model must have an evaluation mode"):
        predict(mixed, torch.ones(2, 2))
    assert mixed[0].training


def test_parts_that_hide_no_parameters_may_be_of_any_kind():
    class Activated(nn.Sequential):
        def forward(self, x):
            return torch.ops.aten.relu.default(super().forward(x))

    with warnings.catch_warnings(action="ignore"):  # torch.jit is deprecated
        first = torch.jit.script(nn.ReLU())
    model = Activated(first, nn.Linear(2, 3), nn.BatchNorm1d(3))
    for each in (model, torch.fx.symbolic_trace(model)):
        assert [len(group["params"]) for group in parameter_groups(each, 0.1)] == [1, 2, 1]
        assert len(parameter_table(each).rows) == 2
    with pytest.raises(ValueError, match="model must be made of modules"):
        layer_inputs(model, torch.ones(2, 2))


class One(nn.Module):
    """Convolves one image without its batch."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 3)

    def forward(self, images):
        """Map (1, 1, H, W) to (1, 2, H − 2, W − 2)."""
        return self.layer(images[0])[None]


def test_convolution_of_one_image_without_a_batch_is_refused():
    with pytest.raises(ValueError, match="must take batches"):
        parameter_table(One(), (1, 8, 8))
