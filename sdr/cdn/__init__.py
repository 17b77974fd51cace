"""Where a redirect points."""
