"""How the documentation is built, without a network: python -m sphinx -W docs docs/_build/html."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

project = "fnn"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "built",  # pages and pictures made by the build
    "mathml",
    "pictures",
]
exclude_patterns = ["_build", "_ext"]
sys.path.insert(0, str(HERE / "_ext"))

html_theme = "furo"
html_title = "fnn"
html_math_renderer = "mathml"
html_copy_source = False
html_theme_options = {"source_repository": "", "navigation_with_keys": True}

myst_enable_extensions = ["dollarmath", "attrs_inline"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4

autodoc_typehints = "none"  # signatures keep them out; what a value may be, the text says
autodoc_member_order = "bysource"
add_module_names = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes in a list, not each an entry of the index
napoleon_custom_sections = [("Shapes", "params_style")]
nitpicky = False
