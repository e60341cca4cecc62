"""The command line: `fnn compare | search | predict | play | bench`.

What is heavy is imported by the command that needs it.
"""

from fnn.cli.main import main as main
