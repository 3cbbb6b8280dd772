"""Images and labels: handwritten digits that need no network, and CIFAR-10 from its archive."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hw2lib._checks import as_tensor, check_kind

__all__ = ["ImageData", "cifar10_data", "digits", "digits_data", "digits_forms"]


class ImageData(NamedTuple):
    """Labelled images, split into a part to train on and a part that is only looked at.

    Attributes
    ----------
    training_images, validation_images : Tensor
        Shape (N, channels, height, width), single precision, pixels from 0 to 1.
    training_labels, validation_labels : Tensor
        Shape (N,), integers from 0.
    classes : tuple of str
        Names of the labels.
    """

    training_images: Tensor
    training_labels: Tensor
    validation_images: Tensor
    validation_labels: Tensor
    classes: tuple[str, ...]

    def pixel_statistics(self) -> tuple[list[float], list[float]]:
        """Return mean and standard deviation of the training pixels, channel by channel.

        Returns
        -------
        mean, std : list of float
            As :class:`hw2lib.allcnn.AllCNN` takes them.

        Raises
        ------
        TypeError, ValueError
            If the training images are not finite, or not of shape (N, C, H, W).

        Examples
        --------
        >>> pixels, labels = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1), torch.tensor([0, 1])
        >>> ImageData(pixels, labels, pixels, labels, ("0", "1")).pixel_statistics()
        ([0.5], [0.5])
        """
        pixels = as_tensor("training_images", self.training_images, ndim=4).double()
        std, mean = torch.std_mean(pixels, dim=(0, 2, 3), correction=0)
        return mean.tolist(), std.tolist()


# ---- handwritten digits

# grey values and labels, a byte each: the same as scikit-learn's, whose import takes a second
DIGITS = Path(__file__).with_name("digits.npz")

# The data keep the order in which the forms were filled in.
FIRST_OF_EACH_FORM = (
    *(0, 130, 256, 386, 516, 646, 776),
    *(906, 1029, 1157, 1287, 1415, 1545, 1667),
)


def digits() -> tuple[Tensor, Tensor]:
    """Return the handwritten digits of Alpaydin and Kaynak: 1797 images of 8×8 pixels.

    They come with hw2lib, as scikit-learn's ``load_digits`` has them. Serves the gallery's
    evidence for claim 2b-residual.

    Returns
    -------
    images : Tensor
        Shape (1797, 64), double precision, grey values 0 to 16, one flattened image a row.
    labels : Tensor
        Shape (1797,), integers 0 to 9.

    References
    ----------
    Alpaydin and Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning
    Repository, 1998 (the test set; Creative Commons Attribution 4.0).

    Examples
    --------
    >>> images, labels = digits()
    >>> tuple(images.shape), images.max().item(), labels.unique().tolist()
    ((1797, 64), 16.0, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    with np.load(DIGITS) as arrays:
        images, labels = (torch.as_tensor(arrays[name]) for name in ("images", "labels"))
    return images.double(), labels.long()


def digits_forms() -> Tensor:
    """Return from which form each of the digits comes: 14 forms, one after the other.

    The data do not say so; their order does. The first form has 130 digits, and every other has the
    same ones in the same order, but for at most eight that are left out (of the eighth the first 0)
    and, in the third, the last one. The documentation names 13 writers; so that a form is a writer
    is a guess, and one may have filled in two.

    Returns
    -------
    Tensor
        Shape (1797,), integers 0 to 13.

    References
    ----------
    The scikit-learn MOOC, Inria, "Sample grouping" (the boundaries; but it begins the eighth form
    at 915, nine digits later, and so has 139 in the seventh).

    Examples
    --------
    >>> digits_forms().bincount().tolist()
    [130, 126, 130, 130, 130, 130, 130, 123, 128, 130, 128, 130, 122, 130]
    """
    starts = torch.zeros(1797, dtype=torch.long)
    starts[list(FIRST_OF_EACH_FORM)] = 1
    return starts.cumsum(0) - 1


def digits_data(*, unseen_writers: bool = False) -> ImageData:
    """Return the handwritten digits, split once and for all into 80 % training, 20 % validation.

    By default a fifth of every digit, drawn at random with a fixed seed, is kept for validation; so
    the same writers stand on both sides. With ``unseen_writers`` the last three of the 14 forms
    (21 % of the images) are kept: other hands, as far as the data tell. The harder test.
    Claim 5-writers holds out other forms, drawn at random.

    Parameters
    ----------
    unseen_writers : bool
        Split by form (see :func:`digits_forms`) instead of at random.

    Returns
    -------
    ImageData
        Images of shape (N, 1, 8, 8); the 16 grey steps are divided by 16.

    Raises
    ------
    TypeError
        If `unseen_writers` is not a bool.

    References
    ----------
    Alpaydin and Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning
    Repository, 1998 (the test set).

    Examples
    --------
    >>> data = digits_data()
    >>> tuple(data.training_images.shape), tuple(data.validation_images.shape)
    ((1438, 1, 8, 8), (359, 1, 8, 8))
    >>> data.validation_labels.bincount().tolist()
    [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]
    """
    check_kind("unseen_writers", unseen_writers, bool)
    flat, labels = digits()
    images = (flat / 16).float().view(-1, 1, 8, 8)
    held_out = digits_forms() >= 11 if unseen_writers else a_fifth_of_each_class(labels)
    return ImageData(
        images[~held_out],
        labels[~held_out],
        images[held_out],
        labels[held_out],
        tuple(map(str, range(10))),
    )


def a_fifth_of_each_class(labels: Tensor) -> Tensor:
    """Return a mask that holds a fifth of every class, drawn with a fixed seed."""
    generator = torch.Generator().manual_seed(0)
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        members = (labels == label).nonzero()[:, 0]
        shuffled = members[torch.randperm(len(members), generator=generator)]
        chosen[shuffled[: round(len(members) / 5)]] = True
    return chosen


# ---- CIFAR-10

CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
CIFAR10_ARCHIVE = "cifar-10-python.tar.gz"
CIFAR10_FOLDER = "cifar-10-batches-py"
CIFAR10_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
CIFAR10_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}


