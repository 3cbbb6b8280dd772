"""The signed-gradient attack: bounds, modes, gradients, and what it does to a linear model."""

import copy
import functools
import itertools
import math
import re
import warnings
from fractions import Fraction

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from hw2lib import _report, adversarial, training
from hw2lib.adversarial import (
    first_switch,
    input_gradient,
    linear_prediction,
    locally_affine_loss,
    random_sign_perturbation,
    signed_gradient_attack,
    steepest_direction,
    worst_linear_margins,
)
from hw2lib.adversarial import main as attack
from hw2lib.allcnn import AllCNN
from hw2lib.datasets import ImageData, digits_data
from hw2lib.training import evaluate, evaluation_mode, predict
from hw2lib.training import main as train

EPS = 8 / 255


def network(dtype=torch.float32):
    torch.manual_seed(0)
    return AllCNN(1, 10, 8, widths=(4, 8)).to(dtype)


def batch(count=20, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(count, 1, 8, 8, generator=generator, dtype=dtype)
    images[0, 0, 0, :4] = torch.tensor([0.0, 1.0, 1e-9, 1 - 6e-8])
    return images, torch.randint(0, 10, (count,), generator=generator)


def take_at_most(count, model, images, monkeypatch):
    """Let a layer's output take no more than that of some images."""
    monkeypatch.setattr(training, "WORTH_A_TRIAL", 0)
    with evaluation_mode(model):
        allowed = count * training.largest_output(model, images) // len(images)
    monkeypatch.setattr(training, "LARGEST_OUTPUT", allowed)


def test_many_images_are_taken_a_few_at_a_time(monkeypatch):
    model, (images, labels) = network(torch.float64), batch(7, torch.float64)
    calls = (
        (1, lambda: predict(model, images)),
        (1, lambda: input_gradient(model, images, labels)),
        (2, lambda: signed_gradient_attack(model, images, labels, eps=0.1, steps=2)),
    )
    whole = [call() for _, call in calls]
    take_at_most(3, model, images, monkeypatch)
    taken = []
    model.register_forward_pre_hook(lambda module, inputs: taken.append(len(*inputs)))
    for (steps, call), expected in zip(calls, whole, strict=True):
        taken.clear()
        torch.testing.assert_close(call(), expected, rtol=1e-12, atol=1e-12)
        assert taken == [2, 2, 2, *[3, 3, 1] * steps]  # pairs are tried first
    labels[-1] = 10  # is none of the classes, and in the last batch
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.9"):
        input_gradient(model, images, labels)


def linear_with(logits):
    """Return a linear model that does something with its logits."""

    class With(nn.Linear):
        def forward(self, images):
            return logits(super().forward(images.flatten(1)))

    torch.manual_seed(0)
    return With(64, 10)


@pytest.mark.parametrize(
    "logits",
    [
        lambda z: z - z.mean(0),
        lambda z: 1e4 + z - z.mean(0),
        lambda z: z.cumsum(0),
        lambda z: z.flip(0).cumsum(0),
        lambda z: z + z.abs().amax() * torch.eye(len(z), 10),
        lambda z: z.unflatten(0, (2, -1)).flip(0).flatten(0, 1),
        lambda z: z.unflatten(0, (4, -1)).flip(0).flatten(0, 1),
        lambda z: z + 10 * torch.rand(10),
    ],
    ids=[
        "centred",
        "beside 1e4",
        "summed",
        "from the end",
        "by position",
        "halves",
        "quarters",
        "at random",
    ],
)
@pytest.mark.parametrize("size", [1, 4])
def test_images_that_belong_together_are_not_taken_apart(size, logits, monkeypatch):
    model, (images, labels) = linear_with(logits), batch(8)
    take_at_most(size, model, images, monkeypatch)
    for call in (
        lambda **size: predict(model, images, **size),
        lambda **size: evaluate(model, images, labels, **size),
        lambda **size: input_gradient(model, images, labels, **size),
        lambda **size: linear_prediction(model, images, labels, eps=0.1, **size),
        lambda **size: signed_gradient_attack(model, images, labels, eps=0.1, **size),
    ):
        with pytest.raises(ValueError, match=r"same logits in every batch|do not fit") as refused:
            call()
        assert "give batch_size=len(images)" in refused.value.__notes__[0]
        call(batch_size=len(images))


@pytest.mark.parametrize(
    "logits",
    [
        lambda z: 1e4 + z,
        lambda z: z.squeeze(),  # of one image it would be a vector
        lambda z: (z == z.amax(1, keepdim=True)).long(),
        lambda z: z[:, :1],
        lambda z: z.bfloat16(),
    ],
    ids=["beside 1e4", "of two at least", "votes", "one class", "bfloat16"],
)
def test_model_for_which_batches_make_no_difference_is_taken(logits, monkeypatch):
    model, (images, _) = linear_with(logits), batch(8)
    whole = predict(model, images)
    take_at_most(4, model, images, monkeypatch)
    torch.testing.assert_close(predict(model, images), whole)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("eps", [EPS, 0.1, 1 / 3, 1e-6, 0.7])
@pytest.mark.parametrize("steps", [1, 5])
def test_no_pixel_moves_by_more_than_eps(dtype, eps, steps):
    images, labels = batch(dtype=dtype)
    attacked = signed_gradient_attack(network(dtype), images, labels, eps=eps, steps=steps)
    assert (attacked - images).abs().max().item() <= eps
    assert (attacked.double() - images.double()).abs().max().item() <= eps
    assert attacked.dtype == dtype
    assert attacked.min() >= 0
    assert attacked.max() <= 1
    moved = (attacked - images).abs()[(images > eps) & (images < 1 - eps)]
    if steps == 1:
        assert (moved > eps * (1 - 1e-6) - 1e-7).all(), "an inner pixel moved by less than a step"


@given(
    st.floats(0, 1, width=32),
    st.floats(0, 1),
    st.booleans(),
    st.sampled_from([torch.float32, torch.float64]),
)
@example(1.3298065274453387e-05, EPS, True, torch.float64)  # x + ε − x rounds to ε
def test_no_pixel_moves_by_more_than_eps_for_any_numbers(pixel, eps, up, dtype):
    model = nn.Linear(1, 2, dtype=dtype)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0], [-1.0]]))
    images = torch.full((1, 1), pixel, dtype=dtype)
    attacked = signed_gradient_attack(model, images, torch.tensor([int(up)]), eps=eps, steps=2)
    assert (attacked - images).abs().item() <= eps
    assert abs(Fraction(attacked.item()) - Fraction(images.item())) <= Fraction(eps)


