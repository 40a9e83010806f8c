"""Sphinx: `make docs` builds these pages into site/."""

import pofx

project = "pofx"
author = "the authors of pofx"
release = pofx.__version__
extensions = ["myst_parser"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "pofx"
html_copy_source = False
exclude_patterns = ["_build"]
