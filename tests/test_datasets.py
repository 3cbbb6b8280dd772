"""The digits' splits, and CIFAR-10's loader on a small archive in the official format."""

import hashlib
import io
import os
import pickle
import tarfile
from http.client import IncompleteRead
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch

from hw2lib import datasets
from hw2lib.datasets import cifar10_data, digits, digits_data, digits_forms

# ---- digits


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits  # which every worker would wait for

    images, labels = load_digits(return_X_y=True)
    ours = digits()
    assert np.array_equal(ours[0], images)
    assert np.array_equal(ours[1], labels)
    assert (ours[0].dtype, ours[1].dtype) == (torch.float64, torch.int64)


@pytest.mark.parametrize("unseen_writers", [False, True])
def test_split_keeps_every_image_once(unseen_writers):
    data = digits_data(unseen_writers=unseen_writers)
    images = torch.cat([data.training_images, data.validation_images]).flatten(1)
    expected = (digits()[0] / 16).float()
    assert len(images) == 1797
    assert torch.equal(images.unique(dim=0), expected.unique(dim=0))
    assert images.min() == 0
    assert images.max() == 1


def test_random_split_has_a_fifth_of_each_digit():
    data = digits_data()
    total = torch.cat([data.training_labels, data.validation_labels]).bincount()
    share = data.validation_labels.bincount() / total
    assert (share - 0.2).abs().max() < 0.01
    again = digits_data()
    assert torch.equal(data.validation_images, again.validation_images)


def test_unseen_writers_are_not_in_the_training_set():
    data, forms = digits_data(unseen_writers=True), digits_forms()
    images = (digits()[0] / 16).float().view(-1, 1, 8, 8)
    assert torch.equal(data.training_images, images[forms < 11])
    assert torch.equal(data.validation_images, images[forms >= 11])


def test_every_form_is_the_first_but_for_a_few_digits():
    labels, forms = digits()[1], digits_forms()
    first, *others = (labels[forms == form].tolist() for form in range(14))
    others[1][-1] = first[-1]  # the third form ends in another digit
    for form in others:
        rest = iter(first)
        assert len(first) - 8 <= len(form) <= len(first)
        assert all(digit in rest for digit in form)  # in the same order


# ---- CIFAR-10


def batch(count, seed):
    generator = np.random.default_rng(seed)
    return {
        b"data": generator.integers(0, 256, (count, 3072), dtype=np.uint8),
        b"labels": generator.integers(0, 10, count).tolist(),
        b"batch_label": b"small",
    }


def contents():
    files = {f"data_batch_{i}": batch(4, i) for i in range(1, 6)} | {"test_batch": batch(3, 0)}
    return files | {"batches.meta": {b"label_names": [f"class {i}".encode() for i in range(10)]}}


def pickled(files):
    return {
        name: content if isinstance(content, bytes) else pickle.dumps(content, protocol=2)
        for name, content in files.items()
    }


def write_archive(path, files):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in pickled(files).items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def trust(monkeypatch):
    """Return a function that makes a self-made archive, or folder, the published one."""

    def publish(path):
        if path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            monkeypatch.setattr(datasets, "CIFAR10_SHA256", digest)
        else:
            digests = {f.name: hashlib.md5(f.read_bytes()).hexdigest() for f in path.iterdir()}
            monkeypatch.setattr(
                datasets,
                "CIFAR10_MD5",
                {name: digests.get(name, "") for name in datasets.CIFAR10_MD5},
            )

    return publish


@pytest.fixture
def archive(tmp_path, trust):
    path = tmp_path / "cifar-10-python.tar.gz"
    write_archive(path, contents())
    trust(path)
    return path


def write_folder(path, files):
    path.mkdir()
    for name, content in pickled(files).items():
        (path / name).write_bytes(content)
    return path


def check(data):
    files = contents()
    assert data.training_images.shape == (20, 3, 32, 32)
    assert data.training_images.dtype == torch.float32
    assert data.classes == tuple(f"class {i}" for i in range(10))
    training = [files[f"data_batch_{i}"] for i in range(1, 6)]
    for images, labels, batches in (
        (data.training_images, data.training_labels, training),
        (data.validation_images, data.validation_labels, [files["test_batch"]]),
    ):
        pixels = np.concatenate([each[b"data"] for each in batches]).reshape(-1, 3, 32, 32)
        assert np.array_equal(images.numpy(), pixels.astype(np.float32) / 255)
        assert labels.tolist() == [label for each in batches for label in each[b"labels"]]


def test_folder_may_lie_at_home(archive, monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(archive.parent))
    check(cifar10_data("~"))