@pytest.mark.parametrize("options", [{}, {"steps": 3}, {"targeted": True}, {"project": False}])
def test_eps_zero_is_the_identity(options):
    images, labels = batch()
    attacked = signed_gradient_attack(network(), images, labels, eps=0, **options)
    assert torch.equal(attacked, images)
    assert attacked is not images


def test_unprojected_steps_add_up():
    model = nn.Linear(4, 2)
    images = torch.full((1, 4), 0.5)
    far = signed_gradient_attack(model, images, [0], eps=0.05, steps=5, project=False)
    near = signed_gradient_attack(model, images, [0], eps=0.05, steps=5)
    torch.testing.assert_close((far - images).abs(), torch.full((1, 4), 0.25))
    torch.testing.assert_close((near - images).abs(), torch.full((1, 4), 0.05))
    clipped = signed_gradient_attack(model, images, [0], eps=0.2, steps=5, project=False)
    assert set(clipped.unique().tolist()) == {0.0, 1.0}


def test_step_size_and_bounds():
    model, images = nn.Linear(4, 2, bias=False), torch.full((1, 4), 100.0)
    with torch.no_grad():
        model.weight.copy_(0.01 * torch.tensor([[1.0, 2.0, -1.0, -2.0], [0.0, 0.0, 0.0, 0.0]]))
    attacked = signed_gradient_attack(
        model, images, [1], eps=8.0, steps=2, step_size=3.0, bounds=(95.0, 255.0)
    )
    assert (attacked - images).tolist() == [[6.0, 6.0, -5.0, -5.0]]


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("size", [1e9, 1e40, 1e308])
def test_step_of_any_size_ends_at_the_bounds(size, targeted):
    model, images = nn.Linear(4, 2, bias=False), torch.full((1, 4), 0.5)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 0.0, -1.0, -2.0], [0.0, 0.0, 0.0, 0.0]]))
    towards = torch.tensor([[1.0, 0.5, 0.0, 0.0]])
    for options in ({"eps": size}, {"eps": 0.5, "step_size": size}, {"eps": size, "steps": 9}):
        attacked = signed_gradient_attack(model, images, [1], targeted=targeted, **options)
        assert torch.equal(attacked, 1 - towards if targeted else towards)


def test_bounds_of_any_size():
    model, images = nn.Linear(4, 2), torch.full((1, 4), 0.5)
    bounds = (-1e300, 1e300)  # beyond single precision
    for free in (
        signed_gradient_attack(model, images, [0], eps=2.0, bounds=bounds),
        random_sign_perturbation(images, eps=2.0, bounds=bounds),
    ):
        assert set(free.flatten().tolist()) <= {-1.5, 2.5}


def test_loss_rises_and_falls_when_targeted():
    model = network().eval()
    images, labels = batch()
    clean = cross_entropy(model(images), labels)
    attacked = signed_gradient_attack(model, images, labels, eps=EPS, steps=3)
    assert cross_entropy(model(attacked), labels) > clean
    target = (labels + 1) % 10
    aimed = signed_gradient_attack(model, images, target, eps=EPS, steps=3, targeted=True)
    assert cross_entropy(model(aimed), target) < cross_entropy(model(images), target)


