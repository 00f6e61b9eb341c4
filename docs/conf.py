"""Sphinx: `pip install -e ".[docs]" && make -C docs html`. Formulas are drawn at build time; no page loads anything from elsewhere."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "minidiff"
extensions = ["myst_parser", "formula_svg", "slide_pages", "source_pages"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "play"]
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["symbols.css", "site.css"]
html_js_files = [("slides.js", {"defer": "defer"})]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "minidiff"
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_math_renderer = "svg"
suppress_warnings = ["misc.highlighting_failure"]  # "python-gpu" and "gdb" are for the tests, which run these blocks
