"""hw2lib: the mathematics behind the solutions of ESE 546, homework 2, and its ledger of claims.

Modules are named after their topics: :mod:`hw2lib.resnet`, :mod:`hw2lib.architecture`,
:mod:`hw2lib.parameters`, :mod:`hw2lib.normalization`, :mod:`hw2lib.dropout`,
:mod:`hw2lib.factorization`, :mod:`hw2lib.scale_invariance`, :mod:`hw2lib.datasets`,
:mod:`hw2lib.allcnn`, :mod:`hw2lib.training`, :mod:`hw2lib.adversarial`, :mod:`hw2lib.recurrent`,
:mod:`hw2lib.figures`; :mod:`hw2lib.claims` is the ledger.

Arguments of the wrong kind, shape or range, and those whose result overflows, are refused before
anything is returned: by a TypeError or a ValueError that names them. Inside ``torch.autocast``
products of matrices are rounded as it has them rounded.
"""

__version__ = "0.1.0"