def test_the_model_is_left_as_it_was():
    model = network()
    model.features[0].eval()
    images, labels = batch()
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    before, generator = images.clone(), torch.get_rng_state()
    signed_gradient_attack(model, images, labels, eps=EPS, steps=2)
    input_gradient(model, images, labels)
    linear_prediction(model, images, labels, eps=EPS)
    assert modes == [module.training for module in model.modules()]
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert all((p.grad == 7).all() and p.requires_grad for p in model.parameters())
    assert torch.equal(images, before)
    assert torch.equal(generator, torch.get_rng_state())


def test_attack_works_without_gradients_outside():
    images, labels = batch()
    with torch.no_grad():
        attacked = signed_gradient_attack(network(), images, labels, eps=EPS)
    assert not torch.equal(attacked, images)
    assert not attacked.requires_grad


def test_each_image_has_its_own_gradient():
    model, (images, labels) = network(torch.float64), batch(dtype=torch.float64)
    together = input_gradient(model, images, labels)
    alone = torch.cat(
        [input_gradient(model, images[i : i + 1], labels[i : i + 1]) for i in range(20)]
    )
    torch.testing.assert_close(together, alone)
    direction = torch.randn_like(images)
    model.eval()

    def losses(t):
        return cross_entropy(model(images + t * direction), labels, reduction="none")

    slope = (losses(1e-6) - losses(-1e-6)) / 2e-6
    torch.testing.assert_close(
        slope, (together * direction).flatten(1).sum(1), rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("margin", [-2000.0, -20.0, 0.0, 12.0, 20.0, 50.0, 90.0, 2000.0])
def test_sure_model_has_the_right_gradient(margin, dtype):
    model = nn.Linear(4, 2, dtype=dtype)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[2.0, -2.0, 1.0, 3.0], [1.0, -1.0, 2.0, -3.0]]))
        model.bias.copy_(torch.tensor([margin, 0.0]))
    images = torch.zeros(1, 4, dtype=dtype)
    doubt = 1 / (1 + math.exp(margin)) if margin < 700 else 0.0  # 1 − p_y
    gradient = doubt * (model.weight[1] - model.weight[0])[None].detach()
    found = input_gradient(model, images, [0])
    torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-44)
    attacked = signed_gradient_attack(model, images, [0], eps=0.5, bounds=(-1.0, 1.0))
    assert attacked.tolist() == [[-0.5, 0.5, 0.5, -0.5]]
    aimed = signed_gradient_attack(model, images, [0], eps=0.5, bounds=(-1.0, 1.0), targeted=True)
    assert torch.equal(aimed, -attacked)
    predicted = linear_prediction(model, images, [0], eps=0.5).item()
    loss = math.log1p(math.exp(-margin)) if margin > -700 else -margin
    assert math.isclose(predicted, loss + 0.5 * 9 * doubt, rel_tol=1e-5)


def test_prediction_where_step_and_doubt_are_small_and_the_slope_large():
    model = nn.Linear(1, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1e30], [0.0]]))
        model.bias.copy_(torch.tensor([69.0, 0.0]))
    predicted = linear_prediction(model, torch.zeros(1, 1), [0], eps=1e-30)
    assert math.isclose(predicted.item(), 2 * math.exp(-69), rel_tol=1e-5)


def test_doubt_that_underflows_times_a_large_slope():
    model = nn.Linear(1, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[-1e30], [0.0]]))
        model.bias.copy_(torch.tensor([110.0, 0.0]))
    image, doubt = torch.zeros(1, 1), math.exp(-110)  # 1.7e-48: zero in single precision
    assert math.isclose(input_gradient(model, image, [0]).item(), 1e30 * doubt, rel_tol=1e-5)
    predicted = linear_prediction(model, image, [0], eps=0.5).item()
    assert math.isclose(predicted, 0.5e30 * doubt, rel_tol=1e-5)


@pytest.mark.parametrize("sharper", [1.0, 8.0, 64.0])
def test_signs_of_a_sure_network_are_those_of_its_weighted_margins(sharper):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
    images, labels = batch()
    labels[:10] = model(images)[:10].argmax(1)  # half of them right
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(10 * sharper)
    weight, logits = model[1].weight.double(), model(images).double()
    others = logits.scatter(1, labels[:, None], -torch.inf).softmax(1)
    expected = (others @ weight - weight[labels]).sign().view_as(images)
    attacked = signed_gradient_attack(model, images, labels, eps=1.0, bounds=(-9.0, 9.0))
    assert ((attacked - images).sign() == expected).float().mean() > 0.999


def test_one_class_gives_nothing_to_attack():
    images, model = torch.full((2, 3), 0.5), nn.Linear(3, 1)
    assert input_gradient(model, images, [0, 0]).tolist() == [[0.0] * 3] * 2
    assert torch.equal(signed_gradient_attack(model, images, [0, 0], eps=0.1), images)
    assert linear_prediction(model, images, [0, 0], eps=0.1).tolist() == [0.0, 0.0]