def test_home_of_nobody_is_named(monkeypatch):
    def unknown(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", unknown)
    with pytest.raises(ValueError, match="path must be that of a folder, got '~nobody"):
        cifar10_data("~nobody/data")


def test_archive_and_the_folder_around_it(archive):
    check(cifar10_data(archive))
    check(cifar10_data(str(archive.parent)))
    assert [file.name for file in archive.parent.iterdir()] == [archive.name], "nothing unpacked"


@pytest.mark.parametrize("inside", [True, False])
def test_unpacked_folder(tmp_path, trust, inside):
    folder = write_folder(tmp_path / "cifar-10-batches-py", contents())
    trust(folder)
    check(cifar10_data(folder if inside else tmp_path))


def test_text_keys_as_python_3_writes_them(tmp_path, trust):
    files = {
        name: {key.decode(): value for key, value in content.items()}
        for name, content in contents().items()
    }
    folder = write_folder(tmp_path / "cifar-10-batches-py", files)
    trust(folder)
    check(cifar10_data(folder))


@pytest.mark.parametrize("damage", [lambda b: b[:-100], lambda b: b[:50] + b"x" + b[51:]])
def test_truncated_or_altered_archive_is_refused_and_left(archive, damage):
    damaged = damage(archive.read_bytes())
    archive.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"truncated or altered: its checksum is .* left for insp"):
        cifar10_data(archive, download=True)
    assert archive.read_bytes() == damaged


def test_altered_file_of_a_folder_is_refused(tmp_path, trust):
    folder = write_folder(tmp_path / "cifar-10-batches-py", contents())
    trust(folder)
    (folder / "test_batch").write_bytes(b"altered")
    with pytest.raises(ValueError, match="test_batch is truncated or altered"):
        cifar10_data(folder)
    (folder / "test_batch").unlink()
    with pytest.raises(ValueError, match="test_batch is missing"):
        cifar10_data(folder)


class Attack:
    """A pickle that would make a folder."""

    def __reduce__(self):
        return os.mkdir, ("attacked",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Attack(), "it asks for (posix|nt).mkdir"),
        ({b"data": np.array([Attack()], dtype=object), b"labels": [1]}, "it asks for"),
        (b"no pickle", "test_batch does not hold plain data"),
        ([1, 2], "test_batch must hold a dict with 'data'"),
        ({b"data": np.zeros((1, 3072), np.uint8)}, "test_batch must hold a dict with 'labels'"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}, r"bytes of shape \(N, 3072\)"),
        ({b"data": np.zeros((1, 3072)), b"labels": [1]}, r"bytes of shape \(N, 3072\)"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]}, "N labels 0 to 9"),
    ],
)  # fmt: skip
def test_only_plain_arrays_are_unpickled(tmp_path, trust, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    folder = write_folder(tmp_path / "cifar-10-batches-py", contents() | {"test_batch": content})
    trust(folder)
    with pytest.raises(ValueError, match=message):
        cifar10_data(folder)
    assert not (tmp_path / "attacked").exists()


def test_path_traversal_writes_nothing(tmp_path, trust):
    path = tmp_path / "folder" / "cifar-10-python.tar.gz"
    path.parent.mkdir()
    write_archive(path, contents() | {"../../../escaped": b"x"})
    trust(path)
    check(cifar10_data(path))
    assert sorted(tmp_path.rglob("*")) == [path.parent, path]


def test_archive_without_a_file_is_refused(tmp_path, trust):
    path = tmp_path / "cifar-10-python.tar.gz"
    write_archive(path, {name: c for name, c in contents().items() if name != "test_batch"})
    trust(path)
    with pytest.raises(ValueError, match="has no file cifar-10-batches-py/test_batch"):
        cifar10_data(path)


def test_download_goes_to_the_folder_and_is_checked(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "CIFAR10_URL", archive.as_uri())
    target = tmp_path / "new" / "folder"
    with pytest.raises(FileNotFoundError, match="give the folder of its archive, or download=True"):
        cifar10_data(target)
    check(cifar10_data(target, download=True))
    archive.write_bytes(b"no longer there")
    check(cifar10_data(target, download=True))


def test_bad_download_is_refused_and_left(archive, tmp_path, monkeypatch):
    archive.write_bytes(archive.read_bytes()[:-10])
    monkeypatch.setattr(datasets, "CIFAR10_URL", archive.as_uri())
    target = tmp_path / "new"
    with pytest.raises(ValueError, match="truncated or altered"):
        cifar10_data(target, download=True)
    assert (target / "cifar-10-python.tar.gz").read_bytes() == archive.read_bytes()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (URLError("no network"), "no network"),
        (TimeoutError("timed out"), "timed out"),
        (IncompleteRead(b"part", 10), "IncompleteRead"),
        (ConnectionResetError(), "ConnectionResetError"),
    ],
)
def test_failed_download_says_what_to_do(tmp_path, monkeypatch, error, reason):
    def fail(url, file):
        raise error

    monkeypatch.setattr("torch.hub.download_url_to_file", fail)
    advice = (
        rf"could not be fetched \(.*{reason}.*\): try again, or put .* folder {tmp_path} by hand"
    )
    with pytest.raises(OSError, match=advice):
        cifar10_data(tmp_path, download=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(0, 1, 2, 2), "training_images must not be empty"),
        (torch.full((1, 1, 2, 2), torch.nan), "training_images must be finite"),
        (torch.zeros(3, 2, 2), r"training_images must have 4 dimension"),
    ],
)
def test_statistics_of_no_pixels_are_refused(images, message):
    data = digits_data()._replace(training_images=images)
    with pytest.raises(ValueError, match=message):
        data.pixel_statistics()
