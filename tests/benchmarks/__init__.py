"""Measurements, run by hand with ``make bench``; no test is timed."""
