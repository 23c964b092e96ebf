"""What Assent costs, beside yardsticks measured in the same run: `python -m benchmarks` prints the table."""
