"""Training: the schedule, reproducibility, resuming, several processes, the program."""

import io
import logging
import math
import os
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path
from urllib.error import URLError

import alone
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from hw2lib import adversarial, training
from hw2lib.allcnn import AllCNN
from hw2lib.claims.solution_5_adversarial.shared import Family
from hw2lib.datasets import ImageData, digits_data
from hw2lib.parameters import parameter_groups
from hw2lib.resnet import BasicBlock
from hw2lib.training import (
    digits_network,
    evaluate,
    evaluation_mode,
    fit,
    main,
    predict,
    read_checkpoint,
    sealed,
    step_schedule,
)


def few_digits(training=200, validation=50):
    data = digits_data()
    return ImageData(
        data.training_images[:training], data.training_labels[:training],
        data.validation_images[:validation], data.validation_labels[:validation], data.classes,
    )  # fmt: skip


def network(seed=0, **options):
    torch.manual_seed(seed)
    return AllCNN(1, 10, 8, widths=(4, 8), **options)


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


# ---- small parts


def test_schedule_of_the_question():
    rates = step_schedule(100)
    assert rates.unique_consecutive(return_counts=True)[1].tolist() == [40, 40, 20]
    torch.testing.assert_close(rates[[0, 40, 80]], torch.tensor([0.1, 0.01, 0.001]).double())


def test_evaluate_agrees_with_the_definition():
    data, model = few_digits(), network()
    images, labels = data.validation_images, data.validation_labels
    model.eval()
    logits = model(images)
    found = evaluate(model, images, labels, batch_size=7)
    assert math.isclose(found.loss, cross_entropy(logits, labels).item(), rel_tol=1e-5)
    assert math.isclose(found.error, (logits.argmax(1) != labels).double().mean().item())


def test_loss_of_a_model_in_double_precision_is_computed_in_it():
    model = nn.Linear(1, 2, dtype=torch.float64)
    with torch.no_grad():
        model.weight.zero_()
        model.bias.copy_(torch.tensor([18.0, 0.0]))
    found = evaluate(model, torch.zeros(1, 1, dtype=torch.float64), torch.tensor([0]))
    assert math.isclose(found.loss, math.log1p(math.exp(-18)), rel_tol=1e-6)


def test_predict_runs_in_evaluation_mode_and_restores_every_mode():
    model, images = network(), few_digits().validation_images
    model.features[1].eval()
    before = {name: module.training for name, module in model.named_modules()}
    state = {name: value.clone() for name, value in model.state_dict().items()}
    first = predict(model, images)
    assert torch.equal(first, predict(model, images)), "dropout was on"
    assert before == {name: module.training for name, module in model.named_modules()}
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


def test_modes_are_restored_after_an_error():
    model = network()
    with pytest.raises(RuntimeError), evaluation_mode(model):
        raise RuntimeError
    assert all(module.training for module in model.modules())


# ---- fit


def test_fit_is_the_plain_loop():
    data, epochs, size = few_digits(), 3, 32
    ours, plain = network(dropout=(0.0, 0.0)), network(dropout=(0.0, 0.0))
    history = fit(ours, data, epochs=epochs, batch_size=size, weight_decay=0.01, seed=4)
    optimizer = torch.optim.SGD(parameter_groups(plain, 0.01), lr=0.1, momentum=0.9, nesterov=True)
    losses = []
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = (0.1, 0.1, 0.01)[epoch]
        generator = torch.Generator().manual_seed(4 * 1_000_003 + epoch)
        for batch in torch.randperm(200, generator=generator).split(size):
            if len(batch) == size:
                loss = cross_entropy(
                    plain(data.training_images[batch]), data.training_labels[batch]
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
    means = torch.tensor(losses).view(epochs, -1).double().mean(1)
    torch.testing.assert_close(history.training_loss, means, rtol=1e-3, atol=1e-4)
    final = evaluate(plain.eval(), data.validation_images, data.validation_labels)
    assert math.isclose(history.validation_loss[-1], final.loss, rel_tol=1e-2)


def test_labels_beyond_the_classes_are_refused():
    data, model = few_digits(), network()
    labels = data.validation_labels.clone()
    labels[2] = 10
    with pytest.raises(ValueError, match=r"labels must lie in 0..9 .* got 10"):
        evaluate(model, data.validation_images, labels)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"data.validation_labels must lie in 0..9 .* got 10"):
        fit(model, data._replace(validation_labels=labels), epochs=1, batch_size=50)
    training = data.training_labels.clone()
    training[0] = 12
    with pytest.raises(ValueError, match=r"data.training_labels must lie in 0..9 .* got 12"):
        fit(model, data._replace(training_labels=training), epochs=1, batch_size=50)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_networks_side_by_side_are_the_networks_alone():
    data = few_digits()
    images, labels = data.training_images[:60], data.training_labels[:60]
    models = [network(seed, dropout=(0.0, 0.0)).train() for seed in range(3)]
    together = Family(models).train()
    losses = 3 * cross_entropy(together(images), labels)  # a batch of 20 for each
    losses.backward()
    gradient = together.layers[2][0].weight.grad.chunk(3)
    for number, model in enumerate(models):
        part = slice(20 * number, 20 * number + 20)
        alone = cross_entropy(model(images[part]), labels[part])
        alone.backward()
        expected = model.features[1].conv.weight.grad
        torch.testing.assert_close(gradient[number], expected, rtol=1e-3, atol=1e-5)


