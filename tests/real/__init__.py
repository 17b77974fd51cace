"""The whole of sdr with real parts: real clients, a real nginx, the real twistd and the real command."""