def test_signed_gradient_is_exact_for_two_classes():
    generator = torch.Generator().manual_seed(2)
    model = nn.Linear(6, 2).double()
    images = 0.3 + 0.4 * torch.rand(5, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 2, (5,), generator=generator)
    attacked = signed_gradient_attack(model, images, labels, eps=0.2)
    corners = torch.tensor(list(itertools.product((-0.2, 0.2), repeat=6)), dtype=torch.float64)
    best = torch.stack(
        [cross_entropy(model(images + c), labels, reduction="none") for c in corners]
    ).amax(0)
    torch.testing.assert_close(cross_entropy(model(attacked), labels, reduction="none"), best)


def test_linear_prediction_is_a_lower_bound_for_a_linear_model():
    generator = torch.Generator().manual_seed(3)
    model = nn.Linear(6, 4).double()
    images = 0.3 + 0.4 * torch.rand(50, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 4, (50,), generator=generator)
    attacked = signed_gradient_attack(model, images, labels, eps=0.2)
    true = cross_entropy(model(attacked), labels, reduction="none")
    predicted = linear_prediction(model, images, labels, eps=0.2)
    assert (true >= predicted).all()
    assert (predicted > cross_entropy(model(images), labels, reduction="none")).all()


def test_affine_loss_keeps_the_relus():
    model, (images, labels) = network(torch.float64), batch(dtype=torch.float64)
    model.eval()
    near = images + 1e-9 * torch.randn_like(images)
    far = images + 0.5 * torch.randn_like(images)
    true = cross_entropy(model(near), labels, reduction="none")
    torch.testing.assert_close(locally_affine_loss(model, images, labels, near), true)
    masks = []
    hooks = [
        module.register_forward_hook(lambda module, inputs, output: masks.append(output > 0))
        for module in model.modules()
        if isinstance(module, nn.ReLU)
    ]
    model(images)
    for hook in hooks:
        hook.remove()
    relus = [module for module in model.modules() if isinstance(module, nn.ReLU)]
    for relu, mask in zip(relus, masks, strict=True):
        relu.forward = functools.partial(torch.mul, mask)
    expected = cross_entropy(model(far), labels, reduction="none")
    found = locally_affine_loss(network(torch.float64), images, labels, far)
    torch.testing.assert_close(found, expected)
    true = cross_entropy(network(torch.float64).eval()(far), labels, reduction="none")
    assert (found - true).abs().max() > 1e-3


def test_affine_loss_of_a_sure_model():
    model, images = nn.Linear(2, 2, bias=False), torch.zeros(1, 2)
    with torch.no_grad():
        model.weight.copy_(50 * torch.eye(2))
    found = locally_affine_loss(model, images, [0], torch.tensor([[1.0, 0.0]]))
    assert math.isclose(found.item(), math.exp(-50), rel_tol=1e-5)