def cifar10_data(path: str | Path, *, download: bool = False) -> ImageData:
    """Return CIFAR-10: 50 000 images to train on; its 10 000 test images serve as validation.

    The archive is read as it is, never unpacked, and only the seven files with known names; the
    files are Python pickles, of which nothing but plain arrays, lists, numbers and text is
    accepted. Whatever does not have the published checksum is refused, and left as it is.

    Parameters
    ----------
    path : str or Path
        The official python archive (``cifar-10-python.tar.gz``), the folder into which it was
        unpacked, or a folder that holds either.
    download : bool
        Fetch the archive (170 MB, with a progress bar) into the folder `path` if nothing is there.

    Returns
    -------
    ImageData
        Images of shape (N, 3, 32, 32), pixels divided by 255 (0.7 GB).

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    FileNotFoundError
        If nothing is there and `download` is off; the message says what to do.
    OSError
        If the archive cannot be fetched; the message says what to do.
    ValueError
        If a file is truncated, altered or not what it should be; it is left for inspection.

    References
    ----------
    Krizhevsky, "Learning multiple layers of features from tiny images", technical report,
    University of Toronto, 2009.

    Examples
    --------
    >>> cifar10_data("nowhere")
    Traceback (most recent call last):
    FileNotFoundError: no CIFAR-10 in nowhere: give the folder of its archive, or download=True
    """
    check_kind("path", path, (str, Path))
    check_kind("download", download, bool)
    try:
        folder = Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"path must be that of a folder, got {str(path)!r}: {error}") from error
    read = cifar10_source(folder, download)
    training = [cifar10_batch(name, read(name)) for name in list(CIFAR10_MD5)[:5]]
    validation_images, validation_labels = cifar10_batch("test_batch", read("test_batch"))
    names = entry(
        "batches.meta", plain_unpickle("batches.meta", read("batches.meta")), "label_names"
    )
    return ImageData(
        as_pixels(np.concatenate([images for images, _ in training])),
        torch.tensor([label for _, labels in training for label in labels]),
        as_pixels(validation_images),
        torch.tensor(validation_labels),
        tuple(as_text(name) for name in names),
    )


