"""Pictures: training runs, images, and paths over surfaces.

A picture is a matplotlib `Figure`; pyplot and its state are left alone. `png(figure)` gives its
bytes, `figure.savefig(path)` a file of any kind. Matplotlib is imported inside functions only.
"""

from fnn.draw.architecture import architecture as architecture
from fnn.draw.base import COLOURS as COLOURS
from fnn.draw.base import MARKERS as MARKERS
from fnn.draw.base import blank as blank
from fnn.draw.base import crowd_at_one as crowd_at_one
from fnn.draw.base import finish as finish
from fnn.draw.base import need_matplotlib as need_matplotlib
from fnn.draw.base import percent as percent
from fnn.draw.base import plain as plain
from fnn.draw.base import png as png
from fnn.draw.base import styled as styled
from fnn.draw.boundary import boundary as boundary
from fnn.draw.confusion import confusion as confusion
from fnn.draw.contours import path_panels as path_panels
from fnn.draw.contours import paths as paths
from fnn.draw.functions import activation as activation
from fnn.draw.grids import filters as filters
from fnn.draw.grids import images as images
from fnn.draw.history import curves as curves
from fnn.draw.history import seeds as seeds
from fnn.draw.movies import path_gif as path_gif
from fnn.draw.movies import path_page as path_page
from fnn.draw.network import Drawing as Drawing
from fnn.draw.network import network as network