def test_seeds_decide():
    data = few_digits()
    run = [fit(network(), data, epochs=2, batch_size=50, seed=seed) for seed in (0, 0, 1)]
    assert same(run[0], run[1])
    assert not torch.equal(run[0].training_loss, run[2].training_loss)


def test_generators_outside_are_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    data, model = few_digits(), AllCNN(1, 10, 8, widths=(2, 2))
    torch.manual_seed(3)
    fit(model, data, epochs=1, batch_size=50)
    digits_network(data, epochs=1)
    assert torch.equal(torch.rand(4), expected)


def test_reduced_run_learns_the_digits():
    data = digits_data()
    model, history = digits_network(data)
    assert not model.training
    assert history.validation_error[-1] < 0.02
    found = evaluate(model, data.validation_images, data.validation_labels)
    assert math.isclose(found.loss, history.validation_loss[-1], rel_tol=1e-4)
    assert history.learning_rate.tolist() == step_schedule(10).tolist()


def test_half_precision_and_compiling_make_a_difference(monkeypatch):
    data, options = few_digits(), {"epochs": 1, "batch_size": 50}
    plain = fit(network(), data, **options)
    rounded = fit(network(), data, precision="bfloat16", **options)
    assert not same(rounded, plain)
    torch.testing.assert_close(rounded.training_loss, plain.training_loss, rtol=0.02, atol=0)
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda model: compiled.append(model) or model)
    model = network()
    assert same(fit(model, data, compile=True, **options), plain)
    assert compiled == [model]


def test_mode_of_the_model_before_does_not_matter():
    data = few_digits()
    assert same(*(fit(model, data, epochs=1) for model in (network(), network().eval())))


def test_program_hands_on_its_options(monkeypatch, capsys):
    given = {}

    def recorded(model, data, **options):
        given.update(options, model=model, data=data)
        return fit(network(), data, epochs=1)

    monkeypatch.setattr("hw2lib.training.digits_data", few_digits)
    monkeypatch.setattr("hw2lib.training.fit", recorded)
    options = ["--seed=3", "--precision=bfloat16", "--compile", "--epochs=1", "--batch-size=20"]
    main([*options, "--device=cpu"])
    names = ("seed", "precision", "compile", "epochs", "batch_size")
    assert [given[name] for name in names] == [3, "bfloat16", True, 1, 20]
    mean, std = few_digits().pixel_statistics()
    assert given["model"].normalize.mean.flatten().tolist() == pytest.approx(mean)
    assert given["model"].normalize.std.flatten().tolist() == pytest.approx(std)
    torch.manual_seed(3)
    first = AllCNN(1, 10, 8, pixel_mean=mean, pixel_std=std)
    assert torch.equal(given["model"].classes.weight, first.classes.weight)
    assert "validation error after 1 epochs" in capsys.readouterr().out


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_interrupted_run_goes_on_to_the_same_numbers(tmp_path, stop):
    data, file = few_digits(), tmp_path / "folder" / "run.pt"
    whole_model, model = network(), network()
    whole = fit(whole_model, data, epochs=4, batch_size=50)

    def interrupt(module, inputs):
        if module.training:
            interrupt.calls += 1
            if interrupt.calls == 4 * stop + 3:  # four batches an epoch
                raise KeyboardInterrupt

    interrupt.calls = 0
    hook = model.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        fit(model, data, epochs=4, batch_size=50, checkpoint=file)
    hook.remove()
    assert [path.name for path in file.parent.iterdir()] == ["run.pt"]
    other = network(seed=9)
    assert same(whole, fit(other, data, epochs=4, batch_size=50, checkpoint=str(file)))
    for name, value in whole_model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    again = fit(network(seed=8), data, epochs=4, batch_size=50, checkpoint=file)
    assert same(whole, again), "a finished run is read, not repeated"


@pytest.fixture
def checkpoint(tmp_path):
    """Return the file of a run of one epoch on few digits."""
    file = tmp_path / "run.pt"
    fit(network(), few_digits(), epochs=1, batch_size=50, checkpoint=file)
    return file


def refuse(file, match, model=None, data=None, **options):
    """Check that a checkpoint is refused, and left as it is."""
    content, model = file.read_bytes(), model or network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    options = {"epochs": 1, "batch_size": 50} | options
    with pytest.raises(ValueError, match=match):
        fit(model, data or few_digits(), **options, checkpoint=file)
    assert file.read_bytes() == content
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_checkpoint_of_another_run_is_refused(checkpoint):
    refuse(checkpoint, "comes from a run with epochs = 1, not 2", epochs=2)
    refuse(checkpoint, "comes from a run with seed = 0, not 1", seed=1)
    other = r"comes from a run with model = AllCNN \(SHA-256 .*…\), not AllCNN"
    refuse(checkpoint, other, model=AllCNN(1, 10, 8, widths=(2, 2)))
    refuse(checkpoint, other, model=network(dropout=(0.3, 0.5)))
    other = r"comes from a run with data = 200 \+ 50 images \(SHA-256 .*…\), not 200 \+ 50 images"
    data = few_digits()
    for part in data._fields[:4]:
        refuse(checkpoint, other, data=data._replace(**{part: getattr(data, part).flip(0)}))
    refuse(checkpoint, other, data=data._replace(classes=data.classes[::-1]))
    with pytest.raises(TypeError, match="checkpoint must be of type str or Path"):
        fit(network(), data, checkpoint=3)


