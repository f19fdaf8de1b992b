"""A Spark cluster on this machine's loopback: a master and workers of one core, as processes."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 180
SETTINGS = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "512m",
    "spark.executor.memory": "512m",
    "spark.ui.enabled": "false",
}


class StandaloneCluster:
    """A master and its workers, each in a process group of its own.

    Args:
        folder: For settings, logs and what the workers write.

    Attributes:
        url: The master's address.
        workers: Those that run.
    """

    def __init__(self, folder: Path):
        import pyspark

        self._folder, self._home = folder, Path(pyspark.__file__).parent
        self._number, self.workers, self._master = 0, [], None
        (folder / "spark-defaults.conf").write_text(
            "".join(f"{name} {value}\n" for name, value in SETTINGS.items())
        )

    @property
    def environment(self) -> dict[str, str]:
        """What drivers and workers need."""
        return {
            "SPARK_HOME": str(self._home),
            "SPARK_CONF_DIR": str(self._folder),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(self._folder / "local"),
            "SPARK_DAEMON_MEMORY": "256m",
            "PYSPARK_PYTHON": sys.executable,
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }

    def _start(self, kind: str, *arguments: str, says: str) -> tuple[subprocess.Popen, re.Match]:
        """Starts a process; returns it once its log has the pattern `says`."""
        self._number += 1
        log = self._folder / f"{self._number}-{kind}.log"
        name = f"org.apache.spark.deploy.{kind}.{kind.capitalize()}"
        command = [str(self._home / "bin/spark-class"), name, "--host", "127.0.0.1"]
        with open(log, "wb") as file:
            process = subprocess.Popen(
                [*command, "--webui-port", "0", *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                env=os.environ | self.environment,
                start_new_session=True,
            )
        until = time.monotonic() + SECONDS
        while time.monotonic() < until and process.poll() is None:
            if found := re.search(says, log.read_text(errors="replace")):
                return process, found
            time.sleep(0.1)
        self.kill(process)
        raise RuntimeError(f"expected {says!r} of a Spark {kind}. Received: {log.read_text()}")

    def start_master(self) -> None:
        """Starts the master."""
        says = r"Starting Spark master at (spark://\S+)"
        self._master, found = self._start("master", "--port", "0", says=says)
        self.url = found[1]

    def start_worker(self) -> subprocess.Popen:
        """Starts one more worker, of one core."""
        options = ("--cores", "1", "--memory", "1g", "--work-dir", str(self._folder / "work"))
        says = "Successfully registered with master"
        process, _ = self._start("worker", *options, self.url, says=says)
        self.workers.append(process)
        return process

    def kill(self, process: subprocess.Popen) -> None:
        """Ends a process with SIGKILL, and those that it has started: what a power cut does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process in self.workers:
            self.workers.remove(process)

    def stop(self) -> None:
        """Ends all."""
        for process in (*self.workers, self._master):
            if process is not None:
                self.kill(process)


@contextlib.contextmanager
def running(folder: Path, workers: int) -> Iterator[StandaloneCluster]:
    """A cluster for the length of the block, whose environment this process has, too."""
    cluster = StandaloneCluster(folder)
    with mock.patch.dict(os.environ, cluster.environment):
        try:
            cluster.start_master()
            for _ in range(workers):
                cluster.start_worker()
            yield cluster
        finally:
            cluster.stop()
