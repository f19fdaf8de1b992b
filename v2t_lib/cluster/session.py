"""A Spark application for the length of a command."""

import contextlib
import functools
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from v2t_lib import __version__
from v2t_lib.cluster.storage import Storage
from v2t_lib.errors import ClusterError
from v2t_lib.progress import Progress

#: Seconds that a master has to answer.
MASTER_SECONDS = 120
#: Seconds until a worker has to have taken a task; others' jobs may come first.
WORKER_SECONDS = 300


def _require_java() -> None:
    home = os.environ.get("JAVA_HOME")
    if not (shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")):
        where = f"none in JAVA_HOME, {home}" if home else "none on the PATH"
        raise ClusterError(
            f"expected Java 17 or later, on which Spark runs. Received: {where}; install it (on "
            "Debian and Ubuntu the package default-jre-headless)"
        )


def _require_answer(master: str) -> None:
    """Tries a standalone master's address, as Spark itself would wait for minutes."""
    why = ""
    for host, port in re.findall(r"([^/,\s]+):(\d+)", master.removeprefix("spark://")):
        try:
            socket.create_connection((host, int(port)), timeout=MASTER_SECONDS).close()
            return
        except OSError as error:
            why = error.strerror or str(error)
    raise ClusterError(
        f"expected a Spark master that answers at {master} within {MASTER_SECONDS} s. Received: "
        f"{why or 'an address without host:port'}; start it, or name another one"
    )


def _reason(error: BaseException) -> str:
    """The line of a Java or Python traceback that says what went wrong."""
    text = str(getattr(error, "java_exception", error))
    python = re.findall(r"^([\w.]+): (.+)$", text.partition("Traceback")[2], re.MULTILINE)
    return ": ".join(python[-1]) if python else (text.strip().splitlines() or ["nothing"])[0][:300]


@contextlib.contextmanager
def _java(conf) -> Iterator[Any]:
    """Spark's Java process, for the length of the block."""
    from pyspark import SparkContext
    from pyspark.java_gateway import launch_gateway

    with tempfile.TemporaryFile() as said:  # its notes; errors come as exceptions
        try:
            gateway = launch_gateway(conf, {"stdout": said, "stderr": said})
        except Exception as error:
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
            why = lines[-1] if lines else str(error)
            raise ClusterError(f"expected Java to start Spark. Received: {why}") from None
        try:
            yield gateway
        finally:
            gateway.shutdown()
            gateway.proc.stdin.close()
            gateway.proc.kill()
            gateway.proc.wait()
            SparkContext._gateway = SparkContext._jvm = None  # for the next session


@contextlib.contextmanager
def session(master: str) -> Iterator["Cluster"]:
    """Starts an application on a cluster, and ends it after the block.

    Spark's settings come from its own files and variables, such as `SPARK_CONF_DIR`, as ever.

    Args:
        master: `spark://HOST:PORT`, `local[N]`, `yarn`, `k8s://...`: as Spark has it.

    Raises:
        ClusterError: No Java, no pyspark, or a master that doesn't answer.
    """
    _require_java()
    try:
        from pyspark import SparkConf, SparkContext
    except ImportError as error:
        raise ClusterError(
            f"expected the package pyspark. Received: {error}; pip install 'v2t_lib[spark]'"
        ) from None
    if master.startswith("spark://"):
        _require_answer(master)
    elif master.startswith("local"):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    conf = SparkConf(loadDefaults=False).setMaster(master).setAppName("v2t")
    conf.set("spark.speculation", "true").set("spark.log.level", "ERROR")
    in_main = threading.current_thread() is threading.main_thread()
    interrupt = signal.getsignal(signal.SIGINT)
    with _java(conf) as gateway:
        late = threading.Event()

        def give_up() -> None:
            late.set()
            gateway.proc.kill()

        watch = threading.Timer(MASTER_SECONDS, give_up)
        watch.start()
        try:
            context = SparkContext(conf=conf, gateway=gateway)
        except Exception as error:
            why = "nothing" if late.is_set() else _reason(error)
            raise ClusterError(
                f"expected a Spark master that answers at {master} within {MASTER_SECONDS} s. "
                f"Received: {why}; start it, or name another one"
            ) from None
        finally:
            watch.cancel()
        try:
            yield Cluster(context, master)
        finally:
            with contextlib.suppress(Exception):  # it may be gone
                context.stop()
            if in_main:
                signal.signal(signal.SIGINT, interrupt)  # which Spark has replaced


def _probe(version: str, out: Storage, probe: str, _: int) -> str:
    """Runs on a worker: what is wrong with it, or ""."""
    if version != __version__:
        return f"{__version__} on {socket.gethostname()}"
    if not out.exists(probe):
        return f"another folder on {socket.gethostname()}"
    return ""


class Cluster:
    """The running application.

    Args:
        context: Spark's.
        master: Its master's address.

    Attributes:
        slots: Tasks that can run at a time.
    """

    def __init__(self, context, master: str):
        self._context, self._master = context, master

    @property
    def slots(self) -> int:
        return self._context.defaultParallelism

    def check(self, out: Storage) -> None:
        """Asks the workers whether they have this library, and the folder `out`.

        Raises:
            ClusterError: No worker takes a task, or one has another version, or not the folder.
        """
        probe = out.probe()
        check = functools.partial(_probe, __version__, out, probe)
        wrong = next(
            filter(None, self._collect(check, range(2 * self.slots), self._refuse_idleness)), ""
        )
        if "another folder" in wrong:
            raise ClusterError(
                f"expected a folder that driver and workers share at {out.url}. Received: {wrong}; "
                "name a shared path or a URL"
            )
        if wrong:
            raise ClusterError(
                f"expected v2t_lib {__version__} on every worker, as on the driver. Received: "
                f"{wrong}; install the same version everywhere"
            )

    def send(self, path: Path) -> str:
        """Ships a file to every worker, once; `SparkFiles.get` of its name finds it there."""
        self._context.addFile(str(path))
        return path.name

    def run(self, task: Callable, items: Sequence) -> None:
        """Runs `task` on every item, each in a task of its own, with a progress bar.

        Raises:
            ClusterError: A task failed several times; says why the last time.
        """
        with Progress(total=len(items), unit="share", desc="spark") as progress:

            def show(finished: int, running: int, seconds: float) -> None:
                progress.update(max(0, finished - progress.n))

            self._collect(task, items, show)
            progress.update(len(items) - progress.n)

    def _refuse_idleness(self, finished: int, running: int, seconds: float) -> None:
        if seconds > WORKER_SECONDS and not running and not finished:
            raise ClusterError(
                f"expected a worker of {self._master} to take a task within {WORKER_SECONDS} s. "
                "Received: none did; see that workers are registered and have cores free"
            )

    def _collect(self, task: Callable, items: Sequence, watch: Callable) -> list:
        """The results, in order; `watch` is told every half a second how far it is."""
        from py4j.protocol import Py4JError

        tasks = self._context.parallelize(items, len(items)).map(task)
        begun, tracker = time.monotonic(), self._context.statusTracker()
        with ThreadPoolExecutor(1) as thread:
            job = thread.submit(tasks.collect)
            try:
                while not wait([job], timeout=0.5).done:
                    stages = map(tracker.getStageInfo, tracker.getActiveStageIds())
                    tasks_of = [(s.numCompletedTasks, s.numActiveTasks) for s in stages if s]
                    finished, running = map(sum, zip((0, 0), *tasks_of, strict=True))
                    watch(finished, running, time.monotonic() - begun)
                return job.result()
            except Py4JError as error:
                raise _failure(error) from None
            finally:
                if not job.done():
                    self._context.cancelAllJobs()


def _failure(error: Exception) -> ClusterError:
    """What a task, or Spark itself, has failed of, as a sentence."""
    reason = _reason(error)
    if "No module named 'v2t_lib" in reason:
        return ClusterError(
            f"expected v2t_lib {__version__} on every worker, as on the driver. Received: a worker "
            "without it, or with another version; install the same version everywhere"
        )
    if reason.startswith("v2t_lib.errors."):
        return ClusterError(reason.partition(": ")[2])
    return ClusterError(
        f"expected tasks to finish. Received, the last of several times: {reason}; what is "
        "finished is kept: run the same command again"
    )
