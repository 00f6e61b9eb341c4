"""Sphinx: `pip install -e ".[docs]" && make -C docs html`. Formulas are drawn at build time; no page loads anything from elsewhere."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent), str(HERE)]  # the package of this checkout, installed or not

project = "minidiff"
extensions = [
    "myst_parser", "formula_svg", "slide_pages", "chapter_pages", "guide_pages", "notebook_pages", "api_pages", "source_pages", "front_page", "play_page", "lite_pages", "site_links",
]  # fmt: skip
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "play", "api_examples"]  # those are shown in docs/api
html_static_path = ["_static"]
html_css_files = ["symbols.css", "site.css"]
html_js_files = [("slides.js", {"defer": "defer"})]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "minidiff"
html_favicon = "_static/icon.svg"
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_math_renderer = "svg"
suppress_warnings = ["misc.highlighting_failure"]  # "python-gpu" and "gdb" are for the tests, which run these blocks
