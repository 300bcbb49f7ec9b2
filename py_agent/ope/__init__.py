"""Off-policy evaluation: what logged data say of a policy that did not collect them, beside what it does in truth."""
