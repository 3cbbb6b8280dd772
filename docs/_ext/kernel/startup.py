"""Run in a notebook's kernel before its first cell: faces of the site, networks of the scripts."""


def prepare() -> None:
    """Set the family of all text, share networks; a function, to leave no names to the cells."""
    import sys
    from pathlib import Path

    import matplotlib.pyplot as plt

    extensions = Path(__file__).resolve().parents[1]
    sys.path.insert(0, str(extensions))
    import networks
    from fonts import use_in_figures

    sys.path.remove(str(extensions))
    plt.rcParams["font.family"] = use_in_figures()
    networks.share()


prepare()
del prepare
