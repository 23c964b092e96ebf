"""Crashes, races and failing disks: what must hold however processes end."""