def test_program_attacks_a_checkpoint(tmp_path, capsys, monkeypatch):
    data = digits_data()
    few = ImageData(
        *(part[:128] for part in data[:2]), *(part[:30] for part in data[2:4]), data.classes
    )
    monkeypatch.setattr("hw2lib.training.digits_data", lambda: few)
    file = tmp_path / "run.pt"
    train(["--epochs=1", "--device=cpu", f"--checkpoint={file}"])
    attack(["--device=cpu", f"--checkpoint={file}"])
    printed = capsys.readouterr().out
    assert "a network after 1 of 1 epochs\n" in printed
    model = training.full_network(few)
    model.load_state_dict(training.read_checkpoint(file)["model"])
    model.eval()
    images, labels = few.validation_images, few.validation_labels

    def losses(project):
        for steps in range(6):
            attacked = images[:100]
            if steps:
                attacked = signed_gradient_attack(
                    model, attacked, labels[:100], eps=EPS, steps=steps, project=project
                )
            yield evaluate(model, attacked, labels[:100]).loss

    for title, project in (("projected to 8/255", True), ("not projected", False)):
        row = next(line for line in printed.splitlines() if line.strip().startswith(title))
        shown = [float(number) for number in row.split(title)[1].split()]
        assert shown == pytest.approx(list(losses(project)), abs=2e-4)
    for title, seen in (
        ("clean", images),
        ("one step", signed_gradient_attack(model, images, labels, eps=EPS)),
        ("random signs", random_sign_perturbation(images, eps=EPS)),
    ):
        right = 1 - evaluate(model, seen, labels).error
        assert re.search(rf"^{title} +{re.escape(f'{right:.2%}')} of 30 right$", printed, re.M)
    for name in ("curves", "gradients", "losses"):
        assert f"drawn: {tmp_path / 'run'}-{name}.png" in printed
        assert (tmp_path / f"run-{name}.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "run-losses.png").unlink()
    (tmp_path / "run-losses.png").mkdir()
    with pytest.raises(SystemExit):
        attack(["--device=cpu", f"--checkpoint={file}"])
    assert "run-losses.png cannot be written" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        attack(["--device=cpu", f"--checkpoint={tmp_path / 'none'}"])
    assert "none cannot be read" in capsys.readouterr().err


def test_figures_of_a_run_show_what_it_found(tmp_path):
    rate = torch.tensor([0.1, 0.1, 0.01])
    history = training.History(rate, *(torch.rand(3, dtype=torch.float64) for _ in range(4)))
    panels = _report.draw_history(history).axes
    for panel, quantity, unit in zip(panels, ("loss", "error"), (1, 100), strict=True):
        lines = {line.get_label(): line for line in panel.lines}
        for part in ("training", "validation"):
            expected = unit * getattr(history, f"{part}_{quantity}").numpy()
            assert lines[part].get_xydata().tolist() == [*map(list, enumerate(expected, 1))]
        assert panel.lines[2].get_xdata() == [2.5, 2.5]
    (axes,) = _report.draw_losses({"projected": [1.0, 2.0], "not": [1.0, 3.0]}).axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [[1.0, 2.0], [1.0, 3.0]]
    images = torch.rand(2, 3, 4, 4)
    gradients = torch.stack([torch.ones(3, 4, 4), torch.zeros(3, 4, 4)])
    shown = _report.Shown(images, gradients, torch.tensor([0, 1]), torch.tensor([0, 0]), ("a", "b"))
    drawn = _report.draw_gradients(shown).axes
    assert [panel.get_title() for panel in drawn[:2]] == ["a\nright", "b\nread as a"]
    assert [panel.get_xlabel() for panel in drawn[2:]] == ["48", "0"]
    assert drawn[0].images[0].get_array().tolist() == images[0].permute(1, 2, 0).tolist()
    before_the_first = training.History(*torch.zeros(5, 0))
    files = _report.write_figures(
        tmp_path / "run.pt", before_the_first, shown, {"projected": [1.0], "not": [1.0]}
    )
    assert [file.name for file in files] == ["run-gradients.png", "run-losses.png"]


def test_random_signs_have_the_size_of_the_attack():
    images, _ = batch()
    inner = (images > 0.1) & (images < 0.9)
    changed = random_sign_perturbation(images, eps=0.1, seed=5) - images
    torch.testing.assert_close(changed[inner].abs(), torch.full_like(changed[inner], 0.1))
    assert abs(changed[inner].sign().mean()) < 0.1
    assert torch.equal(
        random_sign_perturbation(images, eps=0.1, seed=5),
        random_sign_perturbation(images, eps=0.1, seed=5),
    )


def test_a_start_is_where_the_attack_begins_and_stays_in_the_box():
    model, (images, labels) = network(), batch()
    far = torch.full_like(images, 2.0)
    attacked = signed_gradient_attack(model, images, labels, eps=EPS, steps=1, start=far)
    assert (attacked - images).abs().max().item() <= EPS
    assert attacked.max() <= 1
    top = signed_gradient_attack(model, images, labels, eps=EPS, step_size=0.0, start=far)
    assert torch.equal(top, torch.maximum(images, top)), "the start is moved into the box"
    assert (top > images).any()
    same = signed_gradient_attack(model, images, labels, eps=EPS, start=images)
    assert torch.equal(same, signed_gradient_attack(model, images, labels, eps=EPS))
    with pytest.raises(ValueError, match="start must have shape"):
        signed_gradient_attack(model, images, labels, eps=EPS, start=images[:1])


def test_first_switch_is_where_the_pattern_changes():
    model, (images, _) = network(torch.float64).eval(), batch(dtype=torch.float64)
    direction = torch.ones_like(images) - 2 * images
    found = first_switch(model, images, direction)

    def patterns(at):
        masks = []
        hooks = [
            module.register_forward_hook(lambda m, i, output: masks.append(output > 0))
            for module in model.modules()
            if isinstance(module, nn.ReLU)
        ]
        model(images + at.view(-1, 1, 1, 1) * direction)
        for hook in hooks:
            hook.remove()
        return torch.cat([mask.flatten(1) for mask in masks], 1)

    at_the_image = patterns(torch.zeros_like(found))
    assert (found > 0).all()
    assert torch.equal(patterns((1 - 1e-6) * found), at_the_image)
    assert (patterns((1 + 1e-6) * found) != at_the_image).any(1).all()


def test_first_switch_of_a_linear_network_is_infinite_and_modes_stay():
    linear = nn.Sequential(nn.Linear(3, 2), nn.Dropout())
    assert first_switch(linear, torch.ones(2, 3), torch.ones(2, 3)).tolist() == [math.inf] * 2
    assert linear.training
    unmoved = nn.Sequential(nn.Linear(3, 2), nn.ReLU(inplace=True))
    images, up = torch.randn(2, 5, 3)
    there = nn.Sequential(unmoved[0], nn.ReLU())
    assert torch.equal(first_switch(unmoved, images, up), first_switch(there, images, up))
    assert first_switch(unmoved, torch.ones(1, 3), torch.zeros(1, 3)).item() == math.inf
    with pytest.raises(ValueError, match="direction must have shape"):
        first_switch(unmoved, torch.ones(1, 3), torch.ones(1, 2))


def test_unit_that_leaves_its_kink_never_switches():
    model = nn.Sequential(nn.Linear(1, 2), nn.ReLU())
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1e30], [1.0]]))
        model[0].bias.copy_(torch.tensor([1e-30, 1.0]))  # −1e-60 underflows to zero
    image = torch.zeros(1, 1)
    assert first_switch(model, image, torch.ones(1, 1)).item() == math.inf
    assert first_switch(model, image, -torch.ones(1, 1)).item() == 0
    model[0].bias.data.zero_()
    assert first_switch(model, image, torch.ones(1, 1)).item() == 0


