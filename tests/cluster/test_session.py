"""Where Spark can't start, the cause is named, and the setting that it comes from."""

import gc

import pytest

from v2t_lib.cluster.session import session
from v2t_lib.errors import ClusterError

pytestmark = [
    pytest.mark.spark,
    # pyspark leaves the pipes of a Java that ended to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def _collected():
    yield
    gc.collect()


CHAIN = """Exception in thread "main" java.lang.ExceptionInInitializerError
\tat org.apache.spark.deploy.SparkSubmit.main(SparkSubmit.scala)
Caused by: java.net.UnknownHostException: host-{0}: Name or service not known
\t... 17 more"""
SAID = {
    CHAIN: "UnknownHostException: host-7: Name or .*; set SPARK_LOCAL_IP",
    "Exception in x.SparkException: Master must be yarn\n\tat x": "Master must .*local.2., spark://",
    "\tjava.lang.UnsupportedClassVersionError: compiled for 61.0\nline 97: CMD": "61.0; install it",
    "x.SparkException: [INVALID_DRIVER_MEMORY] too little": "; raise spark.driver.memory",
    "no idea": "; install it",
}


@pytest.mark.parametrize("said", SAID)
def test_what_java_says_is_one_sentence_with_a_way_out(said, tmp_path, monkeypatch):
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{said.format(7)}\nEND\nexit 1\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.delenv("SPARK_HOME", raising=False)
    with pytest.raises(ClusterError, match=SAID[said]), session("local[1]"):
        pass


def test_another_sparks_home_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    with pytest.raises(ClusterError, match=r"spark-submit.*; unset SPARK_H"), session("local[1]"):
        pass
