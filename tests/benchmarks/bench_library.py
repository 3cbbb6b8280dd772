"""hw2lib beside the libraries that do the same: prints ratios."""

from __future__ import annotations

import copy
import functools
import multiprocessing
import os
from time import perf_counter, sleep

import foolbox
import numpy as np
import pytest
import scipy.linalg
import scipy.sparse.linalg
import torch
import torchattacks
import torchinfo
from sklearn.decomposition import PCA
from sklearn.utils.extmath import randomized_svd
from threadpoolctl import threadpool_limits
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from hw2lib.adversarial import signed_gradient_attack
from hw2lib.allcnn import AllCNN
from hw2lib.datasets import ImageData, digits, digits_data
from hw2lib.factorization import loss, low_rank_factors, truncation_error
from hw2lib.parameters import parameter_groups, parameter_table
from hw2lib.recurrent import linear_rnn_gradient, lstm_jacobian, rnn_jacobian
from hw2lib.resnet import resnet18
from hw2lib.training import digits_network, fit

ROUNDS = 11


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Give every library one thread: some would take two and others one, or wait for work."""
    with threadpool_limits(1):
        yield


def seconds(f, calls):
    """Return how long a call takes, the mean over some."""
    start = perf_counter()
    for _ in range(calls):
        f()
    return (perf_counter() - start) / calls


def side_by_side(title, ours, theirs):
    """Print how many times longer theirs takes: measured in turn, for noise to meet both."""
    pair = (ours, theirs)
    for f in pair:
        f()  # the first call is slower
    calls = max(1, round(0.1 / min(seconds(f, 1) for f in pair)))
    report(title, torch.tensor([[seconds(f, calls) for f in pair] for _ in range(ROUNDS)]))


def report(title, times):
    """Print what the times of each round say, ours in the first column."""
    low, ratio, high = (times[:, 1] / times[:, 0]).quantile(torch.tensor([0.25, 0.5, 0.75]))
    print(
        f"{title}: {times[:, 0].median() * 1e3:.1f} ms, "
        f"theirs / ours = {ratio:.2f} (quartiles {low:.2f} to {high:.2f})"
    )


def serve(call_of, arguments, threads, line):
    """Call a function whenever asked to, and tell how many seconds it took."""
    with threadpool_limits(threads):
        torch.set_num_threads(threads)
        call = call_of(*arguments)
        while line.recv():
            line.send(seconds(call, 1))


def in_processes_of_their_own(title, jobs, threads=1):
    """Print how many times longer theirs takes, in turn, as for those who use one of the two.

    In one process each would find the memory that the other has left: half of the time or none.
    """
    context = multiprocessing.get_context("spawn")
    lines, processes = [], []
    for call_of, *arguments in jobs:
        line, end = context.Pipe()
        given = (call_of, arguments, threads, end)
        processes.append(context.Process(target=serve, args=given, daemon=True))
        lines.append(line)
    for process in processes:
        process.start()

    def ask(line):
        sleep(0.3)  # the other's threads spin for a while after their work
        line.send(True)
        return line.recv()

    for line in lines:
        ask(line)  # the first call is slower
    report(title, torch.tensor([[ask(line) for line in lines] for _ in range(ROUNDS)]))
    for line, process in zip(lines, processes, strict=True):
        line.send(False)
        process.join()


@pytest.mark.parametrize("images", [None, (3, 224, 224)], ids=["parameters", "with shapes"])
def test_parameter_table_beside_torchinfo(images):
    model = resnet18()
    size = None if images is None else (1, *images)
    theirs = torchinfo.summary(model, size, verbose=0)
    assert parameter_table(model, images).total == theirs.total_params
    side_by_side(
        f"parameter_table, input {images}",
        lambda: parameter_table(model, images),
        lambda: torchinfo.summary(model, size, verbose=0),
    )


def random_matrix(m=2000, n=1500, seed=0):
    return torch.randn(m, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def with_singular_values(S):
    left, right = (torch.linalg.qr(random_matrix(m, len(S), m)).Q for m in (2000, 1500))
    return left * S @ right.T


COUNT = torch.arange(1, 1501, dtype=torch.float64)
MATRICES = {"digits 1797×64": lambda: digits()[0], "random 2000×1500": random_matrix}
SPECTRA = {  # 2000×1500: matrix, columns and iterations with which the random methods are right
    "random": (random_matrix, 60, 80),
    "σ = 0.9^i": (lambda: with_singular_values(0.9**COUNT), 40, 2),
    "σ = 1/i": (lambda: with_singular_values(1 / COUNT), 40, 4),
}


def scipy_factors(X, rank):
    U, S, Vh = scipy.linalg.svd(X, full_matrices=False)
    root = S[:rank] ** 0.5
    return U[:, :rank] * root, root[:, None] * Vh[:rank]


def sklearn_factors(X, rank):
    fit = PCA(rank, svd_solver="full").fit(X)
    root = fit.singular_values_**0.5
    return fit.transform(X) / root, root[:, None] * fit.components_


@pytest.mark.parametrize("other", [scipy_factors, sklearn_factors], ids=["scipy", "scikit-learn"])
@pytest.mark.parametrize("name", MATRICES)
def test_low_rank_factors_beside(name, other):
    X = MATRICES[name]()
    X = X - X.mean(0)  # PCA does so, and the losses must agree
    array = X.numpy()
    theirs, ours = (
        (X - torch.as_tensor(A @ B)).square().sum()
        for A, B in (other(array, 10), low_rank_factors(X, 10))
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=0)
    side_by_side(
        f"low_rank_factors beside {other.__name__}, {name}",
        lambda: low_rank_factors(X, 10),
        lambda: other(array, 10),
    )


def svds_factors(X, rank, columns, iterations):
    return scipy.sparse.linalg.svds(X.numpy(), rank)


def randomized_svd_factors(X, rank, columns, iterations):
    return randomized_svd(
        X.numpy(), rank, n_oversamples=columns - rank, n_iter=iterations, random_state=0
    )


def svd_lowrank_factors(X, rank, columns, iterations):
    U, S, V = torch.svd_lowrank(X, columns, niter=iterations)
    return U[:, :rank], S[:rank], V[:, :rank].T


def plain_svd_factors(X, rank, columns, iterations):
    U, S, Vh = torch.linalg.svd(X, full_matrices=False)
    return U[:, :rank], S[:rank], Vh[:rank]


def our_factors(X, rank, columns, iterations):
    return low_rank_factors(X, rank)


def call_of_factors(factors, name):
    matrix, columns, iterations = SPECTRA[name]
    return functools.partial(factors, matrix(), 10, columns, iterations)


@pytest.mark.parametrize("threads", [1, os.cpu_count()], ids=["one thread", "a thread a core"])
@pytest.mark.parametrize(
    "other", [svds_factors, randomized_svd_factors, svd_lowrank_factors, plain_svd_factors]
)
@pytest.mark.parametrize("name", SPECTRA)
def test_few_factors_of_a_large_matrix_beside(name, other, threads):
    matrix, columns, iterations = SPECTRA[name]
    X = matrix()
    least = truncation_error(X, 10)

    def excess(A, B):
        return (loss(X, A, B) - least).abs().item() / least.item()

    U, S, Vh = (
        torch.as_tensor(part.copy()) for part in map(np.asarray, other(X, 10, columns, iterations))
    )
    ours, theirs = excess(*low_rank_factors(X, 10)), excess(U * S, Vh)
    assert ours < 1e-10
    in_processes_of_their_own(
        f"low_rank_factors beside {other.__name__}, {name}, threads: {threads}, "
        f"loss above the least, relatively, {ours:.0e} and {theirs:.0e}",
        [(call_of_factors, factors, name) for factors in (our_factors, other)],
        threads,
    )


def test_linear_rnn_gradient_beside_autograd():
    generator = torch.Generator().manual_seed(0)
    W, z0, zbar = (torch.randn(shape, generator=generator).double() for shape in ((64, 64), 64, 64))
    W = W / torch.linalg.eigvals(W).abs().max()

    def unrolled():
        weight, z = W.clone().requires_grad_(), z0
        for _ in range(1000):
            z = weight @ z
        return torch.autograd.grad(z @ zbar, weight)[0]

    ours, theirs = linear_rnn_gradient(W, z0, zbar, 1000), unrolled()
    assert (ours - theirs).norm() < 1e-10 * theirs.norm()
    side_by_side(
        "linear_rnn_gradient beside autograd, p = 64, t = 1000",
        lambda: linear_rnn_gradient(W, z0, zbar, 1000),
        unrolled,
    )


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM])
def test_jacobian_through_time_beside_jacrev(kind):
    cell = kind(8, 32)
    inputs, zero = torch.randn(50, 8), torch.zeros(32)

    def last(state):
        first = state[None] if kind is nn.RNN else (state[None], zero[None])
        return cell(inputs, first)[0][-1]

    ours = {
        nn.RNN: lambda: rnn_jacobian(cell, inputs, zero),
        nn.LSTM: lambda: lstm_jacobian(cell, inputs, zero, zero),
    }[kind]
    title = f"jacobian of {kind.__name__} beside torch.func.jacrev, p = 32, T = 50"
    theirs = torch.func.jacrev(last)(zero)
    torch.testing.assert_close(ours().jacobian[:32, :32], theirs, rtol=1e-3, atol=1e-9)
    side_by_side(title, ours, lambda: torch.func.jacrev(last)(zero))


def attacked_network(widths):
    """Return a network in evaluation mode and 100 CIFAR-shaped images, as the question asks."""
    torch.manual_seed(0)
    model = AllCNN(widths=widths)
    images, labels = torch.rand(100, 3, 32, 32), torch.randint(0, 10, (100,))
    model(images)  # running statistics
    return model.eval(), images, labels


def our_attack(model, images, labels, steps=5):
    return signed_gradient_attack(
        model, images, labels, eps=8 / 255, steps=steps, step_size=2 / 255
    )


def torchattacks_pgd(model, images, labels, steps=5):
    return torchattacks.PGD(model, eps=8 / 255, alpha=2 / 255, steps=steps, random_start=False)(
        images, labels
    )


def foolbox_pgd(model, images, labels, steps=5):
    attack = foolbox.attacks.LinfPGD(abs_stepsize=2 / 255, steps=steps, random_start=False)
    bounded = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    return attack(bounded, images, labels, epsilons=8 / 255)[1]


def call_of_attack(attack, widths):
    return functools.partial(attack, *attacked_network(widths))


@pytest.mark.parametrize("other", [torchattacks_pgd, foolbox_pgd])
@pytest.mark.parametrize("widths", [(16, 32), (96, 192)], ids=["reduced", "full"])
def test_attack_beside(other, widths):
    model, images, labels = attacked_network(widths)

    apart = {
        steps: (
            our_attack(model, images, labels, steps) - other(model, images, labels, steps)
        ).abs()
        for steps in (1, 5)
    }
    # signs of entries near zero turn by rounding; later steps begin at other images then
    assert (apart[1] > 1e-6).double().mean() < 1e-4
    assert (apart[5] > 1e-6).double().mean() < 1e-3
    in_processes_of_their_own(
        f"5-step attack on 100 images, widths {widths}, beside {other.__name__}",
        [(call_of_attack, attack, widths) for attack in (our_attack, other)],
    )


def exact_signs(model, images, labels):
    """Return the signs of the gradient in double precision, without a difference that cancels."""
    model, x = copy.deepcopy(model).double(), images.double().requires_grad_()
    logits, label = model(x), labels[:, None]
    weights = logits.detach().scatter(1, label, -torch.inf).softmax(1).scatter(1, label, -1.0)
    return torch.autograd.grad(logits, x, weights)[0].sign()


@pytest.mark.parametrize("factor", [1, 4, 8, 16])
def test_signs_of_a_sure_network(factor):
    data = digits_data()
    images, labels = data.validation_images, data.validation_labels
    model = digits_network(data)[0]
    with torch.no_grad():
        for parameter in model.classes.parameters():
            parameter.mul_(factor)
        sure = (model(images).softmax(1).gather(1, labels[:, None]) == 1).float().mean()
    signs = exact_signs(model, images, labels)
    inner = (images > 2 / 255) & (images < 1 - 2 / 255)  # where a step is seen
    wrong = {}
    for attack in (our_attack, torchattacks_pgd, foolbox_pgd):
        step = attack(model, images, labels, steps=1) - images
        wrong[attack.__name__] = (step.sign() != signs)[inner].double().mean().item()
    print(
        f"logits times {factor}, p = 1 on {sure:.0%} of the images; wrong signs:",
        ", ".join(f"{name} {share:.2%}" for name, share in wrong.items()),
    )
    assert wrong["our_attack"] < 1e-3


def plain_epoch(model, data, batch_size):
    """Train for one epoch as everyone writes it."""
    loader = DataLoader(
        TensorDataset(data.training_images, data.training_labels),
        batch_size,
        shuffle=True,
        drop_last=True,
    )
    optimizer = torch.optim.SGD(parameter_groups(model, 1e-3), lr=0.1, momentum=0.9, nesterov=True)
    model.train()
    for images, labels in loader:
        entropy = cross_entropy(model(images), labels)
        optimizer.zero_grad()
        entropy.backward()
        optimizer.step()


def cifar_shaped(count):
    labels = torch.arange(count) % 10
    images = torch.rand(count, 3, 32, 32)
    return ImageData(images, labels, images[:1], labels[:1], tuple("0123456789"))


@pytest.mark.parametrize("widths", [(16, 32), (96, 192)], ids=["reduced", "full"])
def test_training_step_beside_the_plain_loop(widths):
    if widths == (16, 32):
        data, size, model = digits_data(), 64, AllCNN(1, 10, 8, widths=widths)
        data = data._replace(
            validation_images=data.validation_images[:1],
            validation_labels=data.validation_labels[:1],
        )
    else:
        data, size, model = cifar_shaped(512), 128, AllCNN()
    start, plain = copy.deepcopy(model), copy.deepcopy(model)
    side_by_side(
        f"an epoch of {len(data.training_labels)} images, widths {widths}, beside a plain loop",
        lambda: fit(model, data, epochs=1, batch_size=size, progress=False),
        lambda: plain_epoch(plain, data, size),
    )
    for trained in (model, plain):  # both have done their work, on every weight
        pairs = zip(start.parameters(), trained.parameters(), strict=True)
        assert not any(torch.equal(before, after) for before, after in pairs)
