"""What a measurement was made on, and how quiet it was."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone


def describeMachine() -> dict:
    """Return processor, cores, instruction sets and memory."""
    with open("/proc/cpuinfo") as file:
        fields = dict(_field(line) for line in file if ":" in line)
    flags = fields.get("flags", "").split()
    with open("/proc/meminfo") as file:
        memory = int(file.readline().split()[1])
    return {
        "processor": f"{fields.get('model name', 'unknown')}, family {fields.get('cpu family')}, "
        f"model {fields.get('model')}, {float(fields.get('cpu MHz', 0)) / 1000:.2f} GHz",
        "cores": os.cpu_count(),
        "virtual": "hypervisor" in flags,
        "instructions": [
            name for name in ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16") if name in flags
        ],
        "memoryGiB": round(memory / 2**20, 1),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
    }


def load() -> dict:
    """Return the time and the load averages over 1, 5 and 15 minutes."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"time": now, "load": [round(value, 2) for value in os.getloadavg()]}


def _field(line: str) -> tuple[str, str]:
    name, value = line.split(":", 1)
    return name.strip(), value.strip()
