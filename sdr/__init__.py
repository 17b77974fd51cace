"""sdr makes `docker pull` not depend on a registry: a static tree, a CDN, and a small daemon that redirects."""
