"""With the two addresses a site has run buttons, links to its sources, cards; without, nothing."""

import io
import json
import re
import shutil
import struct
import zipfile

import course
import pytest
import small_project
from bs4 import BeautifulSoup
from small_project import different

REPOSITORY, SITE = "https://github.com/someone/homework", "https://someone.github.io/homework/"
ADDRESSES = {"REPOSITORY_URL": REPOSITORY, "SITE_URL": SITE}
BUILDER = {"LOGNAME": "who-builds-it", "USER": "whose-it-is", "HOSTNAME": "where-it-is-built"}
SCRIPT = "auto_examples/6-recurrent/plot_04_hump.html"


@pytest.fixture(scope="module")
def hosted(built, tmp_path_factory):
    project = small_project.Project(tmp_path_factory.mktemp("hosted") / "copy")
    shutil.copytree(built.root, project.root, symlinks=True)
    project.build(**ADDRESSES, **BUILDER)
    return project


def page(project, name):
    return BeautifulSoup((project.site / name).read_text(encoding="utf-8"), "html.parser")


def links(page):
    return {a.get_text(): a["href"] for a in page.select(".run-buttons a, .source-links a")}


def test_script_page_runs_in_two_places_and_leads_to_its_source(hosted):
    found = links(page(hosted, SCRIPT))
    path = found["Run in Colab"].partition("/blob/gh-pages/")[2]
    assert (hosted.site / path).is_file()
    assert found["Run in Colab"].startswith("https://colab.research.google.com/github/someone/")
    assert found["Run in Binder"].endswith(f"/gh/someone/homework/gh-pages?labpath={path}")
    source = "main/examples/6-recurrent/plot_04_hump.py"
    assert found["View the source"] == f"{REPOSITORY}/blob/{source}"
    assert found["Suggest an edit"] == f"{REPOSITORY}/edit/{source}"


def test_page_without_notebook_has_no_run_button(hosted):
    assert links(page(hosted, "references.html")).keys() == {"View the source", "Suggest an edit"}


def test_notebooks_install_the_library_first_and_say_so(hosted):
    notebooks = list(hosted.site.rglob("*.ipynb"))
    assert len(notebooks) == len(small_project.SCRIPTS)
    for path in notebooks:
        cell = json.loads(path.read_text(encoding="utf-8"))["cells"][0]
        source = "".join(cell["source"])
        assert "installs hw2lib" in source
        assert f"hw2lib[examples] @ git+{REPOSITORY}@main" in source
    (archive,) = hosted.site.glob("_downloads/*/auto_examples_jupyter.zip")
    with zipfile.ZipFile(archive) as members:
        for name in members.namelist():
            if name.endswith(".ipynb"):
                assert b"git+https" in members.read(name)


def test_notebooks_name_the_pages_they_rest_on(hosted, built):
    name = SCRIPT.rpartition("/")[2].replace("html", "ipynb")
    title = "A small site"
    for project, told in ((hosted, f"[{title}]({SITE}index.html)"), (built, f"“{title}”")):
        (path,) = project.site.glob(f"_downloads/*/{name}")
        text = path.read_text(encoding="utf-8")
        assert told in text
        assert ":doc:" not in text


def test_page_of_no_address_shows_the_sites_own_style_at_any_depth(hosted):
    missing = page(hosted, "404.html")
    styles = [link["href"] for link in missing.find_all("link", rel="stylesheet")]
    assert styles
    assert all(style.startswith("/homework/_static/") for style in styles)
    ways = [link["href"] for link in missing.select("article a.reference")]
    assert ways
    assert all(way.startswith("/homework/") for way in ways)
    assert "404.html" not in (hosted.site / "sitemap.xml").read_text(encoding="utf-8")


def test_address_is_taken_without_its_last_slash(hosted):
    before = hosted.files()
    hosted.build(REPOSITORY_URL=REPOSITORY, SITE_URL=SITE.rstrip("/"))
    assert different(hosted.files(), before) == []


def test_binder_finds_what_to_install(hosted):
    index, wanted = (hosted.site / "binder" / "requirements.txt").read_text().splitlines()
    assert index == "--extra-index-url https://download.pytorch.org/whl/cpu"
    assert wanted == f"hw2lib[examples] @ git+{REPOSITORY}@main"
    assert (hosted.site / "binder" / "runtime.txt").read_text() == "python-3.12\n"
    assert (hosted.site / ".nojekyll").is_file()


def test_pages_have_address_and_card(hosted):
    found = page(hosted, SCRIPT)
    assert found.find("link", rel="canonical")["href"] == SITE + SCRIPT
    card = found.find("meta", property="og:image")["content"]
    content = (hosted.site / card.removeprefix(SITE)).read_bytes()
    assert content[1:4] == b"PNG"
    assert struct.unpack(">II", content[16:24]) == (1200, 630)
    assert SITE + SCRIPT in (hosted.site / "sitemap.xml").read_text(encoding="utf-8")


def test_zip_holds_the_site_and_is_offered(hosted):
    offer = links(page(hosted, "index.html"))["Zip, to read offline"]
    assert offer == f"{SITE}{course.FILE}.zip"
    content = hosted.files()
    with zipfile.ZipFile(io.BytesIO(content.pop(f"{course.FILE}.zip"))) as archive:
        members = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    assert members == content


def test_without_addresses_nothing_is_shown(built):
    for path in built.site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"run-buttons|source-links|og:image|canonical|colab|mybinder", text)
    assert not (built.site / f"{course.FILE}.zip").exists()


def test_after_a_hosted_build_a_plain_one_equals_a_clean_one(hosted, built):
    hosted.build()
    assert different(hosted.files(), built.files()) == []


def test_after_a_plain_build_a_hosted_one_equals_a_clean_one(project):
    project.build(**ADDRESSES)
    after = project.files()
    project.build(clean=True, **ADDRESSES)
    assert different(after, project.files()) == []


def cards(project):
    """Return the digest in the name of each figure's card."""
    names = [path.stem.rpartition("-") for path in project.site.glob("_images/card-*")]
    assert len({figure for figure, _, _ in names}) == len(names)
    return {figure: digest for figure, _, digest in names}


def test_card_changes_with_its_figure(hosted):
    hosted.build(**ADDRESSES)
    script = hosted.root / "examples" / "6-recurrent" / "plot_04_hump.py"
    text = script.read_text(encoding="utf-8")
    script.write_text(text.replace("figsize=(", "figsize=(0.1 + "), encoding="utf-8")
    before = cards(hosted)
    hosted.build(**ADDRESSES)
    after = cards(hosted)
    assert before.keys() == after.keys()
    changed = {figure for figure in before if before[figure] != after[figure]}
    assert changed == {figure for figure in before if "plot_04_hump" in figure} != set()


@pytest.mark.parametrize(
    "address", ["someone/homework", "https://gitlab.com/a/b", "https://github.com/a"]
)
def test_address_of_another_form_is_refused(project, address):
    assert "REPOSITORY_URL must be like" in project.build(expect=2, REPOSITORY_URL=address)


def test_nothing_tells_where_it_was_built(hosted):
    names = [name.encode() for name in (str(hosted.root.parents[2]), *BUILDER.values())]
    for file, content in hosted.files().items():
        assert not any(name in content for name in names), file
