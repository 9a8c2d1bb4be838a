"""The web page and its HTTP API: a door to the same core as Python and the command line.

app = create_app(Settings(indexes=("indexes/parts",)))

`create_app` makes the Flask app; `dinosearch serve` runs it. Nothing here reads a picture,
touches SQL or counts a cosine: every answer comes from dinosearch's public calls.
"""

from .app import create_app
from .server import serve
from .settings import Settings

__all__ = ["Settings", "create_app", "serve"]
