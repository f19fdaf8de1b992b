"""A Spark application for the length of a command."""

import contextlib
import functools
import os
import re
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from v2t_lib import __version__
from v2t_lib.cluster.storage import Storage
from v2t_lib.errors import ClusterError
from v2t_lib.progress import Progress

#: Seconds until the workers have to have answered; others' jobs may come first.
WORKER_SECONDS = 300


#: What Spark and Java say, and what to do about it.
_ADVICE = {
    "BindException|UnknownHost": "set SPARK_LOCAL_IP (spark.driver.bindAddress) to an address that "
    "this machine has, 127.0.0.1 say",
    "spark-submit": "unset SPARK_HOME, which names another Spark than pyspark's own",
    "DRIVER_MEMORY": "raise spark.driver.memory",
    "Master must|parse [Mm]aster|Master URL|0 threads": "name a master as Spark does: local[2], "
    "spark://HOST:PORT or yarn",
}


def _failed(expected: str, why: str, otherwise: str) -> ClusterError:
    """The error of a Spark that didn't start; `otherwise` is the advice where `why` has none."""
    ways = [way for sign, way in _ADVICE.items() if re.search(sign, why)]
    return ClusterError(f"expected {expected}. Received: {why}; {(ways or [otherwise])[0]}")


def _reason(error: BaseException) -> str:
    """The line of a Java or Python traceback that says what went wrong."""
    text = str(getattr(error, "java_exception", error))
    python = re.findall(r"^([\w.]+): (.+)$", text.partition("Traceback")[2], re.MULTILINE)
    return ": ".join(python[-1]) if python else (text.strip().splitlines() or ["nothing"])[0][:300]


def _require_answer(master: str) -> None:
    """Tries a standalone master's addresses, as Spark itself takes a minute and doesn't say why."""
    why = "an address without host:port"
    for host, port in re.findall(r"([^/,\s]+):(\d+)", master.removeprefix("spark://")):
        try:
            return socket.create_connection((host, int(port)), timeout=60).close()
        except OSError as error:
            why = error.strerror or str(error)
    raise _no_master(master, why)


def _no_master(master: str, why: str) -> ClusterError:
    return _failed(f"a Spark master that answers at {master}", why, "start it, or name another one")


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
            text = said.read().decode(errors="replace")
            # The last of a chain of exceptions names the cause.
            whys = re.findall(r"[\w.]+(?:Exception|Error): .+", text) or text.strip().splitlines()
            raise _failed(
                "Spark to start, on Java 17 or later, on the PATH or in JAVA_HOME",
                (whys or [str(error)])[-1][:300],
                "install it (on Debian and Ubuntu the package default-jre-headless)",
            ) from None
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
        ClusterError: No Java, or a master that doesn't answer.
    """
    from pyspark import SparkConf, SparkContext

    if master.startswith("spark://"):
        _require_answer(master)
    elif master.startswith("local"):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    conf = SparkConf(loadDefaults=False).setMaster(master).setAppName("v2t")
    conf.set("spark.speculation", "true").set("spark.log.level", "ERROR")
    interrupt = signal.getsignal(signal.SIGINT)
    with _java(conf) as gateway:
        try:
            context = SparkContext(conf=conf, gateway=gateway)
        except Exception as error:
            raise _no_master(master, _reason(error)) from None
        try:
            if context.applicationId.startswith("spark-application-"):  # which no master has given
                raise _no_master(master, "nothing within a minute")
            yield Cluster(context, master)
        finally:
            with contextlib.suppress(Exception):  # it may be gone
                context.stop()
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, interrupt)  # which Spark has replaced


def _task(version: str, task: Callable, item: Any) -> None:
    """Runs on a worker: one item."""
    if version != __version__:
        raise ClusterError(
            f"expected v2t_lib {version} on every worker, as on the driver. Received: "
            f"{__version__} on {socket.gethostname()}; install the same version everywhere"
        )
    task(item)


def _look(out: Storage, name: str, _: int) -> None:
    if not out.exists(name):
        raise ClusterError(
            f"expected a folder that driver and workers share at {out.url}. Received: another "
            f"folder on {socket.gethostname()}; name a shared path or a URL"
        )


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
        """Has the workers look whether they have this library, and the folder `out`.

        Raises:
            ClusterError: They don't answer, or one has another version, or not the folder.
        """
        look = functools.partial(_look, out, out.probe())
        self.run(look, range(2 * self.slots), "check", WORKER_SECONDS)

    def send(self, path: Path) -> None:
        """Ships a file to every worker, once; `SparkFiles.get` of its name finds it there."""
        self._context.addFile(str(path))

    def run(
        self, task: Callable, items: Sequence, unit: str = "share", seconds: float | None = None
    ) -> None:
        """Runs `task` on every item, each in a task of its own, with a progress bar.

        Raises:
            ClusterError: A task failed several times; says why the last time. Or not all have
                ended within `seconds`.
        """
        from py4j.protocol import Py4JError

        job = functools.partial(_task, __version__, task)
        rows, tracker = self._context.parallelize(items, len(items)), self._context.statusTracker()
        with (
            Progress(total=len(items), unit=unit, desc="spark") as bar,
            ThreadPoolExecutor(1) as thread,
        ):
            running, left = thread.submit(rows.foreach, job), seconds
            try:
                while not wait([running], timeout=0.5).done:
                    stages = filter(None, map(tracker.getStageInfo, tracker.getActiveStageIds()))
                    bar.update(max(0, sum(stage.numCompletedTasks for stage in stages) - bar.n))
                    left = None if left is None else left - 0.5
                    if left is not None and left < 0:
                        raise ClusterError(
                            f"expected workers of {self._master} to answer within {seconds} s. "
                            "Received: nothing; see that some are registered and have cores free"
                        )
                running.result()
                bar.update(len(items) - bar.n)
            except Py4JError as error:
                raise _failure(error) from None
            finally:
                if not running.done():
                    self._context.cancelAllJobs()


def _failure(error: Exception) -> ClusterError:
    """What a task, or Spark itself, has failed of, as a sentence."""
    reason = _reason(error)
    if "No module named 'v2t_lib" in reason:
        return ClusterError(
            f"expected v2t_lib {__version__} on every worker, as on the driver. Received: a worker "
            "without it; install the same version everywhere"
        )
    if reason.startswith("v2t_lib.errors."):
        return ClusterError(reason.partition(": ")[2])
    return ClusterError(
        f"expected tasks to finish. Received, the last of several times: {reason}; what is "
        "finished is kept: run the same command again"
    )
