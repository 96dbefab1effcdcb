"""Runs on a Ray cluster (docs/decisions/ray.md): `manager` here, `keeper` there, `relay` between them."""
