"""Modules that every folder uses: errors, the base of the contracts, atomic files, random streams, progress."""
