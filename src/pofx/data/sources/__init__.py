"""Sources: one file a form in which data come."""
