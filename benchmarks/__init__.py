"""What meshtop costs and how fast it is, measured. ``python -m benchmarks --list`` names the benchmarks.

Each prints a table and writes a JSON file to ``benchmarks/results``. Figures are medians and ratios of rounds within
one run; nothing here asserts a time. The latest accepted table is kept in docs/benchmarks.md.
"""
