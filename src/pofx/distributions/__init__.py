"""Likelihoods of what is observed, and priors of codes."""
