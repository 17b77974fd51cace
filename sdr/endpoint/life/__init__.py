"""The endpoint's life: sockets that were passed, what the service manager is told, signals, reloading and draining."""
