"""The downlink in closed form: many environments at once, what-if for any CIO, and a gradient."""
