"""Where a comparison ran: numbers of time mean nothing without it."""

import os
import platform
import sys
from importlib import metadata
from typing import Any

import jax


def machine() -> dict[str, Any]:
    """Versions, device and cores, as far as they are known."""
    versions = {"fnn": sys.modules["fnn"].__version__}  # true in a source tree, too
    for package in ("jax", "jaxlib", "optax", "numpy"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    device = jax.devices()[0]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        **versions,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": cores,
        "device": device.device_kind,
        "platform": device.platform,
        "devices": len(jax.devices()),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [
                line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
            ]
        return names[0] if names else platform.processor()
    except OSError:
        return platform.processor()
