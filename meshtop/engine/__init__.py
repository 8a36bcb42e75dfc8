"""Folds events into state. Sans-I/O: time is an argument, nothing here waits, reads or writes."""
