"""Real data that needs no network."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["digits"]


def digits() -> tuple[Tensor, Tensor]:
    """Return the handwritten digits that come with scikit-learn: 1797 images of 8×8 pixels.

    Serves the gallery's evidence for claim 2b-residual.

    Returns
    -------
    images : Tensor
        Shape (1797, 64), double precision, grey values 0 to 16, one flattened image a row.
    labels : Tensor
        Shape (1797,), integers 0 to 9.

    Raises
    ------
    ImportError
        If scikit-learn is not installed; the message says how to install it.

    References
    ----------
    Alpaydin and Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning
    Repository, 1998 (the test set).

    Examples
    --------
    >>> images, labels = digits()
    >>> tuple(images.shape), images.max().item(), labels.unique().tolist()
    ((1797, 64), 16.0, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            "the handwritten digits come with scikit-learn; install it with "
            "'python -m pip install scikit-learn'"
        ) from error
    images, labels = load_digits(return_X_y=True)
    return torch.as_tensor(images, dtype=torch.float64), torch.as_tensor(labels)