def test_every_flipped_byte_is_noticed(checkpoint):
    good = checkpoint.read_bytes()
    for place in range(0, len(good), len(good) // 60):
        checkpoint.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        refuse(checkpoint, "is damaged|is no checkpoint")
    for length in (0, 10, 50, len(good) // 2, len(good) - 1):
        checkpoint.write_bytes(good[:length])
        refuse(checkpoint, "is damaged|is no checkpoint")


def test_what_is_no_checkpoint_is_refused(checkpoint):
    checkpoint.write_text("Nur Text, ä, über\nzwei Zeilen", encoding="latin-1")
    refuse(checkpoint, "is no checkpoint of this function")
    torch.save({"weights": torch.ones(2)}, checkpoint)
    refuse(checkpoint, "is no checkpoint of this function")
    torch.save(nn.Linear(2, 2), checkpoint)
    refuse(checkpoint, "is no checkpoint of this function")
    checkpoint.write_bytes(sealed(checkpoint.read_bytes()))
    refuse(checkpoint, "is no checkpoint of this function")


@pytest.mark.parametrize("part", ["settings", "rows", "model", "momentum"])
@pytest.mark.parametrize("wrong", [None, {}, {"classes.weight": torch.ones(1)}, torch.ones(2, 5)])
def test_checkpoint_with_wrong_contents_is_refused(checkpoint, part, wrong):
    state = read_checkpoint(checkpoint) | {part: wrong}
    write(checkpoint, state)
    refuse(
        checkpoint, "is no checkpoint|does not fit the model|comes from a run with epochs = None"
    )


def test_momentum_of_another_shape_is_refused(checkpoint):
    state = read_checkpoint(checkpoint)
    for part in ("model", "momentum"):
        for wrong in (torch.ones(1), torch.ones(0), state[part]["classes.weight"].double()):
            write(checkpoint, state | {part: state[part] | {"classes.weight": wrong}})
            refuse(checkpoint, "does not fit the model")
    write(checkpoint, state | {"rows": state["rows"].repeat(2, 1)})
    refuse(checkpoint, "does not fit the model")


def write(file, state):
    """Write a checkpoint with its right checksum."""
    content = io.BytesIO()
    torch.save(state, content)
    file.write_bytes(sealed(content.getvalue()))


def test_checkpoint_that_cannot_be_written_is_noticed_before_the_first_epoch(tmp_path):
    (tmp_path / "file").write_text("in the way")
    before = sorted(tmp_path.rglob("*"))
    model = network()
    weights = model.classes.weight.clone()
    file = tmp_path / "file" / "run.pt"
    with pytest.raises(OSError, match=re.escape(f"checkpoint {file} cannot be written: ")):
        fit(model, few_digits(), epochs=1, batch_size=50, checkpoint=file)
    assert torch.equal(weights, model.classes.weight), "an epoch was trained"
    assert sorted(tmp_path.rglob("*")) == before


def test_file_beside_the_checkpoint_is_left_alone(tmp_path):
    other = tmp_path / "run.pt.part"
    other.write_text("mine")
    fit(network(), few_digits(), epochs=1, batch_size=50, checkpoint=tmp_path / "run.pt")
    assert other.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.pt", "run.pt.part"]


def test_full_disk_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    file, written = tmp_path / "run.pt", []

    def nearly_full(descriptor):
        if len(written) == 2:  # at the start, and after the first epoch
            raise OSError(28, "No space left on device")
        written.append(descriptor)

    monkeypatch.setattr("hw2lib.training.os.fsync", nearly_full)
    with pytest.raises(OSError, match=r"run.pt cannot be written: .* No space left on device"):
        fit(network(), few_digits(), epochs=3, batch_size=50, checkpoint=file)
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]
    assert len(read_checkpoint(file)["rows"]) == 1


def test_progress_bar_shows_only_on_a_terminal(capfd):
    fit(network(), few_digits(), epochs=1, batch_size=50, progress=True)
    assert capfd.readouterr().err == ""


# ---- several processes

LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo0"} if sys.platform == "darwin" else {}  # its name may be none


def train_beside_another(rank, port, file, batchnorm):
    """Run the program as torchrun starts it, on few digits, and write what has come of it."""

    def recorded(model, data, **options):
        history = fit(model, data, **options)
        found = evaluate(model, data.validation_images, data.validation_labels)
        torch.save((*history, model.classes.weight, torch.tensor(found)), f"{file}.{rank}")
        return history

    alone.write_into(Path(f"{file}.says.{rank}"))
    os.environ |= LOOPBACK | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": f"{port}"}
    os.environ |= {"RANK": f"{rank}", "LOCAL_RANK": f"{rank}", "WORLD_SIZE": "2"}
    torch.set_num_threads(1)
    training.load_data, training.fit = lambda given: few_digits(), recorded
    training.full_network = lambda data: network(seed=rank, batchnorm=batchnorm, dropout=(0.0, 0.0))
    main(["--epochs=8", "--batch-size=20", "--device=cpu", f"--checkpoint={file}"])


@pytest.mark.parametrize("batchnorm", [False, True])
def test_two_processes_give_the_curve_of_one(batchnorm, tmp_path):
    file = str(tmp_path / "run")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    processes = [
        alone.CONTEXT.Process(target=train_beside_another, args=(rank, port, file, batchnorm))
        for rank in (0, 1)
    ]
    for process in processes:
        process.start()
    model = network(batchnorm=batchnorm, dropout=(0.0, 0.0))
    history = fit(model, few_digits(), epochs=8, batch_size=20)
    for process in processes:
        process.join(120)
    for process in processes:
        process.kill()
        process.join()
    said = "".join(Path(f"{file}.says.{rank}").read_text(encoding="utf-8") for rank in (0, 1))
    assert [process.exitcode for process in processes] == [0, 0], said
    assert said.count("validation error after 8 epochs") == 1
    *first, weights, found = torch.load(f"{file}.0")
    *second, others, found_by_other = torch.load(f"{file}.1")
    assert same(first, second)
    assert torch.equal(weights, others)
    assert torch.equal(found, found_by_other)  # they have the same running statistics
    last = torch.stack([first[3][-1], first[4][-1]])
    torch.testing.assert_close(found.double(), last, rtol=1e-5, atol=1e-6)
    if batchnorm:
        return  # each process normalises its own half of the batch
    for ours, theirs in zip(history, first, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.classes.weight, weights, rtol=1e-3, atol=1e-5)
    assert history.training_loss[-1] < 0.9 * history.training_loss[0], "nothing was learned"


def torchrun(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1",
         "--nproc-per-node=2", *map(str, arguments)],
        capture_output=True, text=True, timeout=300, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | LOOPBACK,
    )  # fmt: skip


