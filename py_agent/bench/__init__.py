"""Measurements of the testbed itself."""
