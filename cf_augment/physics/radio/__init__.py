"""Reception at a UE: path loss, shadowing, antennas, RSRP, and the physical layer's tables of the SINR."""