def test_relu_that_sees_no_batch_is_refused():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate = nn.Sequential(nn.Flatten(0), nn.ReLU())

        def forward(self, images):
            return self.gate(images).view_as(images)

    with pytest.raises(ValueError, match=r"model must give each ReLU an input of shape \(N, …\)"):
        first_switch(Gated(), torch.ones(1, 3), torch.ones(1, 3))


def test_logits_that_do_not_depend_on_the_images_are_refused():
    class Undecided(nn.Module):
        def forward(self, images):
            return torch.zeros(len(images), 4)

    with pytest.raises(ValueError, match="model must map images to logits that depend on them"):
        input_gradient(Undecided(), torch.ones(2, 3), [0, 0])


def test_worst_linear_margins_are_those_of_the_worst_corner():
    generator = torch.Generator().manual_seed(4)
    weight, bias = torch.randn(4, 6, generator=generator), torch.randn(4, generator=generator)
    images, labels = torch.rand(7, 6, generator=generator), torch.arange(7) % 4
    images[0, :3] = torch.tensor([0.0, 1.0, 0.1])
    corners = torch.tensor(list(itertools.product((-0.3, 0.3), repeat=6)))
    scores = (images[:, None] + corners).clamp(0, 1) @ weight.T + bias
    expected = (scores - scores.gather(2, labels[:, None, None].expand(-1, 64, 1))).amax(1)
    found = worst_linear_margins(weight, bias, images, labels, eps=0.3)
    torch.testing.assert_close(found, expected)
    assert (found[torch.arange(7), labels] == 0).all()
    with pytest.raises(ValueError, match=r"labels must lie in 0..3 .* got 4"):
        worst_linear_margins(weight, bias, images, labels + 1, eps=0.3)
    with pytest.raises(ValueError, match=r"images must have shape \(7, 5\)"):
        worst_linear_margins(weight[:, :5], bias, images, labels, eps=0.3)


def test_labels_beyond_the_classes_are_refused():
    model, (images, labels) = network(), batch()
    labels[3] = 10
    perturbed = images.clone()
    for call in (
        lambda: input_gradient(model, images, labels),
        lambda: linear_prediction(model, images, labels, eps=0.1),
        lambda: locally_affine_loss(model, images, labels, perturbed),
        lambda: signed_gradient_attack(model, images, labels, eps=0.1),
    ):
        with pytest.raises(ValueError, match=r"labels must lie in 0..9 .* got 10"):
            call()


@pytest.mark.parametrize("bias", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_finite_are_refused(bias):
    model, (images, labels) = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), batch()
    with torch.no_grad():
        model[1].bias[3] = bias
    for call in (
        lambda: input_gradient(model, images, labels),
        lambda: linear_prediction(model, images, labels, eps=0.1),
        lambda: locally_affine_loss(model, images, labels, images.clone()),
        lambda: signed_gradient_attack(model, images, labels, eps=0.1),
    ):
        with pytest.raises(ValueError, match="model must map images to finite logits, got NaN"):
            call()


def test_steepest_direction_in_the_l1_ball_is_one_entry_of_a_tensor():
    gradient = torch.zeros(2, 3, 4)
    gradient[1, 0, 2], gradient[0, 1, 1] = -5.0, 3.0
    direction = steepest_direction(gradient, 1)
    assert direction.shape == (2, 3, 4)
    assert direction.nonzero().tolist() == [[1, 0, 2]]
    assert direction[1, 0, 2] == -1


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.sampled_from([1, 2, float("inf")]))
def test_steepest_direction_attains_the_dual_norm(entries, norm):
    gradient = torch.tensor(entries, dtype=torch.float64)
    if norm == 2 and gradient.norm() == 0:
        return
    direction = steepest_direction(gradient, norm)
    dual = {1: float("inf"), 2: 2, float("inf"): 1}[norm]
    torch.testing.assert_close(direction @ gradient, torch.linalg.vector_norm(gradient, dual))
    assert torch.linalg.vector_norm(direction, norm) <= 1 + 1e-12


