"""Hands: functions that a model may call, with the schema by which it knows them.

This room knows nothing of models, policies or agents; whoever lets a model call a tool puts the call through the gate.
"""

from assent.tools.tool import Tool, as_tool, tool

__all__ = ["Tool", "as_tool", "tool"]
