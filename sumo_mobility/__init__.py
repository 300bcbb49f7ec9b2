"""Where the UEs are: OpenStreetMap streets, SUMO traffic, and the traces that drive every back end."""
