"""Mobility of the UEs: OpenStreetMap streets, SUMO traffic, and the traces that drive every back end."""