def test_batch_must_divide_among_the_processes(tmp_path):
    process = torchrun("-m", "hw2lib.training", "--batch-size=33", "--epochs=1", "--device=cpu")
    assert process.returncode != 0
    assert "batch_size must be a multiple of the 2 processes, got 33" in process.stderr


# ---- the program


def test_program_trains_and_reports(tmp_path):
    process = subprocess.run(
        [sys.executable, "-m", "hw2lib.training", "--epochs=1", "--device=cpu",
         "--checkpoint", tmp_path / "run.pt"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert "epoch 1: loss" in process.stderr
    assert "validation error after 1 epochs:" in process.stdout
    assert (tmp_path / "run.pt").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data=cifar10", "--folder=nowhere"], "give the folder of its archive"),
        (["--device=abacus"], "'abacus' is no device"),
        (["--device=meta"], "'meta' is not there; torch sees cpu"),
        (["--device=cpu:1"], "'cpu:1' is not there; torch sees cpu"),
        (["--seed=-1"], "seed must be at least 0, got -1"),
        (["--epochs=0"], "epochs must be at least 1, got 0"),
        (["--batch-size=2000"], "batch_size must lie in 1..1438 (the training images), got 2000"),
    ],
)
def test_program_says_what_is_wrong(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_program_without_a_network_ends_in_a_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("hw2lib.datasets.CIFAR10_URL", "http://nowhere.invalid/archive.tar.gz")
    monkeypatch.setattr("torch.hub.urlopen", no_network)
    with pytest.raises(SystemExit) as stopped:
        main(["--data=cifar10", f"--folder={tmp_path}", "--download"])
    assert stopped.value.code == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert "error: CIFAR-10 could not be fetched (<urlopen error offline>): try again" in last


def no_network(*arguments, **options):
    raise URLError("offline")


def test_model_that_works_in_place_leaves_the_images_alone():
    images = torch.tensor([[-1.0, 2.0]])
    predict(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(2, 2)), images)
    assert images.tolist() == [[-1.0, 2.0]]


def test_validation_labels_are_checked():
    data = few_digits()
    bad = data._replace(validation_labels=torch.full_like(data.validation_labels, -100))
    with pytest.raises(ValueError, match=r"data.validation_labels must be at least 0"):
        fit(network(), bad, epochs=1)


def test_modes_are_restored_whatever_was_done_in_between():
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2).eval())
    with evaluation_mode(model):
        model.train()
    assert [module.training for module in model] == [True, False]


def test_labels_of_32_bits_train_alike():
    data = few_digits()
    short = data._replace(
        training_labels=data.training_labels.int(), validation_labels=data.validation_labels.int()
    )
    histories = []
    for each in (data, short):
        torch.manual_seed(0)
        histories.append(fit(network(), each, epochs=1))
    assert torch.equal(histories[0].validation_loss, histories[1].validation_loss)


# ---- models and data of other kinds


class Flat(nn.Module):
    """A network that takes a view of what its convolution puts out."""

    def __init__(self, convolution=None):
        super().__init__()
        self.convolution = convolution or nn.Conv2d(1, 4, 3)
        self.linear = nn.Linear(144, 10)

    def forward(self, x):
        """Map (N, 1, 8, 8) to (N, 10)."""
        return self.linear(self.convolution(x).view(len(x), -1))


