"""A libnvidia-ml.so.1 of our own, compiled once per session, which a state file controls."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pynvml
import pytest

SOURCE = Path(__file__).with_name("fake_nvml.c")
SONAME = "libnvidia-ml.so.1"


class FakeNvml:
    """The library at `path` in `dir`, and what it pretends; see fake_nvml.c for every line of its state.

    `load` puts it into this process. Another process gets it by the variables of `environ`.
    """

    def __init__(self, directory: Path) -> None:
        self.dir = directory
        self.path = directory / SONAME
        self.state = directory / "state"
        self._xids = 0
        options = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", f"-Wl,-soname,{SONAME}"]
        subprocess.run(["gcc", *options, "-o", self.path, SOURCE], check=True)
        self.reset()

    @property
    def environ(self) -> dict[str, str]:
        return {"LD_LIBRARY_PATH": str(self.dir), "FAKE_NVML_STATE": str(self.state)}

    def load(self) -> None:
        """Make a later dlopen by soname, which is how pynvml loads NVML, find this library."""
        assert pynvml.nvmlLib is None, "another NVML is loaded already"
        os.environ["FAKE_NVML_STATE"] = str(self.state)
        self._library = ctypes.CDLL(str(self.path), ctypes.RTLD_GLOBAL)

    def initialisations(self) -> int:
        """How often this process initialised the loaded library."""
        return int(self._library.fake_nvml_initialisations())

    def event_sets(self) -> int:
        """How many event sets this process has in the loaded library."""
        return int(self._library.fake_nvml_event_sets())

    def misuses(self) -> int:
        """How often this process used an event set that did not exist any more."""
        return int(self._library.fake_nvml_misuses())

    def reset(self, gpus: int = 4) -> None:
        """So many healthy, idle GPUs."""
        self._write(f"gpus {gpus}\n")

    def renew(self) -> None:
        """`reset`, and nobody in this process has initialised the loaded library."""
        self.reset()
        self._library.fake_nvml_forget()

    def uuid(self, index: int) -> str:
        return f"GPU-fa4e0000-0000-4000-8000-{index:012x}"

    def lose(self, index: int) -> None:
        self._add(f"lose {index}")

    def remove(self, index: int) -> None:
        """Later GPUs move to a lower index, as after a driver reload without this one."""
        self._add(f"remove {index}")

    def refuse(self, index: int, reading: str) -> None:
        """`reading`: name, memory, utilisation, temperature, power, mig, processes or events."""
        self._add(f"refuse {index} {reading}")

    def process(self, index: int, pid: int, mib: int | None, kind: str = "process") -> None:
        """A process uses the GPU; `kind` is process or graphics, `mib` None means not available."""
        self._add(f"{kind} {index} {pid} {-1 if mib is None else mib}")

    def gone(self, gone: bool = True, code: int = pynvml.NVML_ERROR_DRIVER_NOT_LOADED) -> None:
        """Every call fails with `code`, or no longer."""
        self._add(f"gone {code if gone else 0}")

    def mig(self, index: int) -> None:
        self._add(f"mig {index}")

    def xid(self, index: int, code: int) -> None:
        """The driver reports an XID error of the GPU."""
        self._xids += 1
        self._add(f"xid {self._xids} {index} {code}")

    def slow(self, seconds: float) -> None:
        """Every call takes that long, or until `reset` or slow(0)."""
        self._add(f"slow {seconds}")

    def _add(self, line: str) -> None:
        self._write(f"{self.state.read_text()}{line}\n")

    def _write(self, text: str) -> None:
        # The library reads at any moment and must never see half a file.
        fresh = self.dir / "state.new"
        fresh.write_text(text)
        fresh.replace(self.state)


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> FakeNvml:
    """Compiled and loaded into this process; its state stays as the last test left it."""
    library = FakeNvml(tmp_path_factory.mktemp("nvml"))
    library.load()
    return library


@pytest.fixture
def nvml(nvml_library: FakeNvml) -> Iterator[FakeNvml]:
    """The same with four healthy GPUs and not initialised, before and after the test, which must not misuse it."""
    nvml_library.renew()
    yield nvml_library
    assert nvml_library.misuses() == 0
    nvml_library.renew()
