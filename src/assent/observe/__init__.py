"""Reading what the journal tells: runs, costs, durations, traces. It keeps nothing of its own."""
