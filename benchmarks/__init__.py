"""Benchmarks: one question per file, peers beside us, ratios in one run; see README.md."""
