"""The static tree, the one contract between publisher, CDN and endpoint; pure."""
