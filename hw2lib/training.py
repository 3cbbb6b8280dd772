"""Training of an image classifier by SGD as the question asks, on one device or on several.

As a program, ``python -m hw2lib.training --help``; under ``torchrun`` on several processes.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import hashlib
import io
import logging
import math
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from hw2lib._checks import (
    as_batch,
    as_images,
    as_labels,
    check_integer,
    check_kind,
    check_matching,
    check_number,
    finite,
    run_model,
)
from hw2lib.allcnn import AllCNN
from hw2lib.datasets import ImageData, cifar10_data, digits_data
from hw2lib.parameters import parameter_groups

__all__ = [
    "Evaluation",
    "History",
    "digits_network",
    "evaluate",
    "evaluation_mode",
    "fit",
    "predict",
    "step_schedule",
]

log = logging.getLogger(__name__)

LARGEST_OUTPUT = 2**24  # bytes of a layer's, well below those that are never kept
WORTH_A_TRIAL = 100_000  # numbers in images
EVALUATED = 500  # images at a time


class History(NamedTuple):
    """What happened in each epoch of :func:`fit`.

    Attributes
    ----------
    learning_rate : Tensor
        Shape (epochs,), as all of them, in double precision.
    training_loss, training_error : Tensor
        Mean cross-entropy (nats) and share of wrong answers over the epoch's batches, as the
        network met them: dropout on, before each step.
    validation_loss, validation_error : Tensor
        The same of the validation images after the epoch, in evaluation mode.
    """

    learning_rate: Tensor
    training_loss: Tensor
    training_error: Tensor
    validation_loss: Tensor
    validation_error: Tensor


class Evaluation(NamedTuple):
    """How good a network is on some images.

    Attributes
    ----------
    loss : float
        Mean cross-entropy, in nats.
    error : float
        Share of wrong answers.
    """

    loss: float
    error: float


def evaluation_mode(model: nn.Module) -> contextlib.AbstractContextManager[None]:
    """Put a model into evaluation mode, and every module back into its own mode afterwards.

    Parameters
    ----------
    model : nn.Module
        Any network.

    Returns
    -------
    context manager
        To be used in a ``with`` statement.

    Raises
    ------
    TypeError
        If `model` is not a module.

    References
    ----------
    PyTorch documentation, ``torch.nn.Module.eval``.

    Examples
    --------
    >>> model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2).eval())
    >>> with evaluation_mode(model):
    ...     print(model[0].training)
    False
    >>> model[0].training, model[1].training
    (True, False)
    """
    check_kind("model", model, nn.Module)
    return evaluating(model)


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Do what :func:`evaluation_mode` says."""
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
    except NotImplementedError as error:
        for module, mode in modes.items():
            module.training = mode
        raise ValueError(
            f"model must have an evaluation mode, got an exported one: {error}"
        ) from error
    try:
        yield
    finally:
        for module, mode in modes.items():  # parents first
            if module.training != mode:
                module.train(mode)  # which may do more than set the mode
        for module, mode in modes.items():
            module.training = mode


def predict(model: nn.Module, images: Any, *, batch_size: int | None = None) -> Tensor:
    """Return the logits of a network in evaluation mode, computed batch by batch.

    Parameters
    ----------
    model : nn.Module
        Maps images to logits; its mode is restored.
    images : Tensor
        Shape (N, …), of the model's dtype and device.
    batch_size : int, optional
        Images at a time; by default 500, on a CPU fewer if a layer's output would take more than
        16 MB, which is faster. Before it splits them by default it refuses a model for which the
        second image has other logits beside a very different one than beside the first.

    Returns
    -------
    Tensor
        Shape (N, classes), without gradients.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range, the images do not fit the model, or its
        logits are not finite.

    References
    ----------
    PyTorch documentation, ``torch.nn.Module.eval``.

    Examples
    --------
    >>> model = nn.Linear(2, 3)
    >>> tuple(predict(model, torch.ones(4, 2)).shape)
    (4, 3)
    """
    images = as_images("images", images, model)
    with evaluation_mode(model), torch.no_grad():
        size = size_of_batches(batch_size, model, images)
        return torch.cat([logits_of(model, batch) for batch in images.split(size)])