@pytest.mark.parametrize("size", [1e-42, 1e-30, 1e30])
def test_steepest_direction_where_squares_over_or_underflow(size):
    direction = steepest_direction(torch.tensor([size, -size]), 2)
    torch.testing.assert_close(direction, 0.5**0.5 * torch.tensor([1.0, -1.0]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eps": -0.1}, "eps must be a number of at least 0, got -0.1"),
        ({"eps": 0.1, "bounds": (0.0, 0.5)}, r"images must lie within bounds \(0.0, 0.5\), got"),
        ({"eps": 0.1, "bounds": (1.0, 0.0)}, "images must lie within bounds"),
        ({"eps": 0.1, "step_size": -1.0}, "step_size must be a number of at least 0"),
        ({"eps": 0.1, "steps": 0}, "steps must be at least 1, got 0"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    images, labels = batch()
    with pytest.raises(ValueError, match=message):
        signed_gradient_attack(network(), images, labels, **options)


def test_images_of_another_dtype_than_the_model_are_refused():
    images, labels = batch(dtype=torch.float64)
    with pytest.raises(ValueError, match="images, model must share dtype and device"):
        signed_gradient_attack(network(), images, labels, eps=0.1)


def test_offset_of_all_logits_changes_nothing():
    model, images, labels = nn.Linear(3, 3), torch.zeros(1, 3), torch.tensor([0])
    with torch.no_grad():
        model.weight.copy_(torch.eye(3))
        model.bias.fill_(1e8)
    expected = torch.tensor([[-2.0, 1.0, 1.0]]) / 3
    torch.testing.assert_close(input_gradient(model, images, labels), expected)
    loss = linear_prediction(model, images, labels, eps=0.0)
    torch.testing.assert_close(loss, torch.tensor([3.0]).log())
    margins = worst_linear_margins([[0.0, 0.0], [1.0, 1.0]], [1e8, 1e8], [[0.5, 0.5]], [0], eps=0.1)
    torch.testing.assert_close(margins, torch.tensor([[0.0, 1.2]]))


def test_images_made_in_inference_mode():
    model, labels = nn.Linear(3, 3), torch.tensor([0, 1])
    with torch.inference_mode():
        images = torch.full((2, 3), 0.5)
    expected = input_gradient(model, torch.full((2, 3), 0.5), labels)
    assert torch.equal(input_gradient(model, images, labels), expected)


@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("count", [2, 4])
def test_images_that_mix_have_no_gradient_of_their_own(count, alike):
    model, (images, labels) = linear_with(lambda z: z - z.mean(0)), batch(count)
    if alike:
        images = images[:1].expand_as(images)  # one image with several labels
    for call in (
        lambda: input_gradient(model, images, labels),
        lambda: linear_prediction(model, images, labels, eps=0.1),
        lambda: signed_gradient_attack(model, images, labels, eps=0.1),
        lambda: locally_affine_loss(model, images, labels, images),
        lambda: first_switch(model, images, images),
    ):
        with pytest.raises(ValueError, match="same logits in every batch"):
            call()


@pytest.mark.parametrize("images", [torch.full((4, 1, 8, 8), 0.5), batch(1)[0].repeat(4, 1, 1, 1)])
def test_images_that_mix_are_noticed_whatever_they_are(images):
    model = linear_with(lambda z: z - z.mean(0))
    images = images + 1e-6 * torch.arange(4)[:, None, None, None]  # nearly alike
    with pytest.raises(ValueError, match="same logits in every batch"):
        input_gradient(model, images, [0, 1, 2, 3])


def test_affine_continuation_in_batches_is_the_same():
    model, (images, labels) = network(), batch(6)
    moved = images + 0.1
    whole = locally_affine_loss(model, images, labels, moved)
    parts = locally_affine_loss(model, images, labels, moved, batch_size=4)
    torch.testing.assert_close(parts, whole)


def test_switch_of_a_model_that_computes_again_on_the_way_back():
    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(1, 2), nn.ReLU())

        def forward(self, images):
            return checkpoint(self.layers, images, use_reentrant=False)

    model = Checkpointed()
    nn.init.ones_(model.layers[0].weight), nn.init.constant_(model.layers[0].bias, -2.0)
    assert first_switch(model, torch.tensor([[0.5]]), torch.ones(1, 1)).item() == 1.5


def test_switch_of_a_compiled_model_is_refused_and_one_out_of_reach_too():
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 2))
    images, direction = torch.zeros(1, 1), torch.full((1, 1), 1e-10)
    compiled, in_place = torch.compile(model, backend="eager"), copy.deepcopy(model)
    in_place.compile(backend="eager")
    for each in (compiled, nn.Sequential(compiled), in_place):
        with pytest.raises(ValueError, match="model must not be compiled"):
            first_switch(each, images, direction)
    nn.init.ones_(model[0].weight), nn.init.constant_(model[0].bias, -1e30)
    with pytest.raises(ValueError, match="got NaN or Inf"):
        first_switch(model, images, direction)
    assert first_switch(model.double(), images.double(), direction.double()).item() > 1e39


