"""A page on which networks train before one's eyes: `fnn play`, or `open_server()` from Python.

`setting` is what one may choose, `training` the data and the compiled program that trains, `frames`
what goes to the page after each stretch of steps, `server` hands all of it out on this machine.
"""

from fnn.play.frames import Session as Session
from fnn.play.frames import frame as frame
from fnn.play.frames import open_session as open_session
from fnn.play.server import open_server as open_server
from fnn.play.setting import Setting as Setting
from fnn.play.setting import read_setting as read_setting