def size_of_batches(
    batch_size: int | None, model: nn.Module, images: Tensor, *, mixed: bool = True
) -> int:
    """Return `batch_size`, or what is fast for a model in evaluation mode that is fit for it.

    It is if images do not mix; while all are taken at once, they may if `mixed` is true.
    """
    if batch_size is not None:
        return check_integer("batch_size", batch_size, 1)
    size = EVALUATED
    try:
        if images.device.type == "cpu" and images.numel() > WORTH_A_TRIAL:
            keep_memory()
            pair = images[:2]
            size = max(1, min(size, len(pair) * LARGEST_OUTPUT // largest_output(model, pair)))
        if len(images) > size or not mixed:
            check_independent_of_batch(model, images)
    except ValueError as error:
        error.add_note(
            "Two images were tried: give batch_size=len(images) if all of them belong together."
        )
        raise
    return size


def keep_memory() -> None:
    """Have blocks of less than 32 MB kept for the next batch, where glibc allocates memory.

    It keeps what is smaller than the largest block that was given back (mallopt(3),
    M_MMAP_THRESHOLD); any other is fetched from the system anew, page by page. This block is never
    written, so it costs nothing.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8)


def largest_output(model: nn.Module, images: Tensor) -> int:
    """Return the bytes of the largest tensor that a module of the model makes of images."""
    sizes = [1]

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        sizes.append(output.nbytes if isinstance(output, Tensor) else 1)

    hooks = [
        module.register_forward_hook(note)
        for module in model.modules()
        if not isinstance(module, torch.jit.ScriptModule)
    ]
    try:
        with torch.no_grad():
            run_model(model, images)
    finally:
        for hook in hooks:
            hook.remove()
    return max(sizes)


def check_independent_of_batch(model: nn.Module, images: Tensor) -> None:
    """Refuse a model that has other logits for the second image when it comes with another one.

    What is computed batch by batch would be wrong for it.
    """
    if len(images) == 1:
        return
    first, second, *rest = images[:3]
    far = torch.where(first < 0.5, 1.0, 0.0).to(first)  # from the first, in every pixel
    with torch.no_grad():
        logits = logits_of(model, torch.stack((first, second)))
        for third in (far, *rest):  # the model may not take an image that was made up
            with contextlib.suppress(ValueError):
                beside = run_model(model, torch.stack((second, third)))
                if beside[0].isfinite().all():
                    break
        else:
            return
    one, other = logits[1].double(), beside[0].double()
    eps = torch.finfo(logits.dtype).eps if logits.is_floating_point() else 0.0
    if images.device.type != "cpu":
        eps = max(eps, 2**-10)  # of TF32
    allowed = max(eps**0.5 * (one.max() - one.min()), 32 * eps * one.abs().max())
    if one.shape != other.shape or (one - other).abs().max() > allowed:
        raise ValueError(
            "model must map an image to the same logits in every batch, got others in two batches"
        )


def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """Return the logits of images, shape (N, classes); NaN and Inf are refused."""
    logits = run_model(model, images)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(images):
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"model must map images to logits, shape (N, classes), got {got}")
    if not logits.shape[1]:
        raise ValueError("model must map images to logits of at least one class, got none")
    if logits.is_complex() or logits.dtype == torch.bool:
        raise ValueError(f"model must map images to real logits, got dtype {logits.dtype}")
    if not logits.isfinite().all():
        raise ValueError("model must map images to finite logits, got NaN or Inf")
    return logits


def evaluate(
    model: nn.Module, images: Any, labels: Any, *, batch_size: int | None = None
) -> Evaluation:
    """Return the mean loss and the share of wrong answers of a network in evaluation mode.

    Parameters
    ----------
    model : nn.Module
        Maps images to logits; its mode is restored.
    images : Tensor
        Shape (N, …), of the model's dtype and device.
    labels : Tensor
        Shape (N,), integers from 0.
    batch_size : int, optional
        Images at a time; by default 500, on a CPU fewer if a layer's output would take more than
        16 MB, which is faster. Before it splits them by default it refuses a model for which the
        second image has other logits beside a very different one than beside the first.

    Returns
    -------
    Evaluation
        Named tuple of `loss` and `error`.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range, the images do not fit the model, or its
        logits or the loss are not finite.

    References
    ----------
    Goodfellow, Bengio, Courville, "Deep learning", MIT Press 2016, section 6.2.2.3 (softmax units).

    Examples
    --------
    >>> class Undecided(nn.Module):
    ...     def forward(self, images):
    ...         return torch.zeros(len(images), 4)
    >>> evaluate(Undecided(), torch.ones(8, 1), torch.arange(8) % 4)  # loss log 4
    Evaluation(loss=1.3862943649291992, error=0.75)
    """
    images = as_images("images", images, model)
    labels = as_labels("labels", labels, len(images)).to(images.device)
    logits = predict(model, images, batch_size=batch_size)
    check_classes("labels", labels, logits)
    loss, wrong = finite("model and images", totals(logits, labels)).tolist()
    return Evaluation(loss / len(images), wrong / len(images))


def check_classes(name: str, labels: Tensor, logits: Tensor) -> None:
    """Refuse labels that are none of the model's classes; logits have shape (…, classes)."""
    classes, greatest = logits.shape[-1], int(labels.max())
    if greatest >= classes:
        raise ValueError(
            f"{name} must lie in 0..{classes - 1} (the model's classes), got {greatest}"
        )


def totals(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the sum of the losses and the number of wrong answers, shape (2,)."""
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
    losses = cross_entropy(precise, labels, reduction="sum")
    return torch.stack([losses, (logits.argmax(1) != labels).sum()])


def step_schedule(epochs: int, learning_rate: float = 0.1) -> Tensor:
    """Return the learning rate of each epoch: a tenth after 40 %, a hundredth after 80 %.

    The question's schedule, 40, 40 and 20 epochs of 100, scaled to any number.

    Parameters
    ----------
    epochs : int
        How many there are.
    learning_rate : float
        Of the first ones.

    Returns
    -------
    Tensor
        Shape (epochs,), double precision.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.

    References
    ----------
    Springenberg et al., "Striving for simplicity", ICLR 2015 workshop, section 3 (a rate divided by
    10 at fixed epochs).

    Examples
    --------
    >>> step_schedule(5).tolist()
    [0.1, 0.1, 0.01, 0.01, 0.001]
    """
    epochs = check_integer("epochs", epochs, 1)
    rate = check_number("learning_rate", learning_rate, "a number above 0", lambda v: v > 0)
    drops = [(5 * epoch >= 2 * epochs) + (5 * epoch >= 4 * epochs) for epoch in range(epochs)]
    return torch.tensor([rate / 10**drop for drop in drops], dtype=torch.float64)


@torch.inference_mode(mode=False)
@torch.enable_grad()
def fit(
    model: nn.Module,
    data: ImageData,
    *,
    epochs: int = 100,
    batch_size: int = 128,
    learning_rate: float = 0.1,
    weight_decay: float = 1e-3,
    seed: int = 0,
    precision: str = "float32",
    compile: bool = False,
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> History:
    """Train a network by SGD with Nesterov momentum 0.9, on the device where it lies.

    Only weights decay (:func:`hw2lib.parameters.parameter_groups`); the rate follows
    :func:`step_schedule`; each epoch visits the images in a new order and leaves an incomplete last
    batch out. Every epoch starts from a seed of its own, so an interrupted run goes on to the
    numbers that it would have had; torch's own generators are left as they were.

    In a process group (``torchrun``) every process takes its share of each batch, gradients are
    averaged by DistributedDataParallel, and batch norm sees the whole batch on CUDA, but only its
    process's share on CPUs.

    Parameters
    ----------
    model : nn.Module
        Maps images to logits. Trained in place, left in evaluation mode; on CPU and CUDA its
        weights are put into the channels-last format, which their convolutions prefer.
    data : ImageData
        What to train on, and what to look at after each epoch.
    epochs, batch_size : int
        Passes through the images, and images a step, over all processes together.
    learning_rate, weight_decay : float
        Of the first epochs, and of the weights.
    seed : int
        Decides on the orders and on dropout; the first weights are the model's own.
    precision : str
        "float32", or "bfloat16" for autocast, which helps on recent GPUs.
    compile : bool
        Whether to compile the training step with ``torch.compile``: a minute, repaid on a GPU.
    checkpoint : str or Path, optional
        A file that is written before the first epoch, replaced after every one, and from which an
        interrupted run goes on. It knows what the run depends on (data, options, the model as it
        prints itself, its frozen parameters), and a checksum of itself.
    progress : bool
        Whether to show a progress bar, if there is a terminal.

    Returns
    -------
    History
        Losses and errors, epoch by epoch.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range, the loss ceases to be finite, the
        images of a batch mix where more than 500 are validated, or the checkpoint is damaged or of
        a run on other data, of another model or with other options (it is left as it is).
    OSError
        If the checkpoint cannot be read or written; where that can be known, before any epoch.

    References
    ----------
    Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and momentum in deep
    learning", ICML 2013 (Nesterov momentum); Springenberg et al., ICLR 2015 workshop, section 3.

    Examples
    --------
    >>> data = digits_data()
    >>> history = fit(AllCNN(1, 10, 8, widths=(4, 8)), data, epochs=2, batch_size=64)
    >>> tuple(history.validation_loss.shape)
    (2,)
    """
    check_kind("model", model, nn.Module)
    check_kind("data", data, ImageData)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(f"model must have parameters to train, got {model}")
    if any(parameter.is_inference() for parameter in model.parameters()):
        raise ValueError("model must not be made in torch.inference_mode: such weights stay")
    data = check_data(data)
    dtype = next(model.parameters()).dtype
    for part in ("training", "validation"):
        found = getattr(data, f"{part}_images").dtype
        if found != dtype:
            raise ValueError(
                f"data.{part}_images must have the model's dtype, {dtype}, got {found}"
            )
    world = dist.get_world_size() if dist.is_initialized() else 1
    check_kind("precision", precision, str)
    settings = {
        "epochs": check_integer("epochs", epochs, 1),
        "batch_size": check_integer(
            "batch_size", batch_size, 1, len(data.training_images), " (the training images)"
        ),
        "learning_rate": check_number(
            "learning_rate", learning_rate, "a number above 0", lambda v: v > 0
        ),
        "weight_decay": check_number(
            "weight_decay", weight_decay, "a number of at least 0", lambda v: v >= 0
        ),
        "seed": check_integer("seed", seed, 0),
        "precision": str.__str__(precision),  # not what is derived from a string
        "processes": world,
    }
    if precision not in ("float32", "bfloat16"):
        raise ValueError(f"precision must be 'float32' or 'bfloat16', got {precision!r}")
    if batch_size % world:
        raise ValueError(
            f"batch_size must be a multiple of the {world} processes, got {batch_size}"
        )
    check_kind("compile", compile, bool)
    check_kind("progress", progress, bool)
    check_kind("checkpoint", checkpoint, (str, Path, type(None)))
    file = None if checkpoint is None else check_file(checkpoint)
    device = next(model.parameters()).device
    shown = data.training_images[:2].to(device)
    with generators_kept(device):
        logits = predict(model, shown[:1])
        for part in ("training", "validation"):
            check_classes(f"data.{part}_labels", getattr(data, f"{part}_labels"), logits)
        if len(data.validation_images) > EVALUATED:
            with evaluation_mode(model):
                check_independent_of_batch(model, data.validation_images[:3].to(device))
        if device.type in ("cpu", "cuda"):
            prefer_channels_last(model, shown)
    if file is not None:
        settings |= {"data": identity_of_data(data), "model": identity_of_model(model)}
    run = Run(model, data, settings, compile, classes=logits.shape[1])
    if file is not None:
        run.load(file)
        if run.rank == 0 and len(run.rows) < epochs:
            run.save(file)  # one that cannot be written is found before the work
    bar = tqdm(
        total=epochs * run.steps,
        initial=len(run.rows) * run.steps,
        unit="batch",
        disable=None if progress and run.rank == 0 else True,
    )
    with bar, generators_kept(device):
        for rate in step_schedule(epochs, learning_rate)[len(run.rows) :].tolist():
            row = run.epoch(rate, bar)
            if not all(map(math.isfinite, row)):
                raise ValueError(
                    "learning_rate must be small enough for the loss to stay finite, and "
                    f"weight_decay too, got {rate:g} and {weight_decay:g}: it is {row[1]} in epoch "
                    f"{len(run.rows)}, and {row[3]} on the validation images after it"
                )
            bar.set_postfix(loss=f"{row[1]:.3f}", validation=f"{row[3]:.3f} ({row[4]:.1%} wrong)")
            if run.rank == 0:
                log.debug(
                    "epoch %d: loss %.4f, validation %.4f, %.2f %% wrong",
                    *(len(run.rows), row[1], row[3], 100 * row[4]),
                )
                if file is not None:
                    run.save(file)
    model.eval()
    return History(*torch.tensor(run.rows, dtype=torch.float64).T)


def check_data(data: ImageData) -> ImageData:
    """Return data whose images are finite and of one size, and labelled."""
    found: dict[str, Any] = {}
    for part in ("training", "validation"):
        name = f"data.{part}_images"
        images = as_batch(name, getattr(data, f"{part}_images")).detach()
        labels = as_labels(f"data.{part}_labels", getattr(data, f"{part}_labels"), len(images))
        found |= {f"{part}_images": images, f"{part}_labels": labels}
    size = found["training_images"].shape[1:]
    validation = found["validation_images"]
    check_matching("data.validation_images", validation, (len(validation), *size), "as in training")
    return data._replace(**found)


def check_file(checkpoint: str | Path) -> Path:
    """Return the path of a checkpoint, links followed, if it is or may become a file."""
    if "\0" in str(checkpoint):
        raise ValueError(f"checkpoint must be a path, got {checkpoint!r}")
    try:
        file = Path(checkpoint).expanduser().resolve()
        taken = file.exists() and not file.is_file()
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"checkpoint must be a path, got {checkpoint!r}: {error}") from error
    if taken:
        kind = "folder" if file.is_dir() else "device"
        raise ValueError(f"checkpoint must be a file, got the {kind} {file}")
    return file


def prefer_channels_last(model: nn.Module, images: Tensor) -> None:
    """Put the weights of convolutions into the format they prefer, if the model still works.

    It does not if it takes a view of what a convolution puts out.
    """
    try:
        trial = copy.deepcopy(model)
        nn.utils.convert_conv2d_weight_memory_format(trial, torch.channels_last)
        for mode in (True, False):
            trial.train(mode)(images.clone())
    except Exception:  # it does not train, or cannot be copied: others say so
        return
    nn.utils.convert_conv2d_weight_memory_format(model, torch.channels_last)


def generators_kept(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Leave the generators of the CPU, and of a CUDA device, as they are."""
    return torch.random.fork_rng([device] if device.type == "cuda" else [])


def seed_device(device: torch.device, seed: int) -> None:
    """Seed the generators of the CPU and of the device, and not those of other devices."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type != "cpu":
        torch.manual_seed(seed)


class Run:
    """The state of a training: what a checkpoint holds, and what a step needs."""

    def __init__(
        self,
        model: nn.Module,
        data: ImageData,
        settings: dict[str, Any],
        compile: bool,
        classes: int,
    ) -> None:
        self.settings, self.classes = settings, classes
        self.world = settings["processes"]
        self.rank = dist.get_rank() if self.world > 1 else 0
        self.device = next(model.parameters()).device
        self.steps = len(data.training_images) // settings["batch_size"]
        self.rows: list[list[float]] = []
        if self.world > 1 and self.device.type == "cuda":
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        self.model = model
        self.network: Any = model
        if self.world > 1:
            devices = [self.device] if self.device.type == "cuda" else None
            self.network = DistributedDataParallel(model, device_ids=devices)
        if compile:
            self.network = torch.compile(self.network)
        self.optimizer = torch.optim.SGD(
            parameter_groups(model, settings["weight_decay"]),
            lr=settings["learning_rate"],
            momentum=0.9,
            nesterov=True,
            fused=True,
        )
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                momentum = torch.zeros_like(parameter, requires_grad=False)
                self.optimizer.state[parameter]["momentum_buffer"] = momentum
        self.images = data.training_images.to(self.device)
        self.labels = data.training_labels.long().to(self.device)
        share = slice(self.rank, None, self.world)
        self.validation_images = data.validation_images[share].to(self.device)
        self.validation_labels = data.validation_labels[share].long().to(self.device)
        self.validation_count = len(data.validation_labels)

    def epoch(self, rate: float, bar: tqdm) -> list[float]:
        """Train for one epoch, append its row to the history and return it."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        count, size = len(self.images), self.settings["batch_size"]
        key = (self.settings["seed"] * 1_000_003 + len(self.rows)) % 2**63
        order = torch.randperm(count, generator=torch.Generator().manual_seed(key))
        seed_device(self.device, (key * 1009 + self.rank) % 2**63)  # dropout, each process its own
        batches = order[: self.steps * size].view(self.steps, size)[:, self.rank :: self.world]
        precise = torch.float32 if self.device.type == "mps" else torch.float64
        training = torch.zeros(2, dtype=precise, device=self.device)
        self.network.train()
        for batch in batches.to(self.device):
            training += self.step(self.images[batch], self.labels[batch])
            bar.update()
        if self.world > 1:  # batch norm's running statistics are each process's own
            for buffer in self.model.buffers():
                dist.broadcast(buffer, 0)
        validation = torch.zeros_like(training)
        with evaluation_mode(self.model), torch.no_grad(), self.autocast():
            pieces = (
                self.validation_images.split(EVALUATED),
                self.validation_labels.split(EVALUATED),
            )
            for images, labels in zip(*pieces, strict=True):
                validation += totals(self.model(images.clone()), labels)  # it may work in place
        if self.world > 1:
            dist.all_reduce(training)
            dist.all_reduce(validation)
        training /= self.steps * size
        validation /= self.validation_count
        self.rows.append([rate, *training.tolist(), *validation.tolist()])
        return self.rows[-1]

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Take one step; return the sum of the losses and the number of wrong answers before it."""
        with self.autocast():
            try:
                logits = self.network(images)
            except Exception as error:  # of a batch norm with one image, for example
                raise ValueError(
                    f"model does not train on {len(images)} images: {error}"
                ) from error
            expected = (len(images), self.classes)
            if not isinstance(logits, Tensor) or logits.shape != expected:
                got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
                raise ValueError(
                    f"model must map images to logits, shape {expected}, when it trains, too, got "
                    f"{got}"
                )
            if not logits.requires_grad:
                raise ValueError("model must map images to logits that depend on its parameters")
            precise = torch.promote_types(logits.dtype, torch.float32)
            loss = cross_entropy(logits.to(precise), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        wrong = (logits.detach().argmax(1) != labels).sum()
        return torch.stack([loss.detach() * len(labels), wrong])

    def autocast(self) -> torch.autocast:
        """Return the context in which convolutions run in the chosen precision."""
        bfloat16 = self.settings["precision"] == "bfloat16"
        # inside another autocast the cache would hand out weights from before the step
        return torch.autocast(self.device.type, torch.bfloat16, bfloat16, cache_enabled=False)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Return what the training changes, by name: the model's tensors and the momentum."""
        momentum = {
            name: self.optimizer.state[parameter]["momentum_buffer"]
            for name, parameter in self.model.named_parameters()
            if parameter in self.optimizer.state  # not if it is frozen
        }
        state = dict(self.model.state_dict())
        others = {name: b for name, b in self.model.named_buffers() if name not in state}
        return {"model": state, "buffers": others, "momentum": momentum}

    def save(self, file: Path) -> None:
        """Write the state under a temporary name, then move it into place."""
        rows = torch.tensor(self.rows, dtype=torch.float64).view(-1, len(History._fields))
        content = io.BytesIO()
        torch.save({"settings": self.settings, "rows": rows, **self.tensors()}, content)
        temporary = file.with_name(f"checkpoint-{secrets.token_hex(8)}.part")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb") as part:
                part.write(sealed(content.getvalue()))
                part.flush()
                os.fsync(part.fileno())
            os.replace(temporary, file)
        except OSError as error:
            raise OSError(f"checkpoint {file} cannot be written: {error}") from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()

    def load(self, file: Path) -> None:
        """Go on from a checkpoint if there is one; every process takes it from the first."""
        found = [read_checkpoint(file) if self.rank == 0 and file.is_file() else None]
        if self.world > 1:
            dist.broadcast_object_list(found)
        state = found[0]
        if state is None:
            return
        for name, ours in self.settings.items():
            theirs = state["settings"].get(name)
            if theirs != ours:
                raise ValueError(
                    f"checkpoint {file} comes from a run with {name} = {theirs}, not {ours}; "
                    "continue with that, or give another file"
                )
        own = self.tensors()
        # the fused optimizer would read beyond the end of a momentum that is too small
        if len(state["rows"]) > self.settings["epochs"] or any(
            kinds(state[part]) != kinds(own[part]) for part in own
        ):
            raise ValueError(f"checkpoint {file} does not fit the model; give another file")
        with torch.no_grad():
            for part, tensors in own.items():
                for name, tensor in tensors.items():
                    tensor.copy_(state[part][name])
        for name, module in self.model.named_modules():  # some have a state beside their tensors
            extra = f"{name}._extra_state".lstrip(".")
            if extra in state["model"]:
                module.set_extra_state(state["model"][extra])
        self.rows = state["rows"].tolist()


# ---- checkpoints

SEAL = b"hw2lib checkpoint, SHA-256 "


def sealed(content: bytes) -> bytes:
    """Return a checkpoint's content behind a line with its checksum."""
    return SEAL + hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def read_checkpoint(file: Path) -> dict[str, Any]:
    """Return what a checkpoint holds: tensors and numbers, nothing that could run."""
    file = file.expanduser()
    try:
        found = file.read_bytes()
    except OSError as error:
        raise OSError(f"checkpoint {file} cannot be read: {error}") from error
    no_checkpoint = ValueError(
        f"checkpoint {file} is no checkpoint of this function; give another file"
    )
    if not found.startswith(SEAL):
        raise no_checkpoint
    content = found.partition(b"\n")[2]
    if found != sealed(content):
        raise ValueError(f"checkpoint {file} is damaged; move it away to start again")
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # what was not written by this function can raise anything
        raise no_checkpoint from error
    match state:
        case {
            "settings": dict(),
            "rows": Tensor(ndim=2, dtype=torch.float64) as rows,
            "model": dict() as model,
            "buffers": dict() as buffers,
            "momentum": dict() as momentum,
        } if rows.shape[1] == len(History._fields) and all(
            isinstance(each, Tensor)
            for each in (*model.values(), *buffers.values(), *momentum.values())
        ):
            return state
    raise no_checkpoint


def kinds(tensors: dict[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Return the shapes and dtypes of named tensors."""
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def identity_of_data(data: ImageData) -> str:
    """Return how many images there are, and a digest of all that the data hold."""
    digest = hashlib.sha256(repr(data.classes).encode())
    for tensor in data[:4]:
        digest.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(content(tensor))
    counts = f"{len(data.training_labels)} + {len(data.validation_labels)} images"
    return f"{counts} (SHA-256 {digest.hexdigest()[:16]}…)"


def identity_of_model(model: nn.Module) -> str:
    """Return a model's name, and a digest of how it prints itself, its tensors, what is frozen."""
    digest = hashlib.sha256(repr(model).encode())
    for name, tensor in model.state_dict(keep_vars=True).items():
        if not isinstance(tensor, Tensor):
            raise TypeError(f"model must have a state of tensors for a checkpoint, got {name}")
        digest.update(
            f"{name} {tuple(tensor.shape)} {tensor.dtype} {tensor.requires_grad}".encode()
        )
    for parameter in model.parameters():
        if not parameter.requires_grad:
            digest.update(content(parameter))
    return f"{type(model).__name__} (SHA-256 {digest.hexdigest()[:16]}…)"


def content(tensor: Tensor) -> memoryview:
    """Return the bytes of a tensor, not copied where it lies in one piece on the CPU."""
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data


# ---- the reduced run


@torch.inference_mode(mode=False)
def digits_network(
    data: ImageData | None = None, *, seed: int = 0, epochs: int = 10
) -> tuple[AllCNN, History]:
    """Train the reduced network of Solution 5 on the handwritten digits: seconds on a laptop.

    The question's network with 16 and 32 channels instead of 96 and 192, dropout 0.1 instead of 0.2
    and 0.5 (a small network needs less), 10 epochs of batches of 64 instead of 100 of 128.

    Parameters
    ----------
    data : ImageData, optional
        From :func:`hw2lib.datasets.digits_data`; by default that with the random split.
    seed : int
        Of the first weights, the orders and dropout.
    epochs : int
        Passes through the images.

    Returns
    -------
    model : AllCNN
        In evaluation mode.
    history : History
        Of its training.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.

    References
    ----------
    Springenberg et al., "Striving for simplicity", ICLR 2015 workshop, table 2.

    Examples
    --------
    >>> model, history = digits_network(epochs=2)
    >>> sum(p.numel() for p in model.parameters())
    38778
    """
    check_kind("data", data, (ImageData, type(None)))
    seed = check_integer("seed", seed, 0)
    data = digits_data() if data is None else check_data(data)
    images = data.training_images
    check_matching("data.training_images", images, (len(images), 1, 8, 8), "digits of 8×8 pixels")
    mean, std = data.pixel_statistics()
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(seed)
        model = AllCNN(
            1, 10, 8, widths=(16, 32), dropout=(0.1, 0.1), pixel_mean=mean, pixel_std=std
        ).to(data.training_images.dtype)
    return model, fit(model, data, epochs=epochs, batch_size=64, seed=seed)


# ---- as a program


def data_parser(program: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    """Return a command line's options that say which data and which device."""
    result = argparse.ArgumentParser(f"python -m hw2lib.{program}", None, description, epilog)
    add = result.add_argument
    add("--data", choices=("digits", "cifar10"), default="digits")
    add("--folder", type=Path, default=Path("data"), help="of CIFAR-10 (default: %(default)s)")
    add("--download", action="store_true", help="fetch CIFAR-10 into the folder if it is not there")
    add("--device", type=device, default=fastest_device(), help="default: %(default)s")
    return result


def load_data(given: argparse.Namespace) -> ImageData:
    """Return the data that a command line asks for."""
    if given.data == "digits":
        return digits_data()
    try:
        return cifar10_data(given.folder, download=given.download)
    except FileNotFoundError as error:
        raise FileNotFoundError(str(error).replace("download=True", "--download")) from error


def load_data_in_turn(given: argparse.Namespace) -> ImageData:
    """Return the data: the first process fetches them, if they are not there, the others wait."""
    is_first = dist.get_rank() == 0
    if not is_first:
        dist.barrier()
    data = load_data(given)
    if is_first:
        dist.barrier()
    return data


def full_network(data: ImageData) -> AllCNN:
    """Return the question's network, in full width, for these images."""
    _, channels, size, _ = data.training_images.shape
    mean, std = data.pixel_statistics()
    return AllCNN(channels, len(data.classes), size, pixel_mean=mean, pixel_std=std)


def parser() -> argparse.ArgumentParser:
    """Return the command line's options."""
    result = data_parser(
        "training",
        "Train the all-convolutional network of Solution 5.",
        "On several GPUs or machines: torchrun --nproc-per-node=N -m hw2lib.training …",
    )
    add = result.add_argument
    add("--epochs", type=int, default=100)
    add("--batch-size", type=int, default=128)
    add("--seed", type=int, default=0)
    add("--precision", choices=("float32", "bfloat16"), help="default: bfloat16 on cuda")
    add("--compile", action=argparse.BooleanOptionalAction, help="default: on cuda")
    add("--checkpoint", type=Path, help="file to go on from, replaced after every epoch")
    return result


def fastest_device() -> str:
    """Return the accelerator that torch sees, or the CPU."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return "cpu" if accelerator is None else accelerator.type


def device(name: str) -> str:
    """Return the name of a device if it is there."""
    there = dict.fromkeys(("cpu", fastest_device()))
    try:
        found = torch.device(name)
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{name!r} is no device: {error}") from error
    count = 1 if found.type == "cpu" else torch.accelerator.device_count()
    if found.type not in there or (found.index or 0) >= count:
        raise argparse.ArgumentTypeError(f"{name!r} is not there; torch sees {', '.join(there)}")
    return name


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, report every epoch, and end with the validation error."""
    given = parser().parse_args(arguments)
    if not sys.stderr.isatty():  # no progress bar: a line an epoch
        logging.basicConfig(format="%(message)s")
        log.setLevel(logging.DEBUG)
    place, on_cuda = given.device, given.device.startswith("cuda")
    distributed = "LOCAL_RANK" in os.environ
    if distributed:
        if on_cuda:
            place = f"cuda:{os.environ['LOCAL_RANK']}"
            torch.cuda.set_device(place)
        dist.init_process_group("nccl" if on_cuda else "gloo")
    try:
        try:
            data = load_data_in_turn(given) if distributed else load_data(given)
            torch.manual_seed(check_integer("seed", given.seed, 0))
            model = full_network(data)
            history = fit(
                model.to(place),
                data,
                epochs=given.epochs,
                batch_size=given.batch_size,
                seed=given.seed,
                precision=given.precision or ("bfloat16" if on_cuda else "float32"),
                compile=on_cuda if given.compile is None else given.compile,
                checkpoint=given.checkpoint,
            )
        except (ValueError, OSError) as error:
            parser().error(str(error))
        if not distributed or dist.get_rank() == 0:
            print(
                f"validation error after {given.epochs} epochs: {history.validation_error[-1]:.2%}"
            )
    finally:
        if distributed:
            dist.destroy_process_group()


if __name__ == "__main__":
    main()
