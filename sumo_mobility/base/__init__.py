"""What every folder shares: errors, the base of the contracts, atomic files, random streams, progress."""
