"""Sorts NVML's error codes by what they mean for us."""

from collections.abc import Mapping

import pynvml

from app.model.messages import Text

# NVML as a whole does not answer any more, and what to do about it.
GONE: Mapping[int, Text] = {
    pynvml.NVML_ERROR_UNINITIALIZED: Text("the NVIDIA driver was unloaded; load it again (modprobe nvidia)"),
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: Text(
        "the NVIDIA driver is not loaded; load it (modprobe nvidia) and see dmesg"
    ),
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: Text(
        "libnvidia-ml.so.1 is not on this host; install the NVIDIA driver, "
        "or set GPUDOCK_GPUS=simulated:8 to try gpudock without GPUs"
    ),
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: Text(
        "the NVIDIA driver was updated but the old one is still loaded; reboot, or reload it and restart gpudock"
    ),
}
# One reading or feature is not to be had of a device or driver.
REFUSED = frozenset(
    {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_NO_DATA,
    }
)