class Deep(nn.Conv3d):
    """A convolution in three dimensions, of images of one layer."""

    def forward(self, x):
        """Map (N, 1, 8, 8) to (N, 4, 6, 6)."""
        return super().forward(x[:, :, None]).squeeze(2)


class Viewing(Flat):
    """It takes a view in training mode only."""

    def forward(self, x):
        """Map (N, 1, 8, 8) to (N, 10)."""
        z = self.convolution(x)
        return self.linear(z.view(len(x), -1) if self.training else z.flatten(1))


def test_network_that_takes_views_in_training_only():
    model = Viewing()
    fit(model, few_digits(), epochs=1, learning_rate=0.01)
    assert model.train()(torch.ones(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize("convolution", [nn.Conv2d(1, 4, 3), Deep(1, 4, (1, 3, 3))])
def test_network_that_takes_views_is_trained_and_left_usable(convolution):
    model, data = Flat(convolution), few_digits()
    history = fit(model, data, epochs=3, batch_size=20, learning_rate=0.05)
    assert history.training_loss[-1] < history.training_loss[0] - 0.1
    assert model(data.training_images[:3]).shape == (3, 10)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_fit_takes_its_gradients_where_none_are_taken(mode):
    model, data = network(), few_digits()
    expected = fit(network(), data, epochs=1)
    with mode():
        images = data.training_images.clone()
        assert same(fit(model, data._replace(training_images=images), epochs=1), expected)


def test_seeds_may_be_as_large_as_64_bits():
    data = few_digits()
    large, small = (fit(network(), data, epochs=1, seed=seed) for seed in (2**63 - 1, 1))
    assert not same(large, small)


def test_generators_of_other_devices_and_of_the_caller_are_left(monkeypatch):
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)

    class Noisy(Flat):
        def forward(self, x):
            return nn.functional.dropout(super().forward(x), 0.5)

    model = Noisy()
    before = torch.get_rng_state()
    fit(model, few_digits(), epochs=1, learning_rate=0.01)
    digits_network(few_digits(), epochs=1)
    torch.testing.assert_close(torch.get_rng_state(), before)
    assert seeded == []


def test_reduced_network_has_the_dtype_of_its_images():
    torch.set_default_dtype(torch.float64)
    try:
        model, _ = digits_network(few_digits(), epochs=1)
    finally:
        torch.set_default_dtype(torch.float32)
    assert model.classes.weight.dtype == torch.float32


def test_a_models_own_train_is_called():
    class Merging(nn.Linear):
        merged = False

        def train(self, mode=True):
            if self.merged == mode:
                with torch.no_grad():
                    self.weight.mul_(2.0 if not mode else 0.5)
                self.merged = not mode
            return super().train(mode)

    model = Merging(2, 2)
    weight = model.weight.detach().clone()
    predict(model, torch.ones(1, 2))
    assert model.training
    assert torch.equal(model.weight, weight)


def images_changed(part, change):
    data = few_digits()
    return data._replace(**{part: change(getattr(data, part))})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("validation_images", lambda x: x * torch.nan), "data.validation_images must be finite"),
        (("training_images", lambda x: x * torch.nan), "data.training_images must be finite"),
        (("validation_images", lambda x: x[:, :, 1:]), "data.validation_images must have shape"),
        (("validation_images", lambda x: x.double()), "must have the model's dtype, torch.float32"),
    ],
)
def test_data_that_do_not_fit_are_named_before_any_work(changes, message):
    with pytest.raises(ValueError, match=message):
        fit(network(), images_changed(*changes), epochs=1)


def test_arrays_and_lists_are_data_too():
    data = few_digits()
    plain = ImageData(*(tensor.numpy() for tensor in data[:4]), data.classes)
    labelled = data._replace(training_labels=data.training_labels.tolist())
    with_graph = data._replace(training_images=data.training_images.clone().requires_grad_())
    histories = [fit(network(), each, epochs=1) for each in (data, plain, labelled, with_graph)]
    assert all(same(history, histories[0]) for history in histories)


def test_model_that_does_not_train_so_is_named():
    class Other(Flat):
        def forward(self, x):
            logits = super().forward(x)
            return self.change(logits) if self.training else logits

    for change, got in (
        (lambda z: (z, z), "got tuple"),
        (lambda z: z[:, :, None], r"got \(128, 10, 1\)"),
        (lambda z: z[:, :6], r"got \(128, 6\)"),
    ):
        model = Other()
        model.change = change
        with pytest.raises(ValueError, match=rf"logits, shape \(128, 10\), when it trains.* {got}"):
            fit(model, few_digits(), epochs=1)
    normalised = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10))
    with pytest.raises(ValueError, match="model does not train on 1 images: Expected more than 1"):
        fit(normalised, few_digits(), epochs=1, batch_size=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda z: z.detach(), "logits that depend on its parameters"),
        (lambda z: z.long(), "logits that depend on its parameters"),
        (lambda z: z.view(3, -1), "does not train on 128 images: shape"),
        (lambda z: z[None, 0, :1, 20], "does not train on 128 images: "),
    ],
)
def test_model_that_fails_as_it_trains_is_named(change, message):
    class Other(Flat):
        def forward(self, x):
            logits = super().forward(x)
            return change(logits) if self.training else logits

    with pytest.raises(ValueError, match=f"^model .*{message}"):
        fit(Other(), few_digits(), epochs=1)


