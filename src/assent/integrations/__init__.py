"""Assent inside other people's frameworks: each module here knows one of them, and is imported only by who uses it.

This room owns what such a framework's own users expect of it. It is thin: whatever is decided or looked up, the runtime
and its store do. Nothing below imports it.
"""
