"""The inbox in a browser and over REST: how people and programs reach an open runtime through HTTP.

This room owns routes, pages, sign-in and the shapes of HTTP bodies. It is thin: whatever is decided or looked up, the
runtime and its store do. Nothing below imports it.
"""

from assent.web.app import create_app
from assent.web.routing import Route
from assent.web.settings import OidcSettings, WebSettings

__all__ = ["OidcSettings", "Route", "WebSettings", "create_app"]