def test_logits_of_no_class_are_refused():
    class NoClass(Flat):
        def forward(self, x):
            return super().forward(x)[:, :0]

    for count in (1, 200):
        with pytest.raises(ValueError, match="at least one class, got none"):
            predict(NoClass(), few_digits().training_images[:count])


# ---- what a checkpoint knows


def blocks(batchnorm_first):
    torch.manual_seed(0)
    block = BasicBlock(1, 4, batchnorm_first=batchnorm_first)
    return nn.Sequential(block, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))


def frozen(value):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Linear(8, 10))
    nn.init.constant_(model[1].weight, value).requires_grad_(requires_grad=False)
    return model


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: blocks(batchnorm_first=True), lambda: blocks(batchnorm_first=False)),
        (network, lambda: network(pixel_mean=0.5, pixel_std=0.25)),
        (lambda: frozen(0.1), lambda: frozen(0.2)),
    ],
    ids=["order", "pixels", "frozen"],
)
def test_checkpoint_of_a_model_that_differs_in_no_shape_is_refused(one, other, tmp_path):
    file, data = tmp_path / "run.pt", few_digits()
    fit(one(), data, epochs=1, checkpoint=file)
    with pytest.raises(ValueError, match="comes from a run with model"):
        fit(other(), data, epochs=1, checkpoint=file)


class Counting(Flat):
    """A network whose buffer, which no state holds, scales its logits and grows with each step."""

    def __init__(self):
        super().__init__()
        self.register_buffer("steps", torch.zeros(()), persistent=False)

    def forward(self, x):
        """Map (N, 1, 8, 8) to (N, 10)."""
        if self.training:
            self.steps += 1
        return super().forward(x) / (1 + self.steps)


class CountingBeside(Flat):
    """The same, with the number in a state that is no tensor of the module's."""

    steps = 0

    def get_extra_state(self):
        """Return the number."""
        return torch.tensor(self.steps)

    def set_extra_state(self, state):
        """Take the number."""
        self.steps = int(state)

    def forward(self, x):
        """Map (N, 1, 8, 8) to (N, 10)."""
        self.steps += self.training
        return super().forward(x) / (1 + self.steps)


@pytest.mark.parametrize("kind", [Counting, CountingBeside])
def test_state_that_no_parameter_holds_is_resumed(kind, tmp_path, monkeypatch):
    def counting():
        torch.manual_seed(0)
        return kind()

    data, options = few_digits(), {"epochs": 3, "learning_rate": 0.01}
    whole = fit(counting(), data, **options)
    saved, save = [], training.Run.save

    def stop(run, file):
        save(run, file)
        saved.append(file)
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(training.Run, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        fit(counting(), data, checkpoint=tmp_path / "run.pt", **options)
    assert same(fit(counting(), data, checkpoint=tmp_path / "run.pt", **options), whole)


def test_checkpoint_of_a_model_with_a_state_of_its_own_is_refused(tmp_path):
    class Stateful(Flat):
        def get_extra_state(self):
            return {"any": "thing"}

        def set_extra_state(self, state):
            pass

    with pytest.raises(TypeError, match="model must have a state of tensors for a checkpoint, got"):
        fit(Stateful(), few_digits(), epochs=1, checkpoint=tmp_path / "run.pt")


def test_checkpoint_behind_a_link_is_replaced_where_it_lies(tmp_path):
    (tmp_path / "disk").mkdir()
    link, kept = tmp_path / "run.pt", tmp_path / "disk" / "kept.pt"
    try:
        link.symlink_to(kept)
    except OSError:  # not every account on Windows may; then the file itself serves
        link = kept
    fit(network(), few_digits(), epochs=1, checkpoint=link)
    assert kept.is_file()
    assert not kept.is_symlink()
    assert link.resolve() == kept.resolve()


def test_checkpoint_that_is_no_file_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="checkpoint must be a path, got"):
        fit(network(), few_digits(), epochs=1, checkpoint="a\0b")
    pipe = tmp_path / "pipe"
    pipe.touch()
    monkeypatch.setattr(Path, "is_file", lambda path: path != pipe)  # as of what is no plain file
    with pytest.raises(ValueError, match="checkpoint must be a file, got the device"):
        fit(network(), few_digits(), epochs=1, checkpoint=pipe)


