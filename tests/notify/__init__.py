"""Channels and the notifier, against real servers on loopback."""
