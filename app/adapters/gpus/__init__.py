"""The GPUs of this host: by NVML, or simulated."""