def test_checkpoint_may_lie_at_home(tmp_path, monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    fit(network(), few_digits(), epochs=1, checkpoint="~/run.pt")
    assert (tmp_path / "run.pt").is_file()


class Runs:
    """Something that prints when it is unpickled."""

    def __reduce__(self):
        return print, ("run",)


def test_checkpoint_runs_nothing(tmp_path, capsys):
    content = io.BytesIO()
    torch.save(Runs(), content)
    (tmp_path / "run.pt").write_bytes(training.sealed(content.getvalue()))
    with pytest.raises(ValueError, match="is no checkpoint of this function"):
        training.read_checkpoint(tmp_path / "run.pt")
    assert capsys.readouterr().out == ""


def test_validation_loss_that_is_not_finite_is_refused():
    class Breaking(nn.Linear):
        trained = False

        def forward(self, x):
            self.trained |= self.training
            logits = super().forward(x.flatten(1))
            return logits * math.inf if self.trained and not self.training else logits

    with pytest.raises(ValueError, match="learning_rate must be small enough"):
        fit(Breaking(64, 10), few_digits(), epochs=1)


def test_seed_of_the_reduced_network_decides_on_weights_and_orders(monkeypatch):
    seen = []

    def noted(model, data, *, seed=0, **options):
        seen.append((model.classes.weight, seed))

    monkeypatch.setattr(training, "fit", noted)
    for seed in (3, 4):
        training.digits_network(few_digits(), seed=seed)
    assert [seed for _, seed in seen] == [3, 4]
    assert not torch.equal(seen[0][0], seen[1][0])


def test_each_epoch_of_each_seed_has_a_dropout_of_its_own(monkeypatch):
    seeds = []
    monkeypatch.setattr(training, "seed_device", lambda device, seed: seeds.append(seed))
    for seed in (0, 1):
        fit(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), few_digits(), epochs=3, seed=seed)
    assert len(set(seeds)) == 6


def test_no_hook_is_left():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    training.predict(model, torch.ones(60_000, 2))
    adversarial.first_switch(model, torch.ones(1, 2), torch.ones(1, 2))
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in model.modules())


def test_checkpoint_of_images_of_another_shape_is_refused(tmp_path):
    data, model = few_digits(), nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    wide = {name: getattr(data, name).view(-1, 1, 4, 16)
            for name in ("training_images", "validation_images")}  # fmt: skip
    fit(model, data, epochs=1, checkpoint=tmp_path / "run.pt")
    with pytest.raises(ValueError, match="comes from a run with data"):
        fit(model, data._replace(**wide), epochs=1, checkpoint=tmp_path / "run.pt")


def test_program_reports_the_last_epoch_and_what_each_number_is(monkeypatch, capsys, caplog):
    with caplog.at_level(logging.DEBUG, "hw2lib.training"):
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        _, loss, _, after, wrong = map(torch.Tensor.item, fit(model, few_digits(), epochs=1))
    line = f"epoch 1: loss {loss:.4f}, validation {after:.4f}, {100 * wrong:.2f} % wrong"
    assert line in caplog.messages
    rows = torch.tensor([[0.1, 1.0, 0.5, 1.0, 0.5], [0.1, 1.0, 0.5, 1.0, 0.25]])
    monkeypatch.setattr(training, "fit", lambda *given, **options: training.History(*rows.T))
    training.main(["--epochs=2", "--device=cpu"])
    assert "validation error after 2 epochs: 25.00%" in capsys.readouterr().out


def test_full_network_has_the_classes_of_its_data():
    images, labels = torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 0])
    model = training.full_network(ImageData(images, labels, images, labels, ("a", "b", "c")))
    assert training.predict(model, images).shape == (4, 3)


def test_slight_mixing_and_truth_values_are_refused():
    class Mixing(nn.Linear):
        def forward(self, x):
            logits = super().forward(x)
            return logits + 0.003 * logits.sum(0)

    torch.manual_seed(0)
    with pytest.raises(ValueError, match="same logits in every batch"):
        adversarial.input_gradient(Mixing(8, 10), torch.randn(3, 8).abs(), [0, 1, 2])

    class Votes(nn.Linear):
        def forward(self, x):
            return super().forward(x) > 0

    with pytest.raises(ValueError, match=r"real logits, got dtype torch\.bool"):
        training.predict(Votes(2, 3), torch.ones(4, 2))


def test_finished_run_is_not_written_again_and_progress_is_an_option(tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    file, model = tmp_path / "run.pt", nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    written = []
    for progress in (False, True):
        monkeypatch.setattr(sys, "stderr", Terminal())
        fit(model, few_digits(), epochs=1, progress=progress, checkpoint=file)
        written.append(file.stat().st_mtime_ns)
        assert bool(sys.stderr.getvalue()) == progress
    assert written[0] == written[1]


@pytest.mark.parametrize("in_place", [lambda: nn.ReLU(inplace=True), lambda: nn.Dropout(0.5, True)])
def test_first_layer_that_works_in_place_leaves_the_data(in_place):
    data = few_digits()
    data = data._replace(**{
        name: getattr(data, name) - 0.5 for name in ("training_images", "validation_images")
    })  # fmt: skip
    kept = [part.clone() for part in data[:4]]
    torch.manual_seed(0)
    model = nn.Sequential(in_place(), nn.Flatten(), nn.Linear(64, 10))
    history = fit(model, data, epochs=2, batch_size=50)
    assert same(data[:4], kept)
    found = evaluate(model, data.validation_images, data.validation_labels)
    assert history.validation_loss[-1].item() == pytest.approx(found.loss, rel=1e-6)


def test_lower_precision_trains_inside_another_autocast():
    def losses():
        return fit(network(), few_digits(), epochs=2, batch_size=50, precision="bfloat16")

    with torch.autocast("cpu", torch.bfloat16):
        inside = losses()
    assert same(inside, losses())


def test_history_does_not_depend_on_the_default_precision():
    expected = fit(network(), few_digits(), epochs=1, batch_size=50)
    model, data = network(), few_digits()
    torch.set_default_dtype(torch.bfloat16)
    try:
        found = fit(model, data, epochs=1, batch_size=50)
    finally:
        torch.set_default_dtype(torch.float32)
    assert same(found, expected)
    wrong = evaluate(model, data.validation_images, data.validation_labels).error
    assert found.validation_error[-1].item() == wrong, "not in double precision"


def test_loss_of_training_in_double_precision_is_computed_in_it():
    data = few_digits(100, 50)
    data = data._replace(**{
        name: getattr(data, name).double() for name in ("training_images", "validation_images")
    })  # fmt: skip
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).double()
    expected = [p.detach().clone() for p in model.parameters()]
    weight, bias = (p.requires_grad_() for p in expected)
    logits = data.training_images.flatten(1) @ weight.T + bias
    gradients = torch.autograd.grad(cross_entropy(logits, data.training_labels), expected)
    fit(model, data, epochs=1, batch_size=100, learning_rate=0.1, weight_decay=0.0)
    # one step: 1 + 0.9 times the gradient, by Nesterov's momentum
    for p, before, gradient in zip(model.parameters(), expected, gradients, strict=True):
        torch.testing.assert_close(p, before - 0.19 * gradient, rtol=1e-12, atol=1e-14)


