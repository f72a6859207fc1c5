"""How Sphinx builds these pages, without a network: `sphinx-build -W -n docs build/docs`."""

import re
import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from equitune import __version__  # noqa: E402

project, author, release = "equitune", "the equitune authors", __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["pictures", "theme"]
html_theme = "furo"
html_title = "equitune"
html_math_renderer = "mathml"
html_static_path, html_css_files = ["theme"], ["site.css"]
html_show_sourcelink = html_show_copyright = False
highlight_language = "none"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # they stand in the signature
autodoc_default_options = {"members": True}
default_role = "code"  # what docstrings put between single backticks
nitpicky = True
# types of other projects, which an offline build cannot link to
nitpick_ignore_regex = [("py:.*", r"(?!equitune\.).*")]


def _inline(writer: nodes.NodeVisitor, node: nodes.Element) -> None:
    writer.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def _block(writer: nodes.NodeVisitor, node: nodes.Element) -> None:
    writer.body.append(f"<p>{tex2mathml(node.astext(), as_block=True)}</p>")
    raise nodes.SkipNode


def _escape(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]):
    """Keep |G| and *x.shape of a docstring from being read as markup; literals stay."""
    special = re.compile(r"(`+[^`]*`+)|(\||\*(?=\w+\.))")
    lines[:] = [special.sub(lambda m: m[1] or f"\\{m[2]}", line) for line in lines]


def setup(app: Sphinx) -> None:
    """Write equations as MathML, which browsers show by themselves: no script is loaded."""
    app.connect("autodoc-process-docstring", _escape, priority=400)  # napoleon's is 500
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
