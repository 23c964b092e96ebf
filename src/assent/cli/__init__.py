"""The command line: a thin door that opens a store, asks it or the runtime, and shows what they say.

Only this room prints, and only this room calls `asyncio.run`. It decides nothing: what may happen, and what has
happened, is known by the rooms below.
"""
