"""Agents: models that act by calling tools, as durable workflow code.

This room owns what is asked of models and what is done with their answers. Every model request and every tool call is
a recorded step, so an agent survives crashes, and its tools pass the policies that hand-written code passes.
"""
