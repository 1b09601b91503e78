"""Reading values and recording a run without executing the snippet's code."""
