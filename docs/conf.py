"""Configuration of the site; what is code lies in _ext."""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

os.environ["OMP_NUM_THREADS"] = "1"  # a torch operation in a forked child hangs otherwise
OURS = Path(__file__).resolve().parent / "_ext"
sys.path.insert(0, str(OURS))

import course  # noqa: E402
from ahead import begin  # noqa: E402

from hw2lib import __version__  # noqa: E402

begin()  # at once, or little of the time is saved

project, author = f"{course.TITLE}, solved", "The hw2lib developers"
copyright = "2026, the hw2lib developers"
version = release = ".".join(__version__.split(".")[:2])
language = "en"

extensions = [
    *(path.stem for path in sorted(OURS.glob("*.py"))),
    "myst_nb",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
    "notfound.extension",
    *(["sphinx_sitemap"] if os.environ.get("SITE_URL") else []),
]
exclude_patterns = [
    "_build",
    "node_modules",
    "auto_examples/**/*.ipynb",  # MyST-NB would run every example again
    "auto_examples/**/*.md5",
]
suppress_warnings = ["sphinx_gallery.space_in_filename"]  # of the folder where the project lies
nitpicky = True
nitpick_ignore_regex = [  # no inventories offline
    ("py:.*", r"(torch|numpy|matplotlib|collections|contextlib|pathlib|nn|np|enum)\..*"),
    ("py:.*", r"(.*ShiftableLayer|Tensor|Figure|Any|optional|sequence|callable|\d+)"),
]
math_number_all = False
math_eqref_format = "({number})"

# Markdown and notebooks
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist", "attrs_inline", "attrs_block"]
myst_heading_anchors = 3
myst_dmath_double_inline = True
nb_execution_mode = "cache"
nb_render_markdown_format = "myst"  # with tables
nb_execution_raise_on_error = True
nb_execution_timeout = 120
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"

# API reference
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
numpydoc_show_class_members = False
autosummary_generate = False  # or every build imports torch
add_module_names = False

# Gallery
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "backreferences_dir": "auto_examples/backreferences",
    "doc_module": ("hw2lib",),
    "filename_pattern": r"[\\/]plot_",
    "image_scrapers": ("gallery.scrape",),
    "reset_modules": ("matplotlib", "gallery.reset_torch", "networks.share"),
    "capture_repr": ("_repr_html_",),
    "abort_on_example_error": True,
    "parallel": True,
    "write_computation_times": False,
    "min_reported_time": 1e9,
    "remove_config_comments": True,
    "copyfile_regex": r".*GALLERY_HEADER.*",
    "within_subsection_order": "FileNameSortKey",
    "show_signature": False,
}

# Site
html_theme, html_title = "furo", f"{course.TITLE.replace(', ', ' · ')}, solved"
html_baseurl = f"{os.environ['SITE_URL'].rstrip('/')}/" if os.environ.get("SITE_URL") else ""
html_static_path = ["_static", "_build/static"]
templates_path = ["_templates"]
html_css_files = ["styles.css"]  # which _ext/lean.py makes of site.css and others
html_favicon = "_static/favicon.svg"
html_copy_source = html_domain_indices = False
html_math_renderer = "katex"
sitemap_url_scheme = "{link}"
sitemap_excludes = ["404.html", "genindex.html", "search.html"]
notfound_urls_prefix = urlsplit(html_baseurl).path or "/"  # a host shows that page at any address
