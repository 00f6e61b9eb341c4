"""Sphinx: `pip install -e ".[docs]" && sphinx-build docs docs/_build`."""

project = "minidiff"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
html_theme = "furo"
suppress_warnings = ["misc.highlighting_failure"]  # "python-gpu" and "gdb" are for the tests, which run these blocks
