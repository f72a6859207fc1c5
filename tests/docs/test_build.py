"""The site: built without a warning and without a network, with every page on it."""

import subprocess
import sys

import pages
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(root, tmp_path_factory):
    """The pages as a reader sees them."""
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-d",
        str(folder / "state"),
    ]
    done = subprocess.run(
        [*command, str(root / "docs"), str(folder / "html")],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_every_page_is_on_the_site_and_in_its_menu(site, root):
    menu = (site / "index.html").read_text()
    for page in (root / "docs").glob("*.md"):
        assert (site / f"{page.stem}.html").is_file()
        assert page.stem == "index" or f'href="{page.stem}.html"' in menu, page.stem


def test_equations_are_mathml_and_nothing_is_loaded_from_elsewhere(site):
    assert "<math" in (site / "concepts.html").read_text()
    for page in site.glob("*.html"):
        text = page.read_text()
        for tag in ('<script src="http', '<link rel="stylesheet" type="text/css" href="http'):
            assert tag not in text, page.name


@pytest.mark.parametrize("name", ["EquiTuned", "FiniteGroup", "Rotate90", "equivariance_report"])
def test_the_api_has_signature_and_text_of_public_names(site, name):
    text = (site / "api.html").read_text()
    assert f'<span class="pre">{name}</span>' in text
    assert "equivariant under a finite group" in text


def test_every_public_name_is_in_the_api(site):
    import equitune
    from equitune import actions

    text = (site / "api.html").read_text()
    skipped = {"actions", "as_input_actions", "check_inputs", "from_config"}
    for name in {*equitune.__all__, *actions.__all__} - skipped:
        assert f'<span class="pre">{name}</span>' in text, name


def test_no_page_is_forgotten_by_the_tests(root):
    named = {pages.name(page) for page in pages.PAGES}
    assert {"README.md", "docs/index.md", "docs/concepts.md", "CONTRIBUTING.md"} <= named
