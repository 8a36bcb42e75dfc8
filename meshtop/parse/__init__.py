"""Bytes in, frozen typed values out. Pure: no clock, no I/O, no logging. One file for each source."""
