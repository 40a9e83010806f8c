"""Bases: what the models of a family share."""