def test_gradients_are_taken_in_inference_mode_too():
    model, (images, labels) = network(), batch(4)
    expected = input_gradient(model, images, labels)
    with torch.inference_mode():
        inside, named = images.clone(), labels.clone()
        assert torch.equal(input_gradient(model, inside, named), expected)
        locally_affine_loss(model, inside, named, inside)
        assert first_switch(model, inside, torch.ones_like(inside)).isfinite().all()


class Called(nn.Module):
    """A network that calls its ReLU by the name of its argument."""

    def __init__(self):
        super().__init__()
        self.linear, self.relu = nn.Linear(1, 2), nn.ReLU()

    def forward(self, x):
        """Map (N, 1) to (N, 2)."""
        return self.relu(input=self.linear(x))


def test_relus_that_are_called_by_name_are_watched():
    model = Called()
    with torch.no_grad():
        model.linear.weight.fill_(1.0)
        model.linear.bias.fill_(-2.0)
    assert first_switch(model, torch.tensor([[0.5]]), torch.ones(1, 1)).item() == 1.5


class Attentive(nn.Module):
    """One head of attention over eight rows of pixels."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        """Map (N, 1, 8, 8) to (N, 10)."""
        mixed = nn.functional.scaled_dot_product_attention(x, x, x)
        return self.linear(mixed.flatten(1))


def test_models_that_cannot_be_asked_are_named():
    images, labels = batch(2)
    with pytest.raises(ValueError, match="model must have the derivatives that are asked for"):
        locally_affine_loss(Attentive(), images, labels, images + 0.1)
    complex_logits = linear_with(lambda z: z * 1j)
    for call in (predict, lambda *given: input_gradient(*given, labels)):
        with pytest.raises(ValueError, match=r"real logits, got dtype torch\.complex64"):
            call(complex_logits, images)


def test_scripted_models_are_predicted_and_not_watched():
    with warnings.catch_warnings(action="ignore"):  # torch.jit is deprecated
        model = torch.jit.trace(
            nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(64, 10)).eval(), torch.ones(1, 1, 8, 8)
        )
    images = torch.rand(2000, 1, 8, 8)
    torch.testing.assert_close(predict(model, images), model(images))
    with pytest.raises(ValueError, match="model must be made of modules, neither scripted, traced"):
        first_switch(model, images[:2], images[:2])


def test_random_signs_depend_on_the_seed():
    images = torch.full((1, 64), 0.5)
    one, other = (
        adversarial.random_sign_perturbation(images, eps=0.1, seed=seed) for seed in (0, 1)
    )
    assert not torch.equal(one, other)


@pytest.mark.parametrize("bounds", [(0.7, 1.0), (0.0, 0.8), (-1 / 3, 0.9)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_attack_may_start_where_another_ended(bounds, dtype):
    # whether or not the bounds have an exact value in the images' precision
    model, images = nn.Linear(2, 2, dtype=dtype), torch.full((1, 2), 0.75, dtype=dtype)
    model.weight.data = torch.eye(2, dtype=dtype)
    again = signed_gradient_attack(model, images, [0], eps=9.0, bounds=bounds)
    assert again.flatten().tolist() == torch.tensor(bounds, dtype=dtype).tolist()
    assert torch.equal(signed_gradient_attack(model, again, [0], eps=0.0, bounds=bounds), again)
    assert set(random_sign_perturbation(again, eps=9.0, bounds=bounds).flatten().tolist()) <= set(
        again.flatten().tolist()
    )


def test_pixel_just_above_the_bounds_is_refused():
    with pytest.raises(ValueError, match="images must lie within bounds"):
        adversarial.random_sign_perturbation(torch.tensor([[1.0005]]), eps=0.1)


@pytest.mark.parametrize(
    "first",
    [
        lambda x: x.logit(),
        lambda x: (x - x.mean((1, 2, 3), True)) / x.std((1, 2, 3), keepdim=True),
        lambda x: nn.functional.one_hot((16 * x).long(), 16).to(x)[..., 3],
    ],
    ids=["open interval", "standardised", "levels below 16"],
)
def test_images_that_do_not_mix_are_taken_by_models_that_take_no_others(first):
    class Model(nn.Linear):
        def forward(self, images):
            return super().forward(first(images).flatten(1))

    torch.manual_seed(0)
    model, images = Model(64, 10), 0.02 + 0.4 * torch.rand(4, 1, 8, 8)
    assert locally_affine_loss(model, images, [0, 1, 2, 3], images).isfinite().all()
