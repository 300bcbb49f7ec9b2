"""The network: scenarios, the KPIs every back end yields, the ns-3 LTE program and the bridge to it."""
