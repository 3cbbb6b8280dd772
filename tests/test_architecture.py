"""What is read off a traced network."""

from collections import Counter

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from hw2lib import architecture
from hw2lib.architecture import batchnorm_destinations, residual_blocks
from hw2lib.parameters import parameter_table
from hw2lib.resnet import resnet18, resnet34


@pytest.mark.parametrize(("build", "count"), [(resnet18, 8), (resnet34, 16)])
def test_blocks_and_shortcuts_are_found(build, count):
    blocks = residual_blocks(build(), (3, 64, 64))
    assert len(blocks) == count
    assert [b.name for b in blocks if b.shortcut] == ["layer2.0", "layer3.0", "layer4.0"]


def test_parameters_of_the_blocks_leave_stem_and_head():
    model = resnet18()
    blocks = sum(block.parameters for block in residual_blocks(model, (3, 64, 64)))
    assert parameter_table(model).total - blocks == 9536 + 513000


def test_sizes_halve_where_channels_double():
    outputs = [block.output for block in residual_blocks(resnet18(), (3, 224, 224))]
    assert outputs[::2] == [(64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7)]


def test_destinations_do_not_depend_on_names():
    class Renamed(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
            self.alpha, self.beta, self.gamma = (nn.BatchNorm2d(4) for _ in range(3))
            self.side, self.activation = nn.Conv2d(4, 4, 1), nn.ReLU()

        def forward(self, x):
            y = self.beta(self.two(self.activation(self.alpha(self.one(x)))))
            return self.activation(self.gamma(self.side(x)) + y)

    found = batchnorm_destinations(Renamed())
    assert found == {"alpha": "relu", "beta": "add", "gamma": "shortcut"}


class Block(nn.Module):
    """A residual block with a branch and a shortcut of any length."""

    def __init__(self, branch, shortcut=(), shortcut_first=False):
        super().__init__()
        self.branch, self.shortcut = nn.Sequential(*branch), nn.Sequential(*shortcut)
        self.shortcut_first = shortcut_first

    def forward(self, x: Tensor) -> Tensor:
        """Add both sides, in the order asked for, and take the ReLU."""
        if self.shortcut_first:
            return functional.relu(self.shortcut(x) + self.branch(x))
        return functional.relu(self.branch(x) + self.shortcut(x))


def conv(incoming, outgoing, kernel=1):
    return nn.Conv2d(incoming, outgoing, kernel, padding=kernel // 2, bias=False)


@pytest.mark.parametrize("shortcut_first", [False, True])
@pytest.mark.parametrize("projected", [False, True])
def test_bottleneck_is_one_block(projected, shortcut_first):
    wide = 8 if projected else 4
    branch = [conv(4, 2), nn.BatchNorm2d(2), nn.ReLU(), conv(2, 2, 3), nn.BatchNorm2d(2), nn.ReLU()]
    branch += [conv(2, wide), nn.BatchNorm2d(wide)]
    shortcut = [conv(4, wide), nn.BatchNorm2d(wide)] if projected else []
    model = nn.Sequential(conv(3, 4, 3), Block(branch, shortcut, shortcut_first))
    (block,) = residual_blocks(model, (3, 6, 6))
    assert block.name == "1.branch"
    assert block.branch == ("1.branch.0", "1.branch.3", "1.branch.6")
    assert block.shortcut == (("1.shortcut.0",) if projected else ())
    assert block.output == (wide, 6, 6)
    assert block.parameters == sum(p.numel() for p in model[1].parameters())
    found = batchnorm_destinations(model)
    assert found["1.branch.7"] == "add"
    assert found.get("1.shortcut.1") == ("shortcut" if projected else None)


def test_branch_of_one_convolution_is_a_block():
    model = nn.Sequential(conv(3, 4), Block([conv(4, 4, 3), nn.BatchNorm2d(4)]), nn.ReLU())
    (block,) = residual_blocks(model, (3, 5, 5))
    assert (block.branch, block.shortcut) == (("1.branch.0",), ())
    assert block.parameters == 9 * 16 + 8
    assert batchnorm_destinations(model) == {"1.branch.1": "add"}


@pytest.mark.parametrize("shortcut_first", [False, True])
def test_of_two_equal_branches_the_first_summand_is_the_branch(shortcut_first):
    sides = [[conv(3, 4, 3), nn.BatchNorm2d(4)], [conv(3, 4), nn.BatchNorm2d(4)]]
    model = nn.Sequential(nn.Identity(), Block(*sides, shortcut_first))
    (block,) = residual_blocks(model, (3, 5, 5))
    first, second = ("shortcut", "branch") if shortcut_first else ("branch", "shortcut")
    assert (block.branch, block.shortcut) == ((f"1.{first}.0",), (f"1.{second}.0",))
    assert batchnorm_destinations(model) == {f"1.{first}.1": "add", f"1.{second}.1": "shortcut"}


def test_sums_without_a_convolution_are_no_blocks():
    class Sums(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = conv(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x) + 1
            return x + x + torch.sigmoid(x)

    assert residual_blocks(Sums(), (3, 4, 4)) == []


@pytest.mark.parametrize("relu", [torch.relu, functional.relu, lambda z: z.relu(), nn.ReLU()])
def test_every_form_of_relu_is_seen(relu):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.add, self.relu = nn.BatchNorm2d(3), nn.BatchNorm2d(3), relu
            self.conv = conv(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.relu(self.norm(x))
            return self.relu(self.add(self.conv(x)).add(x))

    assert batchnorm_destinations(Net()) == {"norm": "relu", "add": "add"}


def test_sum_without_a_relu_leads_elsewhere():
    class Linear(Block):
        def forward(self, x: Tensor) -> Tensor:
            return self.branch(x) + self.shortcut(x)

    model = nn.Sequential(conv(3, 3), Linear([conv(3, 3), nn.BatchNorm2d(3)]))
    assert batchnorm_destinations(model) == {"1.branch.1": "other"}
    both = Linear([conv(3, 3), nn.BatchNorm2d(3)])
    assert len(residual_blocks(nn.Sequential(conv(3, 3), both), (3, 4, 4))) == 1


def test_reverse_order_has_no_batchnorm_before_a_relu():
    found = Counter(batchnorm_destinations(resnet18(batchnorm_first=False)).values())
    assert found["relu"] == 0


class Twice(nn.Module):
    """One batch norm into a ReLU, then again into a sum."""

    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm2d(4)

    def forward(self, x):
        """Keep the shape (N, 4, H, W)."""
        return torch.relu(x + self.bn(torch.relu(self.bn(x))))


def test_batchnorm_that_is_called_twice_has_two_destinations():
    assert batchnorm_destinations(Twice()) == {"bn": "other"}


class Mixed(nn.Module):
    """A block whose batch norms are registered apart, with a layer called twice and a scale."""

    def __init__(self, pool):
        super().__init__()
        self.stem, self.other = conv(3, 4), conv(4, 4)
        self.one, self.two = conv(4, 4, 3), conv(4, 4)
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(3))
        self.scale, self.pool = nn.Parameter(torch.ones(4, 1, 1)), pool

    def forward(self, x):
        """Pool at the end of both branches; stem and other convolution lie outside."""
        x = self.norms[2](self.stem(x))
        y = self.two(torch.relu(self.norms[0](self.one(x))))
        y = self.norms[1](self.two(torch.relu(y)))
        return self.other(self.pool(self.scale * y) + self.pool(x))


def test_block_is_what_lies_between_fork_and_sum():
    (block,) = residual_blocks(Mixed(nn.AvgPool2d(2)), (3, 6, 6))
    assert (block.branch, block.shortcut) == (("one", "two", "two"), ())
    assert block.output == (4, 3, 3)
    assert block.parameters == 9 * 16 + 16 + 2 * 8 + 4


def test_branch_may_be_long():
    (block,) = residual_blocks(Block([conv(2, 2) for _ in range(1200)]), (2, 3, 3))
    assert len(block.branch) == 1200


@pytest.mark.parametrize("question", [lambda x: len(x), lambda x: range(x.shape[1])])
def test_model_that_asks_for_numbers_is_refused(question):
    asks = type("Asks", (nn.Module,), {"forward": lambda self, x: question(x)})
    with pytest.raises(ValueError, match=r"model must be one that torch\.fx can trace"):
        batchnorm_destinations(asks())


def test_sums_of_sizes_and_layers_of_several_outputs():
    class Sizes(Block):
        def forward(self, x: Tensor) -> Tensor:
            x = super().forward(x)
            y, _ = self.rnn(x.flatten(2))
            return y.flatten(1) * (x.size(1) + y.size(1))

    model = Sizes([conv(3, 3, 3)])
    model.rnn = nn.LSTM(16, 2, batch_first=True)
    (block,) = residual_blocks(model, (3, 4, 4))
    assert block.branch == ("branch.0",)


def test_buffer_beside_a_sum():
    class Scaled(Block):
        def forward(self, x: Tensor) -> Tensor:
            return torch.add(x, self.branch(x), alpha=self.alpha)

    model = Scaled([conv(3, 3, 3)])
    model.register_buffer("alpha", torch.tensor(2.0))
    (block,) = residual_blocks(model, (3, 4, 4))
    assert block.parameters == 81


def test_tracing_leaves_nothing_in_the_model():
    class Doubled(Block):
        def forward(self, x: Tensor) -> Tensor:
            return self.branch(x) * torch.tensor(2.0) + x

    model = Doubled([conv(3, 3), nn.BatchNorm2d(3)])
    before = set(vars(model))
    (block,) = residual_blocks(model, (3, 4, 4))
    assert block.branch == ("branch.0",)
    assert batchnorm_destinations(model) == {"branch.1": "other"}
    assert set(vars(model)) == before


def test_sum_that_nobody_uses_has_no_relu_behind_it():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(3)

        def forward(self, x: Tensor) -> Tensor:
            _ = self.norm(x) + x
            return x

    assert batchnorm_destinations(Unused()) == {"norm": "other"}


class Net(nn.Module):
    """A convolution, a batch norm and a parameter, put together by a function."""

    def __init__(self, how):
        super().__init__()
        self.conv, self.bn, self.how = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), how
        self.shift = nn.Parameter(torch.zeros(2, 1, 1))

    def forward(self, x):
        """Map (N, 2, H, W) to what the function makes of it."""
        return self.how(self, x)


def used_twice(net, x):
    total = net.bn(net.conv(x)) + x
    return total.relu() + 2 * total


@pytest.mark.parametrize(
    ("how", "place"),
    [
        (lambda net, x: net.bn(x).relu_(), "relu"),
        (lambda net, x: net.bn(net.conv(x)).add_(x).relu(), "add"),
        (used_twice, "other"),
    ],
)
def test_destinations_by_other_spellings(how, place):
    assert architecture.batchnorm_destinations(Net(how)) == {"bn": place}


def test_sum_with_a_parameter_is_no_block():
    net = Net(lambda net, x: net.conv(x) + net.shift)
    assert architecture.residual_blocks(net, (2, 4, 4)) == []


def test_tracing_leaves_what_layers_store_and_sees_their_values_and_hooks():
    class Remembering(nn.Module):
        def __init__(self):
            super().__init__()
            self.bn, self.other, self.last = nn.BatchNorm2d(1), nn.BatchNorm2d(1), None
            self.register_buffer("keep", torch.ones(2000))

        def forward(self, x):
            self.last = self.bn(x) if self.keep.all() else self.other(x)
            return self.last

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Remembering()

        def forward(self, x):
            return self.inner(x)

    model = Outer()
    model.inner.register_forward_hook(lambda module, given, output: functional.relu(output))
    assert batchnorm_destinations(model) == {"inner.bn": "relu"}
    assert residual_blocks(model, (1, 4, 4)) == []
    assert model.inner.last is None
    assert model.inner.keep.all()


class Remembering(nn.Module):
    """Keeps what it computes in lists, and draws a random number."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 1, 3, padding=1)
        self.batchnorm = nn.BatchNorm2d(1)
        self.inner = nn.Identity()
        self.inner.seen = []
        self.seen, self.last, self.total = [], {}, torch.zeros(1)

    def forward(self, images):
        """Add a branch to the images."""
        torch.rand(1)
        sums = (self.batchnorm(self.convolution(images)) + images).relu()
        self.total += 1
        self.seen.append(sums)
        self.inner.seen.append(sums)
        self.last["sums"] = sums
        return self.inner(sums)


@pytest.mark.parametrize(
    "ask", [batchnorm_destinations, lambda model: residual_blocks(model, (1, 4, 4))]
)
def test_tracing_leaves_what_a_model_keeps_and_the_generator(ask):
    model, before = Remembering(), torch.get_rng_state()
    assert len(ask(model)) == 1
    assert (model.seen, model.inner.seen, model.last) == ([], [], {})
    assert model.total.item() == 0
    assert torch.equal(torch.get_rng_state(), before)


class Frozen(dict):
    """Refuses changes."""

    def clear(self):
        """Refuse."""
        raise AttributeError("frozen")


class Scaled(nn.Module):
    """A block whose branch has a factor, which stands in a list as well."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 1, 3, padding=1)
        self.convolution.settings = Frozen(width=3)
        self.factor = nn.Parameter(torch.ones(1))
        self.factors, self.seen = [self.factor], []

    def forward(self, images):
        """Add the branch."""
        return (self.convolution(images) * self.factors[0] + images).relu()


def test_parameters_in_lists_count_and_what_cannot_be_copied_stays():
    model = Scaled()
    seen, settings = model.seen, model.convolution.settings
    (block,) = residual_blocks(model, (1, 8, 8))
    assert block.parameters == 11
    assert model.seen is seen
    assert model.convolution.settings is settings
