"""What a UE receives: path loss, shadowing, antennas, RSRP, and what the physical layer makes of an SINR."""
