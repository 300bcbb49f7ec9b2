"""The benchmark: every method in every context, from what little was logged, judged on the same fresh traces."""