def cifar10_source(path: Path, download: bool) -> Callable[[str], bytes]:
    """Return a function that reads one of the files by its name, from a folder or an archive."""
    if path.is_file():
        return archive_reader(path)
    for folder in (path, path / CIFAR10_FOLDER):
        if (folder / "batches.meta").is_file():
            return lambda name: checked_file(folder / name)
    archive = path / CIFAR10_ARCHIVE
    if not archive.is_file():
        if not download:
            raise FileNotFoundError(
                f"no CIFAR-10 in {path}: give the folder of its archive, or download=True"
            )
        try:  # under a temporary name, then moved; a wrong checksum is found when it is read
            path.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(CIFAR10_URL, str(archive))
        except (OSError, HTTPException) as error:
            raise OSError(
                f"CIFAR-10 could not be fetched ({str(error) or type(error).__name__}): try again, "
                f"or put the archive {CIFAR10_URL} into the folder {path.resolve()} by hand"
            ) from error
    return archive_reader(archive)


def archive_reader(archive: Path) -> Callable[[str], bytes]:
    """Return a function that reads a member of an archive with the right checksum."""
    with archive.open("rb") as file:
        check_digest(archive, hashlib.file_digest(file, "sha256").hexdigest(), CIFAR10_SHA256)

    def read(name: str) -> bytes:
        with tarfile.open(archive, "r:gz") as tar:
            try:
                member = tar.extractfile(f"{CIFAR10_FOLDER}/{name}")
            except KeyError:
                member = None
            if member is None:
                raise ValueError(f"{archive} has no file {CIFAR10_FOLDER}/{name}")
            return member.read()

    return read


def checked_file(file: Path) -> bytes:
    """Return the contents of an unpacked file with the right checksum."""
    if not file.is_file():
        raise ValueError(f"{file} is missing; unpack the archive again")
    content = file.read_bytes()
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    check_digest(file, found, CIFAR10_MD5[file.name])
    return content


def check_digest(file: Path, found: str, expected: str) -> None:
    """Refuse a file whose checksum is not the published one."""
    if found != expected:
        raise ValueError(
            f"{file} is truncated or altered: its checksum is {found}, the published one "
            f"{expected}. It is left for inspection; move it away to fetch it again"
        )


class PlainUnpickler(pickle.Unpickler):
    """Unpickles arrays, lists, dicts, numbers and text, and calls nothing else."""

    ALLOWED = frozenset(
        {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("_codecs", "encode"),  # how protocol 2 stores bytes
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        """Return what a plain array needs; refuse all else."""
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def plain_unpickle(name: str, content: bytes) -> Any:
    """Return what a pickle holds, if that is plain data."""
    try:
        return PlainUnpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(f"{name} does not hold plain data: {error}") from error


def entry(file: str, content: Any, key: str) -> Any:
    """Return an entry of the dict in a file; Python 2 wrote its keys as bytes."""
    if isinstance(content, dict):
        for name in (key, key.encode()):
            if name in content:
                return content[name]
    raise ValueError(f"{file} must hold a dict with {key!r}")


def cifar10_batch(name: str, content: bytes) -> tuple[np.ndarray, list[int]]:
    """Return the images (N, 3072), bytes, and the labels of one file."""
    batch = plain_unpickle(name, content)
    images, labels = entry(name, batch, "data"), entry(name, batch, "labels")
    if (
        not isinstance(images, np.ndarray)
        or images.dtype != np.uint8
        or images.shape != (len(labels), 3 * 32 * 32)
        or not all(isinstance(label, int) and 0 <= label < 10 for label in labels)
    ):
        raise ValueError(f"{name} must hold bytes of shape (N, 3072) and N labels 0 to 9")
    return images, labels


def as_pixels(images: np.ndarray) -> Tensor:
    """Return bytes (N, 3072) as images (N, 3, 32, 32) with pixels from 0 to 1."""
    return torch.from_numpy(images).view(-1, 3, 32, 32).float().div_(255)


def as_text(name: bytes | str) -> str:
    """Return a class's name."""
    return name.decode() if isinstance(name, bytes) else str(name)
