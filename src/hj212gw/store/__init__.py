"""The database: the only room that speaks to it."""
