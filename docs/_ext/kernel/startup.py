"""Run in a notebook's kernel before its first cell: figures in the faces of the site."""


def use_faces() -> None:
    """Set the family of all text; it is a function to leave no names to the notebook's cells."""
    import sys
    from pathlib import Path

    import matplotlib.pyplot as plt

    extensions = Path(__file__).resolve().parents[1]
    sys.path.insert(0, str(extensions))
    from fonts import use_in_figures

    sys.path.remove(str(extensions))
    plt.rcParams["font.family"] = use_in_figures()


use_faces()
del use_faces
