"""The site's npm packages are fetched anew unless the last fetch came to its end."""

import json
import shutil

import npm_packages
import pytest
from npm_packages import complete

LOCK = {
    "": {"name": "docs"},
    "node_modules/katex": {"version": "1.0.0", "integrity": "sha512-k", "resolved": "https://a"},
    "node_modules/@a/here": {"version": "2.0.0", "integrity": "sha512-h", "optional": True},
    "node_modules/@a/elsewhere": {"version": "2.0.0", "integrity": "sha512-e", "optional": True},
}
HERE = ("node_modules/katex", "node_modules/@a/here")


def record(docs, listed):
    content = json.dumps({"packages": {name: LOCK[name] for name in HERE} | listed})
    (docs / "node_modules" / ".package-lock.json").write_text(content)


@pytest.fixture
def docs(tmp_path):
    """Return a folder in which npm has installed all packages but those for other systems."""
    (tmp_path / "package-lock.json").write_text(json.dumps({"packages": LOCK}))
    for name in HERE:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "package.json").write_text("{}")
    record(tmp_path, {})
    return tmp_path


def test_a_finished_fetch_is_complete(docs):
    assert complete(docs)
    # npm may leave out where a package came from
    record(docs, {"node_modules/katex": {"version": "1.0.0", "integrity": "sha512-k"}})
    assert complete(docs)


@pytest.mark.parametrize(
    "text", [None, "", "{}", "[]", '{"packages": {}}', '{"packages": {"": {}}']
)
def test_an_interrupted_fetch_is_not(docs, text):
    file = docs / "node_modules" / ".package-lock.json"
    file.unlink() if text is None else file.write_text(text)
    assert not complete(docs)


def test_nothing_is_not(docs):
    shutil.rmtree(docs / "node_modules")
    assert not complete(docs)


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("change", [{"version": "1.0.1"}, {"integrity": "sha512-other"}, {}])
def test_another_package_is_not(docs, name, change):
    record(docs, {name: LOCK[name] | change})
    if not change:
        (docs / name / "package.json").unlink()
    assert not complete(docs)


def test_fetch_runs_only_where_it_is_needed(docs, monkeypatch, capsys):
    monkeypatch.setattr(npm_packages, "DOCS", docs)
    monkeypatch.setattr(npm_packages, "fetch", lambda: record(docs, {}))
    npm_packages.main()
    assert capsys.readouterr().out == ""
    (docs / "node_modules" / ".package-lock.json").unlink()
    npm_packages.main()
    assert "Fetching the site's npm packages" in capsys.readouterr().out
    assert complete(docs)


@pytest.mark.parametrize("status", [0, 1])
def test_a_failed_fetch_says_what_to_do(docs, monkeypatch, status):
    monkeypatch.setattr(npm_packages, "DOCS", docs)
    monkeypatch.setattr(npm_packages, "fetch", lambda: status)
    (docs / "node_modules" / ".package-lock.json").unlink()
    with pytest.raises(SystemExit, match=r"could not be fetched .*: check the network"):
        npm_packages.main()
