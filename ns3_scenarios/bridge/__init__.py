"""The bridge to the ns-3 program: the ns3-gym wire, the process and the back end on top of them."""