def test_training_on_validation_images_that_mix_is_refused_if_they_are_split():
    class Centred(Flat):
        def forward(self, x):
            return super().forward(x - x.mean(0))

    fit(Centred(), few_digits(), epochs=1, batch_size=50)
    many = few_digits()
    many = many._replace(
        validation_images=many.validation_images.repeat(11, 1, 1, 1),
        validation_labels=many.validation_labels.repeat(11),
    )
    with pytest.raises(ValueError, match="same logits in every batch"):
        fit(Centred(), many, epochs=1, batch_size=50)


def test_model_that_cannot_be_copied_is_trained():
    model = Flat()
    model.lock = threading.Lock()
    assert fit(model, few_digits(), epochs=1, batch_size=50).training_loss.isfinite().all()


def test_string_of_another_type_names_a_precision_that_can_be_read_again(tmp_path):
    options = {"epochs": 1, "batch_size": 50, "checkpoint": tmp_path / "run.pt"}
    first = fit(network(), few_digits(), precision=np.str_("float32"), **options)
    assert same(fit(network(), few_digits(), precision="float32", **options), first)


def test_weights_of_inference_mode_are_refused():
    with torch.inference_mode():
        model = network()
        trained, _ = digits_network(few_digits(), epochs=1)
    with pytest.raises(ValueError, match=r"model must not be made in torch\.inference_mode"):
        fit(model, few_digits(), epochs=1)
    assert not trained.classes.weight.is_inference()


def test_digits_as_lists_and_of_another_size():
    data = few_digits(64, 10)
    lists = ImageData(*(part.tolist() for part in data[:4]), data.classes)
    (model, history), (other, expected) = (digits_network(d, epochs=1) for d in (lists, data))
    assert same(history, expected)
    assert same(model.parameters(), other.parameters())
    names = ("training_images", "validation_images")
    flat = data._replace(**{name: getattr(data, name).flatten(1) for name in names})
    with pytest.raises(ValueError, match=r"data\.training_images must have shape \(64, 1, 8, 8\)"):
        digits_network(flat, epochs=1)


def test_checkpoint_of_a_module_with_versions_and_without_some_tensors_is_resumed(tmp_path):
    class Versioned(nn.Linear):
        _version = 2

        def _load_from_state_dict(self, state, prefix, metadata, *rest):
            if metadata.get("version", 1) < 2:
                state[prefix + "weight"] = -state[prefix + "weight"]
            super()._load_from_state_dict(state, prefix, metadata, *rest)

    def model():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), Versioned(64, 10))

    options = {"epochs": 1, "batch_size": 50, "checkpoint": tmp_path / "run.pt"}
    first, second = model(), model()
    for each in (first, second):
        fit(each, few_digits(), **options)
    assert same(first.parameters(), second.parameters())


def test_networks_with_dropout_may_have_many_validation_images():
    many = few_digits()
    many = many._replace(
        validation_images=many.validation_images.repeat(11, 1, 1, 1),
        validation_labels=many.validation_labels.repeat(11),
    )
    history = fit(network(dropout=(0.5, 0.5)).train(), many, epochs=1, batch_size=50)
    assert history.validation_loss.isfinite().all()


def test_assertion_of_a_model_is_told_as_a_misfit():
    class Square(nn.Flatten):
        def forward(self, images):
            torch._assert(images.shape[-1] == 4, "images must be 4 pixels wide")
            return super().forward(images)

    with pytest.raises(ValueError, match="do not fit the model: images must be 4 pixels wide"):
        predict(Square(), torch.zeros(2, 1, 8, 8))


def test_tensors_stay_where_they_are_whatever_the_default_device():
    model, images = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), torch.rand(3, 4)
    with torch.device("meta"):
        assert predict(model, images).device.type == "cpu"
